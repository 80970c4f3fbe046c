//! `leveret verify` and `leveret salvage` on the data of a broker that is stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use leveret_tests::{
    binary,
    broker::{Broker, Options},
    client::Client,
    methods::{Properties, confirm, queue},
    wire::Table,
};

const MESSAGES: u32 = 200;
const DAMAGED: u32 = 117;

fn leveret(command: &str, folders: &[&Path]) -> Output {
    let mut leveret = Command::new(binary::leveret());
    leveret.arg(command).args(folders).env_remove("LEVERET_DATA_DIR");
    leveret.output().expect("the broker's executable")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn body(number: u32) -> String {
    format!("the body of message {number:04}, {}", "-".repeat(500))
}

fn fill(broker: &Broker) {
    let mut client = broker.channel();
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    client.call(1, queue::declare("kept", queue::DURABLE, &Table::default()), (50, 11)).expect("a queue");
    for number in 0..MESSAGES {
        client
            .publish(1, ("", "kept", 0), &Properties::persistent(), body(number).as_bytes())
            .expect("a publish");
        client.expect_method(1, (60, 80)).expect("a confirm");
    }
}

/// Flips a bit in the file of the log that holds `wanted`; gives the file and where.
fn damage(data: &Path, wanted: &str) -> (PathBuf, usize) {
    for entry in fs::read_dir(data.join("log")).expect("a log") {
        let path = entry.expect("a slot").path();
        let mut bytes = fs::read(&path).expect("a slot");
        let found = bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes());
        if let Some(at) = found {
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("a slot");
            return (path, at);
        }
    }
    panic!("{wanted:?} is not in the log");
}

fn drain(client: &mut Client) -> Vec<String> {
    let get = |client: &mut Client| client.get(1, "kept").expect("an answer");
    std::iter::from_fn(|| get(client)).map(|content| text(&content.body)).collect()
}

#[test]
fn damage_is_named_and_all_else_is_saved() {
    let mut broker = Broker::start();
    fill(&broker);
    let data = broker.data_dir();
    let in_use = leveret("verify", &[&data]);
    assert_eq!(in_use.status.code(), Some(75), "{}", text(&in_use.stderr));
    assert!(broker.stop().success());

    let whole = leveret("verify", &[&data]);
    assert_eq!(whole.status.code(), Some(0), "{}{}", text(&whole.stdout), text(&whole.stderr));
    assert!(text(&whole.stdout).contains(" 200 messages of "), "{}", text(&whole.stdout));
    assert!(text(&whole.stderr).contains("messages: 200 of 200"), "progress: {}", text(&whole.stderr));

    let (file, at) = damage(&data, &body(DAMAGED));
    let found = leveret("verify", &[&data]);
    let said = text(&found.stdout);
    assert_eq!(found.status.code(), Some(65), "{said}");
    assert!(said.contains(&file.display().to_string()) && said.contains("is lost"), "{said}");
    let offset = said.split("byte ").nth(1).and_then(|rest| rest.split(':').next());
    let offset: usize = offset.and_then(|offset| offset.parse().ok()).expect("an offset");
    assert!((at - 200..=at).contains(&offset), "{said}: the damage is at {at}");

    let out = tempfile::tempdir().expect("a folder");
    let saved = leveret("salvage", &[&data, out.path()]);
    assert_eq!(saved.status.code(), Some(65), "{}", text(&saved.stderr));
    let report = fs::read_to_string(out.path().join("salvage-report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["messages"], MESSAGES - 1);
    assert_eq!(report["losses"][0]["lost"], "messages", "{report}");
    assert_eq!(report["losses"][0]["offset"], offset, "{report}");
    assert_eq!(leveret("salvage", &[&data, out.path()]).status.code(), Some(73), "nothing is overwritten");

    let options = Options { data_dir: Some(out.path().to_owned()), ..Options::default() };
    let mut second = Broker::start_with(options);
    let found = drain(&mut second.channel());
    let expected: Vec<String> = (0..MESSAGES).filter(|number| *number != DAMAGED).map(body).collect();
    assert_eq!(found, expected);
    assert!(second.stop().success());
    let emptied = leveret("verify", &[out.path()]);
    assert!(
        emptied.status.success() && text(&emptied.stdout).contains(" 0 messages "),
        "{}",
        text(&emptied.stdout)
    );
}

#[test]
fn a_folder_without_a_store_is_told_by_its_code() {
    let empty = tempfile::tempdir().expect("a folder");
    for command in ["verify", "salvage"] {
        let out = empty.path().join("out");
        let folders: &[&Path] = if command == "verify" { &[empty.path()] } else { &[empty.path(), &out] };
        let refused = leveret(command, folders);
        assert_eq!(refused.status.code(), Some(66), "{command}: {}", text(&refused.stderr));
        assert!(!out.exists(), "{command} makes nothing");
    }
}
