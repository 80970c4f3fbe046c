//! Reading all queues of a recovered broker to their end.

use std::{collections::BTreeSet, net::SocketAddr};

use leveret_tests::{
    awaited::Awaited,
    client::{Client, Content},
    ledger::{MessageId, body},
    methods::{self, Properties, basic, confirm},
    wait::PATIENCE,
    wire::Table,
};

use super::{
    load::{id, properties, tag_and_flag},
    topology::{DEAD, QUEUES, name},
};

/// A message as a recovered broker gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// `None` for something that nobody sent.
    pub(super) id: Option<MessageId>,
    pub(super) redelivered: bool,
    /// Body and properties are those that were sent.
    pub(super) intact: bool,
}

/// What every message that ends a queue is called.
const LAST: &str = "last-";

/// Reads every queue to its end and settles nothing: the messages of each, in their order. `turn` is another number
/// for each reading of the same data.
pub(super) fn drain(address: SocketAddr, turn: usize) -> Vec<Vec<Found>> {
    let last = format!("{LAST}{turn}");
    send_last(address, &last);
    let mut client = Client::login(address).expect("a login");
    client.open_channel(1).expect("a channel");
    for queue in 0..QUEUES {
        let consume = basic::consume(&name(queue), &queue.to_string(), basic::NOWAIT, &Table::default());
        client.method(1, consume).expect("a consumer");
    }
    let mut found = vec![Vec::new(); QUEUES];
    let mut open: BTreeSet<usize> = (0..QUEUES).collect();
    while !open.is_empty() {
        let content = next(&mut client);
        let queue = content.method.arguments().short().and_then(|tag| tag.parse().ok()).expect("our own tag");
        match methods::message_id(&content.properties) {
            Some(text) if text == last => drop(open.remove(&queue)),
            Some(text) if text.starts_with(LAST) => {}
            _ => found[queue].push(judge(queue, &content)),
        }
    }
    found
}

fn next(client: &mut Client) -> Content {
    loop {
        match client.next(PATIENCE) {
            leveret_tests::client::Event::Frame(frame) if frame.channel == 0 => {}
            leveret_tests::client::Event::Frame(frame) => {
                assert_eq!(frame.method(), Some((60, 60)), "only deliveries come");
                return client.content(frame).expect("a whole message");
            }
            other => panic!("a queue was not read to its end: {other:?}"),
        }
    }
}

fn judge(queue: usize, content: &Content) -> Found {
    let id = id(content);
    let (_, redelivered) = tag_and_flag(content);
    // Dead-lettering adds headers.
    let same = |id| queue == DEAD || content.properties == properties(id).bytes();
    let intact = id.is_some_and(|id| same(id) && content.body == body(id));
    Found { id, redelivered, intact }
}

/// Puts a message behind all others into each queue.
fn send_last(address: SocketAddr, text: &str) {
    let mut client = Client::login(address).expect("a login");
    client.open_channel(1).expect("a channel");
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    let mut awaited = Awaited::new();
    for queue in 0..QUEUES {
        let properties = Properties { message_id: Some(text.to_owned()), ..Properties::persistent() };
        client.publish(1, ("", &name(queue), 0), &properties, b"").expect("a publish");
        awaited.expect(queue);
    }
    while !awaited.is_empty() {
        awaited.read(&mut client).expect("the last messages are confirmed");
    }
}
