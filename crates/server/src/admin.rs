//! What management sees of this broker and may ask of it.

mod access;
mod durability;
mod parameters;
mod topology;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leveret_core::access::User;
use leveret_core::access::sasl::Mechanism;
use leveret_core::admin::{
    Admin, AdminError, Alarm, AuthFailure, AuthenticatedUser, BindingView, BrokerStats, ChannelRef,
    ChannelView, ConnectionState, ConnectionView, ConnectionsOf, ConsumerView, DestinationKind,
    DiskFreeLimit, ExchangeView, Listener, ListenerCertificates, MemoryWatermark, NodeStatus, ObjectTotals,
    Peer, QueueView, StorageStatus, UserView, VhostView,
};
use leveret_core::arguments::Arguments;
use leveret_core::definition::{BindingDefinition, BindingTarget};
use leveret_core::ids::ConnectionId;
use leveret_engine::broker::{ChannelSummary, ConnectionDetails, ConnectionEntry};
use leveret_engine::vhost::Vhost;
use leveret_engine::{Broker, QueueRef, Registry, SharedRw};
use leveret_storage::Durability;
use tokio::sync::Notify;

use crate::alarm::Alarms;
use crate::clock::Clock;
use crate::config::Config;
use crate::listener::ConnectionGate;
use crate::seams::Shell;
use crate::tls::listener_certificates;

/// The broker as management sees it.
pub struct BrokerAdmin {
    /// The broker.
    pub broker: Arc<Broker<Shell>>,
    /// Memory and disk.
    pub alarms: Arc<Alarms>,
    /// The limit of connections.
    pub gate: Arc<ConnectionGate>,
    /// The settings.
    pub config: Config,
    /// The sockets that are open.
    pub listeners: Vec<Listener>,
    /// The limit of file descriptors.
    pub descriptors: u64,
    /// Told when a stop is asked for.
    pub stop: Arc<Notify>,
    /// The process's time.
    pub clock: Clock,
}

type Entry = Arc<ConnectionEntry<Shell>>;

impl BrokerAdmin {
    fn storage_status(&self) -> StorageStatus {
        let store = self.broker.store.log_store();
        let (room, tail) = (store.room(), store.statistics());
        let spill = self.broker.store.spill_store().room();
        let queues = self.broker.vhosts.values().into_iter().flat_map(|vhost| vhost.queues());
        StorageStatus {
            durability: match self.config.durability {
                Durability::Fsync => "fsync",
                Durability::Os => "os",
            },
            slot_bytes: room.slot_bytes,
            slots_used: room.slots_used,
            slots_free: room.slots_free,
            used_bytes: room.used_bytes,
            runs: room.runs,
            run_bytes: room.run_bytes,
            tail_messages: tail.tail_messages,
            tail_bytes: tail.tail_bytes,
            hot_window_bytes: self.broker.hot.bytes(),
            hot_bytes: self.broker.hot.used(),
            spill_bytes: spill.used_bytes + spill.run_bytes,
            damaged_queues: queues.filter(|queue| queue.damage().is_some()).count() as u64,
        }
    }

    fn vhosts_named(&self, name: Option<&str>) -> Vec<Arc<Vhost<Shell>>> {
        match name {
            Some(name) => self.broker.vhosts.find(name).into_iter().collect(),
            None => self.broker.vhosts.values(),
        }
    }

    fn entry(&self, id: ConnectionId) -> Option<Entry> {
        self.broker.connections.find(&id)
    }

    fn queue_view(&self, vhost: &Vhost<Shell>, queue: &QueueRef<Shell>) -> Option<QueueView> {
        let (definition, settings) = vhost.topology.read(|topology| {
            topology.queue_by_id(queue.id).map(|queue| (queue.definition.clone(), queue.settings.clone()))
        })?;
        let (totals, consumers, exclusive_tag, stats) = queue.with(|cell| {
            let exclusive = cell.consumers().iter().find(|(_, consumer)| consumer.exclusive);
            let tag = exclusive.map(|(_, consumer)| consumer.handle.tag.to_string());
            (cell.totals(), cell.consumer_count() as u64, tag, cell.stats())
        });
        Some(QueueView {
            vhost: definition.vhost.to_string(),
            name: definition.name.to_string(),
            queue_type: settings.queue_type.as_str(),
            durable: definition.durable,
            auto_delete: definition.auto_delete,
            owner: queue.owner.and_then(|id| self.entry(id)).map(|entry| peer(&entry)),
            arguments: definition.arguments.to_admin(),
            policy: None,
            messages_ready: totals.ready,
            messages_unacknowledged: totals.unacked,
            message_bytes_ready: Some(totals.ready_bytes),
            message_bytes_unacknowledged: Some(totals.unacked_bytes),
            messages_persistent: None,
            consumers,
            damage: queue.damage().map(ToString::to_string),
            exclusive_consumer_tag: exclusive_tag,
            stats,
        })
    }

