//! What the load runs on: one exchange, eight queues, routes that reach from one of them to all.

use std::net::SocketAddr;

use leveret_tests::{
    client::Client,
    ledger::MessageId,
    methods::{Properties, exchange, queue},
    wire::{Reader, Table},
};

/// Where the load publishes.
pub(super) const EXCHANGE: &str = "crash";
pub(super) const QUEUES: usize = 8;
/// The queue that each consumer reads: the last two have two.
pub(super) const CONSUMERS: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 6, 7, 7];

/// The queues behind each routing key.
const ROUTES: [&[usize]; 8] =
    [&[0], &[1, 6], &[0, 3, 4], &[1, 2, 4, 7], &[5], &[0, 1, 2, 3, 4, 5, 6, 7], &[2, 5], &[7]];

/// The message that ends each queue.
const LAST: &str = "last";

/// What a message-id says.
pub(super) enum Name {
    /// A message of the load.
    Message(MessageId),
    /// The end of a queue.
    Last,
}

impl Name {
    /// Reads the message-id out of properties that hold delivery-mode and message-id.
    pub(super) fn read(properties: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(properties);
        reader.u16()?;
        reader.u8()?;
        let text = reader.short()?;
        if text == LAST { Some(Self::Last) } else { MessageId::from_text(&text).map(Self::Message) }
    }

    /// The properties of a message with this name.
    pub(super) fn properties(&self) -> Properties {
        let text = match self {
            Self::Message(id) => id.to_text(),
            Self::Last => LAST.to_owned(),
        };
        Properties { message_id: Some(text), ..Properties::persistent() }
    }
}

/// The queues that a message reaches.
pub(super) fn route(id: MessageId) -> &'static [usize] {
    ROUTES[route_number(id)]
}

/// The routing key of a message.
pub(super) fn routing_key(id: MessageId) -> String {
    route_number(id).to_string()
}

fn route_number(id: MessageId) -> usize {
    (id.publisher + id.number) % ROUTES.len()
}

pub(super) fn queue_name(queue: usize) -> String {
    format!("crash-{queue}")
}

/// How many consumers read a queue.
pub(super) fn consumers_of(queue: usize) -> usize {
    CONSUMERS.iter().filter(|other| **other == queue).count()
}

/// Makes the durable exchange, queues and bindings.
pub(super) fn declare(address: SocketAddr) {
    let none = Table::default();
    let mut client = Client::login(address).expect("a login");
    client.open_channel(1).expect("a channel");
    let declare = exchange::declare(EXCHANGE, "direct", exchange::DURABLE, &none);
    client.call(1, declare, (40, 11)).expect("an exchange");
    for number in 0..QUEUES {
        let declare = queue::declare(&queue_name(number), queue::DURABLE, &none);
        client.call(1, declare, (50, 11)).expect("a queue");
    }
    for (key, queues) in ROUTES.iter().enumerate() {
        for number in *queues {
            let bind = queue::bind(&queue_name(*number), EXCHANGE, &key.to_string(), &none);
            client.call(1, bind, (50, 21)).expect("a binding");
        }
    }
}
