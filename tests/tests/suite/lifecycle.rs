//! Starting, stopping, configuring.

use std::{fs, time::Duration};

use leveret_tests::{
    broker::{Broker, Options},
    client::{Client, Event},
    describe::describe,
    login::{Login, plain},
    methods::{Properties, confirm, connection, queue},
    process,
    wait::PATIENCE,
    wire::{self, Table},
};

#[test]
fn sigterm_tells_clients_320_and_ends_with_0() {
    let mut broker = Broker::start();
    let mut client = broker.channel();
    process::terminate(broker.pid());
    let Event::Frame(close) = client.next(PATIENCE) else {
        panic!("no connection.close came");
    };
    assert_eq!(
        describe(&close),
        "connection.close 320 \"CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'\" 0 0"
    );
    // The broker may be gone before it is answered.
    let _ = client.method(0, connection::close_ok());
    assert!(client.read_to_close(PATIENCE).is_some());
    assert_eq!(broker.wait_exit().code(), Some(0));
}

#[test]
fn sigterm_does_not_wait_for_ever_for_a_client_that_never_answers() {
    let mut broker = Broker::start();
    let silent = broker.channel();
    assert_eq!(broker.stop().code(), Some(0));
    drop(silent);
}

#[test]
fn a_client_that_has_close_ok_closes_the_socket_itself() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.call(0, connection::close(), (10, 51)).expect("close-ok");
    // A second thread of the client may ask as well; the socket is still whole for it, and silent.
    client.method(0, connection::close()).expect("a socket that is open");
    assert!(matches!(client.next(Duration::from_millis(100)), Event::Silence), "the broker closed first");
}

#[test]
fn a_second_owner_of_a_data_folder_is_refused_and_the_first_goes_on() {
    let mut broker = Broker::start();
    let (status, said) = broker.run_another(&broker.data_dir());
    assert!(!status.success(), "the second owner was let in");
    let folder = broker.data_dir();
    assert!(said.contains(&*folder.to_string_lossy()), "no word of the folder in: {said}");
    assert!(broker.is_alive());
    broker.client().call(0, connection::close(), (10, 51)).expect("service");
}

#[test]
fn a_killed_owner_does_not_keep_its_data_folder() {
    let mut broker = Broker::start();
    broker.kill();
    broker.restart();
    broker.client().call(0, connection::close(), (10, 51)).expect("service");
}

#[test]
fn an_unknown_key_is_a_warning_with_file_and_line() {
    let broker = Broker::start_with(Options::config("# a comment\nno.such.key = 1\nheartbeat = 61\n"));
    let place = format!("{}:2", broker.config_path().display());
    let log = broker.log();
    let line = log.lines().find(|line| line.contains("no.such.key"));
    let line = line.unwrap_or_else(|| panic!("no word of the key in: {log}"));
    assert!(line.contains(&place) && line.contains("WARN"), "{line}");
    let mut client = Client::start(broker.amqp()).expect("a start");
    client.tune(&Login::default()).expect("the other keys count");
}

#[test]
fn an_unusable_value_is_refused_with_file_and_line() {
    for bad in ["heartbeat = soon", "frame_max = -1", "vm_memory_high_watermark.absolute = lots", "heartbeat"]
    {
        let mut broker = Broker::prepare(Options::config(&format!("channel_max = 100\n{bad}\n")));
        broker.launch();
        let status = broker.wait_exit();
        assert!(!status.success(), "{bad} was taken");
        let place = format!("{}:2", broker.config_path().display());
        let log = broker.log();
        assert!(log.contains(&place), "{bad}: no word of {place} in: {log}");
    }
}

#[test]
fn settings_of_the_file_reach_the_client() {
    let lines = "heartbeat = 17\nchannel_max = 33\nframe_max = 8192\n";
    let broker = Broker::start_with(Options::config(lines));
    let mut client = Client::start(broker.amqp()).expect("a start");
    let login = Login::default();
    let start_ok = connection::start_ok(&login.properties, &login.mechanism, &login.response);
    let tune = client.call(0, start_ok, (10, 30)).expect("a tune");
    assert_eq!(describe(&tune), "connection.tune 33 8192 17");
}

#[test]
fn the_first_user_comes_from_the_environment() {
    let environment = [
        ("RABBITMQ_DEFAULT_USER", "anna"),
        ("RABBITMQ_DEFAULT_PASS", "secret word"),
        ("RABBITMQ_DEFAULT_VHOST", "shop"),
    ];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let broker = Broker::start_with(Options { environment, ..Options::default() });
    let anna = Login { response: plain("anna", "secret word"), vhost: "shop".into(), ..Login::default() };
    Client::login_with(broker.amqp(), &anna).expect("anna's login");
    assert!(Client::login(broker.amqp()).is_err(), "guest is there too");
}

#[test]
fn the_start_announces_rabbitmq_and_nine_capabilities() {
    let broker = Broker::start();
    let mut client = Client::connect(broker.amqp()).expect("a connection");
    client.send(wire::PROTOCOL_HEADER).expect("a header");
    let start = client.expect_method(0, (10, 10)).expect("a start");
    let text = start.payload.escape_ascii().to_string();
    assert!(text.contains("\\x07productS\\x00\\x00\\x00\\x08RabbitMQ"), "{text}");
    assert!(text.contains("\\x07versionS\\x00\\x00\\x00\\x054.0.5"), "{text}");
    for capability in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        assert!(text.contains(&format!("{capability}t\\x01")), "{capability} in {text}");
    }
}

#[test]
fn a_stop_flushes_what_was_not_confirmed_yet() {
    let mut broker = Broker::start();
    let mut client = broker.channel();
    let declare = queue::declare("q", queue::DURABLE, &Table::default());
    client.call(1, declare, (50, 11)).expect("a queue");
    for _ in 0..1_000 {
        client.publish(1, ("", "q", 0), &Properties::persistent(), b"unconfirmed").expect("a publish");
    }
    client.call(1, confirm::select(), (85, 11)).expect("all was handled");
    assert!(broker.stop().success());
    broker.restart();
    let mut client = broker.channel();
    let purged = client.call(1, queue::purge("q"), (50, 31)).expect("a purge");
    assert_eq!(purged.arguments().u32(), Some(1_000));
}

#[test]
fn the_data_folder_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let broker = Broker::start();
    let mode = fs::metadata(broker.data_dir()).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o077, 0, "mode {mode:o}");
}
