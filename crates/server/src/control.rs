//! Serving the HTTP API: over TCP, and over the control socket in the data folder.
//!
//! Owns sockets and connections of HTTP; every answer comes from `leveret_management`. The control socket needs no
//! password: its folder is open to the owner of the process only.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use leveret_management::{Node, node_router};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::listener::canonical;
use crate::tls::TlsAcceptor;

/// HTTP connections at once, on each listener. Browsers and probes need a handful; more wait.
const CONNECTIONS_MAX: usize = 128;

/// The time that a request's head may take, in seconds, the wait for it included.
const HEAD_TIMEOUT_S: u64 = 60;

/// The pause after accepting failed, in milliseconds.
const PAUSE_MS: u64 = 250;

/// The folder of the control socket within the data folder.
pub const CONTROL_FOLDER: &str = "control";

/// The control socket within its folder.
pub const CONTROL_SOCKET: &str = "leveret.sock";

/// Serves HTTP over TCP, or TLS over that, for ever. Dropping the future ends it, and the connections that are open.
pub async fn serve_http(listener: TcpListener, tls: Option<Arc<TlsAcceptor>>, router: axum::Router) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                let peer: SocketAddr = canonical(peer);
                let router = router.clone().layer(Extension(ConnectInfo(peer)));
                match tls.clone() {
                    None => connections.spawn(serve_connection(stream, router, permit)),
                    Some(acceptor) => connections.spawn(async move {
                        if let Some(secured) = acceptor.accept(stream, peer).await {
                            serve_connection(secured.stream, router, permit).await;
                        }
                    }),
                };
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await,
        }
    }
}

/// Serves the HTTP API over the control socket for ever, whether the application runs or not.
pub async fn serve_control(socket: ControlSocket, node: Arc<dyn Node>) {
    let router = node_router(node);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, router.clone(), permit));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await,
        }
    }
}

async fn serve_connection<S>(stream: S, router: axum::Router, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _permit = permit;
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_TIMEOUT_S))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// The control socket. Dropping it takes its name away.
pub struct ControlSocket {
    listener: UnixListener,
    folder: OwnedFd,
}

impl ControlSocket {
    /// Opens `control/leveret.sock` in the data folder. Whoever calls this owns the data folder, so that a socket
    /// that is there already is a dead process's and is replaced. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What the system says; or the folder belongs to somebody else.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let folder = open_folder(&data_dir.join(CONTROL_FOLDER))?;
        match rustix::fs::unlinkat(&folder, CONTROL_SOCKET, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let listener = UnixListener::bind(through(&folder))?;
        rustix::fs::chmodat(&folder, CONTROL_SOCKET, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        Ok(Self { listener, folder })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.folder, CONTROL_SOCKET, AtFlags::empty());
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&folder)?.st_uid;
    if owner != rustix::process::geteuid().as_raw() {
        let text = format!("{} belongs to user {owner}", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    rustix::fs::fchmod(&folder, Mode::RWXU)?;
    Ok(folder)
}

/// A path of the socket that is short whatever the data folder's is: a socket's path ends at 107 bytes.
fn through(folder: &OwnedFd) -> String {
    format!("/proc/self/fd/{}/{CONTROL_SOCKET}", folder.as_raw_fd())
}

#[cfg(test)]
mod tests;
