//! Sockets that clients connect to: binding, accepting, and the limits on how many may be connected.
//!
//! Owns the accept loop and the [`ConnectionGate`]. A connection's life after accepting is its own task's; it holds
//! a [`ConnectionPermit`], and dropping that lets another client in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::BindAddress;

/// Connections that have not logged in yet, in all. Each holds some 8 KiB; a login time-out makes room.
pub const UNAUTHENTICATED_MAX: usize = 10_000;

/// Connections at most, whatever the limit of file descriptors is.
const CONNECTIONS_MAX: usize = 1_000_000;

/// File descriptors kept back from clients: the log's slots, definitions, listeners, the HTTP API's 256
/// connections and room to spare.
const DESCRIPTORS_RESERVED: u64 = 512;

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 1_024;

/// The longest pause after accepting failed, in milliseconds.
const PAUSE_MAX_MS: u64 = 1_000;

/// Raises the limit of file descriptors as far as the system allows, and gives it.
#[must_use]
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Counts connections and keeps them within their limits.
pub struct ConnectionGate {
    connections: Arc<Semaphore>,
    unauthenticated: Arc<Semaphore>,
    connections_max: usize,
}

impl ConnectionGate {
    /// A gate for a limit of file descriptors. A very low limit is shared in halves.
    #[must_use]
    pub fn new(descriptors: u64) -> Arc<Self> {
        let for_clients = descriptors.saturating_sub(DESCRIPTORS_RESERVED.min(descriptors / 2));
        let connections_max = usize::try_from(for_clients).unwrap_or(usize::MAX).clamp(1, CONNECTIONS_MAX);
        Self::with_limits(connections_max, UNAUTHENTICATED_MAX)
    }

    fn with_limits(connections_max: usize, unauthenticated_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connections: Arc::new(Semaphore::new(connections_max)),
            unauthenticated: Arc::new(Semaphore::new(unauthenticated_max)),
            connections_max,
        })
    }

    /// How many clients may be connected at once.
    #[must_use]
    pub fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// Waits until one more client may come in. `None` never happens: the gate is never closed.
    async fn enter(&self) -> Option<ConnectionPermit> {
        let connection = Arc::clone(&self.connections).acquire_owned().await.ok()?;
        let unauthenticated = Arc::clone(&self.unauthenticated).acquire_owned().await.ok()?;
        Some(ConnectionPermit { _connection: connection, unauthenticated: Some(unauthenticated) })
    }
}

/// One connection's place. Dropping it lets another client in.
pub struct ConnectionPermit {
    _connection: OwnedSemaphorePermit,
    unauthenticated: Option<OwnedSemaphorePermit>,
}

impl ConnectionPermit {
    /// The client has logged in: it no longer counts as one that has not.
    pub fn authenticated(&mut self) {
        self.unauthenticated = None;
    }
}

/// Listens on every address of a setting. Port 0 takes a free one, the same on both IP families; read it from
/// the listener. Must be called within a tokio runtime.
///
/// # Errors
/// What the system says, with the address; nothing is left open.
pub fn bind(address: &BindAddress) -> io::Result<Vec<TcpListener>> {
    match *address {
        // One socket for both families; a machine without IPv6 gets one of IPv4.
        BindAddress::Any(port) => {
            let both = listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
            match both {
                Err(error) if lacks_ipv6(&error) => {
                    Ok(vec![listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?])
                }
                both => Ok(vec![both?]),
            }
        }
        BindAddress::Localhost(port) => bind_localhost(port, 16),
        BindAddress::One(address) => Ok(vec![listen(address)?]),
    }
}

/// The port that is free for one family may be taken for the other; then another one is tried.
fn bind_localhost(port: u16, attempts: usize) -> io::Result<Vec<TcpListener>> {
    let four = listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))?;
    let chosen = four.local_addr()?.port();
    match listen(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), chosen)) {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if lacks_ipv6(&error) => Ok(vec![four]),
        Err(_) if port == 0 && attempts > 0 => bind_localhost(port, attempts - 1),
        Err(error) => Err(error),
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    let missing = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    missing.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `::` takes both families; any other address of IPv6 is itself.
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// An address as people write it: one of IPv4 that came in over an IPv6 socket is one of IPv4.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Accepts clients for ever. `on_accept` gets the socket, ready to use, the client's address and the connection's
/// place; it must not block. At a limit nobody is accepted until a place is free; clients wait in the system's
/// backlog meanwhile.
pub async fn accept_loop(
    listener: TcpListener,
    gate: Arc<ConnectionGate>,
    on_accept: impl Fn(TcpStream, SocketAddr, ConnectionPermit),
) {
    let mut pause_ms = 0;
    while let Some(permit) = gate.enter().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause_ms = 0;
                // Small frames must not wait for the acknowledgement of earlier ones.
                if stream.set_nodelay(true).is_ok() {
                    on_accept(stream, canonical(peer), permit);
                }
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                if pause_ms == 0 {
                    tracing::error!(%error, "accepting clients failed; trying again");
                }
                pause_ms = (pause_ms * 2).clamp(10, PAUSE_MAX_MS);
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        }
    }
}

/// The client went away before it was accepted; that says nothing about the next one.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;
