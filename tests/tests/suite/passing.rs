//! What the system refuses for a moment is tried again, and stops no queue.

use leveret_tests::{
    broker::{Broker, Options},
    methods::{Properties, basic, confirm, queue},
    numbered::{body, number},
    process,
    wait::{PATIENCE, until},
    wire::Table,
};

#[test]
fn a_message_for_which_no_descriptor_is_left_is_read_once_there_is_one() {
    // The smallest slots: the body is a file of its own, which is opened to be read.
    let mut broker = Broker::start_with(Options::config("leveret.slot_size = 1MiB\n"));
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    client.call(1, queue::declare("large", queue::DURABLE, &Table::default()), (50, 11)).expect("a queue");
    client.publish(1, ("", "large", 0), &Properties::persistent(), &body(7, 300_000)).expect("a publish");
    client.expect_method(1, (60, 80)).expect("a confirm");
    assert!(broker.stop().success());
    broker.restart();
    let mut client = broker.channel();
    process::limit_descriptors(broker.pid(), 1);
    client.method(1, basic::get("large", true)).expect("a method");
    until("the read is put off", PATIENCE, || broker.log().contains("trying again: ").then_some(()));
    process::limit_descriptors(broker.pid(), 1024);
    let got = client.expect_method(1, (60, 71)).expect("the message");
    let content = client.content(got).expect("its content");
    assert_eq!(number(&content.body), Some(7));
    assert!(broker.stop().success());
}
