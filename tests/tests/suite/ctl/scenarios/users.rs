//! Users, tags, passwords, permissions.

use leveret_tests::client::Client;
use leveret_tests::login::{Login, plain};

use crate::ctl::stage::Stage;

pub(super) fn users(stage: &mut Stage) {
    for command in [
        "rabbitmqctl list_users",
        "rabbitmqctl add_user alice wonder",
        "rabbitmqctl add_user alice wonder",
        "rabbitmqctl add_user bob < secret\n",
        "rabbitmqctl add_user dave < \n",
        "rabbitmqctl add_user dave",
        "rabbitmqctl add_user carol x",
        "rabbitmqctl add_user dave ''",
        "rabbitmqctl add_user '' x",
        "rabbitmqctl add_user ' ' x",
        "rabbitmqctl add_user hashed --pre-hashed-password kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
        "rabbitmqctl add_user hashed2 nothash --pre-hashed-password",
        "rabbitmqctl authenticate_user alice wonder",
        "rabbitmqctl authenticate_user alice wrong",
        "rabbitmqctl authenticate_user alice < wonder\n",
        "rabbitmqctl authenticate_user alice < wrong\n",
        "rabbitmqctl authenticate_user bob secret",
        "rabbitmqctl authenticate_user hashed test12",
        "rabbitmqctl authenticate_user nosuch x",
        "rabbitmqctl authenticate_user alice ''",
        "rabbitmqctl change_password alice changed",
        "rabbitmqctl change_password alice < changed2\n",
        "rabbitmqctl authenticate_user alice changed2",
        "rabbitmqctl authenticate_user alice wonder",
        "rabbitmqctl change_password nosuch x",
        "rabbitmqctl change_password alice ''",
        "rabbitmqctl clear_password alice",
        "rabbitmqctl authenticate_user alice changed2",
        "rabbitmqctl clear_password nosuch",
        "rabbitmqctl set_user_tags alice administrator",
        "rabbitmqctl set_user_tags bob monitoring policymaker custom",
        "rabbitmqctl set_user_tags carol management,monitoring",
        "rabbitmqctl set_user_tags hashed",
        "rabbitmqctl set_user_tags nosuch administrator",
        "rabbitmqctl -q set_user_tags hashed management",
    ] {
        stage.run(command);
    }
    stage.run_sorted("rabbitmqctl list_users", "user\t");
    stage.run_sorted("rabbitmqctl -q list_users", "user\t");
    stage.run_sorted("rabbitmqctl -s list_users", "user\t");
    stage.run_sorted("rabbitmqctl list_users --no-table-headers", "Listing");
    stage.run_sorted("rabbitmqctl list_users --formatter json", "[");
    stage.run_sorted("rabbitmqctl list_users --formatter csv", "\"user\"");
    for command in [
        "rabbitmqctl list_users user",
        "rabbitmqctl delete_user alice",
        "rabbitmqctl delete_user alice",
        "rabbitmqctl delete_user ''",
        "rabbitmqctl -q delete_user bob",
        "rabbitmqctl -s delete_user carol",
        "rabbitmqctl delete_user hashed",
        "rabbitmqctl delete_user hashed2",
        "rabbitmqctl list_users",
        "rabbitmqctl list_users --formatter pretty_table",
    ] {
        stage.run(command);
    }
}

