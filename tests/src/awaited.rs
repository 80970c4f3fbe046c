//! What a publisher sent on a confirming channel and has no confirm for.

use std::collections::BTreeMap;

use crate::{client::Client, client::Event, describe::describe, wait::PATIENCE};

/// Messages under way on one channel, by publish sequence number; `T` is the publisher's own name for each.
#[derive(Debug, Default)]
pub struct Awaited<T> {
    sequence: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Awaited<T> {
    /// A channel on which nothing was published yet.
    #[must_use]
    pub fn new() -> Self {
        Self { sequence: 0, waiting: BTreeMap::new() }
    }

    /// The next message that goes out.
    pub fn expect(&mut self, name: T) {
        self.sequence += 1;
        self.waiting.insert(self.sequence, name);
    }

    /// How many have no confirm yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether all are confirmed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Reads the next confirm and gives the messages that it covers.
    ///
    /// # Errors
    /// When the connection ends, or something else than a positive confirm comes.
    pub fn read(&mut self, client: &mut Client) -> std::io::Result<Vec<T>> {
        loop {
            match client.next(PATIENCE) {
                Event::Frame(frame) if frame.method() == Some((60, 80)) => {
                    let mut arguments = frame.arguments();
                    let tag = arguments.u64().zip(arguments.bit());
                    let (tag, multiple) =
                        tag.ok_or_else(|| std::io::Error::other("a confirm is cut short"))?;
                    return Ok(self.take(tag, multiple));
                }
                // connection.blocked and unblocked concern nobody here: the socket is not read meanwhile.
                Event::Frame(frame) if frame.channel == 0 => {}
                Event::Frame(frame) => return Err(std::io::Error::other(describe(&frame))),
                other => return Err(std::io::Error::other(format!("no confirm came: {other:?}"))),
            }
        }
    }

    fn take(&mut self, tag: u64, multiple: bool) -> Vec<T> {
        if !multiple {
            return self.waiting.remove(&tag).into_iter().collect();
        }
        let later = self.waiting.split_off(&(tag + 1));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }
}
