//! Exchanges and bindings.

use leveret_tests::{
    methods::{exchange, queue},
    wire::Table,
};

use crate::ctl::stage::Stage;

pub(super) fn lists(stage: &mut Stage) {
    stage.run_sorted("rabbitmqctl list_exchanges", "name\t");
    stage.run("rabbitmqctl list_bindings");
    stage.run("rabbitmqctl list_bindings --formatter json");
    let mut client = stage.client();
    let none = Table::default();
    let alternate = Table::default().text("alternate-exchange", "amq.fanout");
    for (name, kind, flags, arguments) in [
        ("events", "topic", exchange::DURABLE, &alternate),
        ("inner", "fanout", exchange::INTERNAL | exchange::AUTO_DELETE, &none),
    ] {
        client.call(1, exchange::declare(name, kind, flags, arguments), (40, 11)).unwrap();
    }
    client.call(1, queue::declare("q", queue::DURABLE, &none), (50, 11)).unwrap();
    client.call(1, queue::bind("q", "events", "a.*.b", &none), (50, 21)).unwrap();
    let matched = Table::default().text("x-match", "all").int("n", 1);
    client.call(1, queue::bind("q", "amq.headers", "", &matched), (50, 21)).unwrap();
    client.call(1, exchange::bind("inner", "events", "#", &none), (40, 31)).unwrap();
    stage.run_sorted("rabbitmqctl list_exchanges", "name\t");
    stage.run_sorted(
        "rabbitmqctl list_exchanges -q name type durable auto_delete internal arguments policy",
        "name\t",
    );
    stage.run_sorted(
        "rabbitmqctl list_exchanges name type durable auto_delete internal arguments policy --formatter json",
        "[",
    );
    stage.run_sorted("rabbitmqctl list_exchanges --formatter csv", "\"name\"");
    stage.run_sorted("rabbitmqctl -s list_exchanges", "");
    stage.run_sorted("rabbitmqctl list_exchanges --formatter pretty_table", "[1mname");
    stage.run("rabbitmqctl list_exchanges -p nosuch");
    stage.run("rabbitmqctl list_exchanges -p nosuch --formatter json");
    stage.run_sorted("rabbitmqctl list_bindings", "source_name\t");
    stage.run_sorted("rabbitmqctl -q list_bindings source_name destination_name", "source_name\t");
    stage.run_sorted("rabbitmqctl list_bindings --formatter json", "[");
    stage.run_sorted("rabbitmqctl list_bindings --formatter csv", "\"source_name\"");
    stage.run_sorted("rabbitmqctl -s list_bindings", "");
    stage.run("rabbitmqctl list_bindings -p nosuch");
}
