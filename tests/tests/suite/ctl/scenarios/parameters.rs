//! Policies and parameters that definitions brought.

use leveret_tests::wait::{PATIENCE, until};

use crate::ctl::stage::Stage;

const DEFINITIONS: &str = r#"{
    "policies": [
        {"vhost": "/", "name": "p", "pattern": "^x", "apply-to": "queues", "priority": 3,
         "definition": {"max-length": 5, "overflow": "reject-publish"}},
        {"vhost": "/", "name": "o", "pattern": "^y", "apply-to": "all", "priority": 0, "definition": {"expires": 60000}}
    ],
    "parameters": [
        {"vhost": "/", "component": "operator_policy", "name": "op",
         "value": {"pattern": "^z", "apply-to": "queues", "definition": {"max-length": 9}, "priority": 1}}
    ],
    "global_parameters": [{"name": "mine", "value": {"a": [1, "x"]}}]
}"#;

pub(super) fn lists(stage: &mut Stage) {
    for command in [
        "rabbitmqctl list_policies",
        "rabbitmqctl list_policies --formatter json",
        "rabbitmqctl list_parameters",
        "rabbitmqctl list_operator_policies",
        "rabbitmqctl list_policies -p nosuch",
        "rabbitmqctl list_parameters -p nosuch",
        "rabbitmqctl list_operator_policies -p nosuch",
    ] {
        stage.run(command);
    }
    stage.write("parameters.json", DEFINITIONS);
    stage.ask("rabbitmqctl import_definitions FOLDER/parameters.json");
    until("the import", PATIENCE * 2, || {
        let is_there =
            |what: &str, stage: &mut Stage| !stage.ask(&format!("rabbitmqctl -s {what}")).trim().is_empty();
        (is_there("list_policies", stage) && is_there("list_parameters", stage)).then_some(())
    });
    stage.run_sorted("rabbitmqctl list_policies", "vhost\t");
    stage.run_sorted("rabbitmqctl -q list_policies --formatter csv", "\"vhost\"");
    stage.run_sorted("rabbitmqctl list_policies --formatter json", "[");
    for command in [
        "rabbitmqctl list_parameters",
        "rabbitmqctl list_parameters --formatter json",
        "rabbitmqctl list_operator_policies",
        "rabbitmqctl list_operator_policies --formatter json",
    ] {
        stage.run(command);
    }
    stage.run_sorted("rabbitmqctl list_global_parameters", "name\t");
}
