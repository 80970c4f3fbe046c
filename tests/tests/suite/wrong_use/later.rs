//! Queue arguments that RabbitMQ knows and Leveret does not yet: refused by name, never ignored.

use leveret_tests::{
    broker::Broker, client::Event, describe::describe, methods::queue, wait::PATIENCE, wire::Table,
};

/// Each argument with a value that RabbitMQ would take.
fn arguments() -> Vec<(&'static str, Table)> {
    let int = |name| (name, Table::default().int(name, 5));
    let text = |name, value| (name, Table::default().text(name, value));
    vec![
        int("x-message-ttl"),
        int("x-expires"),
        int("x-max-length"),
        int("x-max-length-bytes"),
        text("x-overflow", "reject-publish"),
        text("x-dead-letter-exchange", "amq.fanout"),
        int("x-max-priority"),
        ("x-single-active-consumer", Table::default().flag("x-single-active-consumer", true)),
    ]
}

#[test]
fn a_queue_argument_of_a_later_version_is_refused_by_name() {
    let broker = Broker::start();
    for (name, table) in arguments() {
        let mut client = broker.channel();
        let declare = queue::declare("later", queue::DURABLE, &table);
        client.method(1, declare).unwrap();
        let Event::Frame(close) = client.next(PATIENCE) else {
            panic!("no answer to {name}");
        };
        assert_eq!(
            describe(&close),
            format!(
                "connection.close 540 \"NOT_IMPLEMENTED - queue argument '{name}' is not supported yet\" 50 10"
            )
        );
    }
}
