//! Writes that the system cuts short: a limit on the length of files, set while the broker runs, gives the first part
//! of a write and refuses the rest.

use leveret_tests::{
    broker::{Broker, Options},
    process::limit_file_length,
};

use super::{model::Model, play_to_the_end, start_again};

/// Where files end, in octets: in the middle of sectors, of blocks and of batches.
const LIMITS: [u64; 8] = [20_001, 61_440, 131_073, 200_700, 333_333, 524_289, 700_000, 999_999];
const ROUNDS: u32 = 8;

#[test]
fn a_write_that_is_cut_short_loses_nothing_confirmed() {
    let mut cut = 0;
    for limit in LIMITS {
        // The signal that comes with the refusal would end the process; ignored, it leaves the error.
        let starter = ["sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#].map(str::to_owned).to_vec();
        // Slots as large as they are by default: all of the script goes into the first, which is there already.
        let mut broker = Broker::start_with(Options { starter, ..Options::default() });
        limit_file_length(broker.pid(), limit);
        let mut model = Model::default();
        let status = play_to_the_end(&mut broker, &mut model, 0..ROUNDS);
        let log = broker.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        let is_clear = matches!(*lines, [line] if line.contains("/data/") && line.contains("File too large"));
        assert!(status.code().is_some_and(|code| code != 0) && is_clear, "at {limit}: {status}: {log}");
        cut += usize::from(lines[0].contains("write failed"));
        let wrong = start_again(&mut broker, &model);
        assert!(wrong.is_empty(), "at {limit}: {wrong:?}");
    }
    assert!(cut > 0, "no write was cut");
}
