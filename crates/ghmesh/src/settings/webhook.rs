//! `webhook`: how GitHub tells the daemon what has changed.

use super::key::{Fallback, Key};
use super::problem::{Fault, Problem};
use super::reader::Reader;
use super::secret::SecretText;
use std::io::{self, Read};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Fewest characters of a secret: 16 random hexadecimal digits are 64 bits, out of reach over HTTP.
const MIN_CHARACTERS: usize = 16;
/// Longest secret in bytes; GitHub takes fewer.
const MAX_BYTES: usize = 4096;

static SECRET: Key = Key {
    path: "webhook.secret",
    default: Fallback::Unset,
    values: "text of at least 16 characters; digits in quotes",
    meaning: "What a hook on GitHub signs its deliveries with. With it `POST /_ghmesh/webhook` takes them, and what they tell of is \
              stale at once on all nodes of the mesh; without it that path answers 404. See [webhooks](#webhooks).",
    because: "GitHub sends nothing before somebody sets up a hook.",
    secret: true,
};
static SECRET_FILE: Key = Key {
    path: "webhook.secret_file",
    default: Fallback::Unset,
    values: "path",
    meaning: "A file that holds the webhook secret, for systemd credentials and mounted Kubernetes secrets. Line ends behind it \
              don't count. Read at the daemon's start; not read if `webhook.secret` is set.",
    because: "There is no usual place for it.",
    secret: false,
};

pub(super) const KEYS: &[&Key] = &[&SECRET, &SECRET_FILE];

/// The `webhook` section; `docs/configuration.md` says what each does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The secret itself.
    pub secret: Option<SecretText>,
    /// Where it is, if it isn't in the settings.
    pub secret_file: Option<PathBuf>,
}

/// Why a webhook secret that was given cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSecretError {
    /// It can be guessed.
    #[error("{setting} has {length} characters; {MIN_CHARACTERS} random ones are the least that cannot be guessed")]
    Short {
        /// The setting.
        setting: &'static str,
        /// Its length in characters.
        length: usize,
    },
    /// It is longer than any secret.
    #[error("{setting} has more than {MAX_BYTES} bytes; give what the hook on GitHub has as its secret")]
    TooLong {
        /// The setting.
        setting: &'static str,
    },
    /// The file cannot be read.
    #[error("webhook.secret_file {path} cannot be read: {source}; name a file that the daemon's user can read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl WebhookSecretError {
    fn key(&self) -> &'static Key {
        match self {
            WebhookSecretError::Short { setting, .. } | WebhookSecretError::TooLong { setting }
                if *setting == SECRET.path =>
            {
                &SECRET
            }
            WebhookSecretError::Short { .. }
            | WebhookSecretError::TooLong { .. }
            | WebhookSecretError::Unreadable { .. } => &SECRET_FILE,
        }
    }
}

impl Webhook {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Webhook { secret: reader.optional(&SECRET), secret_file: reader.path(&SECRET_FILE) }
    }

    /// The secret, wherever it is. `None` if there is none. Reads the file of `webhook.secret_file`.
    ///
    /// # Errors
    /// It cannot be read, or it is not fit.
    pub fn chosen(&self) -> Result<Option<SecretText>, WebhookSecretError> {
        let (text, setting) = match (&self.secret, &self.secret_file) {
            (Some(text), _) => (text.clone(), SECRET.path),
            (None, Some(path)) => {
                let unreadable = |source| WebhookSecretError::Unreadable { path: path.clone(), source };
                let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
                let file = super::file::open(path).map_err(unreadable)?;
                file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
                (SecretText::new(&text), SECRET_FILE.path)
            }
            (None, None) => return Ok(None),
        };
        match (text.expose().chars().count(), text.expose().len()) {
            (length, _) if length < MIN_CHARACTERS => Err(WebhookSecretError::Short { setting, length }),
            (_, MAX_BYTES..) => Err(WebhookSecretError::TooLong { setting }),
            (_, _) => Ok(Some(text)),
        }
    }

    /// What is wrong with the secret. Reads the file of `webhook.secret_file`.
    pub(super) fn problem(&self) -> Option<Problem> {
        let error = self.chosen().err()?;
        Some(Problem::of(error.key(), Fault::Webhook(error)))
    }
}
