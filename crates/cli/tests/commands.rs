//! The built binary against a control socket with fixed answers: what it asks of the broker, and what RabbitMQ's tools
//! have no answer recorded for. Their recorded answers are compared with the whole broker in `tests`.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Answers as `method path` to status and body.
const ANSWERS: &[(&str, u16, &str)] = &[
    ("GET /api/leveret/node", 200, r#"{"node":"rabbit@localhost","running":true,"pid":4294967295}"#),
    ("GET /api/connections?columns=name", 200, r#"[{"name":"127.0.0.1:37526 -> 127.0.0.1:5695"}]"#),
    ("DELETE /api/connections/127.0.0.1%3A37526%20-%3E%20127.0.0.1%3A5695", 204, ""),
    (
        "GET /api/leveret/status",
        200,
        r#"{"node":"rabbit@localhost","os":"linux","pid":4294967295,"uptime":267,"is_under_maintenance":false,"product_name":"RabbitMQ",
            "rabbitmq_version":"4.0.5","leveret_version":"0.1.0","data_directory":"/data","config_files":["/c.conf"],
            "log_files":["<stdout>"],"alarms":[{"node":"rabbit@localhost","resource":"memory"}],"memory":{"total":{"rss":122300000}},
            "vm_memory_calculation_strategy":"rss","vm_memory_high_watermark_setting":{"relative":0.6},
            "vm_memory_high_watermark_limit":15165908582,"file_descriptors":{"total_used":20,"total_limit":19903},
            "disk_free_limit":50000000,"disk_free":84792000000,"storage":{"durability":"os","slots_used":4,"slots_free":2,"used_bytes":256000000,"tail_messages":7,"tail_bytes":1000000,"runs":3,"run_bytes":40000000,"hot_bytes":0,"hot_window_bytes":64000000,"spill_bytes":0,"damaged_queues":1},"totals":{"connection_count":1,"queue_count":3,"virtual_host_count":1},
            "listeners":[{"interface":"[::]","port":5672,"protocol":"amqp","purpose":"AMQP 0-9-1"},
                         {"interface":"[::]","port":5671,"protocol":"amqp/ssl","purpose":"AMQP 0-9-1 over TLS"}]}"#,
    ),
    (
        "GET /api/leveret/queues/%2F/q/peek?count=2",
        200,
        r#"[{"exchange":"","routing_key":"q","redelivered":false,"payload_bytes":4,"payload":"body","properties":{"delivery_mode":2}}]"#,
    ),
    ("PUT /api/leveret/stop", 200, "{}"),
    ("GET /api/health/checks/certificate-expiration/2/weeks", 200, r#"{"status":"ok"}"#),
    (
        "GET /api/health/checks/certificate-expiration/4000/days",
        503,
        r#"{"status":"failed","reason":"Certificates expiring","expired":[{"node":"rabbit-1@localhost","port":5671,
            "protocol":"amqp/ssl","interface":"127.0.0.1","certfile":"/c.pem","cacertfile":"/ca.pem",
            "certfile_expires_on":["2036-11-18 17:07:00"],"cacertfile_expires_on":[]}]}"#,
    ),
    ("PUT /api/leveret/vm_memory_high_watermark", 204, ""),
    ("PUT /api/leveret/disk_free_limit", 204, ""),
    ("PUT /api/leveret/users/u", 204, ""),
    ("POST /api/definitions", 204, ""),
];

/// Serves the answers; what was asked for, with its body, can be received.
fn serve(data_dir: &Path) -> Receiver<String> {
    let folder = data_dir.join("control");
    std::fs::create_dir_all(&folder).unwrap();
    let listener = UnixListener::bind(folder.join("leveret.sock")).unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &sender);
        }
    });
    receiver
}

