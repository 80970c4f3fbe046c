//! The application: one broker with its listeners, alarms and management, from start to stop. The process can hold
//! one after another.

use std::sync::Arc;

use leveret_core::admin::{Admin, Listener};
use leveret_core::connection::TlsFacts;
use leveret_management::{Face, prometheus_router, router};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::admin::BrokerAdmin;
use crate::alarm::Alarms;
use crate::clock::Clock;
use crate::config::{BindAddress, Config};
use crate::control::serve_http;
use crate::listener::{ConnectionGate, ConnectionPermit, accept_loop, bind, canonical};
use crate::load_definitions::load_definitions;
use crate::server::{Server, ServerError};
use crate::tls::{Secured, TlsAcceptor, TlsError, check_files};
use crate::transport::Transport;

/// Clients whose TLS handshake is done and who wait to be served; that takes no time, so they are few.
const SECURED_WAITING: usize = 64;

/// What stays the same over the process's life.
pub struct Process {
    /// The settings it was started with.
    pub config: Config,
    /// Its time.
    pub clock: Clock,
    /// Its limit of file descriptors.
    pub descriptors: u64,
    /// Told when the process is to end.
    pub stop: Arc<Notify>,
}

/// A running application.
pub struct Application {
    /// The broker as management sees it.
    pub admin: Arc<dyn Admin>,
    server: Arc<Server>,
    accepting: JoinSet<()>,
    services: JoinSet<()>,
    /// Dropped when clients that did not answer a stop are to go.
    clients: watch::Sender<()>,
}

/// What is open before anybody is served.
struct Opened {
    admin: Arc<dyn Admin>,
    gate: Arc<ConnectionGate>,
    amqp: Vec<TcpListener>,
    amqps: Vec<TcpListener>,
    http: Vec<TcpListener>,
    https: Vec<TcpListener>,
    prometheus: Vec<TcpListener>,
}

/// What every accepted client is served with.
#[derive(Clone)]
struct Service {
    server: Arc<Server>,
    /// Its sender is dropped when clients are to go.
    end: watch::Receiver<()>,
}

impl Application {
    /// Recovers the data folder and opens the listeners. `owned` is run between the two: the data folder is this
    /// process's, and no client has come yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is served then.
    pub async fn start(
        process: &Process,
        owned: impl FnOnce() -> Result<(), ServerError>,
    ) -> Result<Self, ServerError> {
        let Process { config, clock, .. } = process;
        // Certificates that cannot be used are told before anything is opened.
        let amqps_tls = enabled("AMQP", &config.amqps, || TlsAcceptor::amqps(config))?;
        check_files(&config.tls)?;
        let https_tls = enabled("HTTP", &config.https, || TlsAcceptor::https(config))?;
        let alarms = Alarms::new(config.memory_watermark, config.disk_free_limit, config.data_dir.clone());
        let server = Server::start(config, alarms.memory_limit(), *clock)?;
        alarms.count_as_free(server.reusable());
        let opened = owned().and_then(|()| Self::open(process, &server, &alarms));
        let Opened { admin, gate, amqp, amqps, http, https, prometheus } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // Its threads would go on writing to a data folder that the next start takes for its own.
                server.stop().await?;
                return Err(error);
            }
        };
        let mut services = JoinSet::new();
        services.spawn(watch_alarms(Arc::clone(&alarms), Arc::clone(&server.broker)));
        services.spawn(alarms.run());
        let api = router(Arc::clone(&admin), Face::Tcp);
        serve_all(&mut services, http, None, &api);
        serve_all(&mut services, https, https_tls, &api);
        serve_all(&mut services, prometheus, None, &prometheus_router(Arc::clone(&admin)));
        let server = Arc::new(server);
        let clients = watch::Sender::new(());
        let service = Service { server: Arc::clone(&server), end: clients.subscribe() };
        let mut accepting = JoinSet::new();
        for listener in amqp {
            let service = service.clone();
            let on_accept = move |stream: TcpStream, _peer, permit| {
                serve(&service, Transport::Plain(stream), None, permit);
            };
            accepting.spawn(accept_loop(listener, Arc::clone(&gate), on_accept));
        }
        for (listener, acceptor) in amqps.into_iter().zip(amqps_tls.iter().cycle()) {
            accept_tls(&mut accepting, listener, Arc::clone(acceptor), Arc::clone(&gate), service.clone());
        }
        Ok(Self { admin, server, accepting, services, clients })
    }

    /// Opens the listeners, and imports definitions before anybody is served.
    fn open(process: &Process, server: &Server, alarms: &Arc<Alarms>) -> Result<Opened, ServerError> {
        let Process { config, clock, descriptors, stop } = process;
        let gate = ConnectionGate::new(*descriptors);
        let amqp = bind_all(&config.amqp, "AMQP", "listeners.tcp")?;
        let amqps = bind_all(&config.amqps, "AMQP over TLS", "listeners.ssl")?;
        let http = bind_all(&config.http, "HTTP", "management.tcp.port")?;
        let https = bind_all(&config.https, "HTTPS", "management.ssl.port")?;
        let prometheus = bind_all(&config.prometheus, "Prometheus", "prometheus.tcp.port")?;
        let admin: Arc<dyn Admin> = Arc::new(BrokerAdmin {
            broker: Arc::clone(&server.broker),
            alarms: Arc::clone(alarms),
            gate: Arc::clone(&gate),
            listeners: described(&amqp, "amqp")
                .chain(described(&amqps, "amqp/ssl"))
                .chain(described(&http, "http"))
                .chain(described(&https, "https"))
                .chain(described(&prometheus, "http/prometheus"))
                .collect(),
            config: config.clone(),
            descriptors: *descriptors,
            stop: Arc::clone(stop),
            clock: *clock,
        });
        if let Some(path) = &config.load_definitions {
            load_definitions(&*admin, path)?;
        }
        Ok(Opened { admin, gate, amqp, amqps, http, https, prometheus })
    }

    /// Closes the listeners, tells the clients 320, and closes the data folder. Whoever has not gone by then is
    /// dropped.
    ///
    /// # Errors
    /// What could not be flushed.
    pub async fn stop(self) -> Result<(), ServerError> {
        let Self { admin, server, mut accepting, mut services, clients } = self;
        drop(admin);
        accepting.shutdown().await;
        let Some(server) = Arc::into_inner(server) else {
            return Err(ServerError::Setting("connections are still being accepted".to_owned()));
        };
        let stopped = server.stop().await;
        services.shutdown().await;
        drop(clients);
        stopped
    }
}

