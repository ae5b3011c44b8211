//! Which secret keys the mesh: the sources in their order, and what is refused or skipped.
//!
//! A secret that somebody gave is used or refused; one that merely lies around (a token for something else) is used if
//! it is fit, else skipped with a word about it. Inside an Actions job nothing that lies around is taken: the job's
//! code is not this mesh's operator.

use super::mesh;
use super::problem::{Fault, Place, Problem};
use super::{Environment, SecretText, Settings};
use ghmesh_seal::{Refusal, Strength, WeakSecrets, assess};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Longest secret in bytes. Tokens have at most some 300; a longer file is the wrong one.
const MAX_SECRET_BYTES: usize = 4096;

/// Most secrets that are accepted besides the own one: each is tried on whatever arrives.
const MAX_ACCEPTED: usize = ghmesh_mesh::MAX_RINGS - 1;
/// Longest file of accepted secrets in bytes: as many of the longest, each in its line, and room for empty lines.
const MAX_FILE_BYTES: usize = MAX_SECRET_BYTES * (MAX_ACCEPTED + 1);

/// The predecessor's setting.
const PREDECESSOR_VARIABLE: &str = "CACHE_P2P_SHARED_SECRET";

/// Where a mesh secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// `mesh.secret`.
    Setting,
    /// The file of `mesh.secret_file`.
    File(PathBuf),
    /// `CACHE_P2P_SHARED_SECRET`.
    Predecessor,
    /// `GITHUB_TOKEN` or `GH_TOKEN`.
    Token(&'static str),
    /// `gh auth token`.
    GhCommand,
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Setting => f.write_str("mesh.secret"),
            SecretSource::File(path) => write!(f, "mesh.secret_file {}", path.display()),
            SecretSource::Predecessor => f.write_str(PREDECESSOR_VARIABLE),
            SecretSource::Token(name) => f.write_str(name),
            SecretSource::GhCommand => f.write_str("`gh auth token`"),
        }
    }
}

/// The secret that was chosen, if any.
#[derive(Clone, Debug)]
pub struct SecretChoice {
    /// The secret of this node. `None`: it has a local cache only.
    pub secret: Option<Chosen>,
    /// Other secrets that are accepted from peers, without `secret` and without repetitions. Empty if there is no
    /// `secret`.
    pub accepted: Vec<SecretText>,
    /// Whether another secret has leaked: then none is accepted besides.
    pub compromised: bool,
    /// What the operator should know, in order.
    pub notes: Vec<SecretNote>,
}

/// A secret that is fit to key a mesh.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The secret.
    pub text: SecretText,
    /// Where it came from.
    pub source: SecretSource,
    /// Why it is fit.
    pub strength: Strength,
}

/// Something about the choice that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretNote {
    /// Something that lies around was not taken.
    Skipped {
        /// Where it is.
        source: SecretSource,
        /// Why.
        reason: SkipReason,
    },
    /// The secret may be guessed, and that is allowed.
    Weak {
        /// Where it came from.
        source: SecretSource,
    },
    /// Every user of this machine can read the secret.
    ReadableByAll {
        /// The file.
        path: PathBuf,
    },
    /// Other secrets have leaked, so these are not accepted.
    NotAccepted {
        /// How many.
        count: usize,
    },
    /// There is no secret, or the mesh is turned off: the cache is this node's own.
    LocalOnly {
        /// Whether the mesh is turned on.
        enabled: bool,
    },
}

/// Why something that lies around was not taken as the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It is not fit.
    Refused(Refusal),
    /// It is longer than any token.
    TooLong,
    /// This is an Actions job.
    ActionsJob,
}

