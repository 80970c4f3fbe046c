//! Counting tests in what the runners print.

use crate::process::Ended;

/// How many tests passed, failed, or did not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// One whole suite that did not run.
    pub(crate) const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// One whole suite, or step, that went wrong.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };

    /// What `cargo test` printed: the sum of its result lines.
    pub(crate) fn of_cargo(ended: &Ended) -> Self {
        let mut tally = Self::default();
        for line in &ended.lines {
            // test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
            if line.starts_with("test result: ") {
                tally += Self::of_words(line, &[';', '.']);
            }
        }
        tally.checked(ended.success)
    }

    /// What pytest printed: its last line.
    pub(crate) fn of_pytest(ended: &Ended) -> Self {
        // 3 failed, 373 passed, 1 skipped, 2 errors in 14.92s
        let summary = ended.lines.iter().rev().find(|line| {
            line.contains(" in ")
                && [" passed", " failed", " error", " skipped"].iter().any(|word| line.contains(word))
        });
        let tally = summary.map_or(Self::default(), |line| Self::of_words(line, &[',']));
        tally.checked(ended.success)
    }

    /// What node's test runner printed with its TAP reporter: its closing comments.
    pub(crate) fn of_tap(ended: &Ended) -> Self {
        // # pass 42
        let count = |word: &str| -> u64 {
            let found = ended.lines.iter().rev().find_map(|line| line.strip_prefix("# ")?.strip_prefix(word));
            found.and_then(|rest| rest.trim().parse().ok()).unwrap_or_default()
        };
        let failed = count("fail ") + count("cancelled ");
        Self { passed: count("pass "), failed, skipped: count("skipped ") + count("todo ") }
            .checked(ended.success)
    }

    /// What `go test -v` printed: a line for each test; those of tests within tests are indented and not counted.
    pub(crate) fn of_go(ended: &Ended) -> Self {
        // --- PASS: TestName (0.01s)
        let count = |word: &str| {
            let count = ended.lines.iter().filter(|line| line.starts_with(word)).count();
            u64::try_from(count).unwrap_or(u64::MAX)
        };
        Self { passed: count("--- PASS:"), failed: count("--- FAIL:"), skipped: count("--- SKIP:") }
            .checked(ended.success)
    }

    /// What Maven's Surefire printed: the line of results, which comes after those of each class.
    pub(crate) fn of_surefire(ended: &Ended) -> Self {
        // [INFO] Tests run: 27, Failures: 0, Errors: 0, Skipped: 0
        let results = ended.lines.iter().rev().find_map(|line| {
            let (_, rest) = line.split_once("Tests run: ")?;
            let numbers = rest.split(',').map(|part| part.rsplit(' ').next()?.parse().ok());
            numbers.take(4).collect::<Option<Vec<u64>>>()
        });
        let tally = match results.as_deref() {
            Some([run, failures, errors, skipped]) => {
                let failed = failures + errors;
                Self { passed: run.saturating_sub(failed + skipped), failed, skipped: *skipped }
            }
            _ => Self::default(),
        };
        tally.checked(ended.success)
    }

    /// Moves the tests that said `skipped: WHAT (WHY)` on a line of their own from the passed to the skipped ones.
    pub(crate) fn less_skipped(mut self, ended: &Ended) -> Self {
        let said = ended.lines.iter().filter(|line| line.starts_with("skipped: ")).count() as u64;
        let moved = said.min(self.passed);
        self.passed -= moved;
        self.skipped += moved;
        self
    }

    /// Adds up each "number word" of a summary line.
    fn of_words(line: &str, separators: &[char]) -> Self {
        let mut tally = Self::default();
        for part in line.split(separators) {
            let mut words = part.split_whitespace();
            let Some(count) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => tally.passed += count,
                Some("failed" | "error" | "errors") => tally.failed += count,
                Some("ignored" | "skipped" | "xfailed") => tally.skipped += count,
                _ => {}
            }
        }
        tally
    }

    /// A runner that failed without a failed test, or that ran no test at all, is one failure.
    fn checked(mut self, success: bool) -> Self {
        let nothing_ran = self.passed + self.failed == 0;
        if self.failed == 0 && (!success || nothing_ran) {
            self.failed = 1;
        }
        self
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(success: bool, text: &str) -> Ended {
        Ended { success, lines: text.lines().map(str::to_owned).collect() }
    }

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn cargo_result_lines_are_added_up() {
        let cases = [
            (
                true,
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                 noise 7 passed\n\
                 test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.10s",
                tally(7, 0, 1),
            ),
            (
                false,
                "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                tally(1, 2, 0),
            ),
            (false, "could not compile", tally(0, 1, 0)),
            (true, "", tally(0, 1, 0)),
        ];
        for (success, text, expected) in cases {
            assert_eq!(Tally::of_cargo(&ended(success, text)), expected, "{text}");
        }
    }

    #[test]
    fn tests_that_say_skipped_did_not_pass() {
        let text = "skipped: power cuts (no /dev/fuse)\ntest result: ok. 3 passed; 0 failed; 1 ignored";
        let ended = ended(true, text);
        assert_eq!(Tally::of_cargo(&ended).less_skipped(&ended), tally(2, 0, 2));
    }

    #[test]
    fn pytest_summary_is_read() {
        let cases = [
            (true, "....\n376 passed in 14.92s", tally(376, 0, 0)),
            (false, "FAILED x\n1 failed, 3 passed, 2 skipped, 1 error in 9.00s (0:00:09)", tally(3, 2, 2)),
            (false, "no tests ran in 0.01s", tally(0, 1, 0)),
            (false, "INTERNALERROR", tally(0, 1, 0)),
        ];
        for (success, text, expected) in cases {
            assert_eq!(Tally::of_pytest(&ended(success, text)), expected, "{text}");
        }
    }

    #[test]
    fn closing_line_has_its_form() {
        assert_eq!(tally(1, 2, 3).to_string(), "1 passed, 2 failed, 3 skipped");
    }

    #[test]
    fn other_runners_closing_lines_are_read() {
        let tap =
            "ok 1 - a\nnot ok 2 - b\n# tests 5\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 0";
        assert_eq!(Tally::of_tap(&ended(false, tap)), tally(2, 2, 1));
        assert_eq!(Tally::of_tap(&ended(true, "no counts")), tally(0, 1, 0));
        let go = "=== RUN TestA\n--- PASS: TestA (0.0s)\n    --- PASS: TestA/part (0.0s)\n--- SKIP: TestB (0.0s)\nok";
        assert_eq!(Tally::of_go(&ended(true, go)), tally(1, 0, 1));
        assert_eq!(Tally::of_go(&ended(false, "--- FAIL: TestA (0.0s)\nFAIL")), tally(0, 1, 0));
        let maven = "[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 1 s -- in A\n\
                     [ERROR] Tests run: 6, Failures: 1, Errors: 1, Skipped: 1\n[INFO] BUILD FAILURE";
        assert_eq!(Tally::of_surefire(&ended(false, maven)), tally(3, 2, 1));
        assert_eq!(Tally::of_surefire(&ended(false, "no java")), tally(0, 1, 0));
    }
}
