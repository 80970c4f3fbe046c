//! Definitions to a file and back.

use crate::ctl::stage::Stage;

pub(super) fn definitions(stage: &mut Stage) {
    stage.run("rabbitmqctl add_vhost from-here");
    stage.run("rabbitmqctl export_definitions FOLDER/out.json");
    stage.run("rabbitmqctl -q export_definitions FOLDER/out.json");
    stage.run("rabbitmqctl export_definitions FOLDER/nosuch/out.json");
    stage.run("rabbitmqctl export_definitions FOLDER/out.etf --format nosuch");
    let text = stage.ask("rabbitmqctl export_definitions -");
    assert!(text.contains("from-here"), "{text}");
    stage.run("rabbitmqctl delete_vhost from-here");
    stage.run("rabbitmqctl import_definitions FOLDER/out.json");
    stage.run_sorted("rabbitmqctl -q list_vhosts", "name");
    stage.run("rabbitmqctl -q import_definitions FOLDER/out.json");
    stage.run("rabbitmqctl import_definitions FOLDER/nosuch.json");
    for (name, text) in [("bad.json", "not json"), ("empty.json", "{}"), ("list.json", "[]")] {
        stage.write(name, text);
        stage.run(&format!("rabbitmqctl import_definitions FOLDER/{name}"));
    }
    stage.write("one.json", r#"{"vhosts":[{"name":"read"}]}"#);
    stage.run("rabbitmqctl import_definitions FOLDER/one.json");
    stage.run_sorted("rabbitmqctl -q list_vhosts", "name");
}
