//! Each family of arguments through `kill -9`: the state after it is the state before.
//!
//! The scenarios of `restart.txt` are cut by a line `---`, where the broker is killed and started again. What RabbitMQ
//! answers is recorded over a clean stop, by a command in `LEVERET_GOLDEN_RESTART` that stops and starts it: killed, it
//! forgets acks, and what was dead-lettered is in two places.

use std::{net::SocketAddr, process::Command, sync::Mutex};

use leveret_tests::{broker::Broker, golden};

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
