//! How a command ends.

use std::process::ExitCode;

/// Exit statuses, as the README lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked.
    Success,
    /// It could not.
    Failure,
    /// It was asked wrongly: arguments, settings, a secret that must not be used.
    Usage,
    /// `ghmesh api`: gh's own status.
    Gh(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => ExitCode::SUCCESS,
            Exit::Failure => ExitCode::FAILURE,
            Exit::Usage => ExitCode::from(2),
            Exit::Gh(status) => ExitCode::from(status),
        }
    }
}
