//! Changes of access while connections are open.

use std::time::Duration;

use leveret_tests::{
    client::{Client, Event},
    describe::describe,
    login::{Login, plain},
    methods::{Properties, basic, channel, content_header, queue},
    wait::PATIENCE,
    wire::{self, Table},
};
use serde_json::json;

use super::{Answers, Place, compare, script::login_of};

/// What must happen within this time after a change; RabbitMQ's is an event, ours too.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A connection of `user`, logged in, with channel 1 open.
fn client(place: &Place, user: &str, vhost: &str) -> Client {
    let mut client = Client::login_with(place.amqp, &login_of(user, vhost)).expect("a login");
    client.open_channel(1).expect("a channel");
    client
}

fn next(client: &mut Client) -> String {
    match client.next(PATIENCE) {
        Event::Frame(frame) => describe(&frame),
        other => format!("{other:?}"),
    }
}

/// The answer to a method on a channel opened after the change: RabbitMQ's channels remember what they may do.
fn ask_anew(client: &mut Client, number: u16, method: Vec<u8>) -> String {
    client.open_channel(number).expect("another channel");
    client.method(number, method).expect("a method");
    next(client)
}

#[test]
fn what_goes_closes_its_connections() {
    let place = Place::find();
    let api = &place.api;
    let mut answers = Answers::new();
    api.put("/vhosts/m-going", &json!({}));
    api.user("m-gone", "");
    api.grant("m-going", "m-gone", [".*"; 3]);
    api.grant("%2F", "m-gone", [".*"; 3]);
    api.grant("m-going", "guest", [".*"; 3]);

    let mut in_vhost = client(&place, "m-gone", "m-going");
    let mut elsewhere = client(&place, "m-gone", "/");
    in_vhost.call(1, queue::declare("q", queue::DURABLE, &Table::default()), (50, 11)).expect("a queue");
    in_vhost.call(1, basic::consume("q", "t", 0, &Table::default()), (60, 21)).expect("a consumer");
    api.delete("/vhosts/m-going");
    let mut lines = vec![next(&mut in_vhost)];
    while !lines.last().is_some_and(|line| line.starts_with("connection.close") || line == "Silence") {
        lines.push(next(&mut in_vhost));
    }
    answers.insert("delete a vhost".into(), lines);
    elsewhere.call(1, queue::declare("m-q", 0, &Table::default()), (50, 11)).expect("service elsewhere");
    let refused = Client::login_with(place.amqp, &login_of("m-gone", "m-going"));
    assert!(refused.is_err(), "a vhost that is gone was opened");

    api.delete("/users/m-gone");
    answers.insert("delete a user".into(), vec![next(&mut elsewhere)]);
    let refused = Client::login_with(place.amqp, &login_of("m-gone", "/"));
    assert!(refused.is_err(), "a user who is gone logged in");

    let login = Login { vhost: "m-going".into(), ..Login::default() };
    assert!(Client::login_with(place.amqp, &login).is_err(), "the vhost is gone for all");
    Client::login(place.amqp)
        .and_then(|mut guest| {
            guest.open_channel(1)?;
            guest.call(1, queue::delete("m-q", 0), (50, 41)).map(drop)
        })
        .expect("guest cleans up");
    compare("revocation_closes.json", &place, &answers, &[]);
}

#[test]
fn a_password_or_tags_change_leaves_connections_open() {
    let place = Place::find();
    let api = &place.api;
    api.user("m-changed", "");
    api.grant("%2F", "m-changed", [".*"; 3]);
    let mut open = client(&place, "m-changed", "/");
    api.put("/users/m-changed", &json!({"password": "new", "tags": "monitoring"}));
    open.call(1, queue::declare("", queue::EXCLUSIVE, &Table::default()), (50, 11)).expect("service");
    let old = Client::login_with(place.amqp, &login_of("m-changed", "/"));
    assert!(old.is_err(), "the old password still opens");
    let new = Login { response: plain("m-changed", "new"), ..Login::default() };
    Client::login_with(place.amqp, &new).expect("the new password");
    api.put("/users/m-changed", &json!({"tags": ""}));
    assert!(Client::login_with(place.amqp, &new).is_err(), "a user without a password logged in");
    open.open_channel(2).expect("service goes on");
    api.delete("/users/m-changed");
}

