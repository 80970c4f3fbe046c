//! Each family of arguments through `kill -9`: the state after it is the state before.
//!
//! The scenarios of `restart.txt` are cut by a line `---`, where the broker is killed and started again. What RabbitMQ
//! answers is recorded over a clean stop, by a command in `LEVERET_GOLDEN_RESTART` that stops and starts it: killed, it
//! forgets acks, and what was dead-lettered is in two places.

use std::{net::SocketAddr, process::Command, sync::Mutex};

use leveret_tests::{
    broker::Broker,
    golden,
    methods::{Properties, basic, confirm, queue},
    wait::pass,
    wire::Table,
};

use super::{
    family::{Scenario, compare, scenarios},
    scene::Scene,
};

const THREADS: usize = 12;

#[test]
fn a_kill_leaves_the_arguments_and_what_they_did() {
    let scenarios = scenarios("restart");
    let parts: Vec<(&str, &str, &str)> = scenarios.iter().map(parts).collect();
    let peer = golden::peer();
    let mut own = peer.is_none().then(Broker::start);
    let address = peer.unwrap_or_else(|| own.as_ref().expect("a broker").amqp());
    let scenes = Mutex::new(Vec::new());
    golden::ask_all(&parts, THREADS, |(about, before, after)| {
        let scene = begin(address, about, before);
        scenes.lock().expect("the scenes").push(((*about).to_owned(), *after, scene));
        ((*about).to_owned(), Vec::new())
    });
    match &mut own {
        Some(broker) => {
            broker.kill();
            broker.restart();
        }
        None => restart_peer(),
    }
    let scenes: Vec<_> =
        scenes.into_inner().expect("the scenes").into_iter().map(|s| Mutex::new(Some(s))).collect();
    let answers = golden::ask_all(&scenes, THREADS, |scene| {
        let (about, after, mut scene) = scene.lock().expect("a scene").take().expect("each once");
        scene.leave();
        scene.try_perform(after);
        let lines = scene.finish().iter().map(|line| without_redelivered(line)).collect();
        scene.clean();
        (about, lines)
    });
    compare("restart", &answers, scenarios.len());
}

fn begin(address: SocketAddr, about: &str, before: &str) -> Scene {
    let mut scene = Scene::start(address, &format!("restart: {about}"));
    scene.try_perform(before);
    scene
}

fn parts((about, script): &Scenario) -> (&str, &str, &str) {
    let (before, after) = script.split_once("\n---\n").expect("two parts");
    (about, before, after)
}

fn restart_peer() {
    let command = std::env::var("LEVERET_GOLDEN_RESTART").expect("LEVERET_GOLDEN_RESTART is a command");
    let status = Command::new("sh").args(["-c", &command]).status().expect("a shell");
    assert!(status.success(), "{command}");
}

/// After a crash a message may say that it was delivered before when it was not: no promise, so not compared.
fn without_redelivered(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    let place = match words.first() {
        Some(&"basic.get-ok") => 2,
        Some(&"basic.deliver") => 3,
        _ => return line.to_owned(),
    };
    words[place] = "*";
    words.join(" ")
}

/// A queue that dead-letters into another, filled.
fn with_letters(broker: &Broker, count: u64) {
    let mut client = broker.channel();
    let dead = Table::default().text("x-dead-letter-exchange", "").text("x-dead-letter-routing-key", "dead");
    for (name, arguments) in [("dead", Table::default()), ("work", dead)] {
        client.call(1, queue::declare(name, queue::DURABLE, &arguments), (50, 11)).expect("a queue");
    }
    client.call(1, confirm::select(), (85, 11)).expect("confirms");
    for number in 1..=count {
        let body = number.to_string();
        client.publish(1, ("", "work", 0), &Properties::persistent(), body.as_bytes()).expect("a publish");
    }
    let mut confirmed = 0;
    while confirmed < count {
        let ack = client.expect_method(1, (60, 80)).expect("a confirm");
        confirmed = ack.arguments().u64().expect("a tag");
    }
}

/// The bodies in `queue`, taken out.
fn bodies(broker: &Broker, queue: &str) -> Vec<u64> {
    let mut client = broker.channel();
    let taken = std::iter::from_fn(|| client.get(1, queue).expect("an answer"));
    taken.map(|content| String::from_utf8_lossy(&content.body).parse().expect("a number")).collect()
}

#[test]
fn a_kill_amid_dead_lettering_leaves_each_message_in_one_place() {
    const COUNT: u64 = 200;
    let mut broker = Broker::start();
    for round in 0..6 {
        with_letters(&broker, COUNT);
        let mut client = broker.channel();
        client.method(1, basic::consume("work", "t", 0, &Table::default())).expect("a consumer");
        client.expect_method(1, (60, 21)).expect("a consumer");
        for _ in 0..COUNT {
            let deliver = client.expect_method(1, (60, 60)).expect("a delivery");
            client.content(deliver).expect("its content");
        }
        for tag in 1..=COUNT {
            client.method(1, basic::reject(tag, false)).expect("a rejection");
        }
        // Somewhere between the rejections' arrival and the end of their moves.
        pass(std::time::Duration::from_micros(400 * round));
        broker.kill();
        broker.restart();
        let (work, dead) = (bodies(&broker, "work"), bodies(&broker, "dead"));
        let mut all = [work, dead].concat();
        all.sort_unstable();
        assert_eq!(all, (1..=COUNT).collect::<Vec<_>>(), "round {round}");
    }
}
