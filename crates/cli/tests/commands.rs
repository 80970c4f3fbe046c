//! The built binary against a control socket with fixed answers. What is expected was recorded from rabbitmqctl
//! 4.0.5 on a broker with the same contents, with the program's name and Erlang's process ids put in our terms.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Answers as `method path` to status and body.
const ANSWERS: &[(&str, u16, &str)] = &[
    ("GET /api/leveret/ping", 200, r#"{"status":"ok"}"#),
    (
        "GET /api/queues/%2F?arguments=typed",
        200,
        r#"[{"name":"classic1","messages":3,"consumers":1,"durable":true,"policy":null,"type":"classic","node":"rabbit@localhost",
            "arguments":[["x-foo","longstr","bar"],["x-max-length","long",10],["x-queue-type","longstr","classic"]]},
           {"name":"excl","messages":0,"consumers":0,"exclusive":true,"durable":false,"policy":null,"type":"classic",
            "owner_pid_details":{"name":"127.0.0.1:37526 -> 127.0.0.1:5695"},"arguments":[]},
           {"name":"quo\"te","messages":0,"consumers":0,"type":"quorum","members":["rabbit@localhost"],
            "arguments":[["x-queue-type","longstr","quorum"]]}]"#,
    ),
    ("GET /api/queues/empty?arguments=typed", 200, "[]"),
    (
        "GET /api/connections?arguments=typed",
        200,
        r#"[{"name":"127.0.0.1:37526 -> 127.0.0.1:5695","user":"guest","peer_host":"127.0.0.1","peer_port":37526,"state":"running",
            "protocol":"AMQP 0-9-1","ssl":false,"connected_at":1795259239843,
            "client_properties":[["product","longstr","Pika Python Client Library"],["capabilities","table",[["basic.nack","bool",true]]]]}]"#,
    ),
    ("GET /api/connections?columns=name", 200, r#"[{"name":"127.0.0.1:37526 -> 127.0.0.1:5695"}]"#),
    ("DELETE /api/connections/127.0.0.1%3A37526%20-%3E%20127.0.0.1%3A5695", 204, ""),
    (
        "GET /api/consumers/%2F?arguments=typed",
        200,
        r#"[{"queue":{"name":"classic1","vhost":"/"},"consumer_tag":"ct1","ack_required":true,"prefetch_count":5,"active":true,
            "channel_details":{"connection_name":"127.0.0.1:37526 -> 127.0.0.1:5695","number":1},
            "arguments":[["x-priority","signedint",3]]}]"#,
    ),
    (
        "GET /api/bindings/%2F?arguments=typed",
        200,
        r#"[{"source":"","destination":"classic1","destination_type":"queue","routing_key":"classic1","arguments":[]},
            {"source":"amq.topic","destination":"classic1","destination_type":"queue","routing_key":"a.b","arguments":[["k","long",1]]}]"#,
    ),
    (
        "GET /api/users?arguments=typed",
        200,
        r#"[{"name":"mon","tags":["monitoring","policymaker"]},{"name":"plain","tags":[]}]"#,
    ),
    (
        "GET /api/leveret/status",
        200,
        r#"{"node":"rabbit@localhost","os":"linux","pid":4294967295,"uptime":267,"is_under_maintenance":false,"product_name":"RabbitMQ",
            "rabbitmq_version":"4.0.5","leveret_version":"0.1.0","data_directory":"/data","config_files":["/c.conf"],
            "log_files":["<stdout>"],"alarms":[{"node":"rabbit@localhost","resource":"memory"}],"memory":{"total":{"rss":122300000}},
            "vm_memory_calculation_strategy":"rss","vm_memory_high_watermark_setting":{"relative":0.6},
            "vm_memory_high_watermark_limit":15165908582,"file_descriptors":{"total_used":20,"total_limit":19903},
            "disk_free_limit":50000000,"disk_free":84792000000,"totals":{"connection_count":1,"queue_count":3,"virtual_host_count":1},
            "listeners":[{"interface":"[::]","port":5672,"protocol":"amqp","purpose":"AMQP 0-9-1"}]}"#,
    ),
    ("PUT /api/leveret/stop", 204, ""),
    ("PUT /api/leveret/vm_memory_high_watermark", 204, ""),
    ("PUT /api/leveret/disk_free_limit", 400, r#"{"error":"bad_request","reason":"too much"}"#),
    ("GET /api/queues/%2F/excl", 200, r#"{"messages_ready":7}"#),
    ("DELETE /api/queues/%2F/excl?if-empty=false&if-unused=true", 204, ""),
    ("DELETE /api/queues/%2F/excl/contents", 204, ""),
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
    let output = Command::new(env!("CARGO_BIN_EXE_leveretctl"))
        .args(arguments)
        .env("LEVERET_DATA_DIR", data_dir)
        .output()
        .unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn output_is_rabbitmqctl_s() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let cases: &[(&str, &str)] = &[
        (
            "list_queues",
            "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\nname\tmessages\nclassic1\t3\nexcl\t0\nquo\"te\t0\n",
        ),
        (
            "list_queues -q name messages consumers",
            "name\tmessages\tconsumers\nclassic1\t3\t1\nexcl\t0\t0\nquo\"te\t0\t0\n",
        ),
        ("list_queues --silent", "classic1\t3\nexcl\t0\nquo\"te\t0\n"),
        ("list_queues -q --no-table-headers name,messages name", "classic1\t3\nexcl\t0\nquo\"te\t0\n"),
        (
            "-s list_queues name arguments",
            "classic1\t[{\"x-foo\",\"bar\"},{\"x-max-length\",10},{\"x-queue-type\",\"classic\"}]\nexcl\t[]\nquo\"te\t[{\"x-queue-type\",\"quorum\"}]\n",
        ),
        (
            "list_queues --formatter json name messages arguments",
            "[\n{\"name\":\"classic1\",\"messages\":3,\"arguments\":[[\"x-foo\",\"longstr\",\"bar\"],[\"x-max-length\",\"long\",10],[\"x-queue-type\",\"longstr\",\"classic\"]]}\n,{\"name\":\"excl\",\"messages\":0,\"arguments\":[]}\n,{\"name\":\"quo\\\"te\",\"messages\":0,\"arguments\":[[\"x-queue-type\",\"longstr\",\"quorum\"]]}\n]\n",
        ),
        (
            "list_queues --formatter=json name owner_pid policy consumer_utilisation",
            "[\n{\"name\":\"classic1\",\"owner_pid\":\"\",\"policy\":\"\",\"consumer_utilisation\":\"\"}\n,{\"name\":\"excl\",\"owner_pid\":\"<127.0.0.1:37526->127.0.0.1:5695>\",\"policy\":\"\",\"consumer_utilisation\":\"\"}\n,{\"name\":\"quo\\\"te\",\"owner_pid\":\"\",\"policy\":\"\",\"consumer_utilisation\":\"\"}\n]\n",
        ),
        (
            "list_queues --formatter csv name messages",
            "\"name\",\"messages\"\n\"classic1\",\"3\"\n\"excl\",\"0\"\n\"quo\"\"te\",\"0\"\n",
        ),
        ("list_queues -p empty", "Timeout: 60.0 seconds ...\nListing queues for vhost empty ...\n"),
        ("list_queues -p nope -t 5", "Timeout: 5.0 seconds ...\nListing queues for vhost nope ...\n"),
        ("list_queues -p nope --formatter json", "[\n]\n"),
        ("list_queues --offline -q", ""),
        (
            "list_connections",
            "Listing connections ...\nuser\tpeer_host\tpeer_port\tstate\nguest\t127.0.0.1\t37526\trunning\n",
        ),
        (
            "list_connections -s pid name protocol ssl client_properties",
            "<127.0.0.1:37526->127.0.0.1:5695>\t127.0.0.1:37526 -> 127.0.0.1:5695\t{0,9,1}\tfalse\t[{\"product\",\"Pika Python Client Library\"},{\"capabilities\",[{\"basic.nack\",true}]}]\n",
        ),
        (
            "list_connections --formatter json name connected_at ssl peer_host",
            "[\n{\"name\":\"127.0.0.1:37526 -> 127.0.0.1:5695\",\"connected_at\":1795259239843,\"ssl\":false,\"peer_host\":[127,0,0,1]}\n]\n",
        ),
        (
            "list_consumers",
            "Listing consumers in vhost / ...\nqueue_name\tchannel_pid\tconsumer_tag\tack_required\tprefetch_count\tactive\targuments\nclassic1\t<127.0.0.1:37526->127.0.0.1:5695.1>\tct1\ttrue\t5\ttrue\t[{\"x-priority\",3}]\n",
        ),
        (
            "list_bindings",
            "Listing bindings for vhost /...\nsource_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments\n\texchange\tclassic1\tqueue\tclassic1\t[]\namq.topic\texchange\tclassic1\tqueue\ta.b\t[{\"k\",1}]\n",
        ),
        ("list_users", "Listing users ...\nuser\ttags\nmon\t[monitoring, policymaker]\nplain\t[]\n"),
        (
            "list_users --formatter json",
            "[\n{\"user\":\"mon\",\"tags\":[\"monitoring\",\"policymaker\"]}\n,{\"user\":\"plain\",\"tags\":[]}\n]\n",
        ),
        ("-q ping", "Ping succeeded\n"),
        ("ping --formatter json", "{\"message\":\"Ping succeeded\"}\n"),
        ("stop", "Stopping and halting node rabbit@localhost ...\n"),
        (
            "set_vm_memory_high_watermark absolute 4GB",
            "Setting memory threshold on rabbit@localhost to 4GB bytes ...\n",
        ),
        ("-n x@y set_vm_memory_high_watermark 0.6", "Setting memory threshold on x@y to 0.6 ...\n"),
        (
            "delete_queue excl -u",
            "Deleting queue 'excl' on vhost '/' if queue is unused ...\nQueue was successfully deleted with 7 ready messages\n",
        ),
        ("purge_queue excl", "Purging queue 'excl' in vhost '/' ...\n"),
        (
            "close_connection <127.0.0.1:37526->127.0.0.1:5695> bye",
            "Closing connection <127.0.0.1:37526->127.0.0.1:5695>, reason: bye...\n",
        ),
    ];
    for (arguments, expected) in cases {
        let outcome = leveretctl(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{arguments}");
        assert_eq!(outcome.stdout, *expected, "{arguments}");
    }
}

#[test]
fn status_has_rabbitmqctl_s_sections() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let expected = "Runtime\n\nOS PID: 4294967295\nOS: linux\nUptime (seconds): 267\nIs under maintenance?: false\nRabbitMQ version: 4.0.5\nLeveret version: 0.1.0\nNode name: rabbit@localhost\n\nPlugins\n\nEnabled plugins:\n\n (none)\n\nData directory\n\nNode data directory: /data\n\nConfig files\n\n * /c.conf\n\nLog file(s)\n\n * <stdout>\n\nAlarms\n\nMemory alarm on node rabbit@localhost\n\nTags\n\n(none)\n\nMemory\n\nTotal memory used: 0.1223 gb\nCalculation strategy: rss\nMemory high watermark setting: 0.6 of available memory, computed to: 15.1659 gb\n\nFile Descriptors\n\nTotal: 20, limit: 19903\n\nFree Disk Space\n\nLow free disk space watermark: 0.05 gb\nFree disk space: 84.792 gb\n\nTotals\n\nConnection count: 1\nQueue count: 3\nVirtual host count: 1\n\nListeners\n\nInterface: [::], port: 5672, protocol: amqp, purpose: AMQP 0-9-1\n";
    assert_eq!(leveretctl(folder.path(), &["status", "-q"]).stdout, expected);
    let banner = leveretctl(folder.path(), &["status"]).stdout;
    assert_eq!(banner, format!("Status of node rabbit@localhost ...\n{expected}"));
    let json = leveretctl(folder.path(), &["status", "--formatter", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["totals"]["queue_count"], 3);
}

#[test]
fn mistakes_have_rabbitmqctl_s_texts_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let _asked = serve(folder.path());
    let cases: &[(&str, i32, &str)] = &[
        (
            "list_queues name nope",
            64,
            "Error (argument validation): Info key(s) nope are not supported\nArguments given:\n\tlist_queues name nope\n\nUsage\n\n",
        ),
        (
            "list_queues --nope",
            64,
            "Error (argument validation): Invalid options for this command:\n--nope : \nArguments given:\n\tlist_queues --nope\n\nUsage\n\n",
        ),
        (
            "list_queues --timeout abc",
            64,
            "Error (argument validation): Invalid options for this command:\n--timeout : abc\nArguments given:\n\t",
        ),
        (
            "list_users extra",
            64,
            "Error (argument validation): too many arguments.\nArguments given:\n\tlist_users extra\n\nUsage\n\n",
        ),
        ("ping extra", 64, "Error (argument validation): too many arguments.\n"),
        ("delete_queue", 64, "Error (argument validation): not enough arguments.\n"),
        ("nosuch", 64, "\nCommand 'nosuch' not found. \n\nUsage\n\n"),
        ("-q", 64, "\nUsage\n\n"),
        (
            "set_vm_memory_high_watermark 1.5",
            65,
            "Error (argument validation): Bad argument: The threshold should be a fraction between 0.0 and 1.0\n",
        ),
        ("set_vm_memory_high_watermark abc", 65, "Error (argument validation): Bad argument.\n"),
        ("set_disk_free_limit lots", 65, "Error (argument validation): Bad argument.\n"),
        ("set_disk_free_limit 1GB", 69, "Error:\nthe broker refused (400): too much\n"),
        ("delete_queue nope", 64, "Error:\nQueue not found\n"),
        ("purge_queue nope", 65, "Object (queue, stream, exchange, etc) was not found\n"),
        ("close_connection foo bar", 69, "Error:\nthere is no connection foo\n"),
        (
            "--data-dir /nonexistent ping",
            69,
            "Error:\nunable to connect to the broker's control socket /nonexistent/control/leveret.sock: ",
        ),
        ("--data-dir /nonexistent stop", 69, "Error:\n"),
    ];
    for (arguments, code, stderr) in cases {
        let outcome = leveretctl(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(outcome.code, *code, "{arguments}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with(stderr), "{arguments}: {}", outcome.stderr);
    }
    assert_eq!(leveretctl(folder.path(), &["--data-dir", "/nonexistent", "stop", "--idempotent"]).code, 0);
}

#[test]
fn what_is_asked_of_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let asked = serve(folder.path());
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["close_connection", "127.0.0.1:37526 -> 127.0.0.1:5695", "by\r\ne"],
            &[
                "GET /api/connections?columns=name ",
                "DELETE /api/connections/127.0.0.1%3A37526%20-%3E%20127.0.0.1%3A5695 bye",
            ],
        ),
        (
            &["-n", "x", "set_vm_memory_high_watermark", "absolute", "2GiB"],
            &["PUT /api/leveret/vm_memory_high_watermark {\"absolute\":2147483648}"],
        ),
        (
            &["-n", "x", "set_disk_free_limit", "mem_relative", "1.5"],
            &["PUT /api/leveret/disk_free_limit {\"relative\":1.5}"],
        ),
        (&["list_exchanges", "-p", "a b/ü"], &["GET /api/exchanges/a%20b%2F%C3%BC?arguments=typed "]),
        (&["stop"], &["GET /api/leveret/status ", "PUT /api/leveret/stop "]),
    ];
    for (arguments, expected) in cases {
        leveretctl(folder.path(), arguments);
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
