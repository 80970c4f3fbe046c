//! Short games of many seeds: what every commit passes. `cargo xtask sim` plays long ones.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use leveret_sim::{Coverage, Game, run};

const SEEDS: u64 = 240;

fn game(seed: u64) -> Game {
    Game { operations: 260, ..Game::new(seed) }
}

#[test]
fn no_seed_breaks_a_promise() {
    let next = AtomicU64::new(1);
    let play_some = || {
        let mut coverage = Coverage::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > SEEDS {
                return coverage;
            }
            match run(&game(seed)) {
                Ok(played) => coverage.merge(&played),
                Err(violation) => panic!("seed {seed}: {violation}"),
            }
        }
    };
    let mut total = Coverage::default();
    thread::scope(|scope| {
        let threads = [scope.spawn(play_some), scope.spawn(play_some)];
        for thread in threads {
            total.merge(&thread.join().unwrap());
        }
    });
    assert!(total.missing().is_empty(), "never happened: {:?}; {total}", total.missing());
}

#[test]
fn a_seed_plays_the_same_game_again() {
    let play = |seed| run(&game(seed)).map_err(|violation| violation.to_string());
    for seed in 1..6 {
        assert_eq!(play(seed), play(seed), "seed {seed}");
    }
    assert_ne!(play(1), play(2));
}
