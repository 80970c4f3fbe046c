//! The matrix: operations × permissions × virtual hosts; and the patterns of names and of topics.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use leveret_tests::{
    admin::AdminApi,
    client::Client,
    login::Login,
    methods::{Properties, basic, connection, content_header, exchange, queue},
    wire::{self, Table},
};
use serde_json::json;

use super::{
    Answers, Place, compare,
    operations::{OPERATIONS, Operation},
    script::Script,
};

const THREADS: usize = 8;

/// Who has which permissions: users of the matrix have them on all names, in the virtual host `own`; in `other` they
/// have all that they do not have in `own`.
const RIGHTS: [&str; 8] = ["none", "c", "w", "r", "cw", "cr", "wr", "cwr"];

/// Users whose permissions are for some names only: configure, write, read.
const PATTERNS: [(&str, [&str; 3]); 9] = [
    ("write-q", ["", "^(q|bound)$", ".*"]),
    ("write-x-only", ["", "^x$", ".*"]),
    ("read-x", ["", ".*", "^x$"]),
    ("read-q-only", [".*", ".*", "^(q|bound|new)$"]),
    ("dead-letter", ["^new$", "^x$", "^new$"]),
    ("alternate", ["^new$", "^y$", "^new$"]),
    ("default-exchange", ["", "^amq\\.default$", ""]),
    ("server-named", ["^amq\\.gen-.*$", "^amq\\.gen-.*$", "^amq\\.gen-.*$"]),
    ("unanchored", ["e", "e", "e"]),
];

/// One user in one virtual host: a column of the matrix. Its operations run one after another.
struct Column {
    user: String,
    rights: &'static str,
    place: &'static str,
    vhost: String,
    patterns: [&'static str; 3],
}

fn columns() -> Vec<Column> {
    let column = |rights: &'static str, place: &'static str, patterns| Column {
        user: format!("m-{rights}"),
        rights,
        place,
        vhost: format!("m-{place}-{rights}"),
        patterns,
    };
    let sets = RIGHTS.into_iter().flat_map(|rights| ["own", "other"].map(|place| (rights, place)));
    let sets = sets.map(|(rights, place)| {
        let granted = |letter: char| {
            let has = rights != "none" && rights.contains(letter);
            if has == (place == "own") { ".*" } else { "" }
        };
        column(rights, place, ['c', 'w', 'r'].map(granted))
    });
    sets.chain(PATTERNS.map(|(rights, patterns)| column(rights, "own", patterns))).collect()
}

#[test]
fn every_method_with_every_set_of_permissions() {
    let place = Place::find();
    let columns = columns();
    for column in columns.iter().filter(|column| column.place == "own") {
        place.api.user(&column.user, "");
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Vec::new();
        while let Some(column) = columns.get(next.fetch_add(1, Ordering::Relaxed)) {
            answers.append(&mut column.ask_all(place.amqp, &place.api));
        }
        answers
    };
    let answers: Vec<Answer> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread of the matrix")).collect()
    });
    for column in columns.iter().filter(|column| column.place == "own") {
        place.api.delete(&format!("/users/{}", column.user));
    }
    compare("permissions.json", &place, &by_operation(answers), &[]);
}

/// For each operation the answers, each behind the columns that got it.
fn by_operation(answers: Vec<Answer>) -> Answers {
    let mut grouped: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for Answer { operation, column, line } in answers {
        grouped.entry(operation.to_owned()).or_default().entry(line).or_default().insert(column);
    }
    let line = |(answer, columns): (String, BTreeSet<String>)| {
        let columns: Vec<String> = columns.into_iter().collect();
        format!("{}: {answer}", columns.join(", "))
    };
    let lines = |answers: BTreeMap<String, BTreeSet<String>>| answers.into_iter().map(line).collect();
    grouped.into_iter().map(|(operation, answers)| (operation, lines(answers))).collect()
}

/// What one user was answered in one virtual host.
struct Answer {
    operation: &'static str,
    column: String,
    line: String,
}

impl Column {
    fn ask_all(&self, amqp: SocketAddr, api: &AdminApi) -> Vec<Answer> {
        fresh_vhost(api, &self.vhost);
        api.grant(&self.vhost, &self.user, self.patterns);
        let answer = |operation: &Operation| {
            let line = self.ask(amqp, operation).join("; ");
            let line = line.replace(&self.vhost, "VHOST").replace(&format!("'{}'", self.user), "'USER'");
            Answer { operation: operation.0, column: format!("{} {}", self.rights, self.place), line }
        };
        let answers = OPERATIONS.iter().map(answer).collect();
        api.delete(&format!("/vhosts/{}", self.vhost));
        answers
    }

    fn ask(&self, amqp: SocketAddr, operation: &Operation) -> Vec<String> {
        prepare(amqp, &self.vhost);
        match Script::open(amqp, &self.user, &self.vhost) {
            Ok(mut script) => {
                (operation.1)(&mut script);
                script.end()
            }
            Err(lines) => lines,
        }
    }
}

