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
}
