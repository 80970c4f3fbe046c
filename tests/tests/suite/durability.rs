//! What a restart keeps and what it drops; what a kill may not tear apart.

use std::time::Duration;

use leveret_tests::{
    broker::Broker,
    client::Client,
    methods::{Properties, basic, confirm, exchange, queue, tx},
    wait::{PATIENCE, pass, until},
    wire::Table,
};

fn none() -> Table {
    Table::default()
}

/// Declares `name` and checks the answer.
fn declare(client: &mut Client, name: &str, flags: u8) {
    let declare = queue::declare(name, flags, &none());
    client.call(1, declare, (50, 11)).expect("a queue");
}

/// Ready messages of a queue; `None` when there is no such queue. A channel of its own is spent on the question.
fn ready(broker: &Broker, name: &str) -> Option<u32> {
    let mut client = broker.channel();
    let declare = queue::declare(name, queue::PASSIVE, &none());
    let answer = client.call(1, declare, (50, 11)).ok()?;
    let mut arguments = answer.arguments();
    arguments.short()?;
    arguments.u32()
}

fn exchange_exists(broker: &Broker, name: &str) -> bool {
    let mut client = broker.channel();
    let declare = exchange::declare(name, "direct", exchange::PASSIVE, &none());
    client.call(1, declare, (40, 11)).is_ok()
}

/// Publishes with a confirm.
fn publish(client: &mut Client, place: (&str, &str), properties: &Properties, body: &[u8]) {
    client.publish(1, (place.0, place.1, 0), properties, body).expect("a publish");
    client.expect_method(1, (60, 80)).expect("a confirm");
}

/// Durable and passing things of every kind, with a message in each queue.
fn prepare(broker: &Broker) -> Client {
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    declare(&mut client, "durable", queue::DURABLE);
    declare(&mut client, "durable-auto-delete", queue::DURABLE | queue::AUTO_DELETE);
    declare(&mut client, "passing", 0);
    declare(&mut client, "exclusive", queue::EXCLUSIVE);
    for (name, flags) in [("source", exchange::DURABLE), ("target", exchange::DURABLE), ("brief", 0)] {
        let declare = exchange::declare(name, "direct", flags, &none());
        client.call(1, declare, (40, 11)).expect("an exchange");
    }
    let between = exchange::bind("target", "source", "k", &none());
    client.call(1, between, (40, 31)).expect("a binding between exchanges");
    client.call(1, queue::bind("durable", "target", "k", &none()), (50, 21)).expect("a binding");
    for name in ["durable", "durable-auto-delete", "passing", "exclusive"] {
        publish(&mut client, ("", name), &Properties::persistent(), name.as_bytes());
    }
    publish(&mut client, ("", "durable"), &Properties::default(), b"transient");
    publish(&mut client, ("source", "k"), &Properties::persistent(), b"through two exchanges");
    client
}

/// After a restart: what is durable is there and works, the rest is not.
fn check_what_is_left(broker: &Broker) {
    assert_eq!(ready(broker, "durable"), Some(2), "two persistent messages and no transient one");
    assert_eq!(ready(broker, "durable-auto-delete"), Some(1));
    assert_eq!(ready(broker, "passing"), None);
    assert_eq!(ready(broker, "exclusive"), None);
    assert!(exchange_exists(broker, "source") && exchange_exists(broker, "target"));
    assert!(!exchange_exists(broker, "brief"));
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    publish(&mut client, ("source", "k"), &Properties::persistent(), b"after the restart");
    for expected in ["durable", "through two exchanges", "after the restart"] {
        let content = client.get(1, "durable").expect("an answer").expect("a message");
        assert_eq!(String::from_utf8_lossy(&content.body), expected);
        assert_eq!(content.properties, Properties::persistent().bytes());
    }
    assert!(client.get(1, "durable").expect("an answer").is_none());
}

#[test]
fn a_stop_and_start_keeps_what_is_durable_and_drops_the_rest() {
    let mut broker = Broker::start();
    let client = prepare(&broker);
    assert!(broker.stop().success());
    drop(client);
    broker.restart();
    check_what_is_left(&broker);
}

#[test]
fn a_kill_keeps_what_is_durable_and_drops_the_rest() {
    let mut broker = Broker::start();
    let client = prepare(&broker);
    broker.kill();
    drop(client);
    broker.restart();
    check_what_is_left(&broker);
}

#[test]
fn what_was_deleted_or_purged_stays_so_after_a_kill() {
    let mut broker = Broker::start();
    let mut client = prepare(&broker);
    declare(&mut client, "purged", queue::DURABLE);
    publish(&mut client, ("", "purged"), &Properties::persistent(), b"purged");
    client.call(1, queue::purge("purged"), (50, 31)).expect("a purge");
    client.call(1, queue::unbind("durable", "target", "k", &none()), (50, 51)).expect("an unbind");
    client.call(1, queue::delete("durable-auto-delete", 0), (50, 41)).expect("a delete");
    client.call(1, exchange::delete("source", 0), (40, 21)).expect("a delete");
    broker.kill();
    broker.restart();
    assert_eq!(ready(&broker, "purged"), Some(0));
    assert_eq!(ready(&broker, "durable-auto-delete"), None);
    assert!(!exchange_exists(&broker, "source"));
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    publish(&mut client, ("target", "k"), &Properties::persistent(), b"unbound");
    assert_eq!(ready(&broker, "durable"), Some(2));
}

