//! Virtual hosts.

use crate::ctl::stage::Stage;

pub(super) fn vhosts(stage: &mut Stage) {
    for command in [
        "rabbitmqctl list_vhosts",
        "rabbitmqctl add_vhost v1",
        "rabbitmqctl add_vhost v1",
        "rabbitmqctl add_vhost v2 --description 'the second' --tags a,b --default-queue-type quorum",
        "rabbitmqctl add_vhost v3 --default-queue-type classic",
        "rabbitmqctl -q add_vhost 'with blank'",
        "rabbitmqctl -s add_vhost slash/ed",
    ] {
        stage.run(command);
    }
    stage.run_sorted("rabbitmqctl list_vhosts", "name");
    stage.run_sorted("rabbitmqctl -q list_vhosts", "name");
    stage.run_sorted("rabbitmqctl -s list_vhosts", "");
    stage.run_sorted("rabbitmqctl list_vhosts --formatter json", "[");
    stage.run_sorted("rabbitmqctl list_vhosts name description tags default_queue_type tracing", "name\t");
    stage.run_sorted(
        "rabbitmqctl list_vhosts name description tags default_queue_type tracing --formatter json",
        "[",
    );
    stage.run_sorted("rabbitmqctl list_vhosts name,cluster_state,metadata -q", "name\t");
    stage.run_sorted("rabbitmqctl list_vhosts name protected_from_deletion -q", "name\t");
    stage.run_sorted("rabbitmqctl list_vhosts name tags --formatter csv", "\"name\"");
    for command in [
        "rabbitmqctl delete_vhost v1",
        "rabbitmqctl delete_vhost v1",
        "rabbitmqctl -q delete_vhost v2",
        "rabbitmqctl delete_vhost 'with blank'",
        "rabbitmqctl delete_vhost v3",
        "rabbitmqctl -s delete_vhost slash/ed",
        "rabbitmqctl list_vhosts",
        "rabbitmqctl delete_vhost /",
        "rabbitmqctl list_vhosts",
        "rabbitmqctl add_vhost /",
        "rabbitmqctl set_permissions guest .* .* .*",
        "rabbitmqctl list_vhosts name description",
    ] {
        stage.run(command);
    }
}
