//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

/// What a number means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only rises while the process lives.
    Counter,
    /// It rises and falls.
    Gauge,
    /// It says nothing by itself; its labels do, or it is 0 or 1.
    Untyped,
}

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Begins a metric; its samples follow. Each name is begun once.
    pub(super) fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Untyped => "untyped",
        };
        let _ = writeln!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}");
    }

    /// One sample of the metric begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Into<Number>) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if at == 0 { '{' } else { ',' });
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = match value.into() {
            Number::Whole(whole) => writeln!(self.0, " {whole}"),
            Number::Broken(broken) => writeln!(self.0, " {broken:?}"),
        };
    }

    /// A metric with one sample.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<Number>) {
        self.metric(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// Counted.
    Whole(u64),
    /// Measured.
    Broken(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Broken(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut page = Page::default();
        page.single("a_total", Kind::Counter, "All a", 5u64);
        page.metric("b", Kind::Gauge, "Each b");
        page.sample("b", &[("vhost", "/"), ("queue", "a\"b\\c\nd")], 0.5);
        page.sample("b", &[("queue", "é")], 2.0);
        let expected = "# TYPE a_total counter\n# HELP a_total All a\na_total 5\n# TYPE b gauge\n# HELP b Each b\n\
                        b{vhost=\"/\",queue=\"a\\\"b\\\\c\\nd\"} 0.5\nb{queue=\"é\"} 2.0\n";
        assert_eq!(page.into_text(), expected);
    }
}