#[test]
fn acked_messages_do_not_come_back_after_a_clean_stop_and_unacked_ones_come_redelivered() {
    let mut broker = Broker::start();
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    declare(&mut client, "q", queue::DURABLE);
    for number in 0..4_u8 {
        publish(&mut client, ("", "q"), &Properties::persistent(), &[number]);
    }
    for _ in 0..2 {
        let get_ok = client.call(1, basic::get("q", false), (60, 71)).expect("a message");
        client.content(get_ok).expect("its content");
    }
    client.method(1, basic::ack(1, false)).expect("an ack");
    client.call(1, basic::qos(0, 0, false), (60, 11)).expect("the ack was handled");
    assert!(broker.stop().success());
    broker.restart();
    let mut client = broker.channel();
    for (number, redelivered) in [(1, true), (2, false), (3, false)] {
        let content = client.get(1, "q").expect("an answer").expect("a message");
        let mut arguments = content.method.arguments();
        arguments.u64().expect("a tag");
        assert_eq!((content.body[0], arguments.bit()), (number, Some(redelivered)));
    }
    assert!(client.get(1, "q").expect("an answer").is_none());
}

/// Three durable queues and a channel in transactions.
fn transactional(broker: &Broker) -> Client {
    let mut client = broker.channel();
    for name in ["tx-0", "tx-1", "tx-2"] {
        declare(&mut client, name, queue::DURABLE);
    }
    client.call(1, tx::select(), (90, 11)).expect("transactions");
    client
}

/// Twenty messages to each of the three queues, not committed.
fn publish_uncommitted(client: &mut Client) {
    for number in 0..60 {
        let key = format!("tx-{}", number % 3);
        let body = vec![b'.'; 1 + number * 100];
        client.publish(1, ("", &key, 0), &Properties::persistent(), &body).expect("a publish");
    }
}

fn tx_counts(broker: &Broker) -> [Option<u32>; 3] {
    ["tx-0", "tx-1", "tx-2"].map(|name| ready(broker, name))
}

#[test]
fn an_uncommitted_transaction_leaves_nothing_and_a_committed_one_all_after_a_kill() {
    let mut broker = Broker::start();
    let mut client = transactional(&broker);
    publish_uncommitted(&mut client);
    client.call(1, tx::commit(), (90, 21)).expect("a commit");
    publish_uncommitted(&mut client);
    client.call(1, basic::qos(0, 0, false), (60, 11)).expect("all was handled");
    broker.kill();
    broker.restart();
    assert_eq!(tx_counts(&broker), [Some(20); 3]);
}

#[test]
fn a_kill_in_the_middle_of_a_commit_leaves_all_of_it_or_nothing() {
    let mut broker = Broker::start();
    let mut before = 0;
    drop(transactional(&broker));
    for round in 0..8 {
        let mut client = transactional(&broker);
        publish_uncommitted(&mut client);
        client.call(1, basic::qos(0, 0, false), (60, 11)).expect("all was handled");
        client.method(1, tx::commit()).expect("a commit");
        // Somewhere between the commit's arrival and its answer.
        pass(Duration::from_micros(150 * round));
        broker.kill();
        let answered = client.expect_method(1, (90, 21)).is_ok();
        broker.restart();
        let counts = tx_counts(&broker);
        let after = counts[0].expect("a durable queue");
        assert!(counts.iter().all(|count| *count == Some(after)), "round {round}: torn: {counts:?}");
        assert!(after == before || after == before + 20, "round {round}: {before} became {after}");
        assert!(!answered || after == before + 20, "round {round}: an answered commit is gone");
        before = after;
    }
}

#[test]
fn a_rolled_back_transaction_gives_its_acks_back() {
    let broker = Broker::start();
    let mut client = transactional(&broker);
    publish_uncommitted(&mut client);
    client.call(1, tx::rollback(), (90, 31)).expect("a rollback");
    assert_eq!(tx_counts(&broker), [Some(0); 3]);
    client.publish(1, ("", "tx-0", 0), &Properties::persistent(), b"kept").expect("a publish");
    client.call(1, tx::commit(), (90, 21)).expect("a commit");
    let get_ok = client.call(1, basic::get("tx-0", false), (60, 71)).expect("a message");
    client.content(get_ok).expect("its content");
    client.method(1, basic::ack(1, false)).expect("an ack");
    client.call(1, tx::rollback(), (90, 31)).expect("a rollback");
    drop(client);
    until("the message is back", PATIENCE, || (ready(&broker, "tx-0") == Some(1)).then_some(()));
}
