//! What binding, unbinding and matching cost, as a table: `cargo bench -p leveret-routing`.
//!
//! Binding n keys to one exchange must grow linearly: the time for one bind in the last column stays nearly the same
//! from 10,000 to 1,000,000. So must deleting queues, whose bindings lie in the same exchange.

use std::hint::black_box;
use std::time::{Duration, Instant};

use leveret_routing::{
    Binding, Destination, ExchangeKey, ExchangeType, Publication, QueueKey, Router, Routes,
};

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
const MATCHES: u32 = 200_000;

#[allow(clippy::print_stdout, reason = "a benchmark prints its table")]
fn line(what: &str, n: u64, total: Duration, each: u32) {
    println!(
        "{what:<44} {n:>9} {:>10.1} ms {:>9} ns each",
        total.as_secs_f64() * 1e3,
        (total / each).as_nanos()
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn binding(exchange: ExchangeKey, queue: u64, key: &str) -> Binding {
    Binding::new(exchange, Destination::Queue(QueueKey(queue)), key.as_bytes(), b"")
}

fn count(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Binds n keys, routes over them, and deletes the queues again.
fn grow(what: &str, exchange_type: ExchangeType, n: u64, key: impl Fn(u64) -> String) {
    let mut router = Router::new();
    let exchange = router.declare("x", exchange_type, None);
    let bindings: Vec<_> = (0..n).map(|queue| binding(exchange, queue, &key(queue))).collect();
    let time = timed(|| {
        for binding in bindings {
            black_box(router.bind(binding).is_ok());
        }
    });
    line(&format!("{what}: bind"), n, time, count(n));
    if exchange_type != ExchangeType::Fanout {
        let keys: Vec<_> =
            (0..1024).map(|i| key(i * 7919 % n).replace('*', "w").replace('#', "v.w")).collect();
        let mut routes = Routes::new();
        let time = timed(|| {
            for key in keys.iter().cycle().take(usize::try_from(MATCHES).unwrap_or(0)) {
                router.route(exchange, &Publication::new(key.as_bytes()), &mut routes);
                black_box(routes.queues().len());
            }
        });
        line(&format!("{what}: route"), n, time, MATCHES);
    }
    let time = timed(|| {
        for queue in 0..n {
            black_box(router.remove_queue(QueueKey(queue)).len());
        }
    });
    line(&format!("{what}: delete queue"), n, time, count(n));
}

fn fan(n: u64) {
    let mut router = Router::new();
    let exchange = router.declare("x", ExchangeType::Fanout, None);
    for queue in 0..n {
        black_box(router.bind(binding(exchange, queue, "")).is_ok());
    }
    let mut routes = Routes::new();
    let rounds = 100;
    let time = timed(|| {
        for _ in 0..rounds {
            router.route(exchange, &Publication::new(b""), &mut routes);
            black_box(routes.queues().len());
        }
    });
    line("fanout: route to all", n, time, rounds);
}

fn hostile() {
    let mut router = Router::new();
    let exchange = router.declare("x", ExchangeType::Topic, None);
    let pattern = ["#"; 60].join(".a.");
    black_box(router.bind(binding(exchange, 1, &pattern)).is_ok());
    let key = ["a"; 120].join(".");
    let mut routes = Routes::new();
    let rounds = 1000;
    let time = timed(|| {
        for _ in 0..rounds {
            router.route(exchange, &Publication::new(key.as_bytes()), &mut routes);
            black_box(routes.queues().len());
        }
    });
    line("topic: 60 '#' against 120 words", 1, time, rounds);
}

fn main() {
    for n in SIZES {
        grow("direct, a key each", ExchangeType::Direct, n, |i| format!("key-{i}"));
        grow("topic, two words each", ExchangeType::Topic, n, |i| format!("region-{}.device-{i}", i % 100));
        grow("topic, a pattern each", ExchangeType::Topic, n, |i| format!("*.device-{i}.#"));
        grow("fanout", ExchangeType::Fanout, n, |_| String::new());
    }
    for n in [1, 10, 1_000, 100_000] {
        fan(n);
    }
    hostile();
}
