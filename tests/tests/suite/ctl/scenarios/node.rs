//! The node: status, health checks, limits, and the names of other tools.

use crate::ctl::stage::Stage;

pub(super) fn status(stage: &mut Stage) {
    for command in [
        "rabbitmqctl status",
        "rabbitmqctl -q status --unit mib",
        "rabbitmqctl -s status",
        "rabbitmq-diagnostics status",
        "rabbitmqctl environment",
        "rabbitmqctl cluster_status",
        "rabbitmqctl list_feature_flags",
    ] {
        stage.run(command);
    }
}

pub(super) fn checks(stage: &mut Stage) {
    for command in [
        "rabbitmqctl ping",
        "rabbitmqctl ping -q",
        "rabbitmqctl ping -s",
        "rabbitmqctl ping --formatter json",
        "rabbitmqctl ping --timeout 5",
        "rabbitmq-diagnostics ping",
        "rabbitmqctl await_startup",
        "rabbitmqctl await_startup -q --timeout 5",
        "rabbitmqctl await_startup --formatter json",
        "rabbitmq-diagnostics check_running",
        "rabbitmq-diagnostics check_running -q",
        "rabbitmq-diagnostics check_running -s",
        "rabbitmq-diagnostics check_running --formatter json",
        "rabbitmq-diagnostics check_local_alarms",
        "rabbitmq-diagnostics check_local_alarms -q",
        "rabbitmq-diagnostics check_local_alarms --formatter json",
        "rabbitmq-diagnostics check_alarms",
        "rabbitmq-diagnostics check_alarms -s",
        "rabbitmq-diagnostics check_alarms --formatter json",
        "rabbitmq-diagnostics alarms",
        "rabbitmq-diagnostics alarms -q",
        "rabbitmq-diagnostics check_port_connectivity",
        "rabbitmq-diagnostics check_port_connectivity -q",
        "rabbitmq-diagnostics check_port_connectivity -s",
        "rabbitmq-diagnostics check_port_connectivity --address 127.0.0.1",
        "rabbitmq-diagnostics check_port_listener 1",
        "rabbitmq-diagnostics check_port_listener abc",
        "rabbitmq-diagnostics check_port_listener 1 --formatter json",
        "rabbitmq-diagnostics check_protocol_listener amqp",
        "rabbitmq-diagnostics check_protocol_listener mqtt",
        "rabbitmq-diagnostics check_virtual_hosts",
        "rabbitmq-diagnostics check_virtual_hosts -q",
        "rabbitmq-diagnostics check_virtual_hosts --formatter json",
        "rabbitmq-diagnostics is_running",
        "rabbitmq-diagnostics is_booting",
        "rabbitmq-diagnostics server_version",
        "rabbitmq-diagnostics listeners",
        "rabbitmqctl node_health_check",
        "rabbitmqctl -n NODE list_vhosts",
        "rabbitmqctl --node NODE list_vhosts -q",
    ] {
        stage.run(command);
    }
    let port = stage.amqp().port();
    stage.run(&format!("rabbitmq-diagnostics check_port_listener {port}"));
    stage.run(&format!("rabbitmq-diagnostics check_port_listener {port} -q"));
    stage.run(&format!("rabbitmq-diagnostics check_port_listener {port} --formatter json"));
}

pub(super) fn limits(stage: &mut Stage) {
    for command in [
        "rabbitmqctl set_vm_memory_high_watermark 0.55",
        "rabbitmqctl set_vm_memory_high_watermark 1.5",
        "rabbitmqctl set_vm_memory_high_watermark -0.5",
        "rabbitmqctl set_vm_memory_high_watermark abc",
        "rabbitmqctl set_vm_memory_high_watermark 0.5x",
        "rabbitmqctl set_vm_memory_high_watermark 1",
        "rabbitmqctl set_vm_memory_high_watermark absolute 2GB",
        "rabbitmqctl set_vm_memory_high_watermark absolute 2000000000",
        "rabbitmqctl set_vm_memory_high_watermark absolute 2GiB",
        "rabbitmqctl set_vm_memory_high_watermark absolute lots",
        "rabbitmqctl set_vm_memory_high_watermark absolute",
        "rabbitmqctl set_vm_memory_high_watermark relative 0.4",
        "rabbitmqctl -q set_vm_memory_high_watermark 0.6",
        "rabbitmqctl set_disk_free_limit 60MB",
        "rabbitmqctl set_disk_free_limit 60000000",
        "rabbitmqctl set_disk_free_limit lots",
        "rabbitmqctl set_disk_free_limit 1.5",
        "rabbitmqctl set_disk_free_limit -5",
        "rabbitmqctl set_disk_free_limit mem_relative 0.001",
        "rabbitmqctl set_disk_free_limit mem_relative abc",
        "rabbitmqctl set_disk_free_limit mem_relative -1",
        "rabbitmqctl set_disk_free_limit mem_relative",
        "rabbitmqctl set_disk_free_limit absolute 5",
        "rabbitmqctl -q set_disk_free_limit 50MB",
    ] {
        stage.run(command);
    }
    // An alarm: the memory that is in use is more than nothing.
    stage.run("rabbitmqctl set_vm_memory_high_watermark 0");
    stage.wait_for("rabbitmq-diagnostics check_local_alarms -q", 69);
    for command in [
        "rabbitmq-diagnostics check_local_alarms",
        "rabbitmq-diagnostics check_local_alarms -q",
        "rabbitmq-diagnostics check_local_alarms -s",
        "rabbitmq-diagnostics check_local_alarms --formatter json",
        "rabbitmq-diagnostics check_alarms",
        "rabbitmq-diagnostics check_alarms --formatter json",
        "rabbitmq-diagnostics alarms",
        "rabbitmqctl set_vm_memory_high_watermark 0.6",
    ] {
        stage.run(command);
    }
    stage.wait_for("rabbitmq-diagnostics check_local_alarms -q", 0);
}

pub(super) fn other_tools(stage: &mut Stage) {
    for command in [
        "rabbitmq-queues check_if_node_is_quorum_critical",
        "rabbitmq-queues check_if_node_is_mirror_sync_critical",
        "rabbitmq-upgrade await_online_quorum_plus_one -t 5",
        "rabbitmq-upgrade post_upgrade",
        "rabbitmq-plugins is_enabled rabbitmq_management",
    ] {
        stage.run(command);
    }
}

pub(super) fn certificates_and_process(stage: &mut Stage) {
    for command in [
        "rabbitmq-diagnostics check_certificate_expiration",
        "rabbitmq-diagnostics check_certificate_expiration -q --within 1 --unit months",
        "rabbitmq-diagnostics check_certificate_expiration -s --unit days",
        "rabbitmq-diagnostics check_certificate_expiration --within 2 --unit years --formatter json",
        "rabbitmq-diagnostics check_certificate_expiration --unit fortnights",
        "rabbitmq-diagnostics check_certificate_expiration --within x",
        "rabbitmqctl rotate_logs",
        "rabbitmqctl wait",
        "rabbitmqctl wait FOLDER/nosuch.pid --pid 1",
        "rabbitmqctl -n NODE wait FOLDER/nosuch.pid -t 1",
    ] {
        stage.run(command);
    }
    // No process has this id.
    stage.run("rabbitmqctl wait --pid 999999999");
    stage.run_head("rabbitmqctl report", 5);
}