impl fmt::Display for SecretNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretNote::Skipped { source, reason: SkipReason::Refused(refusal) } => {
                write!(f, "{source} is not taken as the mesh secret: {refusal}")
            }
            SecretNote::Skipped { source, reason: SkipReason::TooLong } => {
                write!(f, "{source} is not taken as the mesh secret: it has more than {MAX_SECRET_BYTES} bytes")
            }
            SecretNote::Skipped { source, reason: SkipReason::ActionsJob } => {
                let taken = "inside an Actions job only mesh.secret or mesh.secret_file is";
                write!(f, "{source} is not taken as the mesh secret: {taken}")
            }
            SecretNote::Weak { source } => write!(
                f,
                "the mesh secret of {source} may be guessed by whoever reaches the mesh port; `ghmesh secret new` makes a \
                 strong one"
            ),
            SecretNote::ReadableByAll { path } => {
                let path = path.display();
                write!(f, "every user of this machine can read the mesh secret in {path}; chmod 600 {path}")
            }
            SecretNote::NotAccepted { count } => {
                write!(f, "mesh.compromised is true, so {count} secrets that are given to be accepted are not")
            }
            SecretNote::LocalOnly { enabled: true } => f.write_str(
                "no mesh secret, so this cache is for this machine only; to share it, set mesh.secret on every node to what \
                 `ghmesh secret new` prints",
            ),
            SecretNote::LocalOnly { enabled: false } => {
                f.write_str("mesh.enabled is false, so this cache is for this machine only")
            }
        }
    }
}

/// Why a secret that was given cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its text is not fit.
    #[error("{origin}: {refusal}")]
    Refused {
        /// Where it was given.
        origin: SecretSource,
        /// Why, and what to set.
        refusal: Refusal,
    },
    /// One of `mesh.accepted_secrets` is not fit.
    #[error("mesh.accepted_secrets, number {number}: {refusal}")]
    AcceptedRefused {
        /// Which one, from 1.
        number: usize,
        /// Why, and what to set.
        refusal: Refusal,
    },
    /// One of the file's is not fit.
    #[error("mesh.accepted_secrets_file {path}, line {line}: {refusal}")]
    LineRefused {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why, and what to set.
        refusal: Refusal,
    },
    /// The file of accepted secrets cannot be read. One that is missing holds none.
    #[error("mesh.accepted_secrets_file {path} cannot be read: {source}")]
    AcceptedUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More secrets are to be accepted than can be tried on what arrives.
    #[error(
        "{count} secrets are to be accepted besides the own one, and {MAX_ACCEPTED} can be; leave out those that no node has"
    )]
    TooManyAccepted {
        /// How many.
        count: usize,
    },
    /// It is longer than any secret.
    #[error("{origin}: more than {MAX_SECRET_BYTES} bytes are no mesh secret; give what `ghmesh secret new` prints")]
    TooLong {
        /// Where it was given.
        origin: SecretSource,
    },
    /// The file cannot be read.
    #[error("mesh.secret_file {path} cannot be read: {source}; {}", remedy(source.kind()))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds nothing.
    #[error("mesh.secret_file {path} is empty; put into it what `ghmesh secret new` prints, the same on every node")]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => {
            "put into it what `ghmesh secret new` prints, the same on every node, or name another file"
        }
        io::ErrorKind::PermissionDenied => "let the daemon's user read it, and nobody else",
        _ => "name a file that holds what `ghmesh secret new` prints, the same on every node",
    }
}

impl SecretError {
    /// The problem with a setting that this is. The predecessor's variable is no setting of ours and stands for itself.
    fn into_problem(self) -> Problem {
        let key = match &self {
            SecretError::AcceptedRefused { .. } | SecretError::TooManyAccepted { .. } => &mesh::ACCEPTED_SECRETS,
            SecretError::LineRefused { .. } | SecretError::AcceptedUnreadable { .. } => &mesh::ACCEPTED_SECRETS_FILE,
            SecretError::Unreadable { .. } | SecretError::EmptyFile { .. } => &mesh::SECRET_FILE,
            SecretError::Refused { origin, .. } | SecretError::TooLong { origin } => match origin {
                SecretSource::File(_) => &mesh::SECRET_FILE,
                SecretSource::Setting => &mesh::SECRET,
                SecretSource::Predecessor | SecretSource::Token(_) | SecretSource::GhCommand => {
                    let place = Place::Variable(PREDECESSOR_VARIABLE.to_owned());
                    return Problem { place, name: None, value: None, fault: Fault::Secret(self) };
                }
            },
        };
        Problem::of(key, Fault::Secret(self))
    }
}