fn answer(mut stream: UnixStream, asked: &Sender<String>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap();
    let length: usize =
        head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let line = head.split(" HTTP/1.1").next().unwrap().to_owned();
    let missing = (404, r#"{"error":"Object Not Found","reason":"Not Found"}"#);
    let (status, text) = ANSWERS.iter().find(|(key, ..)| *key == line).map_or(missing, |(_, s, t)| (*s, *t));
    let reason = head.split("\r\n").find_map(|line| line.strip_prefix("X-Reason: ")).unwrap_or("");
    let _ = asked.send(format!("{line} {}{reason}", String::from_utf8(body).unwrap()));
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{text}", text.len()).unwrap();
}

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

fn leveretctl(data_dir: &Path, arguments: &[&str]) -> Outcome {
    leveretctl_reading(data_dir, arguments, "")
}

fn leveretctl_reading(data_dir: &Path, arguments: &[&str], input: &str) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_leveretctl"))
        .args(arguments)
        .env("LEVERET_DATA_DIR", data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn status_has_rabbitmqctl_s_sections() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let expected = "Runtime\n\nOS PID: 4294967295\nOS: Linux\nUptime (seconds): 267\nIs under maintenance?: false\nRabbitMQ version: 4.0.5\nLeveret version: 0.1.0\nNode name: rabbit@localhost\n\nPlugins\n\nEnabled plugin file: (none)\nEnabled plugins:\n\n\nData directory\n\nNode data directory: /data\n\nConfig files\n\n * /c.conf\n\nLog file(s)\n\n * <stdout>\n\nAlarms\n\nMemory alarm on node rabbit@localhost\n\nTags\n\n(none)\n\nMemory\n\nTotal memory used: 0.1223 gb\nCalculation strategy: rss\nMemory high watermark setting: 0.6 of available memory, computed to: 15.1659 gb\n\nFile Descriptors\n\nTotal: 20, limit: 19903\n\nFree Disk Space\n\nLow free disk space watermark: 0.05 gb\nFree disk space: 84.792 gb\n\nStorage\n\nDurability: os: A POWER CUT MAY LOSE CONFIRMED MESSAGES\nLog: 4 files in use, 0.256 gb, and 2 to be overwritten\nLog since the last checkpoint: 7 messages, 0.001 gb\nIndexes: 3, 0.04 gb\nMemory for messages: 0.0 gb of 0.064 gb\nSpilled: 0.0 gb\nQueues stopped by damage: 1\n\nTotals\n\nConnection count: 1\nQueue count: 3\nVirtual host count: 1\n\nListeners\n\nInterface: [::], port: 5672, protocol: amqp, purpose: AMQP 0-9-1\nInterface: [::], port: 5671, protocol: amqp/ssl, purpose: AMQP 0-9-1 over TLS\n";
    assert_eq!(leveretctl(folder.path(), &["status", "-q"]).stdout, expected);
    let banner = leveretctl(folder.path(), &["status"]).stdout;
    assert_eq!(banner, format!("Status of node rabbit@localhost ...\n[]\n{expected}"));
    let json = leveretctl(folder.path(), &["status", "--formatter", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["totals"]["queue_count"], 3);
}

#[test]
fn a_broker_that_is_not_there_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["ping"][..], 69),
        (&["list_queues", "--formatter", "json"], 69),
        (&["stop"], 69),
        (&["stop", "--idempotent"], 0),
        (&["ping", "--url", "http://127.0.0.1:1"], 69),
        (&["ping", "--url", "ftp://127.0.0.1"], 69),
    ] {
        let outcome = leveretctl(folder.path(), arguments);
        assert_eq!(outcome.code, code, "{arguments:?}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.is_empty(), code == 0, "{arguments:?}");
    }
}

#[test]
fn shutdown_tells_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let place = "RabbitMQ node rabbit@localhost running at PID 4294967295";
    let outcome = leveretctl(folder.path(), &["shutdown"]);
    let expected = format!(
        "Shutting down {place}\nWaiting for PID 4294967295 to terminate\n{place} successfully shut down\n"
    );
    assert_eq!((outcome.code, outcome.stdout), (0, expected));
    assert_eq!(leveretctl(folder.path(), &["-q", "shutdown"]).stdout, "");
    let outcome = leveretctl(folder.path(), &["shutdown", "--no-wait"]);
    assert_eq!((outcome.code, outcome.stdout), (0, format!("Shutting down {place}\n")));
}

#[test]
fn wait_goes_on_until_the_broker_of_a_process_runs() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let pid = std::process::id();
    let running = format!(
        "Waiting for erlang distribution on node 'rabbit@localhost' while OS process '{pid}' is running\n\
         Waiting for applications 'rabbit_and_plugins' to start on node 'rabbit@localhost'\n\
         Applications 'rabbit_and_plugins' are running on node 'rabbit@localhost'\n"
    );
    let outcome = leveretctl(folder.path(), &["wait", "--pid", &pid.to_string()]);
    assert_eq!((outcome.code, outcome.stdout), (0, running.clone()));
    let file = folder.path().join("node.pid");
    let path = file.display().to_string();
    std::fs::write(&file, format!("{pid}\n")).unwrap();
    let outcome = leveretctl(folder.path(), &["wait", &path]);
    let appeared = format!("Waiting for pid file '{path}' to appear\npid is {pid}\n{running}");
    assert_eq!((outcome.code, outcome.stdout), (0, appeared));
    let outcome = leveretctl(folder.path(), &["wait", &path, "--formatter", "json"]);
    let said: Vec<serde_json::Value> = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(said.len(), 5);
    // One that a process left behind.
    std::fs::write(&file, "4294967294").unwrap();
    assert_eq!(leveretctl(folder.path(), &["wait", &path, "-t", "0", "-q"]).code, 75);
    // A process without a broker is waited for no longer than it runs.
    let empty = tempfile::tempdir().unwrap();
    let outcome = leveretctl(empty.path(), &["wait", "--pid", "4294967294"]);
    assert_eq!((outcome.code, outcome.stderr), (69, "Error:\nprocess_not_running\n".to_owned()));
}

