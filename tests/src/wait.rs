//! Waiting for a condition, with a deadline. The only place of the black-box tests where time passes on purpose.

use std::time::{Duration, Instant};

/// How long a test waits for something that normally takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `condition` again and again until it gives a value.
///
/// # Panics
/// When `deadline` has passed; the text says `what` was waited for.
pub fn until<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(3));
    }
}

/// Lets `time` pass: between two tries, or for a moment that nothing announces, such as the middle of a start.
pub fn pass(time: Duration) {
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
