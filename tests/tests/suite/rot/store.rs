//! A data directory with something of everything, and what is in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use leveret_tests::{
    admin::AdminApi,
    broker::{Broker, Options},
    client::Client,
    methods::{Properties, basic, confirm, exchange, queue},
    numbered::body,
    wait::{PATIENCE, until},
    wire::Table,
};
use serde_json::Value;
use tempfile::TempDir;

/// The smallest slots: bodies of more than 128 KiB are blobs.
pub(super) const CONFIG: &str = "leveret.slot_size = 1MiB\n";

const BOTH: &str = "both";
const KEPT: &str = "kept";
const READ: &str = "read";
const LARGE: &str = "large";
const PRIORITIES: &str = "priorities";
const TIMED: &str = "timed";
const LATE: &str = "late";

/// A message that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) number: u32,
    pub(super) priority: u8,
    /// It was delivered before.
    pub(super) is_seen: bool,
}

/// The directory of a broker that was killed.
pub(super) struct Store {
    folder: TempDir,
    /// Live messages in the order in which they are delivered.
    pub(super) queues: BTreeMap<&'static str, Vec<Message>>,
    /// As `GET /api/definitions` shows them.
    pub(super) definitions: Value,
}

impl Store {
    /// Fills a directory in three lives, two of which end by a clean stop.
    pub(super) fn fill() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { data_dir: Some(folder.path().join("data")), ..Options::config(CONFIG) };
        let mut broker = Broker::start_with(options);
        let mut store = Self { folder, queues: BTreeMap::new(), definitions: Value::Null };
        declare(&broker);
        for life in 0..3 {
            if life > 0 {
                broker.restart();
            }
            store.live(&broker, life);
            if life < 2 {
                assert!(broker.stop().success(), "a clean stop");
            }
        }
        store.definitions = definitions(&broker);
        until("the log's last batch is an empty one", PATIENCE, || store.is_proven().then_some(()));
        broker.kill();
        // The order of delivery.
        store
            .queues
            .values_mut()
            .for_each(|messages| messages.sort_by_key(|m| (u8::MAX - m.priority, m.number)));
        store
    }

    /// What clients do in one life of the broker.
    fn live(&mut self, broker: &Broker, life: u32) {
        let mut client = broker.channel();
        client.call(1, confirm::select(), (85, 11)).expect("confirms");
        let base = life * 1000;
        for number in base..base + 40 {
            self.publish(&mut client, (BOTH, ""), &[KEPT, READ], number, 700);
            self.publish(&mut client, ("", PRIORITIES), &[PRIORITIES], number, 90);
            self.publish(&mut client, ("", TIMED), &[TIMED], number, 300);
        }
        for number in base..base + 3 {
            self.publish(&mut client, ("", LARGE), &[LARGE], number, 150_000);
            self.publish(&mut client, ("", KEPT), &[KEPT], 500 + number, 60_000);
        }
        if life == 2 {
            // The definitions' checkpoint does not have it yet.
            declare_queue(&mut client, LATE, &Table::default());
            self.publish(&mut client, ("", LATE), &[LATE], base, 20);
        }
        for _ in 0..30 {
            self.take(broker, READ, true);
        }
        for queue in [READ, TIMED, LARGE] {
            self.take(broker, queue, false);
        }
    }

    fn publish(
        &mut self,
        client: &mut Client,
        (exchange, key): (&str, &str),
        queues: &[&'static str],
        number: u32,
        len: usize,
    ) {
        let priority = u8::try_from(number % 4).expect("a small number");
        let properties = Properties { priority: Some(priority), ..Properties::persistent() };
        client.publish(1, (exchange, key, 0), &properties, &body(number, len)).expect("a publish");
        client.expect_method(1, (60, 80)).expect("a confirm");
        for queue in queues {
            let priority = if *queue == PRIORITIES { priority } else { 0 };
            let messages = self.queues.entry(queue).or_default();
            messages.push(Message { number, priority, is_seen: false });
        }
    }

    /// Gets the first message of a queue without priorities; acknowledges it, or leaves it to come back.
    fn take(&mut self, broker: &Broker, queue: &'static str, acknowledges: bool) {
        let mut client = broker.channel();
        let got = client.call(1, basic::get(queue, false), (60, 71)).expect("a message");
        client.content(got).expect("its content");
        let messages = self.queues.get_mut(queue).expect("a queue");
        messages.sort_by_key(|message| message.number);
        if acknowledges {
            client.method(1, basic::ack(1, false)).expect("an ack");
            messages.remove(0);
        } else {
            client.method(1, basic::reject(1, true)).expect("a reject");
            messages[0].is_seen = true;
        }
        client.call(1, basic::qos(0, 0, false), (60, 11)).expect("it was handled");
    }

    /// Whether damage to the last batch with messages cannot be taken for a crash: an empty one follows it. What idle
    /// logs end with.
    fn is_proven(&self) -> bool {
        let (mut last, mut records) = (0, u32::MAX);
        for (path, bytes) in self.files() {
            if !path.to_string_lossy().contains("slot-") {
                continue;
            }
            for block in bytes.chunks(4096).filter(|block| block.starts_with(b"LVRTBTCH")) {
                let number = u64::from_le_bytes(block[48..56].try_into().expect("8 bytes"));
                if number >= last {
                    records = u32::from_le_bytes(block[12..16].try_into().expect("4 bytes"));
                    last = number;
                }
            }
        }
        records == 0
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// All files with their bytes, by paths within the directory.
    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.data(), Path::new(""), &mut files);
        files.sort();
        files
    }

    /// Copies the directory to a place where nothing is.
    pub(super) fn copy_to(&self, to: &Path) {
        for (path, bytes) in self.files() {
            let path = to.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }
    }
}

fn collect(data: &Path, below: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(data.join(below)).expect("a folder") {
        let name = below.join(entry.expect("an entry").file_name());
        let path = data.join(&name);
        if path.is_dir() {
            collect(data, &name, into);
        } else if let Ok(bytes) = fs::read(&path) {
            into.push((name, bytes));
        }
    }
}

fn declare_queue(client: &mut Client, name: &str, arguments: &Table) {
    client.call(1, queue::declare(name, queue::DURABLE, arguments), (50, 11)).expect("a queue");
}

fn declare(broker: &Broker) {
    let mut client = broker.channel();
    let none = Table::default();
    client
        .call(1, exchange::declare(BOTH, "fanout", exchange::DURABLE, &none), (40, 11))
        .expect("an exchange");
    declare_queue(&mut client, PRIORITIES, &none.clone().int("x-max-priority", 3));
    declare_queue(&mut client, TIMED, &none.clone().int("x-message-ttl", 86_400_000));
    for name in [KEPT, READ, LARGE] {
        declare_queue(&mut client, name, &none);
    }
    for name in [KEPT, READ] {
        client.call(1, queue::bind(name, BOTH, "", &none), (50, 21)).expect("a binding");
    }
}

/// All definitions.
pub(super) fn definitions(broker: &Broker) -> Value {
    let (status, text) = AdminApi::new(broker.http()).request("GET", "/definitions", &Value::Null);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}
