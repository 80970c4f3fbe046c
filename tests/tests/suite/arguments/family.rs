//! A family of scenarios: played side by side on one broker, compared with its goldens.

use std::{fs, path::Path};

use leveret_tests::{
    broker::Broker,
    golden::{self, Answers},
};

use super::{differences::DIFFERENCES, scene::Scene};

/// A scenario: what it shows, and its script.
pub(super) type Scenario = (String, String);

/// The scenarios in the text of the family `name`: each begins with a line `# what it shows`.
pub(super) fn scenarios(name: &str) -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/arguments");
    let text = fs::read_to_string(folder.join(name).with_extension("txt")).expect("the scenarios");
    let text = format!("\n{text}");
    let parts = text.split("\n# ").skip(1).map(|part| part.split_once('\n').expect("a script"));
    parts.map(|(about, script)| (about.into(), script.into())).collect()
}

/// Scenarios run side by side: most of their time they wait.
const THREADS: usize = 12;

/// Plays the scenarios of the family `name` and compares each with its golden, or records them.
///
/// # Panics
/// When an answer is another one than recorded.
pub(super) fn check(name: &str) {
    let scenarios = scenarios(name);
    let peer = golden::peer();
    let own = peer.is_none().then(Broker::start);
    let address = peer.unwrap_or_else(|| own.as_ref().expect("a broker").amqp());
    let play = |(about, script): &Scenario| {
        (about.clone(), Scene::play(address, &format!("{name}: {about}"), script))
    };
    let answers = golden::ask_all(&scenarios, THREADS, play);
    compare(name, &answers, scenarios.len());
}

/// Compares the `answers` of the family `name`, which has `count` scenarios, with its goldens, or records them.
pub(super) fn compare(name: &str, answers: &Answers, count: usize) {
    assert_eq!(answers.len(), count, "two scenarios have one name");
    let file = format!("arguments/{name}");
    if golden::recording() {
        return golden::write(&file, answers);
    }
    let goldens = golden::read(&file);
    assert!(goldens.keys().eq(answers.keys()), "record the goldens again");
    let wrong = differing(name, &goldens, answers);
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}

fn differing(family: &str, goldens: &Answers, answers: &Answers) -> Vec<String> {
    let ours = golden::peer().is_none();
    let mut wrong = Vec::new();
    for (about, answer) in answers {
        let mut expected = goldens[about].clone();
        for difference in DIFFERENCES.iter().filter(|d| ours && d.family == family && d.scenario == about) {
            assert!(difference.change(&mut expected), "{family}: {about}: RabbitMQ has no such line");
        }
        if *answer != expected {
            wrong.push(report(about, &expected, answer));
        }
    }
    wrong
}

/// Where two transcripts part, and how each goes on.
fn report(about: &str, expected: &[String], answer: &[String]) -> String {
    let same = expected.iter().zip(answer).take_while(|(one, other)| one == other).count();
    let part =
        |lines: &[String]| lines.iter().skip(same.saturating_sub(2)).take(6).cloned().collect::<Vec<_>>();
    golden::report(about, &part(expected), &part(answer))
}