/// A virtual host of that name with nothing in it but guest's permissions.
fn fresh_vhost(api: &AdminApi, vhost: &str) {
    api.delete_any(&format!("/vhosts/{vhost}"));
    api.put(&format!("/vhosts/{vhost}"), &json!({}));
    api.grant(vhost, "guest", [".*"; 3]);
}

/// What the operations find, made or put right again by the administrator.
fn prepare(amqp: SocketAddr, vhost: &str) {
    let login = Login { vhost: vhost.to_owned(), ..Login::default() };
    let mut client = Client::login_with(amqp, &login).expect("the administrator");
    client.open_channel(1).expect("a channel");
    let none = Table::default();
    let mut call = |method: Vec<u8>, answer| client.call(1, method, answer).expect("preparation");
    call(queue::delete("new", 0), (50, 41));
    call(exchange::delete("new", 0), (40, 21));
    for (name, kind) in [("x", "direct"), ("y", "direct"), ("topic", "topic")] {
        call(exchange::declare(name, kind, 0, &none), (40, 11));
    }
    for name in ["q", "other", "bound", "full"] {
        call(queue::declare(name, 0, &none), (50, 11));
        call(queue::purge(name), (50, 31));
    }
    call(queue::unbind("q", "x", "new", &none), (50, 51));
    call(exchange::unbind("y", "x", "new", &none), (40, 51));
    call(queue::bind("bound", "x", "k", &none), (50, 21));
    call(exchange::bind("y", "x", "k", &none), (40, 31));
    client.publish(1, ("", "full", 0), &Properties::default(), b"hello").expect("a message");
    client.call(0, connection::close(), (10, 51)).expect("the end");
}

/// A user without any permission in a virtual host may not open it, and one that is not there tells so.
#[test]
fn a_virtual_host_is_opened_by_those_with_a_permission_there() {
    let place = Place::find();
    place.api.user("m-nobody", "administrator");
    place.api.put("/vhosts/m-closed", &json!({}));
    let mut answers = Answers::new();
    for vhost in ["/", "m-closed", "m-missing"] {
        let lines = Script::open(place.amqp, "m-nobody", vhost).err().unwrap_or_default();
        answers.insert(format!("connection.open: {vhost}"), lines);
    }
    place.api.delete("/vhosts/m-closed");
    place.api.delete("/users/m-nobody");
    compare("permissions_vhosts.json", &place, &answers, &[]);
}

/// Topic permissions: write and read patterns, the user, and what is tried at which exchange.
#[test]
fn topic_permissions_limit_routing_keys() {
    let place = Place::find();
    let (api, vhost) = (&place.api, "m-topics");
    fresh_vhost(api, vhost);
    prepare(place.amqp, vhost);
    let mut answers = Answers::new();
    for (user, write, read) in [
        ("m-topic", "^a", "^a\\.b$"),
        ("m-empty", "", ""),
        ("m-variables", "^{username}\\.{vhost}\\.", "{username}"),
    ] {
        api.user(user, "");
        api.grant(vhost, user, [".*"; 3]);
        let body = json!({"exchange": "topic", "write": write, "read": read});
        api.put(&format!("/topic-permissions/{vhost}/{user}"), &body);
        for exchange in ["topic", "amq.topic", "x"] {
            for key in ["a.b", "a.c", "b.a", "", "m-variables.m-topics.k", "m-variables.#"] {
                let mut script = Script::open(place.amqp, user, vhost).expect("a login");
                script.send(1, basic::publish(exchange, key, 0));
                script.frame(wire::HEADER, 1, content_header(0, &Properties::default()));
                script.answer(1);
                answers.insert(format!("{user}: publish to {exchange} with {key:?}"), script.end());
                for (what, method) in [
                    ("bind", queue::bind("q", exchange, key, &Table::default())),
                    ("unbind", queue::unbind("q", exchange, key, &Table::default())),
                    ("bind an exchange", exchange::bind("y", exchange, key, &Table::default())),
                ] {
                    let mut script = Script::open(place.amqp, user, vhost).expect("a login");
                    script.ask(method);
                    answers.insert(format!("{user}: {what} to {exchange} with {key:?}"), script.end());
                }
            }
        }
        let mut script = Script::open(place.amqp, user, vhost).expect("a login");
        let copies = Table::default().texts("CC", &["b.copy"]);
        let properties = Properties { headers: Some(copies), ..Properties::default() };
        script.send(1, basic::publish("topic", "a.b", 0));
        script.frame(wire::HEADER, 1, content_header(0, &properties));
        script.answer(1);
        answers.insert(format!("{user}: publish with CC"), script.end());
    }
    for user in ["m-topic", "m-empty", "m-variables"] {
        api.delete(&format!("/users/{user}"));
    }
    api.delete(&format!("/vhosts/{vhost}"));
    compare("permissions_topics.json", &place, &answers, &[]);
}
