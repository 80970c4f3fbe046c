//! A broker of fixed contents for this crate's tests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use leveret_core::admin::*;

/// What it was asked to do, and the alarms it shows.
#[derive(Default)]
pub(crate) struct TestBroker {
    pub(crate) calls: Mutex<Vec<String>>,
    pub(crate) alarms: Vec<Alarm>,
}

impl TestBroker {
    fn record(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

fn text(value: &str) -> Argument {
    Argument::LongStr(value.as_bytes().to_vec())
}

fn peer(port: u16) -> Peer {
    Peer {
        connection_name: format!("127.0.0.1:{port} -> 127.0.0.1:5672"),
        peer_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        peer_port: port,
    }
}

fn channel(port: u16, user: &str) -> ChannelRef {
    ChannelRef { peer: peer(port), number: 1, user: user.to_owned() }
}

fn queue(vhost: &str, name: &str, queue_type: &'static str, ready: u64) -> QueueView {
    QueueView {
        vhost: vhost.to_owned(),
        name: name.to_owned(),
        queue_type,
        durable: true,
        auto_delete: false,
        owner: None,
        arguments: vec![("x-max-length".to_owned(), Argument::SignedInt(10))],
        policy: None,
        messages_ready: ready,
        messages_unacknowledged: 1,
        message_bytes_ready: Some(5 * ready),
        message_bytes_unacknowledged: Some(5),
        messages_persistent: None,
        consumers: 1,
        damage: None,
        exclusive_consumer_tag: None,
        stats: QueueStats { published: ready + 1, delivered: 1, ..QueueStats::default() },
    }
}

fn connection(port: u16, user: Option<&str>) -> ConnectionView {
    ConnectionView {
        id: u64::from(port),
        peer: peer(port),
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 5672,
        user_provided_name: Some("my conn".to_owned()),
        user: user.map(str::to_owned),
        vhost: user.map(|_| "/".to_owned()),
        state: ConnectionState::Running,
        auth_mechanism: Some("PLAIN".to_owned()),
        frame_max: 131_072,
        channel_max: 2_047,
        heartbeat_s: 60,
        channels: 1,
        client_properties: vec![(
            "capabilities".to_owned(),
            Argument::Table(vec![("basic.nack".to_owned(), Argument::Bool(true))]),
        )],
        connected_at_ms: 1_795_259_239_843,
        tls: None,
        recv_oct: Some(812),
        send_oct: None,
        recv_cnt: None,
        send_cnt: None,
        send_pend: None,
    }
}

fn in_vhost<T>(views: Vec<T>, vhost: Option<&str>, vhost_of: impl Fn(&T) -> &str) -> Vec<T> {
    views.into_iter().filter(|view| vhost.is_none_or(|vhost| vhost_of(view) == vhost)).collect()
}

/// User, password, tag, virtual hosts.
const USERS: [(&str, &str, &str, &[&str]); 6] = [
    ("guest", "guest", "administrator", &["/", "b c"]),
    ("root", "pw", "administrator", &[]),
    ("mon", "pw", "monitoring", &[]),
    ("mgmt", "pw", "management", &["/"]),
    ("policy", "pw", "policymaker", &["/"]),
    ("plain", "p:w", "", &["/"]),
];

impl ParameterAdmin for TestBroker {
    fn parameters(&self) -> Vec<ParameterView> {
        vec![]
    }
    fn put_parameter(&self, parameter: &ParameterView) -> Result<(), AdminError> {
        self.record(format!("put_parameter {parameter:?}"));
        Ok(())
    }
    fn global_parameters(&self) -> Vec<GlobalParameterView> {
        vec![]
    }
    fn put_global_parameter(&self, parameter: &GlobalParameterView) -> Result<(), AdminError> {
        self.record(format!("put_global_parameter {parameter:?}"));
        Ok(())
    }
    fn policies(&self) -> Vec<PolicyView> {
        vec![]
    }
    fn put_policy(&self, policy: &PolicyView) -> Result<(), AdminError> {
        self.record(format!("put_policy {policy:?}"));
        Ok(())
    }
}

impl Admin for TestBroker {
    fn together(&self, changes: &mut dyn FnMut(&dyn Admin)) -> Result<(), AdminError> {
        changes(self);
        Ok(())
    }

    fn authenticate(
        &self,
        user: &str,
        password: &[u8],
        peer_is_loopback: bool,
    ) -> Result<AuthenticatedUser, AuthFailure> {
        let (name, secret, tag, vhosts) =
            USERS.iter().find(|(name, ..)| *name == user).ok_or(AuthFailure::Refused)?;
        if secret.as_bytes() != password {
            return Err(AuthFailure::Refused);
        }
        if *name == "guest" && !peer_is_loopback {
            return Err(AuthFailure::LoopbackOnly);
        }
        Ok(AuthenticatedUser {
            name: (*name).to_owned(),
            tags: if tag.is_empty() { vec![] } else { vec![(*tag).to_owned()] },
            vhosts: vhosts.iter().map(|vhost| (*vhost).to_owned()).collect(),
        })
    }

    fn node_status(&self) -> NodeStatus {
        NodeStatus {
            name: "leveret@host".to_owned(),
            cluster_name: "leveret@host".to_owned(),
            product_name: "RabbitMQ".to_owned(),
            product_version: "4.0.5".to_owned(),
            leveret_version: "0.1.0".to_owned(),
            os_pid: 42,
            uptime_ms: 12_345,
            processors: 2,
            mem_used: 1_000_000,
            mem_limit: 2_000_000,
            mem_watermark: MemoryWatermark::Relative(0.6),
            disk_free: Some(3_000_000_000),
            disk_free_limit: 50_000_000,
            fd_used: Some(12),
            fd_total: 1_024,
            sockets_used: 2,
            sockets_total: 900,
            data_dir: "/data".to_owned(),
            config_files: vec!["/etc/leveret.conf".to_owned()],
            listeners: vec![Listener {
                protocol: "amqp",
                ip_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                port: 5_672,
            }],
            auth_mechanisms: vec![("PLAIN", true), ("EXTERNAL", false)],
            storage: StorageStatus { durability: "fsync", slots_used: 3, ..StorageStatus::default() },
            alarms: self.alarms.clone(),
            totals: ObjectTotals { connections: 2, queues: 3, messages_ready: 12, ..ObjectTotals::default() },
        }
    }

    fn stats(&self) -> BrokerStats {
        let classic = QueueStats { published: 11, delivered: 3, ..QueueStats::default() };
        BrokerStats { classic, ..BrokerStats::default() }
    }

    fn alarms(&self) -> Vec<Alarm> {
        self.alarms.clone()
    }

    fn vhosts(&self) -> Vec<VhostView> {
        ["b c", "/"]
            .map(|name| VhostView {
                name: name.to_owned(),
                description: String::new(),
                tags: vec![],
                default_queue_type: "classic".to_owned(),
            })
            .to_vec()
    }

    fn users(&self) -> Vec<UserView> {
        vec![UserView {
            name: "guest".to_owned(),
            password_hash: vec![1, 2, 3],
            hashing_algorithm: "rabbit_password_hashing_sha256",
            tags: vec!["administrator".to_owned()],
        }]
    }

    fn queues(&self, vhost: Option<&str>) -> Vec<QueueView> {
        let all = vec![
            queue("b c", "a", "classic", 2),
            queue("/", "q2", "quorum", 3),
            queue("/", "q1", "classic", 7),
        ];
        in_vhost(all, vhost, |queue| &queue.vhost)
    }

    fn queue(&self, vhost: &str, name: &str) -> Option<QueueView> {
        self.queues(Some(vhost)).into_iter().find(|queue| queue.name == name)
    }

    fn exchanges(&self, vhost: Option<&str>) -> Vec<ExchangeView> {
        let all = ["amq.topic", ""]
            .map(|name| ExchangeView {
                vhost: "/".to_owned(),
                name: name.to_owned(),
                exchange_type: if name.is_empty() { "direct" } else { "topic" }.to_owned(),
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: vec![],
                policy: None,
            })
            .to_vec();
        in_vhost(all, vhost, |exchange| &exchange.vhost)
    }

    fn bindings(&self, vhost: Option<&str>) -> Vec<BindingView> {
        let one = BindingView {
            vhost: "/".to_owned(),
            source: "amq.topic".to_owned(),
            destination: "q1".to_owned(),
            destination_kind: DestinationKind::Queue,
            routing_key: "a.b".to_owned(),
            arguments: vec![("k".to_owned(), text("v"))],
        };
        in_vhost(vec![one], vhost, |binding| &binding.vhost)
    }

    fn connections(&self) -> Vec<ConnectionView> {
        vec![connection(40_002, Some("mgmt")), connection(40_001, Some("guest")), connection(40_003, None)]
    }

    fn channels(&self) -> Vec<ChannelView> {
        vec![ChannelView {
            channel: channel(40_001, "guest"),
            vhost: "/".to_owned(),
            consumer_count: 1,
            confirm: true,
            transactional: false,
            prefetch_count: 5,
            global_prefetch_count: 0,
            messages_unacknowledged: 1,
            messages_unconfirmed: 0,
            messages_uncommitted: 0,
            acks_uncommitted: 0,
        }]
    }

    fn consumers(&self, vhost: Option<&str>) -> Vec<ConsumerView> {
        let one = ConsumerView {
            vhost: "/".to_owned(),
            queue: "q1".to_owned(),
            consumer_tag: "ct1".to_owned(),
            channel: channel(40_001, "guest"),
            ack_required: true,
            prefetch_count: 5,
            exclusive: false,
            active: true,
            arguments: vec![("x-priority".to_owned(), Argument::SignedInt(3))],
        };
        in_vhost(vec![one], vhost, |consumer| &consumer.vhost)
    }

    fn close_connection(&self, name: &str, reason: &str) -> Result<(), AdminError> {
        self.record(format!("close {name}: {reason}"));
        Ok(())
    }

    fn close_connection_by_id(&self, id: u64, reason: &str) -> Result<(), AdminError> {
        self.record(format!("close {id}: {reason}"));
        Ok(())
    }

    fn close_connections(&self, of: ConnectionsOf<'_>, reason: &str) -> u64 {
        self.record(format!("close {of:?}: {reason}"));
        2
    }

    fn set_memory_watermark(&self, watermark: MemoryWatermark) -> Result<(), AdminError> {
        self.record(format!("{watermark:?}"));
        Ok(())
    }

    fn set_disk_free_limit(&self, limit: DiskFreeLimit) -> Result<(), AdminError> {
        self.record(format!("{limit:?}"));
        Ok(())
    }

    fn request_stop(&self) {
        self.record("stop".to_owned());
    }
}

impl AccessAdmin for TestBroker {
    fn add_user(&self, name: &str, password: &PasswordChange, tags: &[String]) -> Result<(), AdminError> {
        self.record(format!("add_user {name:?} {password:?} {tags:?}"));
        Ok(())
    }
    fn put_user(
        &self,
        name: &str,
        password: &PasswordChange,
        tags: Option<&[String]>,
    ) -> Result<bool, AdminError> {
        self.record(format!("put_user {name:?} {password:?} {tags:?}"));
        Ok(true)
    }
    fn set_password(&self, name: &str, password: &PasswordChange) -> Result<(), AdminError> {
        self.record(format!("set_password {name:?} {password:?}"));
        Ok(())
    }
    fn hash_password(&self, password: &[u8]) -> Vec<u8> {
        password.iter().rev().copied().collect()
    }

    fn set_user_tags(&self, name: &str, tags: &[String]) -> Result<(), AdminError> {
        self.record(format!("set_user_tags {name:?} {tags:?}"));
        Ok(())
    }
    fn delete_user(&self, name: &str) -> Result<(), AdminError> {
        self.record(format!("delete_user {name:?}"));
        Ok(())
    }
    fn put_vhost(&self, name: &str, settings: &VhostSettings) -> Result<bool, AdminError> {
        self.record(format!("put_vhost {name:?} {settings:?}"));
        Ok(true)
    }
    fn delete_vhost(&self, name: &str) -> Result<(), AdminError> {
        self.record(format!("delete_vhost {name:?}"));
        Ok(())
    }
    fn permissions(&self) -> Vec<PermissionView> {
        vec![]
    }
    fn put_permission(&self, permission: &PermissionView) -> Result<bool, AdminError> {
        self.record(format!("put_permission {permission:?}"));
        Ok(true)
    }
    fn delete_permission(&self, vhost: &str, user: &str) -> Result<bool, AdminError> {
        self.record(format!("delete_permission {vhost:?} {user:?}"));
        Ok(true)
    }
    fn topic_permissions(&self) -> Vec<TopicPermissionView> {
        vec![]
    }
    fn put_topic_permission(&self, permission: &TopicPermissionView) -> Result<bool, AdminError> {
        self.record(format!("put_topic_permission {permission:?}"));
        Ok(true)
    }
    fn delete_topic_permission(
        &self,
        vhost: &str,
        user: &str,
        exchange: Option<&str>,
    ) -> Result<bool, AdminError> {
        self.record(format!("delete_topic_permission {vhost:?} {user:?} {exchange:?}"));
        Ok(true)
    }
    fn vhost_limits(&self) -> Vec<(String, VhostLimitValues)> {
        vec![]
    }
    fn set_vhost_limits(&self, vhost: &str, limits: VhostLimitValues) -> Result<(), AdminError> {
        self.record(format!("set_vhost_limits {vhost:?} {limits:?}"));
        Ok(())
    }
    fn user_limits(&self) -> Vec<(String, UserLimitValues)> {
        vec![]
    }
    fn set_user_limits(&self, user: &str, limits: UserLimitValues) -> Result<(), AdminError> {
        self.record(format!("set_user_limits {user:?} {limits:?}"));
        Ok(())
    }
}

impl TopologyAdmin for TestBroker {
    fn declare_exchange(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        exchange: &ExchangeSpec,
    ) -> Result<bool, AdminError> {
        self.record(format!("declare_exchange {acting:?} {vhost:?} {exchange:?}"));
        Ok(true)
    }
    fn delete_exchange(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        name: &str,
        if_unused: bool,
    ) -> Result<(), AdminError> {
        self.record(format!("delete_exchange {acting:?} {vhost:?} {name:?} {if_unused:?}"));
        Ok(())
    }
    fn declare_queue(&self, acting: Acting<'_>, vhost: &str, queue: &QueueSpec) -> Result<bool, AdminError> {
        self.record(format!("declare_queue {acting:?} {vhost:?} {queue:?}"));
        Ok(true)
    }
    fn bind(&self, acting: Acting<'_>, vhost: &str, binding: &BindingSpec) -> Result<(), AdminError> {
        self.record(format!("bind {acting:?} {vhost:?} {binding:?}"));
        Ok(())
    }
    fn unbind(&self, acting: Acting<'_>, vhost: &str, binding: &BindingSpec) -> Result<(), AdminError> {
        self.record(format!("unbind {acting:?} {vhost:?} {binding:?}"));
        Ok(())
    }
    fn publish(&self, acting: Acting<'_>, vhost: &str, message: &NewMessage) -> Result<bool, AdminError> {
        self.record(format!("publish {acting:?} {vhost:?} {message:?}"));
        Ok(true)
    }
    fn get_messages(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        queue: &str,
        ack_mode: AckMode,
        extent: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError> {
        self.record(format!("get_messages {acting:?} {vhost:?} {queue:?} {ack_mode:?} {extent:?}"));
        Ok(vec![])
    }
    fn peek_messages(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        queue: &str,
        extent: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError> {
        self.record(format!("peek_messages {acting:?} {vhost:?} {queue:?} {extent:?}"));
        Ok(vec![])
    }

    fn delete_queue(
        &self,
        _: Acting<'_>,
        vhost: &str,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u64, AdminError> {
        let queue = self.queue(vhost, name).ok_or(AdminError::NotFound)?;
        if if_unused && queue.consumers > 0 {
            return Err(AdminError::PreconditionFailed(format!("queue '{name}' in vhost '{vhost}' in use")));
        }
        self.record(format!("delete {vhost} {name} {if_empty}"));
        Ok(queue.messages_ready)
    }

    fn purge_queue(&self, _: Acting<'_>, vhost: &str, name: &str) -> Result<u64, AdminError> {
        self.record(format!("purge {vhost} {name}"));
        Ok(self.queue(vhost, name).ok_or(AdminError::NotFound)?.messages_ready)
    }
}