    fn consumer_views(&self, vhost: &Vhost<Shell>, queue: &QueueRef<Shell>) -> Vec<ConsumerView> {
        let consumers: Vec<_> = queue.with(|cell| {
            let all = cell.consumers().iter();
            all.map(|(_, consumer)| (consumer.handle.clone(), consumer.exclusive)).collect()
        });
        let views = consumers.into_iter().filter_map(|(handle, exclusive)| {
            let entry = self.entry(handle.details.connection)?;
            Some(ConsumerView {
                vhost: vhost.name.to_string(),
                queue: queue.name.to_string(),
                consumer_tag: handle.tag.to_string(),
                channel: channel_ref(&entry, &entry.details(), handle.channel),
                ack_required: !handle.no_ack,
                prefetch_count: u16::try_from(handle.details.prefetch).unwrap_or(u16::MAX),
                exclusive,
                active: true,
                arguments: handle.details.arguments.to_admin(),
            })
        });
        views.collect()
    }

    fn totals(&self) -> ObjectTotals {
        let mut totals = ObjectTotals::default();
        for entry in self.broker.connections.values() {
            totals.connections += 1;
            totals.channels += entry.details().channels.len() as u64;
        }
        for vhost in self.broker.vhosts.values() {
            totals.vhosts += 1;
            totals.exchanges += vhost.topology.read(|topology| topology.exchanges().len()) as u64;
            for queue in vhost.queues() {
                totals.queues += 1;
                let (messages, consumers) = queue.with(|cell| (cell.totals(), cell.consumer_count()));
                totals.consumers += consumers as u64;
                totals.messages_ready += messages.ready;
                totals.messages_unacknowledged += messages.unacked;
            }
        }
        totals
    }
}

fn peer(entry: &Entry) -> Peer {
    Peer {
        connection_name: entry.peer.connection_name(),
        peer_host: entry.peer.host,
        peer_port: entry.peer.port,
    }
}

fn channel_ref(entry: &Entry, details: &ConnectionDetails, number: u16) -> ChannelRef {
    let user = details.user.as_ref().map(ToString::to_string).unwrap_or_default();
    ChannelRef { peer: peer(entry), number, user }
}

fn connection_view(entry: &Entry, is_alarmed: bool, is_in_flow: bool) -> ConnectionView {
    let details = entry.details();
    let counts = entry.counters.stats();
    let state = match (&details.vhost, details.blocked) {
        (None, _) => ConnectionState::Starting,
        (Some(_), true) => ConnectionState::Blocked,
        (Some(_), false) if is_alarmed => ConnectionState::Blocking,
        (Some(_), false) if is_in_flow => ConnectionState::Flow,
        (Some(_), false) => ConnectionState::Running,
    };
    ConnectionView {
        id: entry.id.0,
        peer: peer(entry),
        host: entry.peer.local_host,
        port: entry.peer.local_port,
        user_provided_name: details.user_provided_name,
        user: details.user.map(|user| user.to_string()),
        vhost: details.vhost.map(|vhost| vhost.to_string()),
        state,
        auth_mechanism: details.mechanism,
        frame_max: details.frame_max,
        channel_max: details.channel_max,
        heartbeat_s: details.heartbeat_s,
        channels: details.channels.len() as u64,
        // A table that came over the wire is within the bounds.
        client_properties: Arguments::from_amqp(&details.client_properties)
            .map(|properties| properties.to_admin())
            .unwrap_or_default(),
        connected_at_ms: entry.peer.connected_at.0,
        tls: entry.peer.tls.clone(),
        recv_oct: Some(counts.recv_oct),
        send_oct: Some(counts.send_oct),
        recv_cnt: None,
        send_cnt: None,
        send_pend: Some(entry.outbox.with(|outbox| outbox.out.len() as u64)),
    }
}

fn channel_view(entry: &Entry, details: &ConnectionDetails, number: u16, of: &ChannelSummary) -> ChannelView {
    let clip = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    let (unacked, global) = entry.outbox.with(|outbox| {
        let deliveries = outbox.channels.get(&number);
        deliveries.map_or((0, 0), |deliveries| (deliveries.unacked() as u64, deliveries.channel_prefetch()))
    });
    ChannelView {
        channel: channel_ref(entry, details, number),
        vhost: details.vhost.as_ref().map(ToString::to_string).unwrap_or_default(),
        consumer_count: of.consumers as u64,
        confirm: of.confirm,
        transactional: of.transactional,
        prefetch_count: clip(of.prefetch),
        global_prefetch_count: clip(global),
        messages_unacknowledged: unacked,
        messages_unconfirmed: of.counters.unconfirmed.load(Ordering::Relaxed),
        messages_uncommitted: of.counters.uncommitted.load(Ordering::Relaxed),
        acks_uncommitted: of.counters.acks_uncommitted.load(Ordering::Relaxed),
    }
}

