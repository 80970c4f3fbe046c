//! Who may call what: every route by everyone.

use leveret_tests::broker::Broker;

use super::{
    differences::{DIFFERENCES, expected},
    peer, read_golden, recording,
    routes::PROBES,
    world::{Answers, OfRoute, World},
    write_golden,
};

const GOLDEN: &str = "http_matrix.json";

#[test]
fn every_route_answers_everyone_as_rabbitmq_does() {
    if recording() {
        let (amqp, http) = peer().expect("LEVERET_GOLDEN_URI and LEVERET_GOLDEN_HTTP say where RabbitMQ is");
        write_golden(GOLDEN, &World::new(amqp, http).ask_all());
        return;
    }
    let mut goldens: Answers = read_golden(GOLDEN);
    let answers = match peer() {
        Some((amqp, http)) => World::new(amqp, http).ask_all(),
        None => {
            for (route, golden) in &mut goldens {
                *golden = expected(route, golden);
            }
            let broker = Broker::start();
            World::new(broker.amqp(), broker.http()).ask_all()
        }
    };
    assert!(goldens.keys().eq(answers.keys()), "record the goldens again");
    let differing = goldens.iter().filter(|(route, golden)| answers[*route] != **golden);
    let wrong: Vec<String> =
        differing.map(|(route, golden)| report(route, golden, &answers[route])).collect();
    assert!(wrong.is_empty(), "{} of {} routes differ\n{}", wrong.len(), goldens.len(), wrong.join("\n"));
}

#[test]
fn every_difference_is_one() {
    let goldens: Answers = read_golden(GOLDEN);
    assert!(goldens.len() == PROBES.len() && goldens.len() > 120, "record the goldens again");
    for (route, _, reason) in DIFFERENCES {
        let golden = goldens.get(*route).unwrap_or_else(|| panic!("no route {route:?}"));
        assert_ne!(expected(route, golden), *golden, "{route}");
        assert!(!reason.is_empty());
    }
}

fn report(route: &str, golden: &OfRoute, answered: &OfRoute) -> String {
    let lines = |these: &OfRoute, others: &OfRoute| {
        let differing = these.iter().filter(|(answer, who)| others.get(*answer) != Some(*who));
        differing.map(|(answer, who)| format!("    {answer}: {who:?}\n")).collect::<String>()
    };
    format!("{route}\n  expected:\n{}  answered:\n{}", lines(golden, answered), lines(answered, golden))
}
