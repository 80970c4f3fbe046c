//! What can go wrong, what is said about it, and the exit codes (sysexits.h, as rabbitmqctl's).

use std::io;

use crate::commands::{command_list, usage_of};

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense: 64, with the command's usage.
    Usage { command: String, problem: String },
    /// A value makes no sense: 65, with the command's usage.
    BadArgument { command: String, problem: String },
    /// There is no such command: 64. Empty: none was given.
    NoCommand(String),
    /// No such object; the exit code is the command's.
    NotFound { code: u8, text: String },
    /// The broker is not there, or refused: 69.
    Unavailable(String),
    /// The broker did not answer in time: 75.
    TimedOut(String),
    /// The output could not be written: 74.
    Output(io::Error),
}

impl Failure {
    pub(crate) fn usage(command: &str, problem: impl Into<String>) -> Self {
        Self::Usage { command: command.to_owned(), problem: problem.into() }
    }

    pub(crate) fn bad_argument(command: &str, problem: impl Into<String>) -> Self {
        Self::BadArgument { command: command.to_owned(), problem: problem.into() }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::NoCommand(_) => 64,
            Self::BadArgument { .. } => 65,
            Self::NotFound { code, .. } => *code,
            Self::Unavailable(_) => 69,
            Self::TimedOut(_) => 75,
            // Whoever reads through `head` has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 74,
        }
    }

    /// What goes to standard error.
    pub(crate) fn text(&self, given: &[String]) -> String {
        match self {
            Self::Usage { command, problem } | Self::BadArgument { command, problem } => format!(
                "Error (argument validation): {problem}\nArguments given:\n\t{}\n\nUsage\n\n{}\n",
                given.join(" "),
                usage_of(command)
            ),
            Self::NoCommand(command) if command.is_empty() => command_list(),
            Self::NoCommand(command) => format!("\nCommand '{command}' not found. \n{}", command_list()),
            Self::NotFound { text, .. } => format!("{text}\n"),
            Self::Unavailable(text) | Self::TimedOut(text) => format!("Error:\n{text}\n"),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => String::new(),
            Self::Output(error) => format!("Error:\n{error}\n"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