#[test]
fn certificates_that_end_are_shown_as_rabbitmq_s_tool_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let check = |arguments: &[&str]| {
        let all = [&["check_certificate_expiration", "-q"], arguments].concat();
        leveretctl(folder.path(), &all)
    };
    let outcome = check(&["--within", "2"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, "No certificates are expiring within 2 weeks.\n")
    );
    let outcome = check(&["--within", "4000", "--unit", "days"]);
    let expected = "%{node: :\"rabbit-1@localhost\", port: 5671, protocol: :\"amqp/ssl\", interface: \"127.0.0.1\", \
                    certfile: \"/c.pem\", cacertfile: \"/ca.pem\", certfile_expires_on: [\"2036-11-18 17:07:00\"], \
                    cacertfile_expires_on: [], purpose: \"AMQP 0-9-1 over TLS\"}\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (69, expected));
    let outcome = check(&["--within", "4000", "--unit", "days", "--formatter", "json"]);
    let value: serde_json::Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!((&value["result"], &value["expired"][0]["port"]), (&"error".into(), &5671.into()));
}

#[test]
fn get_shows_messages() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let outcome = leveretctl(folder.path(), &["get", "q", "--count", "2"]);
    assert_eq!(
        outcome.stdout,
        "Getting messages from queue 'q' in vhost '/' ...\nexchange\trouting_key\tredelivered\tpayload_bytes\t\
         properties\tpayload\n\tq\tfalse\t4\t{\"delivery_mode\":2}\tbody\n"
    );
    assert_eq!(leveretctl(folder.path(), &["get", "nosuch"]).code, 65);
}

#[test]
fn what_is_asked_of_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let asked = serve(folder.path());
    let node = "GET /api/leveret/node ";
    let cases: &[(&[&str], &str, &[&str])] = &[
        (
            &["close_connection", "127.0.0.1:37526 -> 127.0.0.1:5695", "by\r\ne"],
            "",
            &[
                node,
                "GET /api/connections?columns=name ",
                "DELETE /api/connections/127.0.0.1%3A37526%20-%3E%20127.0.0.1%3A5695 bye",
            ],
        ),
        (
            &["-n", "x", "set_vm_memory_high_watermark", "absolute", "2GiB"],
            "",
            &[node, "PUT /api/leveret/vm_memory_high_watermark {\"absolute\":2147483648}"],
        ),
        (
            &["-n", "x", "set_disk_free_limit", "mem_relative", "1.5"],
            "",
            &[node, "PUT /api/leveret/disk_free_limit {\"relative\":1.5}"],
        ),
        (
            &["list_exchanges", "-p", "a b/ü"],
            "",
            &[node, "GET /api/exchanges/a%20b%2F%C3%BC?arguments=typed "],
        ),
        (&["add_user", "u"], "secret\n", &[node, "PUT /api/leveret/users/u {\"password\":\"secret\"}"]),
        (&["import_definitions"], "{\"users\":[]}", &[node, "POST /api/definitions {\"users\":[]}"]),
        (&["stop"], "", &[node, node, "PUT /api/leveret/stop "]),
        (&["list_queues", "nosuch"], "", &[]),
        (&["help", "list_queues"], "", &[]),
    ];
    for (arguments, input, expected) in cases {
        leveretctl_reading(folder.path(), arguments, input);
        let got: Vec<String> = expected.iter().map(|_| asked.recv().unwrap()).collect();
        assert_eq!(got, *expected, "{arguments:?}");
        assert!(asked.try_recv().is_err(), "{arguments:?} asked for more");
    }
}

#[test]
fn the_data_folder_may_lie_deep() {
    let folder = tempfile::tempdir().unwrap();
    // The socket of another folder is moved to where no path of a socket can reach.
    let deep = folder.path().join("d".repeat(200)).join("e".repeat(200));
    std::fs::create_dir_all(&deep).unwrap();
    let _asked = serve(folder.path());
    std::fs::rename(folder.path().join("control"), deep.join("control")).unwrap();
    assert_eq!(leveretctl(&deep, &["-q", "ping"]).stdout, "Ping succeeded\n");
}
