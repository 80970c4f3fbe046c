//! Whether what a broker on damaged data says and gives is what it may.

use std::{collections::BTreeMap, path::Path, process::ExitStatus};

use leveret_tests::{
    broker::Broker,
    client::{Client, Content, Event},
    describe::describe,
    methods::{basic, queue},
    numbered,
    wait::PATIENCE,
    wire::Table,
};
use serde_json::Value;

use super::store::{self, Message, Store};

/// The exit code of a start that is refused (EX_SOFTWARE).
const REFUSED: i32 = 70;

/// How a run may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// The start was refused.
    Refused,
    /// A queue, or more than one, was stopped.
    Stopped,
    /// Everything was there.
    Harmless,
}

/// What was read from a queue.
#[derive(Debug)]
struct Came {
    /// What a passive declare counted; `None` where it was refused.
    count: Option<u32>,
    messages: Vec<Content>,
    /// How the broker refused to go on.
    refusal: Option<String>,
}

/// Everything that a broker gives.
#[derive(Debug)]
pub(super) struct Reading {
    queues: BTreeMap<&'static str, Came>,
    definitions: Value,
    /// The damage that the management API shows, by queue.
    shown: BTreeMap<String, String>,
}

impl Reading {
    /// Reads every queue to its end, or to where it is stopped.
    pub(super) fn of(broker: &Broker, store: &Store) -> Self {
        let queues = store.queues.keys().map(|name| (*name, Came::of(broker, name))).collect();
        let (_, listed) =
            leveret_tests::admin::AdminApi::new(broker.http()).request("GET", "/queues", &Value::Null);
        let listed: Vec<Value> = serde_json::from_str(&listed).expect("a list of queues");
        let damage = |queue: &Value| {
            let name = queue["name"].as_str()?.to_owned();
            let is_stopped = queue["state"] == "stopped";
            Some((name, queue["leveret_damage"].as_str().filter(|_| is_stopped)?.to_owned()))
        };
        let shown = listed.iter().filter_map(damage).collect();
        Self { queues, definitions: store::definitions(broker), shown }
    }

    /// Gives what was said of the queues that are stopped.
    pub(super) fn check(&self, store: &Store, data: &Path) -> Result<BTreeMap<&'static str, String>, String> {
        if self.definitions != store.definitions {
            return Err(format!("other definitions: {}", self.definitions));
        }
        let mut stopped = BTreeMap::new();
        for (name, came) in &self.queues {
            let expected = &store.queues[name];
            came.check(expected).map_err(|why| format!("queue {name}: {why}"))?;
            if let Some(said) = &came.refusal {
                let place = said.split_once(" is stopped: ").map(|(_, place)| place).unwrap_or_default();
                let is_placed = place.starts_with(&*data.to_string_lossy())
                    && place
                        .split_once(" is damaged at ")
                        .is_some_and(|(_, at)| at.starts_with(char::is_numeric));
                let is_shown = self.shown.get(*name).is_some_and(|shown| place.starts_with(&shown[..40]));
                if !said.contains("541 \"INTERNAL_ERROR") || !is_placed || !is_shown {
                    return Err(format!("queue {name}: no clear refusal: {said}; shown: {:?}", self.shown));
                }
                stopped.insert(*name, place.to_owned());
            }
        }
        if self.shown.len() != stopped.len() {
            return Err(format!("stopped are {stopped:?}, shown are {:?}", self.shown));
        }
        Ok(stopped)
    }

    /// After another start: what was stopped is, for the same reason, and all else is read.
    pub(super) fn check_again(&self, stopped: &BTreeMap<&'static str, String>) -> Result<(), String> {
        for (name, came) in &self.queues {
            match (stopped.get(name), &came.refusal) {
                (None, None) if came.messages.is_empty() => {}
                (Some(place), Some(said)) if said.contains(place) => {}
                (before, now) => {
                    let count = came.messages.len();
                    return Err(format!(
                        "queue {name} at the second start: {before:?}, {now:?}, {count} messages"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Came {
    fn of(broker: &Broker, name: &str) -> Self {
        let declare = queue::declare(name, queue::PASSIVE, &Table::default());
        let declared = broker.channel().call(1, declare, (50, 11));
        let count = declared.ok().and_then(|ok| {
            let mut arguments = ok.arguments();
            arguments.short()?;
            arguments.u32()
        });
        let mut came = Self { count, messages: Vec::new(), refusal: None };
        let mut client = broker.channel();
        while let Some(content) = came.get(&mut client, name) {
            came.messages.push(content);
        }
        if came.refusal.is_some() {
            // It stays so, whoever asks.
            came.refusal = None;
            came.get(&mut broker.channel(), name);
        }
        came
    }

    fn get(&mut self, client: &mut Client, name: &str) -> Option<Content> {
        client.method(1, basic::get(name, true)).expect("a method");
        match client.next(PATIENCE) {
            Event::Frame(frame) if frame.method() == Some((60, 71)) => client.content(frame).ok(),
            Event::Frame(frame) if frame.method() == Some((60, 72)) => None,
            Event::Frame(frame) => {
                self.refusal = Some(describe(&frame));
                None
            }
            other => {
                self.refusal = Some(format!("{other:?}"));
                None
            }
        }
    }

    /// What came is the beginning of what is expected, and all of it unless the queue was stopped.
    fn check(&self, expected: &[Message]) -> Result<(), String> {
        if self.refusal.is_none() && self.messages.len() != expected.len() {
            return Err(format!(
                "{} messages of {} came, and not a word",
                self.messages.len(),
                expected.len()
            ));
        }
        if self.count.is_some_and(|count| count as usize != expected.len()) {
            return Err(format!("{:?} messages are counted, {} are there", self.count, expected.len()));
        }
        for (content, expected) in self.messages.iter().zip(expected) {
            let mut arguments = content.method.arguments();
            arguments.u64();
            let redelivered = arguments.bit() == Some(true);
            match numbered::number(&content.body) {
                Some(number) if number == expected.number => {}
                other => return Err(format!("{other:?} came for {expected:?}")),
            }
            if expected.is_seen && !redelivered {
                return Err(format!("{expected:?} came without the flag"));
            }
        }
        Ok(())
    }
}

/// Whether a start was refused as it must be: by its code and one line, which names the place.
pub(super) fn of_refusal(status: ExitStatus, log: &str, data: &Path) -> Result<(), String> {
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let [line] = errors[..] else { return Err(format!("{status}, not one line: {log}")) };
    let is_clear = line.contains(&*data.to_string_lossy())
        && (line.contains(": damaged at byte ") || line.contains(": format version "));
    if status.code() != Some(REFUSED) || !is_clear {
        return Err(format!("{status}: {line}"));
    }
    of_log(log)
}

/// No thread panicked but within sled, which the guard around it takes for damage.
pub(super) fn of_log(log: &str) -> Result<(), String> {
    let mut panics = log.lines().filter(|line| line.contains("panicked at") && !line.contains("/sled-0.34"));
    match panics.next_back() {
        None => Ok(()),
        Some(line) => Err(line.to_owned()),
    }
}
