//! Queues.

use leveret_tests::{
    client::Client,
    methods::{Properties, basic, queue},
    wire::Table,
};

use crate::ctl::stage::Stage;

/// Columns that have the same values whatever the machine.
const COLUMNS: &str = "name durable auto_delete arguments policy operator_policy exclusive messages_ready \
                       messages_unacknowledged messages consumers state type owner_pid exclusive_consumer_tag";

fn declare(client: &mut Client, name: &str, flags: u8, arguments: &Table) {
    client.call(1, queue::declare(name, flags, arguments), (50, 11)).unwrap();
}

/// Publishes `count` messages of 4 octets; they are there when this returns.
fn fill(client: &mut Client, queue: &str, count: usize) {
    for _ in 0..count {
        client.publish(1, ("", queue, 0), &Properties::persistent(), b"body").unwrap();
    }
    declare(client, queue, queue::PASSIVE, &Table::default());
}

pub(super) fn lists(stage: &mut Stage) {
    stage.run("rabbitmqctl list_queues");
    stage.run("rabbitmqctl list_queues --formatter json");
    stage.run("rabbitmqctl list_queues --formatter csv");
    stage.run("rabbitmqctl list_queues --formatter pretty_table");
    let mut client = stage.client();
    let quotes =
        Table::default().text("x-note", "say \"hi\" \\ there").int("x-number", -7).flag("x-flag", true);
    let nested = Table::default().text("inner", "é");
    let arguments = Table::default().int("x-max-length", 10).text("x-overflow", "reject-publish");
    declare(&mut client, "durable", queue::DURABLE, &arguments);
    declare(
        &mut client,
        "plain",
        0,
        &Table::default().table("x-table", &nested).texts("x-list", &["a", "b"]),
    );
    declare(&mut client, "gone soon", queue::AUTO_DELETE | queue::DURABLE, &quotes);
    declare(&mut client, "mine", queue::EXCLUSIVE, &Table::default());
    declare(&mut client, "quo\"te,d", queue::DURABLE, &Table::default());
    declare(&mut client, "tab\tnew\nline", queue::DURABLE, &Table::default());
    declare(&mut client, "ünï", queue::DURABLE, &Table::default());
    fill(&mut client, "durable", 3);
    fill(&mut client, "plain", 5);
    for _ in 0..2 {
        client.get(1, "plain").unwrap();
    }
    client.call(1, basic::consume("mine", "tag-1", basic::EXCLUSIVE, &Table::default()), (60, 21)).unwrap();
    stage.run_sorted("rabbitmqctl list_queues", "name\t");
    stage.run_sorted("rabbitmqctl -q list_queues", "name\t");
    stage.run_sorted("rabbitmqctl -s list_queues", "");
    stage.run_sorted("rabbitmqctl list_queues --no-table-headers", "Listing");
    stage.run_sorted("rabbitmqctl list_queues --formatter json", "[");
    stage.run_sorted("rabbitmqctl list_queues --formatter csv", "\"name\"");
    stage.run_sorted("rabbitmqctl list_queues -q --formatter csv --no-table-headers name messages", "");
    stage.run_sorted("rabbitmqctl list_queues --formatter pretty_table name messages", "[1mname");
    stage.run_sorted("rabbitmqctl list_queues --formatter json_stream name messages", "");
    stage.run_sorted("rabbitmqctl list_queues messages,name -q", "messages\t");
    stage.run_sorted("rabbitmqctl list_queues name name -q", "name");
    stage.run_sorted(&format!("rabbitmqctl list_queues -q {COLUMNS}"), "name\t");
    stage.run_sorted(&format!("rabbitmqctl list_queues {COLUMNS} --formatter json"), "[");
    stage.run_sorted("rabbitmqctl list_queues -q name arguments --formatter csv", "\"name\"");
    stage.run_sorted("rabbitmqctl list_queues -q name arguments --formatter pretty_table", "[1mname");
    stage.run_sorted(
        "rabbitmqctl list_queues -q name messages_persistent message_bytes message_bytes_ready \
         message_bytes_unacknowledged message_bytes_persistent",
        "name\t",
    );
    stage.run_sorted("rabbitmqctl list_queues -q name head_message_timestamp effective_policy_definition leader members online", "name\t");
    stage.run_sorted(
        "rabbitmqctl list_queues -q name effective_policy_definition leader members online --formatter json",
        "[",
    );
    stage.run_sorted("rabbitmqctl list_queues -q name exclusive_consumer_pid pid", "name\t");
    stage.run_sorted("rabbitmqctl list_queues --online name -q", "name");
    stage.run("rabbitmqctl list_queues --offline name -q");
    stage.run_sorted("rabbitmqctl list_queues --local name -q", "name");
    stage.run("rabbitmqctl list_queues -p nosuch");
    stage.run("rabbitmqctl list_queues -p nosuch --formatter json");
    stage.run("rabbitmqctl list_queues --vhost=nosuch -q");
}

pub(super) fn change(stage: &mut Stage) {
    let mut client = stage.client();
    for name in ["a", "b", "c", "d", "e"] {
        declare(&mut client, name, queue::DURABLE, &Table::default());
        fill(&mut client, name, 2);
    }
    declare(&mut client, "mine", queue::EXCLUSIVE, &Table::default());
    declare(&mut client, "empty", queue::DURABLE, &Table::default());
    client.call(1, basic::consume("b", "tag-1", 0, &Table::default()), (60, 21)).unwrap();
    for command in [
        "rabbitmqctl purge_queue a",
        "rabbitmqctl purge_queue nosuch",
        "rabbitmqctl purge_queue -p nosuch a",
        "rabbitmqctl purge_queue ''",
        "rabbitmqctl -q purge_queue d",
        "rabbitmqctl purge_queue c --formatter json",
        "rabbitmqctl purge_queue mine",
        "rabbitmqctl delete_queue a",
        "rabbitmqctl delete_queue a",
        "rabbitmqctl delete_queue nosuch -p nosuch",
        "rabbitmqctl delete_queue ''",
        "rabbitmqctl delete_queue b --if-unused",
        "rabbitmqctl delete_queue b -u",
        "rabbitmqctl delete_queue e --if-empty",
        "rabbitmqctl delete_queue e -e -u",
        "rabbitmqctl delete_queue empty -e -u",
        "rabbitmqctl delete_queue e --formatter json",
        "rabbitmqctl -q delete_queue c",
        "rabbitmqctl -s delete_queue d",
        "rabbitmqctl delete_queue mine",
        "rabbitmqctl delete_queue b",
        "rabbitmqctl list_queues",
    ] {
        stage.run(command);
    }
}
