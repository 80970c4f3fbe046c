//! Both faces of the HTTP API over real sockets.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use leveret_core::admin::*;
use leveret_management::{Face, router};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::config::BindAddress;

/// A broker without anything in it; whoever logs in tells whether it came from this machine.
struct Empty;

impl ParameterAdmin for Empty {
    fn parameters(&self) -> Vec<ParameterView> {
        vec![]
    }
    fn put_parameter(&self, _: &ParameterView) -> Result<(), AdminError> {
        Err(AdminError::NotFound)
    }
    fn global_parameters(&self) -> Vec<GlobalParameterView> {
        vec![]
    }
    fn put_global_parameter(&self, _: &GlobalParameterView) -> Result<(), AdminError> {
        Err(AdminError::NotFound)
    }
    fn policies(&self) -> Vec<PolicyView> {
        vec![]
    }
    fn put_policy(&self, _: &PolicyView) -> Result<(), AdminError> {
        Err(AdminError::NotFound)
    }
}

impl Admin for Empty {
    fn together(&self, changes: &mut dyn FnMut(&dyn Admin)) -> Result<(), AdminError> {
        changes(self);
        Ok(())
    }
    fn authenticate(&self, _: &str, _: &[u8], loopback: bool) -> Result<AuthenticatedUser, AuthFailure> {
        let name = if loopback { "local" } else { "remote" };
        Ok(AuthenticatedUser { name: name.to_owned(), tags: vec!["management".to_owned()], vhosts: vec![] })
    }
    fn node_status(&self) -> NodeStatus {
        unimplemented!("not asked for")
    }
    fn stats(&self) -> BrokerStats {
        BrokerStats::default()
    }

    fn alarms(&self) -> Vec<Alarm> {
        vec![]
    }
    fn vhosts(&self) -> Vec<VhostView> {
        vec![]
    }
    fn users(&self) -> Vec<UserView> {
        vec![]
    }
    fn queues(&self, _: Option<&str>) -> Vec<QueueView> {
        vec![]
    }
    fn queue(&self, _: &str, _: &str) -> Option<QueueView> {
        None
    }
    fn exchanges(&self, _: Option<&str>) -> Vec<ExchangeView> {
        vec![]
    }
    fn bindings(&self, _: Option<&str>) -> Vec<BindingView> {
        vec![]
    }
    fn connections(&self) -> Vec<ConnectionView> {
        vec![]
    }
    fn channels(&self) -> Vec<ChannelView> {
        vec![]
    }
    fn consumers(&self, _: Option<&str>) -> Vec<ConsumerView> {
        vec![]
    }
    fn close_connection(&self, _: &str, _: &str) -> Result<(), AdminError> {
        Err(AdminError::NotFound)
    }
    fn close_connection_by_id(&self, _: u64, _: &str) -> Result<(), AdminError> {
        Err(AdminError::NotFound)
    }
    fn close_connections(&self, _: ConnectionsOf<'_>, _: &str) -> u64 {
        0
    }
    fn set_memory_watermark(&self, _: MemoryWatermark) -> Result<(), AdminError> {
        Ok(())
    }
    fn set_disk_free_limit(&self, _: DiskFreeLimit) -> Result<(), AdminError> {
        Ok(())
    }
    fn request_stop(&self) {}
}