fn binding_view(binding: &BindingDefinition) -> BindingView {
    let (destination, destination_kind) = match &binding.target {
        BindingTarget::Queue(name) => (name.to_string(), DestinationKind::Queue),
        BindingTarget::Exchange(name) => (name.to_string(), DestinationKind::Exchange),
    };
    BindingView {
        vhost: binding.vhost.to_string(),
        source: binding.source.to_string(),
        destination,
        destination_kind,
        routing_key: String::from_utf8_lossy(&binding.key).into_owned(),
        arguments: binding.arguments.to_admin(),
    }
}

fn user_view(user: &User) -> UserView {
    UserView {
        name: user.name.to_string(),
        password_hash: user.password.bytes().to_vec(),
        hashing_algorithm: user.password.algorithm(),
        tags: user.tags.clone(),
    }
}

fn precondition(error: &leveret_core::BrokerError) -> AdminError {
    AdminError::PreconditionFailed(error.explanation.clone())
}

impl Admin for BrokerAdmin {
    fn together(&self, changes: &mut dyn FnMut(&dyn Admin)) -> Result<(), AdminError> {
        self.make_together(changes)
    }

    fn authenticate(
        &self,
        user: &str,
        password: &[u8],
        peer_is_loopback: bool,
    ) -> Result<AuthenticatedUser, AuthFailure> {
        self.broker.access.read(|access| {
            let found = access.authenticate(user, password, true).map_err(|_| AuthFailure::Refused)?;
            if !peer_is_loopback && access.is_loopback_only(user) {
                return Err(AuthFailure::LoopbackOnly);
            }
            let granted = access.permissions().filter(|permission| permission.user == found.name);
            Ok(AuthenticatedUser {
                name: found.name.to_string(),
                tags: found.tags.clone(),
                vhosts: granted.map(|permission| permission.vhost.to_string()).collect(),
            })
        })
    }

    fn node_name(&self) -> String {
        self.config.node_name.clone()
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.config.settings()
    }