/// Everything that is wrong with the secrets that were given. Never empty.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(SecretError::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SecretErrors(pub Vec<SecretError>);

/// Everything that is wrong with the secrets that were given. Reads the file of `mesh.secret_file`.
pub(super) fn problems(settings: &Settings, environment: &Environment) -> impl Iterator<Item = Problem> {
    let chosen = mesh_secret(settings, environment, || None);
    chosen.err().into_iter().flat_map(|SecretErrors(errors)| errors).map(SecretError::into_problem)
}

/// Chooses the mesh secret. `gh_auth_token` is asked last, and only if it may count: what `gh auth token` prints, or
/// `None` if gh is not there or not logged in.
pub fn mesh_secret(
    settings: &Settings,
    environment: &Environment,
    gh_auth_token: impl FnOnce() -> Option<SecretText>,
) -> Result<SecretChoice, SecretErrors> {
    if !settings.mesh.enabled {
        return Ok(SecretChoice::local_only(false, Vec::new()));
    }
    let (mut notes, mut errors) = (Vec::new(), Vec::new());
    let accepted = accepted(settings, &mut errors);
    let secret = match given(settings, environment, &mut notes) {
        Ok(None) => lying_around(environment, gh_auth_token, &mut notes),
        Ok(secret) => secret,
        Err(error) => {
            errors.insert(0, error);
            None
        }
    };
    match secret {
        _ if !errors.is_empty() => Err(SecretErrors(errors)),
        None => Ok(SecretChoice::local_only(true, notes)),
        Some(secret) => Ok(SecretChoice::of(secret, accepted, settings.mesh.compromised, notes)),
    }
}

impl SecretChoice {
    fn local_only(enabled: bool, mut notes: Vec<SecretNote>) -> Self {
        notes.push(SecretNote::LocalOnly { enabled });
        SecretChoice { secret: None, accepted: Vec::new(), compromised: false, notes }
    }

    fn of(secret: Chosen, all_accepted: Vec<SecretText>, compromised: bool, mut notes: Vec<SecretNote>) -> Self {
        if secret.strength == Strength::Weak {
            notes.push(SecretNote::Weak { source: secret.source.clone() });
        }
        let mut accepted = Vec::new();
        for text in all_accepted {
            if text != secret.text && !accepted.contains(&text) {
                accepted.push(text);
            }
        }
        if compromised && !accepted.is_empty() {
            notes.push(SecretNote::NotAccepted { count: accepted.len() });
            accepted.clear();
        }
        SecretChoice { secret: Some(secret), accepted, compromised, notes }
    }
}

fn weakness(settings: &Settings) -> WeakSecrets {
    if settings.mesh.allow_weak_secret { WeakSecrets::Allowed } else { WeakSecrets::Refused }
}

fn accepted(settings: &Settings, errors: &mut Vec<SecretError>) -> Vec<SecretText> {
    for (index, text) in settings.mesh.accepted_secrets.iter().enumerate() {
        if let Err(refusal) = assess(text.expose(), weakness(settings)) {
            errors.push(SecretError::AcceptedRefused { number: index + 1, refusal });
        }
    }
    let mut accepted = settings.mesh.accepted_secrets.clone();
    if let Some(path) = &settings.mesh.accepted_secrets_file {
        accepted.extend(accepted_in_file(path, weakness(settings), errors));
    }
    if accepted.len() > MAX_ACCEPTED {
        errors.push(SecretError::TooManyAccepted { count: accepted.len() });
    }
    accepted
}