impl AccessAdmin for Empty {
    fn add_user(&self, _: &str, _: &PasswordChange, _: &[String]) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn put_user(&self, _: &str, _: &PasswordChange, _: Option<&[String]>) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn set_password(&self, _: &str, _: &PasswordChange) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn hash_password(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn set_user_tags(&self, _: &str, _: &[String]) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn delete_user(&self, _: &str) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn put_vhost(&self, _: &str, _: &VhostSettings) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn delete_vhost(&self, _: &str) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn permissions(&self) -> Vec<PermissionView> {
        unimplemented!("not asked for")
    }
    fn put_permission(&self, _: &PermissionView) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn delete_permission(&self, _: &str, _: &str) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn topic_permissions(&self) -> Vec<TopicPermissionView> {
        unimplemented!("not asked for")
    }
    fn put_topic_permission(&self, _: &TopicPermissionView) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn delete_topic_permission(&self, _: &str, _: &str, _: Option<&str>) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn vhost_limits(&self) -> Vec<(String, VhostLimitValues)> {
        unimplemented!("not asked for")
    }
    fn set_vhost_limits(&self, _: &str, _: VhostLimitValues) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn user_limits(&self) -> Vec<(String, UserLimitValues)> {
        unimplemented!("not asked for")
    }
    fn set_user_limits(&self, _: &str, _: UserLimitValues) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
}

impl TopologyAdmin for Empty {
    fn declare_exchange(&self, _: Acting<'_>, _: &str, _: &ExchangeSpec) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn delete_exchange(&self, _: Acting<'_>, _: &str, _: &str, _: bool) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn declare_queue(&self, _: Acting<'_>, _: &str, _: &QueueSpec) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn delete_queue(&self, _: Acting<'_>, _: &str, _: &str, _: bool, _: bool) -> Result<u64, AdminError> {
        unimplemented!("not asked for")
    }
    fn purge_queue(&self, _: Acting<'_>, _: &str, _: &str) -> Result<u64, AdminError> {
        unimplemented!("not asked for")
    }
    fn bind(&self, _: Acting<'_>, _: &str, _: &BindingSpec) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn unbind(&self, _: Acting<'_>, _: &str, _: &BindingSpec) -> Result<(), AdminError> {
        unimplemented!("not asked for")
    }
    fn publish(&self, _: Acting<'_>, _: &str, _: &NewMessage) -> Result<bool, AdminError> {
        unimplemented!("not asked for")
    }
    fn get_messages(
        &self,
        _: Acting<'_>,
        _: &str,
        _: &str,
        _: AckMode,
        _: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError> {
        unimplemented!("not asked for")
    }
    fn peek_messages(
        &self,
        _: Acting<'_>,
        _: &str,
        _: &str,
        _: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError> {
        unimplemented!("not asked for")
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, path: &str, head: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn tcp_asks_for_a_login_and_knows_the_peer() {
    let listener = crate::listener::bind(&BindAddress::Any(0)).unwrap().remove(0);
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve_http(listener, None, router(Arc::new(Empty), Face::Tcp)));
    for host in ["127.0.0.1", "::1"] {
        let connect = || async { TcpStream::connect((host, port)).await.unwrap() };
        let refused = ask(connect().await, "/api/whoami", "").await;
        assert!(refused.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{refused}");
        let reply = ask(connect().await, "/api/whoami", "Authorization: Basic YTpi\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(reply.contains(r#""name":"local""#), "{reply}");
    }
}

#[tokio::test]
async fn the_control_socket_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let socket = ControlSocket::bind(folder.path()).unwrap();
    let path = folder.path().join("control/leveret.sock");
    assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let server = tokio::spawn(serve_control(socket, Arc::new(EmptyNode { running: true })));
    let reply = ask(UnixStream::connect(&path).await.unwrap(), "/api/health/checks/alarms", "").await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with(r#"{"status":"ok"}"#), "{reply}");
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert!(!path.exists(), "the socket is left behind");
}

/// A node whose application is `Empty`, or stopped.
struct EmptyNode {
    running: bool,
}

impl Node for EmptyNode {
    fn name(&self) -> String {
        "empty@here".to_owned()
    }
    fn settings(&self) -> Vec<(String, String)> {
        vec![]
    }
    fn admin(&self) -> Option<Arc<dyn Admin>> {
        self.running.then(|| Arc::new(Empty) as Arc<dyn Admin>)
    }
    fn set_running(&self, _: bool) -> Result<(), String> {
        Err("it cannot".to_owned())
    }
    fn request_stop(&self) {}
}

#[tokio::test]
async fn a_stopped_application_still_has_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let socket = ControlSocket::bind(folder.path()).unwrap();
    let path = folder.path().join("control/leveret.sock");
    let server = tokio::spawn(serve_control(socket, Arc::new(EmptyNode { running: false })));
    let ask = async |path_asked: &str| ask(UnixStream::connect(&path).await.unwrap(), path_asked, "").await;
    let node = ask("/api/leveret/node").await;
    assert!(node.contains(r#""node":"empty@here""#) && node.contains(r#""running":false"#), "{node}");
    let refused = ask("/api/queues").await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("application_stopped"), "{refused}");
    server.abort();
}

#[tokio::test]
async fn the_data_folder_may_lie_deep_and_a_dead_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let deep: PathBuf = folder.path().join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("control/leveret.sock");
    std::mem::forget(ControlSocket::bind(&deep).unwrap());
    let dead = path.metadata().unwrap();
    assert!(dead.file_type().is_socket());
    let alive = ControlSocket::bind(&deep).unwrap();
    assert!(path.metadata().unwrap().file_type().is_socket());
    assert!(path.metadata().unwrap().ctime() >= dead.ctime());
    drop(alive);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_link_in_the_folder_s_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), folder.path().join("control")).unwrap();
    assert!(ControlSocket::bind(folder.path()).is_err());
}
