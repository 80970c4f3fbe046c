//! The limits of virtual hosts and of users.

use crate::ctl::stage::Stage;

pub(super) fn vhosts(stage: &mut Stage) {
    for command in [
        "rabbitmqctl list_vhost_limits",
        "rabbitmqctl list_vhost_limits --global",
        "rabbitmqctl list_vhost_limits --formatter json",
        "rabbitmqctl set_vhost_limits '{\"max-connections\": 10, \"max-queues\": 5}'",
        "rabbitmqctl list_vhost_limits",
        "rabbitmqctl -q list_vhost_limits",
        "rabbitmqctl list_vhost_limits --formatter json",
        "rabbitmqctl list_vhost_limits --global",
        "rabbitmqctl list_vhost_limits --global --formatter json",
        "rabbitmqctl set_vhost_limits '{\"max-queues\": 7}'",
        "rabbitmqctl list_vhost_limits",
        "rabbitmqctl set_vhost_limits '{\"foo\": 10}'",
        "rabbitmqctl set_vhost_limits x",
        "rabbitmqctl set_vhost_limits '{\"max-connections\": \"x\"}'",
        "rabbitmqctl set_vhost_limits",
        "rabbitmqctl set_vhost_limits -p nosuch '{\"max-queues\": 7}'",
        "rabbitmqctl list_vhost_limits -p nosuch",
        "rabbitmqctl clear_vhost_limits -p nosuch",
        "rabbitmqctl clear_vhost_limits",
        "rabbitmqctl clear_vhost_limits",
        "rabbitmqctl list_vhost_limits",
    ] {
        stage.run(command);
    }
}

pub(super) fn users(stage: &mut Stage) {
    for command in [
        "rabbitmqctl list_user_limits",
        "rabbitmqctl list_user_limits --global",
        "rabbitmqctl set_user_limits guest '{\"max-connections\": 10}'",
        "rabbitmqctl set_user_limits guest '{\"max-channels\": 5}'",
        "rabbitmqctl list_user_limits",
        "rabbitmqctl list_user_limits --user guest",
        "rabbitmqctl -q list_user_limits --user guest",
        "rabbitmqctl list_user_limits --user guest --formatter json",
        "rabbitmqctl list_user_limits --user nosuch",
        "rabbitmqctl list_user_limits --global",
        "rabbitmqctl list_user_limits --global --formatter json",
        "rabbitmqctl set_user_limits nosuch '{\"max-channels\": 5}'",
        "rabbitmqctl set_user_limits guest '{\"max-foo\": 10}'",
        "rabbitmqctl set_user_limits guest '{\"max-channels\": \"x\"}'",
        "rabbitmqctl set_user_limits guest x",
        "rabbitmqctl set_user_limits guest",
        "rabbitmqctl clear_user_limits guest max-channels",
        "rabbitmqctl list_user_limits",
        "rabbitmqctl clear_user_limits guest nosuch",
        "rabbitmqctl clear_user_limits nosuch all",
        "rabbitmqctl clear_user_limits guest all",
        "rabbitmqctl list_user_limits --global",
    ] {
        stage.run(command);
    }
}
