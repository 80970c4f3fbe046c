//! The application stopped within its process, and the process stopped.

use leveret_tests::{
    client::{Client, Event},
    describe::describe,
    methods::{Properties, connection, exchange, queue},
    wait::PATIENCE,
    wire::Table,
};

use crate::ctl::stage::Stage;

pub(super) fn stop_and_start(stage: &mut Stage) {
    let mut client = stage.client();
    let none = Table::default();
    for (name, flags) in [("durable", queue::DURABLE), ("transient", 0), ("mine", queue::EXCLUSIVE)] {
        client.call(1, queue::declare(name, flags, &none), (50, 11)).unwrap();
        client.publish(1, ("", name, 0), &Properties::persistent(), b"body").unwrap();
        client.publish(1, ("", name, 0), &Properties::default(), b"body").unwrap();
    }
    for (name, flags) in [("kept", exchange::DURABLE), ("lost", 0)] {
        client.call(1, exchange::declare(name, "fanout", flags, &none), (40, 11)).unwrap();
        client.call(1, queue::bind("durable", name, "", &none), (50, 21)).unwrap();
    }
    stage.run("rabbitmqctl add_vhost v1");
    stage.run("rabbitmqctl stop_app");
    let Event::Frame(close) = client.next(PATIENCE) else { panic!("no connection.close came") };
    assert!(describe(&close).contains("connection.close 320"), "{}", describe(&close));
    // The socket may be gone already.
    let _ = client.method(0, connection::close_ok());
    drop(client);
    assert!(Client::connect(stage.amqp()).is_err(), "nobody listens");
    for command in [
        "rabbitmqctl stop_app",
        "rabbitmqctl ping",
        "rabbitmqctl status",
        "rabbitmqctl list_queues",
        "rabbitmqctl list_queues --formatter json",
        "rabbitmqctl list_users",
        "rabbitmqctl list_connections",
        "rabbitmqctl add_user late x",
        "rabbitmqctl add_vhost late",
        "rabbitmqctl purge_queue durable",
        "rabbitmqctl delete_queue durable",
        "rabbitmqctl close_all_connections --global why",
        "rabbitmqctl set_vm_memory_high_watermark 0.5",
        "rabbitmqctl environment",
        "rabbitmqctl cluster_status",
        "rabbitmqctl export_definitions -",
        "rabbitmqctl await_startup --timeout 1",
        "rabbitmq-diagnostics check_running",
        "rabbitmq-diagnostics check_running -q",
        "rabbitmq-diagnostics check_running --formatter json",
        "rabbitmq-diagnostics check_local_alarms",
        "rabbitmq-diagnostics check_port_connectivity",
        "rabbitmq-diagnostics check_port_listener 1",
        "rabbitmq-diagnostics is_running",
        "rabbitmqctl -q start_app",
        "rabbitmqctl start_app",
        "rabbitmqctl await_startup",
        "rabbitmq-diagnostics check_running",
        "rabbitmqctl list_connections",
    ] {
        stage.run(command);
    }
    stage.run_sorted("rabbitmqctl list_vhosts", "name");
    stage.run_sorted("rabbitmqctl list_queues", "name\t");
    stage.run_sorted("rabbitmqctl -q list_exchanges", "name\t");
    stage.run_sorted("rabbitmqctl -q list_bindings", "source_name\t");
    stage.run("rabbitmqctl -q stop_app");
    stage.run("rabbitmqctl -s start_app");
    drop(stage.client());
}

pub(super) fn stop(stage: &mut Stage) {
    stage.run("rabbitmqctl stop");
    stage.wait_for("rabbitmqctl -q ping", 69);
    for command in [
        "rabbitmqctl -q ping",
        "rabbitmqctl status",
        "rabbitmqctl list_queues",
        "rabbitmqctl stop",
        "rabbitmqctl stop --idempotent",
        "rabbitmqctl stop_app",
        "rabbitmqctl await_startup -t 1",
        "rabbitmq-diagnostics check_running",
        "rabbitmqctl list_users --formatter json",
    ] {
        stage.run(command);
    }
}
