//! What the client knows of a queue: which messages must be there after a death, which may, which must not.

use std::{collections::BTreeMap, io};

use leveret_tests::{
    client::{Client, Content},
    methods::{Properties, queue},
    numbered::number,
    wire::Table,
};

/// What is known of one message in one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Sent, not confirmed: it may be there. Members of one transaction share a number and stand or fall together.
    Sent(Option<u32>),
    /// Confirmed and not settled: it must be there. Whether a consumer saw it.
    Confirmed { seen: bool },
    /// Settled, and nothing proves that the settlement is durable: it may be there.
    Settling,
    /// Purged, or settled in a transaction that was answered: it must not be there.
    Gone,
}

/// What is known of one queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    /// The declare was answered and no delete sent; `None` while one of them waits for its answer.
    exists: Option<bool>,
    /// By the number that its body carries.
    messages: BTreeMap<u32, Fate>,
}

/// What is known of all queues.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) next: u32,
    queues: BTreeMap<&'static str, Queue>,
}

impl Model {
    /// A declare or delete of the queue is sent.
    pub(super) fn changing(&mut self, queue: &'static str) {
        self.queues.entry(queue).or_default().exists = None;
    }

    /// Its answer came.
    pub(super) fn changed(&mut self, queue: &'static str, exists: bool) {
        self.queues.entry(queue).or_default().exists = Some(exists);
    }

    /// A purge or delete is sent: any message may be gone.
    pub(super) fn settling(&mut self, queue: &'static str) {
        let messages = &mut self.queues.entry(queue).or_default().messages;
        messages.values_mut().filter(|fate| **fate != Fate::Gone).for_each(|fate| *fate = Fate::Settling);
    }

    /// A purge or delete was answered.
    pub(super) fn gone(&mut self, queue: &'static str) {
        let messages = &mut self.queues.entry(queue).or_default().messages;
        messages.values_mut().for_each(|fate| *fate = Fate::Gone);
    }

    pub(super) fn set(&mut self, queue: &'static str, number: u32, fate: Fate) {
        self.queues.entry(queue).or_default().messages.insert(number, fate);
    }

    /// Reads every queue to its end and says what is wrong with what came.
    pub(super) fn check(&self, client: &mut Client) -> io::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (channel, (name, book)) in (1..).zip(&self.queues) {
            client.open_channel(channel)?;
            let declare = queue::declare(name, queue::PASSIVE, &Table::default());
            let found = match client.call(channel, declare, (50, 11)) {
                Ok(_) => true,
                Err(error) if error.to_string().contains("404") => false,
                Err(error) => return Err(error),
            };
            if book.exists.is_some_and(|exists| exists != found) {
                wrong.push(format!("queue {name}: found {found}, known {:?}", book.exists));
            }
            if found {
                let mut came = Vec::new();
                while let Some(content) = client.get(channel, name)? {
                    came.push(content);
                }
                book.compare(name, &came, &mut wrong);
            }
        }
        Ok(wrong)
    }
}

impl Queue {
    fn compare(&self, name: &str, came: &[Content], wrong: &mut Vec<String>) {
        let mut before = None;
        let mut found = BTreeMap::new();
        for content in came {
            let Some(number) = number(&content.body) else {
                wrong.push(format!("queue {name}: a body of {} bytes that nobody sent", content.body.len()));
                continue;
            };
            if before >= Some(number) {
                wrong.push(format!("queue {name}: {number} came after {before:?}"));
            }
            before = before.max(Some(number));
            let redelivered = redelivered(content);
            found.insert(number, ());
            match self.messages.get(&number) {
                None | Some(Fate::Gone) => wrong.push(format!("queue {name}: {number} should not be there")),
                Some(Fate::Confirmed { seen: true }) if !redelivered => {
                    wrong.push(format!("queue {name}: {number} came again without the flag"));
                }
                Some(_) => {}
            }
            if content.properties != Properties::persistent().bytes() {
                wrong.push(format!("queue {name}: {number} has other properties"));
            }
        }
        let mut groups: BTreeMap<u32, Vec<bool>> = BTreeMap::new();
        for (number, fate) in &self.messages {
            let is_there = found.contains_key(number);
            match fate {
                Fate::Confirmed { .. } if !is_there => {
                    wrong.push(format!("queue {name}: {number} was confirmed and is lost"));
                }
                Fate::Sent(Some(group)) => groups.entry(*group).or_default().push(is_there),
                _ => {}
            }
        }
        for (group, there) in groups {
            if there.contains(&true) && there.contains(&false) {
                wrong.push(format!("queue {name}: transaction {group} is torn: {there:?}"));
            }
        }
    }
}

fn redelivered(content: &Content) -> bool {
    let mut arguments = content.method.arguments();
    arguments.u64();
    arguments.bit() == Some(true)
}
