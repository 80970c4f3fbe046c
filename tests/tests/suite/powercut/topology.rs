//! The exchange, the queues and what each is for.

use std::net::SocketAddr;

use leveret_tests::{
    client::Client,
    ledger::MessageId,
    methods::{exchange, queue},
    wire::Table,
};

pub(super) const EXCHANGE: &str = "cut";
pub(super) const QUEUES: usize = 8;
/// Queues with a consumer; it acks.
pub(super) const CONSUMED: [usize; 4] = [0, 1, 2, 3];
/// Its consumer requeues some.
pub(super) const REQUEUED: usize = 1;
/// Its consumer rejects some, which go to [`DEAD`].
pub(super) const REJECTED: usize = 2;
/// Where rejected messages go; nobody publishes to it.
pub(super) const DEAD: usize = 7;
/// The publisher that sends transactions, and the queues that its messages reach.
pub(super) const TRANSACTIONS: usize = 3;
const TRANSACTIONAL: &[usize] = &[5, 6];
/// Messages of a transaction.
pub(super) const IN_TRANSACTION: usize = 5;
pub(super) const PUBLISHERS: usize = 4;

/// The queues behind each routing key.
const ROUTES: [&[usize]; 9] =
    [&[0], &[1, 4], &[2], &[0, 1, 2, 3, 4, 5, 6], &[3, 5], &[2, 6], &[4], &[0, 2, 3], TRANSACTIONAL];

/// The number of the routing key of a message.
pub(super) fn key(id: MessageId) -> usize {
    let last = ROUTES.len() - 1;
    if id.publisher == TRANSACTIONS { last } else { (id.publisher + id.number) % last }
}

/// The queues that a message reaches.
pub(super) fn route(id: MessageId) -> &'static [usize] {
    ROUTES[key(id)]
}

/// Whether the consumer of [`REJECTED`] rejects a message; it acks the others.
pub(super) fn is_rejected(id: MessageId) -> bool {
    id.number.is_multiple_of(3)
}

pub(super) fn name(queue: usize) -> String {
    format!("cut-{queue}")
}

/// Makes exchange, queues and bindings, all durable.
pub(super) fn declare(address: SocketAddr) {
    let none = Table::default();
    let mut client = Client::login(address).expect("a login");
    client.open_channel(1).expect("a channel");
    let declare = exchange::declare(EXCHANGE, "direct", exchange::DURABLE, &none);
    client.call(1, declare, (40, 11)).expect("an exchange");
    for number in 0..QUEUES {
        let mut arguments = Table::default();
        if number == REJECTED {
            let dead = name(DEAD);
            arguments = arguments.text("x-dead-letter-exchange", "").text("x-dead-letter-routing-key", &dead);
        }
        let declare = queue::declare(&name(number), queue::DURABLE, &arguments);
        client.call(1, declare, (50, 11)).expect("a queue");
    }
    for (key, queues) in ROUTES.iter().enumerate() {
        for number in *queues {
            let bind = queue::bind(&name(*number), EXCHANGE, &key.to_string(), &none);
            client.call(1, bind, (50, 21)).expect("a binding");
        }
    }
}
