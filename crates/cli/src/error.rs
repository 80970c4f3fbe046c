//! Why a command did not succeed: rabbitmqctl's texts and exit codes, those of sysexits.h.

use std::io;

use serde_json::Value;

pub(crate) const EX_USAGE: u8 = 64;
pub(crate) const EX_DATA: u8 = 65;
pub(crate) const EX_NO_USER: u8 = 67;
pub(crate) const EX_UNAVAILABLE: u8 = 69;
pub(crate) const EX_SOFTWARE: u8 = 70;
pub(crate) const EX_TIMEOUT: u8 = 75;

/// What is wrong with a command line; it is shown with the command's usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Unknown option, wrong number of arguments.
    Usage(String),
    /// An argument with a value that it cannot have.
    BadArgument(String),
    /// The command needs the application, which is stopped.
    Stopped,
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// What is said on standard error, without the last line's end; nothing is said if it is empty.
    pub(crate) text: String,
    /// What is said instead if JSON is asked for.
    pub(crate) json: Option<Value>,
}

impl Failure {
    /// A failure with this text as it is.
    pub(crate) fn plain(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), json: None }
    }

    /// A failure with `Error:` above its text.
    pub(crate) fn error(code: u8, text: impl AsRef<str>) -> Self {
        Self::plain(code, format!("Error:\n{}", text.as_ref()))
    }

    /// The same with another face in JSON.
    pub(crate) fn with_json(self, json: Value) -> Self {
        Self { json: Some(json), ..self }
    }

    /// The broker cannot be reached, or gave no answer that can be read.
    pub(crate) fn unavailable(text: impl AsRef<str>) -> Self {
        Self::error(EX_UNAVAILABLE, text)
    }

    /// A command line that is wrong: `usage` is the command's usage line.
    pub(crate) fn wrong(problem: &Problem, given: &[String], usage: &str) -> Self {
        let (code, text) = match problem {
            Problem::Usage(text) => (EX_USAGE, format!("Error (argument validation): {text}")),
            Problem::BadArgument(text) => (EX_DATA, format!("Error (argument validation): {text}")),
            Problem::Stopped => (
                EX_USAGE,
                "Error: this command requires the 'rabbit' app to be running on the target node. Start it with \
                 'rabbitmqctl start_app'."
                    .to_owned(),
            ),
        };
        Self::plain(code, format!("{text}\nArguments given:\n\t{}\n\nUsage\n\n{usage}", given.join(" ")))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever read the output has gone, and wants no more.
        let text = if error.kind() == io::ErrorKind::BrokenPipe {
            String::new()
        } else {
            format!("Error:\n{error}")
        };
        Self::plain(EX_UNAVAILABLE, text)
    }
}
