//! Start, service and stop of one broker.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use leveret_core::BrokerError;
use leveret_core::access::{Access, PasswordHash, Permission, User};
use leveret_core::connection::{Announcement, TlsFacts, Tuning};
use leveret_core::definition::{Definition, VhostDefinition};
use leveret_core::limits::{HELD_BACKLOG_BYTES, LOG_BACKLOG_BYTES};
use leveret_engine::boot::{BootError, boot, is_first_start};
use leveret_engine::broker::Settings;
use leveret_engine::{Broker, Log, Peer, Registry, Session};
use leveret_protocol::constants::reply_code;
use leveret_storage::{
    DataDir, DefinitionCheckpoint, DefinitionStore, Durability, RealDisk, SledCheckpoint, StorageError,
    StorageOptions,
};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::Config;
use crate::connection::ConnectionTask;
use crate::definitions::DefinitionThread;
use crate::listener::canonical;
use crate::seams::{Shell, TaskWaker};
use crate::storage::{Logs, StorageThreads};
use crate::timer::TimerThread;
use crate::tls::TlsError;
use crate::transport::Transport;

/// How long clients have to answer a stop's connection.close.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last flush may take; a full disk must not keep a stop for ever.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// The most memory that messages take unless more is asked for.
const MOST_HOT_BYTES: u64 = 64 << 20;

/// Bytes on their way to the disk may take this part of the memory limit, or [`LOG_BACKLOG_BYTES`]: they stand in
/// buffers that grow by doubling, two for each of two logs.
const LOG_BACKLOG_PART: u64 = 16;
/// And at least this: a limit of nothing blocks publishers, but every client is read.
const LEAST_LOG_BACKLOG: usize = 1 << 20;

/// Unsettled messages of the log's tail may take this part of the memory limit, or what the storage takes by default:
/// there may be twice as many before the log waits, in rings that grow by doubling, in each of two logs.
const TAIL_PART: u64 = 32;

/// Memory of an unsettled message in the log's tail.
const TAIL_MESSAGE_BYTES: u64 = 64;

/// Unsettled messages above the last checkpoint, where memory is no matter, and the fewest that are worth one.
const MOST_TAIL_MESSAGES: u64 = 256 << 10;
const LEAST_TAIL_MESSAGES: u64 = 16 << 10;

/// Why a broker could not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data folder refused.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The data folder failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refused a thread, a socket or a file.
    #[error("{what}: {source}")]
    System {
        /// What was asked of it.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
}

impl ServerError {
    /// For `map_err`: what was asked of the system.
    pub fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

/// A running broker, without its listeners.
pub struct Server {
    /// What all connections share.
    pub broker: Arc<Broker<Shell>>,
    clock: Clock,
    storage: StorageThreads,
    definitions: DefinitionThread,
    timer: TimerThread,
    /// Owns the data folder as long as the broker runs.
    _data_dir: DataDir<RealDisk>,
}

/// Takes the data folder, and says aloud if confirms promise less than they should.
fn open_data_dir(config: &Config, memory_limit: u64) -> Result<DataDir<RealDisk>, StorageError> {
    let options = StorageOptions {
        slot_bytes: config.slot_bytes,
        durability: config.durability,
        tail_messages: Some(tail_messages(memory_limit)),
        ..StorageOptions::default()
    };
    let dir = DataDir::open(RealDisk, &config.data_dir, options)?;
    if dir.durability() == Durability::Os {
        tracing::warn!(
            "leveret.durability = os: a confirm waits for the operating system only; a power cut may lose confirmed messages"
        );
    }
    Ok(dir)
}

impl Server {
    /// Recovers the data folder and starts the threads behind it. `memory_limit` is in bytes.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is served then.
    pub fn start(config: &Config, memory_limit: u64, clock: Clock) -> Result<Self, ServerError> {
        let dir = open_data_dir(config, memory_limit)?;
        let mut checkpoint: Box<dyn DefinitionCheckpoint> =
            Box::new(SledCheckpoint::new(dir.definitions_folder(), dir.log_id()));
        let access = Access::new(config.loopback_users.iter().map(|user| user.as_str().into()));
        let (booted, recovered) = boot::<Shell, RealDisk>(&dir, Some(checkpoint.as_mut()), access)?;
        let statistics = recovered.statistics;
        tracing::info!(
            slots = statistics.slots,
            batches = statistics.batches,
            bytes = statistics.bytes,
            clean_stop = recovered.clean_stop,
            definitions = ?recovered.definitions_source,
            "recovered {}",
            dir.root().display()
        );
        let store = DefinitionStore::start(
            &dir,
            Some(checkpoint),
            &recovered.definitions,
            recovered.definitions_source,
        )?;
        let full = Arc::new(OnceLock::<Weak<Broker<Shell>>>::new());
        let told = Arc::clone(&full);
        let tell_full = move |full| {
            if let Some(broker) = told.get().and_then(Weak::upgrade) {
                broker.set_log_full(full);
            }
        };
        let logs = Logs::open(&dir, recovered.tail, recovered.store, tell_full)?;
        let first_start = is_first_start(&booted);
        let broker = Arc::new(Broker::new(
            settings(config, memory_limit),
            booted,
            logs.log(),
            logs.cold(),
            entropy()?,
            leveret_engine::Clock {
                steady: Box::new(move || clock.steady()),
                of_day: Box::new(move || clock.unix()),
            },
        ));
        // Nobody else sets it.
        _ = full.set(Arc::downgrade(&broker));
        if first_start {
            let defaults = defaults(config)?;
            let position =
                broker.create_defaults(&defaults).map_err(|error| ServerError::Setting(error.to_string()))?;
            broker.log.wait_until_synced(position);
        }
        let definitions = DefinitionThread::start(store, Arc::clone(&broker), clock, |error| {
            end_process("definitions", error);
        })
        .map_err(ServerError::system("start the definitions' thread"))?;
        let storage = logs.serve(&broker, definitions.keeper())?;
        let timer = TimerThread::start(Arc::clone(&broker), clock)
            .map_err(ServerError::system("start the timer's thread"))?;
        Ok(Self { broker, clock, storage, definitions, timer, _data_dir: dir })
    }