fn accepted_in_file(path: &Path, weak: WeakSecrets, errors: &mut Vec<SecretError>) -> Vec<SecretText> {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(MAX_FILE_BYTES + 1));
    let read = super::file::open(path).and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() <= MAX_FILE_BYTES => {}
        Ok(_) => {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, "it is too long for a file of secrets");
            errors.push(SecretError::AcceptedUnreadable { path: path.to_owned(), source });
        }
        // Whoever ends a change of secrets may remove it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => errors.push(SecretError::AcceptedUnreadable { path: path.to_owned(), source }),
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let judged = lines.map(|(index, line)| {
        let secret = SecretText::new(line);
        if let Err(refusal) = assess(secret.expose(), weak) {
            errors.push(SecretError::LineRefused { path: path.to_owned(), line: index + 1, refusal });
        }
        secret
    });
    judged.collect()
}

/// The first secret that somebody gave.
fn given(
    settings: &Settings,
    environment: &Environment,
    notes: &mut Vec<SecretNote>,
) -> Result<Option<Chosen>, SecretError> {
    let (text, origin) = if let Some(text) = &settings.mesh.secret {
        (text.clone(), SecretSource::Setting)
    } else if let Some(path) = &settings.mesh.secret_file {
        (secret_in_file(path, notes)?, SecretSource::File(path.clone()))
    } else if let Some(text) = variable(environment, PREDECESSOR_VARIABLE) {
        (text, SecretSource::Predecessor)
    } else {
        return Ok(None);
    };
    if text.expose().len() > MAX_SECRET_BYTES {
        return Err(SecretError::TooLong { origin });
    }
    match (assess(text.expose(), weakness(settings)), origin) {
        (Ok(strength), source) => Ok(Some(Chosen { text, source, strength })),
        (Err(Refusal::Empty), SecretSource::File(path)) => Err(SecretError::EmptyFile { path }),
        (Err(refusal), origin) => Err(SecretError::Refused { origin, refusal }),
    }
}

fn secret_in_file(path: &Path, notes: &mut Vec<SecretNote>) -> Result<SecretText, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = super::file::open(path).map_err(unreadable)?;
    if is_readable_by_all(path) {
        notes.push(SecretNote::ReadableByAll { path: path.to_owned() });
    }
    let mut text = zeroize::Zeroizing::new(String::with_capacity(MAX_SECRET_BYTES + 1));
    file.take(MAX_SECRET_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > MAX_SECRET_BYTES {
        Err(SecretError::TooLong { origin: SecretSource::File(path.to_owned()) })
    } else {
        Ok(SecretText::new(&text))
    }
}

/// Whether every user of this machine can read the file. `false` if that cannot be told.
pub(super) fn is_readable_by_all(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn variable(environment: &Environment, name: &str) -> Option<SecretText> {
    environment.get(name).filter(|value| !value.trim().is_empty()).map(SecretText::new)
}

/// The first fit token of those that are there for other purposes.
fn lying_around(
    environment: &Environment,
    gh_auth_token: impl FnOnce() -> Option<SecretText>,
    notes: &mut Vec<SecretNote>,
) -> Option<Chosen> {
    let is_job = environment.get("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    for name in ["GITHUB_TOKEN", "GH_TOKEN"] {
        let Some(text) = variable(environment, name) else { continue };
        let source = SecretSource::Token(name);
        if is_job {
            notes.push(SecretNote::Skipped { source, reason: SkipReason::ActionsJob });
        } else if let Some(chosen) = fit(text, source, notes) {
            return Some(chosen);
        }
    }
    if is_job {
        return None;
    }
    let text = gh_auth_token().filter(|text| !text.expose().trim().is_empty())?;
    fit(text, SecretSource::GhCommand, notes)
}

/// `text` as the secret, if it is a long-lived token. Permission for weak secrets is for those that somebody gave.
fn fit(text: SecretText, source: SecretSource, notes: &mut Vec<SecretNote>) -> Option<Chosen> {
    let assessed = match text.expose().len() {
        0..=MAX_SECRET_BYTES => assess(text.expose(), WeakSecrets::Refused).map_err(SkipReason::Refused),
        _ => Err(SkipReason::TooLong),
    };
    match assessed {
        Ok(strength) => Some(Chosen { text, source, strength }),
        Err(reason) => {
            notes.push(SecretNote::Skipped { source, reason });
            None
        }
    }
}