    fn node_status(&self) -> NodeStatus {
        let totals = self.totals();
        let announcement = &self.broker.settings.announcement;
        NodeStatus {
            name: self.config.node_name.clone(),
            cluster_name: announcement.cluster_name.clone(),
            product_name: announcement.product.clone(),
            product_version: announcement.version.clone(),
            leveret_version: announcement.leveret_version.clone(),
            os_pid: std::process::id(),
            uptime_ms: self.clock.now().0,
            processors: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            mem_used: self.alarms.memory_used(),
            mem_limit: self.alarms.memory_limit(),
            mem_watermark: self.alarms.memory_watermark(),
            disk_free: self.alarms.disk_free(),
            disk_free_limit: self.alarms.disk_free_limit(),
            fd_used: std::fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as u64),
            fd_total: self.descriptors,
            sockets_used: totals.connections,
            sockets_total: self.gate.connections_max() as u64,
            data_dir: self.config.data_dir.display().to_string(),
            config_files: self.config.config_files.iter().map(PathBuf::as_path).map(display).collect(),
            listeners: self.listeners.clone(),
            auth_mechanisms: Mechanism::ALL
                .map(|mechanism| (mechanism.as_str(), self.config.sasl.mechanisms.contains(&mechanism)))
                .to_vec(),
            storage: self.storage_status(),
            alarms: self.alarms(),
            totals,
        }
    }

    fn certificates(&self) -> Vec<ListenerCertificates> {
        listener_certificates(&self.config, &self.listeners)
    }

    fn uptime_ms(&self) -> u64 {
        self.clock.now().0
    }

    fn stats(&self) -> BrokerStats {
        self.broker.stats()
    }

    fn alarms(&self) -> Vec<Alarm> {
        self.alarms.state().list()
    }

    fn vhosts(&self) -> Vec<VhostView> {
        let vhosts = self.broker.vhosts.values().into_iter();
        let view = |vhost: Arc<Vhost<Shell>>| {
            let definition = vhost.topology.read(|topology| topology.definition().clone());
            VhostView {
                name: definition.name.to_string(),
                description: definition.description,
                tags: definition.tags,
                default_queue_type: match definition.default_queue_type.as_str() {
                    "" => "classic".to_owned(),
                    name => name.to_owned(),
                },
            }
        };
        vhosts.map(view).collect()
    }

    fn users(&self) -> Vec<UserView> {
        self.broker.access.read(|access| access.users().map(user_view).collect())
    }

    fn queues(&self, vhost: Option<&str>) -> Vec<QueueView> {
        let mut views = Vec::new();
        for vhost in self.vhosts_named(vhost) {
            views.extend(vhost.queues().iter().filter_map(|queue| self.queue_view(&vhost, queue)));
        }
        views
    }

    fn queue(&self, vhost: &str, name: &str) -> Option<QueueView> {
        let vhost = self.broker.vhosts.find(vhost)?;
        let queue = vhost.queue(&name.into())?;
        self.queue_view(&vhost, &queue)
    }

    fn exchanges(&self, vhost: Option<&str>) -> Vec<ExchangeView> {
        let mut views = Vec::new();
        for vhost in self.vhosts_named(vhost) {
            vhost.topology.read(|topology| {
                views.extend(topology.exchanges().map(|exchange| {
                    let definition = &exchange.definition;
                    ExchangeView {
                        vhost: definition.vhost.to_string(),
                        name: definition.name.to_string(),
                        exchange_type: definition.exchange_type.to_string(),
                        durable: definition.durable,
                        auto_delete: definition.auto_delete,
                        internal: definition.internal,
                        arguments: definition.arguments.to_admin(),
                        policy: None,
                    }
                }));
            });
        }
        views
    }

    fn bindings(&self, vhost: Option<&str>) -> Vec<BindingView> {
        let mut views = Vec::new();
        for vhost in self.vhosts_named(vhost) {
            let bindings = vhost.topology.read(leveret_core::vhost::Vhost::bindings);
            views.extend(bindings.iter().map(binding_view));
        }
        views
    }

    fn connections(&self) -> Vec<ConnectionView> {
        let open = self.broker.connections.values().into_iter();
        // A socket that has not logged in is no connection yet in RabbitMQ's lists.
        let is_alarmed = self.broker.alarm_reason().is_some();
        open.map(|entry| connection_view(&entry, is_alarmed, self.broker.is_in_flow(&entry)))
            .filter(|view| view.user.is_some())
            .collect()
    }

    fn channels(&self) -> Vec<ChannelView> {
        let mut views = Vec::new();
        for entry in self.broker.connections.values() {
            let details = entry.details();
            let channels = details.channels.iter();
            views.extend(channels.map(|(number, of)| channel_view(&entry, &details, *number, of)));
        }
        views
    }

    fn consumers(&self, vhost: Option<&str>) -> Vec<ConsumerView> {
        let mut views = Vec::new();
        for vhost in self.vhosts_named(vhost) {
            for queue in vhost.queues() {
                views.extend(self.consumer_views(&vhost, &queue));
            }
        }
        views
    }

    fn close_connection(&self, name: &str, reason: &str) -> Result<(), AdminError> {
        let mut open = self.broker.connections.values().into_iter();
        let entry = open.find(|entry| entry.peer.connection_name() == name).ok_or(AdminError::NotFound)?;
        entry.close(reason);
        Ok(())
    }

    fn close_connection_by_id(&self, id: u64, reason: &str) -> Result<(), AdminError> {
        let entry = self.entry(ConnectionId(id)).filter(|entry| entry.user().is_some());
        entry.ok_or(AdminError::NotFound)?.close(reason);
        Ok(())
    }

    fn close_connections(&self, of: ConnectionsOf<'_>, reason: &str) -> u64 {
        let mut closed = 0;
        for entry in self.broker.connections.values() {
            let (user, vhost) = entry.user_and_vhost();
            let is_meant = user.is_some_and(|user| match of {
                ConnectionsOf::All => true,
                ConnectionsOf::User(name) => &*user == name,
                ConnectionsOf::Vhost(name) => vhost.is_some_and(|vhost| &*vhost == name),
            });
            if is_meant {
                entry.close(reason);
                closed += 1;
            }
        }
        closed
    }

    fn set_memory_watermark(&self, watermark: MemoryWatermark) -> Result<(), AdminError> {
        if let MemoryWatermark::Relative(part) = watermark
            && !(0.0..=1.0).contains(&part)
        {
            return Err(AdminError::BadRequest("the watermark is a part of memory, 0 to 1".to_owned()));
        }
        self.alarms.set_memory_watermark(watermark);
        Ok(())
    }

    fn set_disk_free_limit(&self, limit: DiskFreeLimit) -> Result<(), AdminError> {
        if let DiskFreeLimit::Relative(part) = limit
            && (!part.is_finite() || part < 0.0)
        {
            return Err(AdminError::BadRequest("the limit is a multiple of memory, 0 or more".to_owned()));
        }
        self.alarms.set_disk_free_limit(limit);
        Ok(())
    }

    fn request_stop(&self) {
        self.stop.notify_one();
    }
}

fn display(path: &std::path::Path) -> String {
    path.display().to_string()
}