pub(super) fn permissions(stage: &mut Stage) {
    for command in [
        "rabbitmqctl add_user alice wonder",
        "rabbitmqctl add_vhost v1",
        "rabbitmqctl list_user_permissions alice",
        "rabbitmqctl list_permissions -p v1",
        "rabbitmqctl list_permissions",
        "rabbitmqctl set_permissions alice ^a .* ''",
        "rabbitmqctl set_permissions -p v1 alice '^(a|b)\\.x$' 'w[0-9]+' '.*'",
        "rabbitmqctl set_permissions -p nosuch alice .* .* .*",
        "rabbitmqctl set_permissions nosuch .* .* .*",
        "rabbitmqctl set_permissions alice * .* .*",
        "rabbitmqctl set_permissions alice .* .* '('",
        "rabbitmqctl set_permissions '' .* .* .*",
        "rabbitmqctl -q set_permissions alice .* .* .*",
        "rabbitmqctl -s set_permissions alice ^a .* ''",
        "rabbitmqctl list_permissions -p v1",
        "rabbitmqctl -q list_permissions -p v1",
        "rabbitmqctl -s list_permissions -p v1",
        "rabbitmqctl list_permissions -p v1 --no-table-headers",
        "rabbitmqctl list_permissions -p v1 --formatter json",
        "rabbitmqctl list_permissions -p v1 --formatter csv",
        "rabbitmqctl list_permissions -p v1 --formatter pretty_table",
        "rabbitmqctl list_permissions -p nosuch",
        "rabbitmqctl list_permissions -p nosuch --formatter json",
        "rabbitmqctl list_user_permissions nosuch",
    ] {
        stage.run(command);
    }
    stage.run_sorted("rabbitmqctl list_permissions", "user\t");
    stage.run_sorted("rabbitmqctl list_user_permissions alice", "vhost\t");
    stage.run_sorted("rabbitmqctl list_user_permissions alice --formatter json", "[");
    stage.run("rabbitmqctl list_user_permissions guest --formatter csv");
    let login = Login { response: plain("alice", "wonder"), vhost: "v1".to_owned(), ..Login::default() };
    drop(stage.login(&login));
    for command in [
        "rabbitmqctl clear_permissions -p v1 alice",
        "rabbitmqctl clear_permissions -p v1 alice",
        "rabbitmqctl clear_permissions -p nosuch alice",
        "rabbitmqctl clear_permissions nosuch",
        "rabbitmqctl -q clear_permissions alice",
        "rabbitmqctl list_user_permissions alice",
        "rabbitmqctl list_topic_permissions",
        "rabbitmqctl list_user_topic_permissions alice",
    ] {
        stage.run(command);
    }
    assert!(Client::login_with(stage.amqp(), &login).is_err(), "the permission is revoked");
}

pub(super) fn topic_permissions(stage: &mut Stage) {
    for command in [
        "rabbitmqctl add_user alice wonder",
        "rabbitmqctl list_topic_permissions",
        "rabbitmqctl list_user_topic_permissions alice",
        "rabbitmqctl set_topic_permissions alice amq.topic ^a ^b",
        "rabbitmqctl set_topic_permissions alice other .* ''",
        "rabbitmqctl -q set_topic_permissions guest amq.topic .* .*",
        "rabbitmqctl set_topic_permissions nosuch amq.topic ^a ^b",
        "rabbitmqctl set_topic_permissions -p nosuch alice amq.topic ^a ^b",
        "rabbitmqctl set_topic_permissions alice amq.topic '(' ^b",
        "rabbitmqctl set_topic_permissions alice amq.topic ^a",
        "rabbitmqctl list_topic_permissions -p nosuch",
        "rabbitmqctl list_user_topic_permissions nosuch",
    ] {
        stage.run(command);
    }
    stage.run_sorted("rabbitmqctl list_topic_permissions", "user\t");
    stage.run_sorted("rabbitmqctl list_topic_permissions --formatter json", "[");
    stage.run_sorted("rabbitmqctl list_user_topic_permissions alice", "Listing");
    stage.run_sorted("rabbitmqctl -s list_user_topic_permissions alice", "");
    stage.run_sorted("rabbitmqctl list_user_topic_permissions alice --formatter json", "[");
    for command in [
        "rabbitmqctl clear_topic_permissions alice other",
        "rabbitmqctl clear_topic_permissions alice other",
        "rabbitmqctl list_user_topic_permissions alice",
        "rabbitmqctl clear_topic_permissions alice",
        "rabbitmqctl -q clear_topic_permissions guest",
        "rabbitmqctl clear_topic_permissions nosuch",
        "rabbitmqctl clear_topic_permissions -p nosuch alice",
        "rabbitmqctl list_topic_permissions",
    ] {
        stage.run(command);
    }
}
