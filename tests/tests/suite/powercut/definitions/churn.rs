//! Clients that change definitions one after another and note what was answered.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
};

use leveret_tests::{
    awaited::Awaited,
    chance::Chance,
    client::Client,
    http::Http,
    methods::{Properties, confirm, exchange, queue},
    wire::Table,
};
use serde_json::json;

use super::state::{Change, State};

pub(super) const WORKERS: usize = 5;
/// The first of the workers that change access over HTTP.
const FIRST_ACCESS: usize = 3;

/// What one worker did since the broker started.
#[derive(Debug, Default)]
struct Done {
    /// In order; each was sent only when the one before was answered.
    changes: Vec<Change>,
    answered: usize,
}

/// What all workers did.
#[derive(Debug)]
pub(super) struct Book {
    base: Vec<State>,
    done: Mutex<Vec<Done>>,
}

impl Book {
    /// Begins with what each worker's definitions are.
    pub(super) fn new(base: Vec<State>) -> Self {
        let done = base.iter().map(|_| Done::default()).collect();
        Self { base, done: Mutex::new(done) }
    }

    fn done(&self) -> MutexGuard<'_, Vec<Done>> {
        self.done.lock().expect("no other thread panicked")
    }

    /// For each worker, changes answered so far.
    pub(super) fn answered(&self) -> Vec<usize> {
        self.done().iter().map(|done| done.answered).collect()
    }

    /// For each worker, changes sent so far.
    pub(super) fn sent(&self) -> Vec<usize> {
        self.done().iter().map(|done| done.changes.len()).collect()
    }

    /// Whether `found` is what a worker's definitions were after some number of changes between two.
    pub(super) fn fits(&self, worker: usize, found: &State, answered: usize, sent: usize) -> bool {
        let mut state = self.base[worker].clone();
        let mut fits = answered == 0 && state == *found;
        for (count, change) in (1..).zip(self.done()[worker].changes.iter().take(sent)) {
            change.apply(&mut state);
            fits |= count >= answered && state == *found;
        }
        fits
    }

    /// What a worker's definitions are after so many changes.
    pub(super) fn state(&self, worker: usize, count: usize) -> State {
        let mut state = self.base[worker].clone();
        self.done()[worker].changes.iter().take(count).for_each(|change| change.apply(&mut state));
        state
    }

    /// Makes changes until the broker goes away; the error says how it did.
    pub(super) fn churn(
        &self,
        worker: usize,
        (amqp, http): (SocketAddr, SocketAddr),
        seed: u64,
    ) -> io::Error {
        let mut chance = Chance::new(seed + worker as u64);
        let mut state = self.base[worker].clone();
        let is_access = worker >= FIRST_ACCESS;
        let mut asked = match Asked::new(amqp, http, is_access) {
            Ok(asked) => asked,
            Err(error) => return error,
        };
        loop {
            let change = Change::choose(worker, is_access, &state, &mut chance);
            self.done()[worker].changes.push(change.clone());
            if let Err(error) = asked.ask(&change) {
                return error;
            }
            self.done()[worker].answered += 1;
            change.apply(&mut state);
        }
    }
}

/// A client of the kind that a worker needs.
enum Asked {
    Amqp(Box<Client>),
    Http(Http),
}

impl Asked {
    fn new(amqp: SocketAddr, http: SocketAddr, is_access: bool) -> io::Result<Self> {
        if is_access {
            return Ok(Self::Http(Http::new(http)));
        }
        let mut client = Client::login(amqp)?;
        client.open_channel(1)?;
        Ok(Self::Amqp(Box::new(client)))
    }

    /// Asks for a change and waits for its answer.
    fn ask(&mut self, change: &Change) -> io::Result<()> {
        match self {
            Self::Amqp(client) => {
                let (payload, answer) = method(change);
                client.call(1, payload, answer).map(|_| ())
            }
            Self::Http(http) => {
                let (method, path, body) = request(change);
                let reply = http.try_call(method, &path, Some("guest:guest"), body.as_deref())?;
                let words =
                    || io::Error::other(format!("{method} {path}: {} {}", reply.status, reply.text()));
                if (200..300).contains(&reply.status) { Ok(()) } else { Err(words()) }
            }
        }
    }
}

/// A change over AMQP, and the method that answers it.
fn method(change: &Change) -> (Vec<u8>, (u16, u16)) {
    let none = Table::default();
    let parts = |name: &str| {
        let mut parts = name.split(' ').map(str::to_owned);
        [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default)
    };
    match change {
        Change::Put { what: "queue", name, value } => {
            let limit = none.int("x-max-length", value.parse().expect("a number"));
            (queue::declare(name, queue::DURABLE, &limit), (50, 11))
        }
        Change::Put { what: "exchange", name, value } => {
            (exchange::declare(name, value, exchange::DURABLE, &none), (40, 11))
        }
        Change::Put { name, .. } => {
            let [exchange, queue, key] = parts(name);
            (queue::bind(&queue, &exchange, &key, &none), (50, 21))
        }
        Change::Delete { what: "queue", name } => (queue::delete(name, 0), (50, 41)),
        Change::Delete { what: "exchange", name } => (exchange::delete(name, 0), (40, 21)),
        Change::Delete { name, .. } => {
            let [exchange, queue, key] = parts(name);
            (queue::unbind(&queue, &exchange, &key, &none), (50, 51))
        }
    }
}

/// A change over HTTP: method, path and body.
fn request(change: &Change) -> (&'static str, String, Option<String>) {
    let path = |what: &str, name: &str| format!("/api/{what}s/{}", name.replace(' ', "/"));
    match change {
        Change::Delete { what, name } => ("DELETE", path(what, name), None),
        Change::Put { what, name, value } => {
            let body = match *what {
                "user" => json!({"password_hash": "", "tags": value}),
                "vhost" => json!({"description": value}),
                _ => json!({"configure": value, "write": "", "read": ""}),
            };
            ("PUT", path(what, name), Some(body.to_string()))
        }
    }
}

/// Publishes through a queue that keeps next to nothing, so that the log goes on to other slots; ends with the broker
/// or when `go_on` says so.
pub(super) fn flood(amqp: SocketAddr, go_on: impl Fn() -> bool) -> io::Result<()> {
    const QUEUE: &str = "flood";
    let mut client = Client::login(amqp)?;
    client.open_channel(1)?;
    let limit = Table::default().int("x-max-length", 3);
    client.call(1, queue::declare(QUEUE, queue::DURABLE, &limit), (50, 11))?;
    client.call(1, confirm::select(), (85, 11))?;
    let mut awaited = Awaited::new();
    while go_on() {
        while awaited.len() < 20 {
            client.publish(1, ("", QUEUE, 0), &Properties::persistent(), &[0xF1; 16 << 10])?;
            awaited.expect(());
        }
        awaited.read(&mut client)?;
    }
    Ok(())
}
