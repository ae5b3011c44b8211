//! Everything that can end `ghmesh api` before GitHub's own word does.

use super::{
    BoxError, EndpointError, FieldError, FilterError, RepositoryError, TemplateError, TransportError, UsageError,
};

/// Why a call ended without an answer, or its answer couldn't be printed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Options that contradict each other.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// `-f` or `-F`.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// `-F key=@file` or `--input`.
    #[error("open {name}: {source}")]
    File {
        /// The file, `-` for standard input.
        name: String,
        /// Why it can't be read.
        source: std::io::Error,
    },
    /// A file for `-F` that is no text.
    #[error("{name} is not UTF-8 text, which a JSON parameter has to be")]
    NotText {
        /// The file.
        name: String,
    },
    /// More than one value from a file, or a file, that is too large to be held.
    #[error("{what} is larger than {} MiB", limit >> 20)]
    TooLarge {
        /// What is.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// Standard input was wanted twice.
    #[error("standard input can be read only once: it is both a parameter and the body, or two parameters")]
    StdinTwice,
    /// `{owner}`, `{repo}` or `{branch}`.
    #[error("unable to expand placeholder: {0}")]
    Placeholder(#[from] RepositoryError),
    /// The endpoint, a redirect or the link to the next page.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// `-H` without a colon.
    #[error("header {header:?} requires a value separated by ':'")]
    HeaderForm {
        /// The argument.
        header: String,
    },
    /// `-H`, or a token, with characters that headers can't hold.
    #[error("the header {name:?} has a name or value that HTTP doesn't allow")]
    Header {
        /// Its name; never its value, which may be a credential.
        name: String,
    },
    /// `-X` with something that is no method.
    #[error("{method:?} is not an HTTP method")]
    Method {
        /// The argument.
        method: String,
    },
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    Body(BoxError),
    /// A redirect that leads in a circle.
    #[error("stopped after {0} redirects")]
    Redirects(usize),
    /// A next page that is this page.
    #[error("the answer names itself as the next page; GraphQL queries have to pass `$endCursor` to `after`")]
    SamePage,
    /// `--jq`.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// `--template`.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Standard output or standard error can't be written.
    #[error("cannot write the answer: {0}")]
    Output(std::io::Error),
}

impl ApiError {
    /// Whether whoever read our output went away, which is no failure (`ghmesh api … | head`).
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Whether the arguments are to blame and not the world.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_) | Self::Field(_) | Self::HeaderForm { .. } | Self::Method { .. })
    }
}
