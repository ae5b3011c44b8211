//! The mesh secret as text: whether it is strong enough, and how a new one is made.
//!
//! The gate's proofs and the mesh's labels can be checked offline by anybody who has seen them, so a secret that a person
//! thought up is found by trying. Length is not entropy: only what is known to be random passes without being asked for.

use crate::base32;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Starts every secret of `ghmesh secret new`.
const PREFIX: &str = "ghmesh-v1-";
/// Random bytes in a generated secret (256 bits).
const RANDOM_BYTES: usize = 32;
/// Bytes of checksum: one mistyped secret in 16 million goes unnoticed.
const CHECKSUM_BYTES: usize = 3;
/// Characters after the prefix.
const ENCODED_CHARACTERS: usize = (RANDOM_BYTES + CHECKSUM_BYTES) / 5 * 8;

/// GitHub's long-lived token formats: prefix, and the fewest characters after it.
/// Source: GitHub docs, "About authentication to GitHub", token formats.
const TOKEN_FORMATS: [(&str, usize); 4] = [("ghp_", 36), ("gho_", 36), ("ghu_", 36), ("github_pat_", 40)];
/// A token of random characters has more distinct ones than this (36 characters of 62: fewer than 12 in one of 10^12);
/// a placeholder such as `ghp_xxxx…` has not.
const MIN_DISTINCT: usize = 8;

/// A mesh secret. Zeroized when dropped; `Debug` shows nothing of it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes as they are. A secret read from a file should come without its trailing newline.
    pub fn new(bytes: Vec<u8>) -> Self {
        Secret(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Whether secrets of unknown strength pass: the setting `mesh.allow_weak_secret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeakSecrets {
    /// Refuse them.
    Refused,
    /// The operator accepts that they may be guessed.
    Allowed,
}

/// Why a secret is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Made by `ghmesh secret new`, checksum right.
    Generated,
    /// A long-lived GitHub token.
    Token,
    /// Of unknown strength, and allowed to be.
    Weak,
}

/// Why a secret can't key a mesh. The texts say what to set, and nothing of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing there, or only white space.
    #[error("the mesh secret is empty: set mesh.secret to what `ghmesh secret new` prints, the same on every node")]
    Empty,
    /// A `ghs_` token: it lives for an hour or for one Actions job, and every job has another.
    #[error(
        "a ghs_ token lives for an hour or one Actions job, so nodes keyed by it lose each other: \
         set mesh.secret to what `ghmesh secret new` prints, the same on every node"
    )]
    ShortLived,
    /// Neither generated nor a token of a known format.
    #[error(
        "this mesh secret may be guessed offline by anybody who can reach the mesh port: set mesh.secret to what \
         `ghmesh secret new` prints, the same on every node (or accept the risk with mesh.allow_weak_secret = true)"
    )]
    Weak,
    /// Begins like a generated secret and is none.
    #[error("this begins like a secret of `ghmesh secret new`, but {0}: copy it again from where it was made")]
    Mistyped(Mistake),
}

/// What is wrong with a mistyped secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Characters are missing or too many.
    #[error("it has {found} characters instead of {expected}")]
    Length {
        /// Characters given.
        found: usize,
        /// Characters that a generated secret has.
        expected: usize,
    },
    /// A character that generated secrets never contain.
    #[error("character {position} is none of a–z and 2–7")]
    Character {
        /// Counted from 1.
        position: usize,
    },
    /// All characters are possible, but at least one is another.
    #[error("its checksum is wrong")]
    Checksum,
}

/// Judges `secret`, without white space around it.
///
/// # Errors
/// [`Refusal`], which tells a person what to set. A `ghs_` token and a mistyped generated secret are refused even where weak
/// secrets are allowed: neither is what the operator meant.
pub fn assess(secret: &str, weak: WeakSecrets) -> Result<Strength, Refusal> {
    if secret.trim().is_empty() {
        return Err(Refusal::Empty);
    }
    if secret.starts_with("ghs_") {
        return Err(Refusal::ShortLived);
    }
    if let Some(encoded) = secret.strip_prefix(PREFIX) {
        return check_generated(encoded).map(|()| Strength::Generated).map_err(Refusal::Mistyped);
    }
    match (is_token(secret), weak) {
        (true, _) => Ok(Strength::Token),
        (false, WeakSecrets::Allowed) => Ok(Strength::Weak),
        (false, WeakSecrets::Refused) => Err(Refusal::Weak),
    }
}

/// The text of a new secret: `ghmesh-v1-` and 56 characters of base32 (256 random bits, 24 bits of checksum).
pub fn generate(random: [u8; RANDOM_BYTES]) -> Zeroizing<String> {
    let random = Zeroizing::new(random);
    let mut bytes = Zeroizing::new([0; RANDOM_BYTES + CHECKSUM_BYTES]);
    bytes[..RANDOM_BYTES].copy_from_slice(random.as_slice());
    bytes[RANDOM_BYTES..].copy_from_slice(&checksum(random.as_slice()));
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + ENCODED_CHARACTERS));
    text.push_str(PREFIX);
    base32::encode(bytes.as_slice(), &mut text);
    text
}

fn check_generated(encoded: &str) -> Result<(), Mistake> {
    let found = PREFIX.len() + encoded.chars().count();
    if found != PREFIX.len() + ENCODED_CHARACTERS {
        return Err(Mistake::Length { found, expected: PREFIX.len() + ENCODED_CHARACTERS });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(RANDOM_BYTES + CHECKSUM_BYTES));
    base32::decode(encoded.as_bytes(), &mut bytes)
        .map_err(|position| Mistake::Character { position: PREFIX.len() + position + 1 })?;
    // Characters outside ASCII make more bytes than characters; they were told above, so the split is in range.
    let (random, sum) = bytes.split_at(RANDOM_BYTES);
    if checksum(random) == *sum { Ok(()) } else { Err(Mistake::Checksum) }
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::new().chain_update(b"ghmesh/secret/1\0").chain_update(random).finalize();
    [digest[0], digest[1], digest[2]]
}

fn is_token(secret: &str) -> bool {
    let prefixed = TOKEN_FORMATS.iter().any(|(prefix, least)| {
        secret.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() >= *least && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && is_varied(rest)
        })
    });
    prefixed || is_old_token(secret)
}

/// Tokens from before April 2021: 40 hexadecimal digits.
fn is_old_token(secret: &str) -> bool {
    secret.len() == 40 && secret.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) && is_varied(secret)
}

fn is_varied(text: &str) -> bool {
    let mut seen = [false; 256];
    text.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    seen.iter().filter(|seen| **seen).count() >= MIN_DISTINCT
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