    /// For who measures the disk: see [`StorageThreads::reusable`].
    pub fn reusable(&self) -> impl Fn(bool) -> u64 + Send + Sync + use<> {
        self.storage.reusable()
    }

    /// Serves one accepted AMQP client until it closes; `tls` is what its TLS handshake gave. `on_open` is called once
    /// it has logged in.
    pub fn connection(
        &self,
        transport: Transport,
        tls: Option<TlsFacts>,
        on_open: Box<dyn FnOnce() + Send>,
    ) -> std::io::Result<impl Future<Output = ()> + Send + use<>> {
        let (remote, local) = (transport.socket().peer_addr()?, transport.socket().local_addr()?);
        let peer = Peer {
            host: canonical(remote).ip(),
            port: remote.port(),
            local_host: canonical(local).ip(),
            local_port: local.port(),
            connected_at: self.clock.unix(),
            tls: tls.map(Arc::new),
        };
        let waker = TaskWaker::default();
        let session = Session::new(&self.broker, peer, waker.clone(), self.clock.now());
        Ok(ConnectionTask::new(transport, session, waker, self.clock, on_open).run())
    }

    /// Stops: clients get 320, everything is flushed, the log ends with the mark of a clean stop.
    ///
    /// # Errors
    /// What could not be flushed.
    pub async fn stop(self) -> Result<(), ServerError> {
        let shutdown = "broker forced connection closure with reason 'shutdown'";
        for connection in self.broker.connections.values() {
            connection.outbox.close(BrokerError::new(reply_code::CONNECTION_FORCED, shutdown));
        }
        let gone = async {
            while !self.broker.connections.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(STOP_TIMEOUT, gone).await.is_err() {
            tracing::warn!("{} connections did not answer the stop", self.broker.connections.len());
        }
        for connection in self.broker.connections.values() {
            // What goes out from now on would not be marked as delivered.
            connection.outbox.with(|outbox| outbox.closed = true);
        }
        self.timer.stop();
        self.storage.stop_reading();
        self.broker.log_delivered();
        let position = self.broker.last_position();
        let synced = async {
            while self.broker.log.synced() < position {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout(FLUSH_TIMEOUT, synced).await.is_err() {
            return Err(ServerError::Setting("the log could not be flushed: the disk is full".to_owned()));
        }
        let logs = self.storage.stop_checkpoints(&self.definitions.keeper())?;
        self.definitions.stop()?;
        logs.stop()?;
        Ok(())
    }
}

/// The log or the checkpoint can no longer be written: nothing more is confirmed, and the process ends, so that
/// a restart reads what really is on disk.
pub(crate) fn end_process(what: &str, error: &StorageError) {
    tracing::error!("the {what} cannot be written, stopping at once: {error}");
    std::process::exit(74);
}

/// Unsettled messages at which a checkpoint is due, by the memory limit in bytes.
fn tail_messages(memory_limit: u64) -> u64 {
    (memory_limit / TAIL_PART / TAIL_MESSAGE_BYTES).clamp(LEAST_TAIL_MESSAGES, MOST_TAIL_MESSAGES)
}

/// Bytes that may wait for the log, by the memory limit in bytes.
fn log_backlog(memory_limit: u64) -> usize {
    usize::try_from(memory_limit / LOG_BACKLOG_PART)
        .map_or(LOG_BACKLOG_BYTES, |part| part.clamp(LEAST_LOG_BACKLOG, LOG_BACKLOG_BYTES))
}

fn settings(config: &Config, memory_limit: u64) -> Settings {
    Settings {
        tuning: Tuning {
            channel_max: config.channel_max,
            frame_max: config.frame_max,
            heartbeat_s: config.heartbeat_s,
            handshake_timeout_ms: config.handshake_timeout_ms,
        },
        announcement: Announcement {
            product: config.product_name.clone(),
            version: config.product_version.clone(),
            cluster_name: config.cluster_name.clone().unwrap_or_else(|| config.node_name.clone()),
            ..Announcement::default()
        },
        sasl: config.sasl.clone(),
        max_message_size: config.max_message_size,
        default_queue_type: config.default_queue_type.clone(),
        hot_window_bytes: config.hot_window_bytes.unwrap_or_else(|| (memory_limit / 8).min(MOST_HOT_BYTES)),
        log_backlog_bytes: log_backlog(memory_limit),
        unfinished_bytes: (memory_limit / 10).max(config.max_message_size),
        held_backlog_bytes: HELD_BACKLOG_BYTES,
    }
}

/// What an empty data folder begins with. Where definitions are loaded they say who the users are.
fn defaults(config: &Config) -> Result<Vec<Definition>, ServerError> {
    let vhost = Definition::Vhost(VhostDefinition {
        description: "Default virtual host".to_owned(),
        default_queue_type: config.default_queue_type.clone(),
        ..VhostDefinition::new(config.default_vhost.as_str().into())
    });
    if config.load_definitions.is_some() {
        return Ok(vec![vhost]);
    }
    let mut salt = [0; 4];
    random_bytes(&mut salt)?;
    let permissions = &config.default_permissions;
    Ok(vec![
        vhost,
        Definition::User(User {
            name: config.default_user.as_str().into(),
            password: PasswordHash::salted_sha256(salt, config.default_pass.0.as_bytes()),
            tags: config.default_user_tags.clone(),
        }),
        Definition::Permission(Permission {
            vhost: config.default_vhost.as_str().into(),
            user: config.default_user.as_str().into(),
            configure: permissions.configure.clone(),
            write: permissions.write.clone(),
            read: permissions.read.clone(),
        }),
    ])
}

fn random_bytes(bytes: &mut [u8]) -> Result<(), ServerError> {
    let filled = rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty());
    filled.map(|_| ()).map_err(|error| ServerError::system("read random bytes")(error.into()))
}

/// Random bytes for names and reply tokens. The kernel's generator was tried once, so later reads do not fail.
fn entropy() -> Result<leveret_engine::broker::Entropy, ServerError> {
    random_bytes(&mut [0; 16])?;
    Ok(Box::new(|| {
        let mut bytes = [0; 16];
        if let Err(error) = random_bytes(&mut bytes) {
            tracing::error!("{error}");
            std::process::abort();
        }
        bytes
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_memory_limit_have_a_least_and_a_most() {
        for (memory_limit, backlog, tail) in [
            (0, 1 << 20, 16 << 10),
            (1, 1 << 20, 16 << 10),
            (16 << 20, 1 << 20, 16 << 10),
            (64 << 20, 4 << 20, 32 << 10),
            (256 << 20, 16 << 20, 128 << 10),
            (24 << 30, LOG_BACKLOG_BYTES, 256 << 10),
            (u64::MAX, LOG_BACKLOG_BYTES, 256 << 10),
        ] {
            assert_eq!(log_backlog(memory_limit), backlog, "of {memory_limit}");
            assert_eq!(tail_messages(memory_limit), tail, "of {memory_limit}");
        }
    }
}
