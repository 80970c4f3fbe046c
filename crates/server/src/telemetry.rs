//! Log lines: to standard output, for people or as JSON.
//!
//! Owns the set-up of tracing and nothing else; what is logged is the business of whoever logs it.

use std::io::{self, IsTerminal as _, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogFormat, LogLevel};

/// Starts logging for the whole process. `filter` narrows or widens the level for parts of the broker, in
/// tracing's syntax, for instance `info,leveret_server=debug`. Does nothing if logging has started already, as in
/// tests.
///
/// # Errors
/// If the filter cannot be read; logging has not started.
pub fn start(level: LogLevel, format: LogFormat, filter: Option<&str>) -> Result<(), ParseError> {
    let filter = env_filter(level, filter)?;
    let colours = io::stdout().is_terminal();
    let subscriber = subscriber(io::stdout, format, filter, colours);
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn env_filter(level: LogLevel, filter: Option<&str>) -> Result<EnvFilter, ParseError> {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    EnvFilter::builder().with_default_directive(level.into()).parse(filter.unwrap_or_default())
}

type Subscriber = Box<dyn tracing::Subscriber + Send + Sync>;

fn subscriber<W>(writer: W, format: LogFormat, filter: EnvFilter, colours: bool) -> Subscriber
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A closed standard output must not turn every log line into one about the log.
    let builder = tracing_subscriber::fmt()
        .with_writer(OneLine { writer, colours })
        .with_env_filter(filter)
        .log_internal_errors(false);
    match format {
        LogFormat::Plain => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_span_list(false).finish()),
    }
}

/// Keeps each event on a line of its own, whatever names clients put into it: control characters are escaped. An event
/// comes in one piece.
struct OneLine<W> {
    writer: W,
    /// Some of them are ours.
    colours: bool,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = OneLine<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        OneLine { writer: self.writer.make_writer(), colours: self.colours }
    }
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let is_foreign = |byte: &u8| byte.is_ascii_control() && !(self.colours && *byte == b'\x1b');
        if line.iter().any(is_foreign) {
            let mut escaped = Vec::with_capacity(event.len() + 16);
            for byte in line {
                if is_foreign(byte) {
                    escaped.extend(byte.escape_ascii());
                } else {
                    escaped.push(*byte);
                }
            }
            escaped.push(b'\n');
            self.writer.write_all(&escaped)?;
        } else {
            self.writer.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Buffer {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    fn logged(level: LogLevel, format: LogFormat, filter: Option<&str>) -> Vec<String> {
        let buffer = Buffer::default();
        let subscriber = subscriber(buffer.clone(), format, env_filter(level, filter).unwrap(), false);
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::error_span!("connection", vhost = "/").entered();
            tracing::debug!("a detail");
            tracing::info!(queue = "q", "a change");
            tracing::error!("a fault");
        });
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn levels() {
        for (level, lines) in [
            (LogLevel::Off, 0),
            (LogLevel::Error, 1),
            (LogLevel::Warn, 1),
            (LogLevel::Info, 2),
            (LogLevel::Debug, 3),
        ] {
            assert_eq!(logged(level, LogFormat::Plain, None).len(), lines, "{level:?}");
        }
        assert_eq!(logged(LogLevel::Info, LogFormat::Plain, Some("debug")).len(), 3);
    }

    #[test]
    fn formats() {
        let plain = logged(LogLevel::Info, LogFormat::Plain, None);
        assert!(plain[0].contains("a change") && plain[0].contains("queue"), "{}", plain[0]);
        let json = logged(LogLevel::Info, LogFormat::Json, None);
        assert!(json[0].starts_with('{') && json[0].ends_with('}'), "{}", json[0]);
        for part in [r#""message":"a change""#, r#""queue":"q""#, r#""vhost":"/""#, r#""level":"INFO""#] {
            assert!(json[0].contains(part), "{} lacks {part}", json[0]);
        }
    }

    #[test]
    fn a_client_s_name_makes_no_line_of_its_own() {
        for format in [LogFormat::Plain, LogFormat::Json] {
            let buffer = Buffer::default();
            let filter = env_filter(LogLevel::Info, None).unwrap();
            let subscriber = subscriber(buffer.clone(), format, filter, false);
            tracing::subscriber::with_default(subscriber, || {
                let user = "eve\r\n2026-11-21T00:00:00Z  INFO all is well\u{1b}[2J";
                tracing::warn!(%user, "login refused: user '{user}'");
            });
            let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains("all is well") && !text.contains(['\r', '\u{1b}']), "{text}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        assert!(env_filter(LogLevel::Info, Some("leveret=loud")).is_err());
    }
}
