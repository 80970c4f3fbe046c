//! `leveretctl`, under rabbitmqctl's names, answers as RabbitMQ 4.0.5's tools did: what is printed, where, and the
//! exit code.
//!
//! The answers stand in `tests/golden/ctl.json`. They are recorded by the same code:
//! `LEVERET_GOLDEN_RECORD=1 LEVERET_GOLDEN_URI=amqp://HOST:PORT LEVERET_GOLDEN_CTL=PROGRAM cargo test -p leveret-tests
//! ctl::` rewrites the file. PROGRAM is called with the name of a tool (`rabbitmqctl`, `rabbitmq-diagnostics`, …) and
//! its arguments, and speaks to the node at that address, which has the plugin management. The node is reset between
//! scenarios. Its tools write and read files in `/tmp/leveret-golden`; if they see that folder elsewhere than we do,
//! `LEVERET_GOLDEN_FOLDER` says where. `LEVERET_GOLDEN_SCENARIO=NAME` records, or compares, that one only.

mod differences;
mod normal;
mod scenarios;
mod stage;

use std::{collections::BTreeMap, path::PathBuf};

use differences::DIFFERENCES;
use stage::{Answer, Over, Stage};

/// The scenarios' answers, in the order they were asked.
type Goldens = BTreeMap<String, Vec<Answer>>;

/// A scenario: its name, and what it does.
type Scenario = (&'static str, fn(&mut Stage));

#[test]
fn every_command_answers_as_rabbitmq_s() {
    if std::env::var_os("LEVERET_GOLDEN_RECORD").is_some() {
        record();
        return;
    }
    compare(Over::ControlSocket, scenarios::ALL);
}

#[test]
fn the_answers_are_the_same_over_http() {
    if std::env::var_os("LEVERET_GOLDEN_RECORD").is_none() {
        compare(Over::Http, scenarios::ALSO_OVER_HTTP);
    }
}

#[test]
fn every_intended_difference_is_of_a_command_and_has_a_reason() {
    let goldens = read_goldens();
    for difference in DIFFERENCES {
        for command in difference.commands {
            let known = goldens.values().flatten().any(|golden| golden.command == *command);
            assert!(known, "no command {command:?}");
        }
        assert!(!difference.reason.is_empty());
    }
}

fn compare(over: Over, scenarios: &[Scenario]) {
    let goldens = read_goldens();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, scenario) in scenarios.iter().filter(|scenario| is_wanted(scenario.0)) {
        let known_as = match over {
            Over::ControlSocket => (*name).to_owned(),
            Over::Http => format!("http: {name}"),
        };
        let mut stage = Stage::leveret(over);
        scenario(&mut stage);
        let expected = goldens.get(*name).map(Vec::as_slice).unwrap_or_default();
        let answers = stage.answers();
        count += answers.len();
        let same = expected.len() == answers.len()
            && expected.iter().zip(&answers).all(|(l, r)| l.command == r.command);
        if !same {
            wrong.push(format!("{name}: other commands than recorded, record the goldens again"));
        }
        for (golden, answer) in expected.iter().zip(&answers) {
            let difference = DIFFERENCES.iter().find(|difference| difference.is_about(&known_as, golden));
            let is_fine =
                golden == answer || difference.is_some_and(|difference| difference.allows(golden, answer));
            if !is_fine {
                wrong.push(format!(
                    "{name}
  expected {golden}
  answered {answer}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} differ\n{}", wrong.len(), wrong.join("\n"));
}

fn record() {
    let mut goldens = read_goldens();
    let one = std::env::var("LEVERET_GOLDEN_SCENARIO").ok();
    if one.is_none() {
        goldens.clear();
    }
    for (name, scenario) in scenarios::ALL.iter().filter(|scenario| is_wanted(scenario.0)) {
        let mut stage = Stage::rabbitmq();
        scenario(&mut stage);
        goldens.insert((*name).to_owned(), stage.answers());
        write_goldens(&goldens);
    }
}

fn write_goldens(goldens: &Goldens) {
    let values: serde_json::Map<String, serde_json::Value> = goldens
        .iter()
        .map(|(name, answers)| (name.clone(), answers.iter().map(Answer::to_json).collect()))
        .collect();
    let text = serde_json::to_string_pretty(&values).expect("JSON");
    std::fs::write(golden_path(), text + "\n").expect("a place for the goldens");
}

fn is_wanted(name: &str) -> bool {
    std::env::var("LEVERET_GOLDEN_SCENARIO").map_or(true, |wanted| wanted == name)
}

fn golden_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/ctl.json")
}

fn read_goldens() -> Goldens {
    let text = std::fs::read_to_string(golden_path()).unwrap_or_else(|_| "{}".to_owned());
    let values: BTreeMap<String, Vec<serde_json::Value>> =
        serde_json::from_str(&text).expect("goldens in JSON");
    values
        .into_iter()
        .map(|(name, answers)| (name, answers.iter().map(Answer::from_json).collect()))
        .collect()
}
