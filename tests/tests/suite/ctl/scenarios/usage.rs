//! Commands, options and arguments that are wrong, and help.

use crate::ctl::stage::Stage;

/// Commands and how many arguments they take at least and at most.
const COMMANDS: &[(&str, usize, usize)] = &[
    ("status", 0, 0),
    ("ping", 0, 0),
    ("await_startup", 0, 0),
    ("version", 0, 0),
    ("environment", 0, 0),
    ("cluster_status", 0, 0),
    ("list_feature_flags", 0, 9),
    ("list_users", 0, 0),
    ("list_permissions", 0, 0),
    ("list_user_permissions", 1, 1),
    ("add_user", 1, 2),
    ("delete_user", 1, 1),
    ("change_password", 1, 2),
    ("authenticate_user", 1, 2),
    ("set_user_tags", 1, 9),
    ("set_permissions", 4, 4),
    ("clear_permissions", 1, 1),
    ("add_vhost", 1, 1),
    ("delete_vhost", 1, 1),
    ("purge_queue", 1, 1),
    ("delete_queue", 1, 1),
    ("close_connection", 2, 2),
    ("close_all_connections", 1, 1),
    ("set_vm_memory_high_watermark", 1, 2),
    ("set_disk_free_limit", 1, 2),
    ("export_definitions", 1, 1),
    ("import_definitions", 0, 1),
    ("stop", 0, 1),
    ("stop_app", 0, 0),
    ("start_app", 0, 0),
];

const DIAGNOSTICS: &[(&str, usize, usize)] = &[
    ("check_running", 0, 0),
    ("check_local_alarms", 0, 0),
    ("check_alarms", 0, 0),
    ("check_port_connectivity", 0, 0),
    ("check_port_listener", 1, 1),
    ("check_virtual_hosts", 0, 0),
];

const LISTS: &[&str] = &[
    "list_queues",
    "list_exchanges",
    "list_bindings",
    "list_connections",
    "list_channels",
    "list_consumers",
    "list_vhosts",
];

pub(super) fn arguments(stage: &mut Stage) {
    for (program, commands) in [("rabbitmqctl", COMMANDS), ("rabbitmq-diagnostics", DIAGNOSTICS)] {
        for (command, least, most) in commands {
            // import_definitions without a file and a password that is not given are read from standard input.
            if *least > 0 {
                let words = " a b c d e".get(..2 * (least - 1)).unwrap_or_default();
                stage.run(&format!("{program} {command}{words}"));
            }
            if *most < 9 {
                let words = " a b c d e f".get(..2 * (most + 1)).unwrap_or_default();
                stage.run(&format!("{program} {command}{words}"));
            }
        }
    }
    for command in LISTS {
        stage.run(&format!("rabbitmqctl {command} nosuch"));
        stage.run(&format!("rabbitmqctl {command} name nosuch,neither other"));
    }
    stage.run("rabbitmqctl list_queues name 'messages consumers'");
    stage.run("rabbitmqctl list_queues ''");
    stage.run("rabbitmqctl list_queues NAME");
}

pub(super) fn options(stage: &mut Stage) {
    for command in [
        "rabbitmqctl list_queues --nope",
        "rabbitmqctl list_queues --nope=3 --neither",
        "rabbitmqctl list_queues -x",
        "rabbitmqctl --nope list_queues",
        "rabbitmqctl list_queues --timeout abc",
        "rabbitmqctl list_queues --timeout -5",
        "rabbitmqctl list_queues --timeout 1.5",
        "rabbitmqctl list_queues -t",
        "rabbitmqctl list_queues -p",
        "rabbitmqctl list_users --timeout 0",
        "rabbitmqctl list_queues --timeout 0",
        "rabbitmqctl list_queues --timeout 5",
        "rabbitmqctl list_queues --formatter xml",
        "rabbitmqctl list_queues --formatter",
        "rabbitmqctl list_users --online",
        "rabbitmqctl list_users -p /",
        "rabbitmqctl list_queues --online --offline",
        "rabbitmqctl list_queues --online --local",
        "rabbitmqctl list_users --no-table-headers",
        "rabbitmqctl list_users --no-table-headers=true",
        "rabbitmqctl list_users --quiet=false",
        "rabbitmqctl ping --unit mb",
        "rabbitmqctl status --unit tb",
        "rabbitmqctl list_users -q -s",
        "rabbitmqctl list_users -qs",
        "rabbitmqctl list_users --silent --formatter json",
        "rabbitmqctl list_users --longnames --dry-run",
        "rabbitmqctl list_users --printer stdio",
        "rabbitmqctl list_users --printer nope",
        "rabbitmqctl list_users --script-name foo",
        "rabbitmqctl -q list_users --formatter table",
        "rabbitmqctl list_users --formatter pretty_table",
        "rabbitmqctl list_users --formatter erlang",
        "rabbitmqctl list_users --formatter json_stream",
        "rabbitmqctl list_users --formatter string",
        "rabbitmqctl list_users --formatter inspect",
        "rabbitmqctl list_users --formatter csv --quiet",
        "rabbitmqctl add_user --formatter json u1 p1",
        "rabbitmqctl add_user --formatter csv u2 p1",
        "rabbitmqctl add_user --formatter pretty_table u3 p1",
        "rabbitmqctl -q add_user u4 p1",
        "rabbitmqctl -s add_user u5 p1",
        "rabbitmqctl add_user --formatter json u1 p1",
        "rabbitmqctl -s add_user u1 p1",
        "rabbitmqctl delete_user nosuch --formatter json",
        "rabbitmqctl delete_user nosuch --formatter csv",
        "rabbitmqctl delete_user nosuch --formatter pretty_table",
    ] {
        stage.run(command);
    }
}

pub(super) fn help(stage: &mut Stage) {
    stage.run_head("rabbitmqctl", 3);
    stage.run_head("rabbitmqctl -q", 3);
    stage.run_head("rabbitmqctl nosuch", 5);
    stage.run_head("rabbitmqctl xyzzy foo", 5);
    stage.run("rabbitmqctl list_queue");
    stage.run("rabbitmqctl lst_users");
    stage.run("rabbitmqctl add_usr a b");
    stage.run("rabbitmqctl check_running");
    stage.run("rabbitmq-diagnostics chek_running");
    stage.run_head("rabbitmqctl help", 3);
    stage.run_head("rabbitmqctl --help", 3);
    stage.run_head("rabbitmqctl help nosuch", 5);
    stage.run_head("rabbitmq-diagnostics", 3);
    stage.run_head("rabbitmq-diagnostics help", 3);
    stage.run_head("rabbitmq-plugins", 3);
    stage.run_head("rabbitmq-queues", 3);
    stage.run_head("rabbitmq-upgrade", 3);
    let commands = COMMANDS.iter().map(|(command, ..)| *command).chain(LISTS.iter().copied());
    for command in commands {
        stage.run_head(&format!("rabbitmqctl help {command}"), 5);
    }
    stage.run_head("rabbitmqctl list_queues --help", 5);
    stage.run_head("rabbitmqctl add_user a b --help", 5);
    for (command, ..) in DIAGNOSTICS {
        stage.run_head(&format!("rabbitmq-diagnostics help {command}"), 5);
    }
    stage.run("rabbitmqctl version");
    stage.run("rabbitmqctl --version");
    stage.run("rabbitmqctl version --formatter json");
}