/// The acceptor if there is anywhere to listen.
fn enabled(
    what: &str,
    addresses: &[BindAddress],
    acceptor: impl FnOnce() -> Result<Arc<TlsAcceptor>, TlsError>,
) -> Result<Option<Arc<TlsAcceptor>>, ServerError> {
    let acceptor = (!addresses.is_empty()).then(acceptor).transpose()?;
    if let Some(acceptor) = &acceptor {
        tracing::info!("{what} over TLS: {}", acceptor.asks());
    }
    Ok(acceptor)
}

/// Accepts for TLS: each handshake is a task of its own, and what comes out of them is served like any other client.
/// Handshakes that are not done when `tasks` end come to nothing.
fn accept_tls(
    tasks: &mut JoinSet<()>,
    listener: TcpListener,
    acceptor: Arc<TlsAcceptor>,
    gate: Arc<ConnectionGate>,
    service: Service,
) {
    let (done, mut secured) = mpsc::channel::<(Secured, ConnectionPermit)>(SECURED_WAITING);
    let on_accept = move |stream, peer, permit| {
        let (acceptor, done) = (Arc::clone(&acceptor), done.clone());
        tokio::spawn(async move {
            if let Some(secured) = acceptor.accept(stream, peer).await {
                // Nobody takes it once the broker stops.
                _ = done.send((secured, permit)).await;
            }
        });
    };
    tasks.spawn(accept_loop(listener, gate, on_accept));
    tasks.spawn(async move {
        while let Some((secured, permit)) = secured.recv().await {
            serve(&service, secured.stream.into(), Some(secured.facts), permit);
        }
    });
}

fn serve_all(
    services: &mut JoinSet<()>,
    listeners: Vec<TcpListener>,
    tls: Option<Arc<TlsAcceptor>>,
    router: &axum::Router,
) {
    for listener in listeners {
        services.spawn(serve_http(listener, tls.clone(), router.clone()));
    }
}

/// Opens all addresses of a setting, `key`.
fn bind_all(addresses: &[BindAddress], what: &str, key: &str) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let refused = ServerError::system(format!("listen for {what} on {address} ({key})"));
        let bound = bind(address).map_err(refused)?;
        for listener in bound {
            if let Ok(local) = listener.local_addr() {
                tracing::info!("listening for {what} on {}", canonical(local));
            }
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

fn described(listeners: &[TcpListener], protocol: &'static str) -> impl Iterator<Item = Listener> {
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok());
    let described: Vec<Listener> =
        addresses.map(|a| Listener { protocol, ip_address: a.ip(), port: a.port() }).collect();
    described.into_iter()
}

fn serve(service: &Service, transport: Transport, tls: Option<TlsFacts>, permit: ConnectionPermit) {
    let permit = Arc::new(parking_lot::Mutex::new(permit));
    let opened = Arc::clone(&permit);
    let mut end = service.end.clone();
    match service.server.connection(transport, tls, Box::new(move || opened.lock().authenticated())) {
        Ok(connection) => {
            tokio::spawn(async move {
                tokio::select! {
                    () = connection => {}
                    // Only ever an error: the sender is gone.
                    _ = end.changed() => {}
                }
                drop(permit);
            });
        }
        // The client was gone before it was served.
        Err(error) => tracing::debug!("a client went away: {error}"),
    }
}

/// Hands every change of the alarms on to the connections.
async fn watch_alarms(alarms: Arc<Alarms>, broker: Arc<leveret_engine::Broker<crate::seams::Shell>>) {
    let mut changes = alarms.subscribe();
    loop {
        let state = *changes.borrow_and_update();
        broker.set_alarms(state.memory, state.disk);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many threads of this process call queues that are due.
    fn timers() -> usize {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "timer").count()
    }

    #[tokio::test]
    async fn a_start_that_fails_leaves_the_data_folder_alone() {
        let folder = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config {
            data_dir: folder.path().to_owned(),
            amqp: vec![BindAddress::One(taken.local_addr().unwrap())],
            ..Config::default()
        };
        let process = Process { config, clock: Clock::start(), descriptors: 1024, stop: Arc::default() };
        for _ in 0..2 {
            let started = Application::start(&process, || Ok(())).await;
            let error = started.err().expect("the port is taken").to_string();
            let place = format!("listen for AMQP on {} (listeners.tcp): ", taken.local_addr().unwrap());
            assert!(error.starts_with(&place) && error.contains("in use"), "{error}");
            assert_eq!(timers(), 0, "the broker's threads are gone");
        }
    }
}