#[test]
fn revoked_permissions_count_on_open_connections() {
    let place = Place::find();
    let api = &place.api;
    let mut answers = Answers::new();
    api.user("m-revoked", "");
    api.grant("%2F", "m-revoked", [".*"; 3]);
    let mut open = client(&place, "m-revoked", "/");
    let none = Table::default();
    open.call(1, queue::declare("m-revoked", 0, &none), (50, 11)).expect("a queue");
    open.call(1, basic::consume("m-revoked", "t", basic::NO_ACK, &none), (60, 21)).expect("a consumer");

    api.grant("%2F", "m-revoked", ["", "", ""]);
    let mut number = 1;
    for (what, method) in [
        ("queue.declare", queue::declare("m-new", 0, &none)),
        ("queue.purge", queue::purge("m-revoked")),
        ("queue.delete", queue::delete("m-revoked", 0)),
        ("basic.get", basic::get("m-revoked", true)),
        ("basic.consume", basic::consume("m-revoked", "t2", 0, &none)),
    ] {
        number += 1;
        answers.insert(format!("no permissions: {what}"), vec![ask_anew(&mut open, number, method)]);
    }
    open.open_channel(20).expect("a channel");
    open.publish(20, ("amq.direct", "k", 0), &Properties::default(), b"hello").expect("a publish");
    answers.insert("no permissions: basic.publish".into(), vec![next(&mut open)]);

    // A consumer goes on: what it may do was asked when it began.
    let mut guest = Client::login(place.amqp).expect("guest");
    guest.open_channel(1).expect("a channel");
    guest.publish(1, ("", "m-revoked", 0), &Properties::default(), b"hello").expect("a message");
    let delivered: Vec<String> = (0..3).map(|_| next(&mut open)).collect();
    answers.insert("a consumer goes on".into(), delivered);

    api.delete("/permissions/%2F/m-revoked");
    answers.insert(
        "permission deleted: queue.purge".into(),
        vec![ask_anew(&mut open, 30, queue::purge("m-revoked"))],
    );
    let refused = Client::login_with(place.amqp, &login_of("m-revoked", "/"));
    answers.insert("permission deleted: connection.open".into(), vec![refused.unwrap_err().to_string()]);
    guest.call(1, queue::delete("m-revoked", 0), (50, 41)).expect("guest cleans up");
    api.delete("/users/m-revoked");
    compare("revocation.json", &place, &answers, &[]);
}

/// Ours alone: RabbitMQ's channel remembers for a while what it may do.
#[test]
fn a_channel_that_publishes_all_the_time_learns_of_a_revocation_within_a_second() {
    let broker = leveret_tests::broker::Broker::start();
    let place = Place {
        amqp: broker.amqp(),
        api: leveret_tests::admin::AdminApi::new(broker.http()),
        broker: Some(broker),
    };
    place.api.user("m-busy", "");
    place.api.grant("%2F", "m-busy", [".*"; 3]);
    let mut busy = client(&place, "m-busy", "/");
    busy.call(1, queue::declare("q", 0, &Table::default()), (50, 11)).expect("a queue");
    let publish = |client: &mut Client| {
        for _ in 0..50 {
            let method = basic::publish("", "q", 0);
            let mut bytes = wire::frame(wire::METHOD, 1, &method);
            bytes.extend(wire::frame(wire::HEADER, 1, &content_header(0, &Properties::default())));
            client.send(&bytes).expect("a publish");
        }
    };
    publish(&mut busy);
    busy.call(1, queue::declare("q", queue::PASSIVE, &Table::default()), (50, 11)).expect("all are taken");
    place.api.grant("%2F", "m-busy", [".*", "^other$", ".*"]);
    publish(&mut busy);
    let Event::Frame(close) = busy.next(AT_ONCE) else { panic!("the revocation was not noticed") };
    assert_eq!(
        describe(&close),
        "channel 1: channel.close 403 \"ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' \
         refused for user 'm-busy'\" 60 40"
    );
    busy.method(1, channel::close_ok()).expect("close-ok");
    busy.open_channel(2).expect("a channel");
    let declared = busy.call(2, queue::declare("q", queue::PASSIVE, &Table::default()), (50, 11));
    assert_eq!(
        describe(&declared.expect("the queue")),
        "channel 2: queue.declare-ok \"q\" 50 0",
        "nothing was published after the revocation"
    );
}
