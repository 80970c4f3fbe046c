//! Every queue argument in good and bad use, compared with what RabbitMQ 4.0.5 did.
//!
//! A family is a text of scenarios beside this file and its golden file `tests/golden/arguments/FAMILY.json`; [`scene`] says what a
//! scenario can do. The goldens are recorded by the same code from the broker at an address:
//! `LEVERET_GOLDEN_RECORD=1 LEVERET_GOLDEN_URI=amqp://HOST:PORT cargo test -p leveret-tests arguments`.

mod differences;
mod family;
mod link;
mod one_place;
mod restart;
mod scene;
mod step;
mod words;

use family::check;

/// A test for each family of scenarios.
macro_rules! families {
    ($($test:ident: $family:literal,)*) => {$(
        #[test]
        fn $test() {
            check($family);
        }
    )*};
}

families! {
    arguments_are_checked_and_compared: "declare",
    the_types_of_queues_keep_their_rules: "queue_type",
    messages_expire: "ttl",
    unused_queues_expire: "expires",
    full_queues_drop_or_refuse: "length",
    dead_messages_go_where_the_queue_says: "dead_letter",
    dead_messages_say_what_happened_to_them: "death_header",
    the_retry_topology_counts_its_rounds: "retry",
    priorities_order_a_queue: "priority",
    one_consumer_is_active: "single_active",
    deliveries_are_counted_and_limited: "delivery_limit",
    headers_and_alternate_exchanges_route: "routing",
    transactions_keep_the_arguments: "transaction",
    arguments_stand_together: "mixed",
}
