//! One node: a process that holds the application, stopped or running, and answers on its control socket.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use leveret_core::admin::Admin;
use leveret_management::Node;
use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::application::{Application, Process};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{ControlSocket, serve_control};
use crate::listener::raise_descriptor_limit;
use crate::server::ServerError;

/// Orders that wait at once; whoever gives one waits for its end.
const ORDERS_MAX: usize = 16;

/// Runs a node until it is asked to stop, by SIGTERM, SIGINT or management.
///
/// # Errors
/// [`ServerError`]: why it did not start, or what it could not flush.
pub async fn run(config: Config) -> Result<(), ServerError> {
    let mut signals = Signals::new()?;
    // The alarms measure the folder's disk; what is wrong with the folder itself is told when it is opened.
    _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir);
    let process = Process {
        config,
        clock: Clock::start(),
        descriptors: raise_descriptor_limit(),
        stop: Arc::new(Notify::new()),
    };
    // Whoever finds a listener finds the control socket too.
    let mut control = None;
    let mut application = Some(
        Application::start(&process, || {
            let bound = ControlSocket::bind(&process.config.data_dir);
            control = Some(bound.map_err(ServerError::system("open the control socket"))?);
            Ok(())
        })
        .await?,
    );
    let (orders, mut ordered) = mpsc::channel(ORDERS_MAX);
    let handle = Arc::new(NodeHandle {
        name: process.config.node_name.clone(),
        settings: process.config.settings(),
        admin: Mutex::new(application.as_ref().map(|application| Arc::clone(&application.admin))),
        orders,
        stop: Arc::clone(&process.stop),
    });
    let mut services = JoinSet::new();
    if let Some(control) = control {
        services.spawn(serve_control(control, Arc::clone(&handle) as Arc<dyn Node>));
    }
    tracing::info!("ready");
    loop {
        tokio::select! {
            () = signals.received() => break,
            () = process.stop.notified() => break,
            Some(order) = ordered.recv() => {
                let result = obey(order.run, &mut application, &process, &handle).await;
                if let Err(error) = &result {
                    tracing::error!("{error}");
                }
                let told = result.as_ref().copied().map_err(ToString::to_string);
                // Nobody waits any more if the request was given up.
                _ = order.done.send(told);
                if !order.run {
                    // What could not be flushed is being written yet: no other start may come before its end.
                    result?;
                }
            }
        }
    }
    tracing::info!("stopping");
    handle.admin.lock().take();
    if let Some(application) = application {
        application.stop().await?;
    }
    services.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts or stops the application. What is so already stays so.
async fn obey(
    run: bool,
    application: &mut Option<Application>,
    process: &Process,
    handle: &NodeHandle,
) -> Result<(), ServerError> {
    match (run, application.take()) {
        (true, None) => {
            tracing::info!("starting the application");
            let started = Application::start(process, || Ok(())).await?;
            *handle.admin.lock() = Some(Arc::clone(&started.admin));
            *application = Some(started);
            tracing::info!("the application runs");
            Ok(())
        }
        (false, Some(running)) => {
            tracing::info!("stopping the application");
            handle.admin.lock().take();
            let stopped = running.stop().await;
            tracing::info!("the application is stopped; the process goes on");
            stopped
        }
        (_, as_it_is) => {
            *application = as_it_is;
            Ok(())
        }
    }
}

/// The node as its control socket sees it.
struct NodeHandle {
    name: String,
    settings: Vec<(String, String)>,
    admin: Mutex<Option<Arc<dyn Admin>>>,
    orders: mpsc::Sender<Order>,
    stop: Arc<Notify>,
}

/// The application is to run, or not.
struct Order {
    run: bool,
    done: oneshot::Sender<Result<(), String>>,
}

impl Node for NodeHandle {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.settings.clone()
    }

    fn admin(&self) -> Option<Arc<dyn Admin>> {
        self.admin.lock().clone()
    }

    fn set_running(&self, run: bool) -> Result<(), String> {
        let (done, result) = oneshot::channel();
        let ending = || "the node is stopping".to_owned();
        self.orders.blocking_send(Order { run, done }).map_err(|_| ending())?;
        result.blocking_recv().unwrap_or_else(|_| Err(ending()))
    }

    fn request_stop(&self) {
        self.stop.notify_one();
    }
}

/// The signals that end the process in order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, ServerError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(ServerError::system("wait for SIGTERM"))?,
            interrupt: signal(SignalKind::interrupt()).map_err(ServerError::system("wait for SIGINT"))?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
