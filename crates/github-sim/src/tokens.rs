//! Who asks: tokens, whose they are, what they may see and which quota they use up.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};

use crate::text::from_base64;

/// Classic token of alice, who owns `octo` and sees all of her and its private repositories.
pub const ALICE: &str = "ghp_alice0000000000000000000000000000000";
/// A second classic token of alice: other text, same rights, same quota.
pub const ALICE_SECOND: &str = "ghp_alice1111111111111111111111111111111";
/// What `gh auth login` would give alice.
pub const ALICE_OAUTH: &str = "gho_alice0000000000000000000000000000000";
/// Classic token of bob, who sees no private repository of `octo`.
pub const BOB: &str = "ghp_bob000000000000000000000000000000000";
/// Fine-grained token of carol that sees `octo/secret` and no other private repository.
pub const CAROL: &str = "github_pat_carol00000000000000000_00000000000000000000000000000000000000000000000000000000000";
/// Installation token of an App on `octo`, all repositories.
pub const INSTALLATION: &str = "ghs_install00000000000000000000000000000";
/// Job token of `octo/hello` (1,000 requests an hour).
pub const ACTIONS: &str = "ghs_actions00000000000000000000000000000";
/// A token of dave that has expired: 401, and a 304 that it still gets on public data is charged.
pub const EXPIRED: &str = "ghp_expired00000000000000000000000000000";
/// A token that was revoked: 401.
pub const REVOKED: &str = "ghp_revoked00000000000000000000000000000";

/// A user's primary limit per hour (GitHub's documentation, "Rate limits for the REST API").
const USER_LIMIT: u64 = 5_000;
/// The primary limit per hour of a job's token in one repository.
const ACTIONS_LIMIT: u64 = 1_000;

/// Which private repositories a token can see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Private {
    /// None.
    #[default]
    None,
    /// `true`: those that its user may see. `false`: none.
    Users(bool),
    /// Exactly these full names, whatever the user may see.
    Listed(Vec<String>),
}

/// Whether a token works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// It works.
    #[default]
    Live,
    /// 401, except that a conditional request for public data gets its 304, which is charged.
    Expired,
    /// 401.
    Revoked,
}

/// What a token belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A user.
    #[default]
    User,
    /// An App's installation.
    Installation,
    /// One job of one repository.
    Actions,
}

/// A token as seed files and `POST /_sim/tokens` describe it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSeed {
    /// The token itself.
    pub token: String,
    /// Login of its user; for an installation, of the account it is installed on.
    pub user: String,
    /// The private repositories it sees: `true`, `false` or a list of full names.
    pub private: Private,
    /// Primary limit per hour; the kind's own when left out.
    pub limit: Option<u64>,
    /// What it belongs to.
    pub kind: TokenKind,
    /// Whether it works.
    pub state: TokenState,
    /// Its name in counters; by default `user` and the first characters of the token.
    pub label: Option<String>,
}

/// The one who asks, once the token is known.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Name in counters. Never the token.
    pub(crate) label: String,
    pub(crate) login: Option<String>,
    pub(crate) private: Private,
    pub(crate) kind: Option<TokenKind>,
    pub(crate) state: TokenState,
    /// Who shares the quota: all tokens of one user together, each installation, each repository's jobs, each address.
    pub(crate) bucket: String,
    pub(crate) limit: u64,
    /// Value of `X-OAuth-Scopes`, which only classic and OAuth tokens have.
    pub(crate) scopes: Option<&'static str>,
    /// A JSON web token of an App rather than a token.
    pub(crate) app: bool,
}

impl Caller {
    pub(crate) fn anonymous(address: &str, limit: u64) -> Self {
        Self {
            label: "anonymous".into(),
            login: None,
            private: Private::None,
            kind: None,
            state: TokenState::Live,
            bucket: format!("address {address}"),
            limit,
            scopes: None,
            app: false,
        }
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.kind.is_none() && !self.app
    }
}

/// All tokens there are.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    known: BTreeMap<String, TokenSeed>,
}

impl Tokens {
    pub(crate) fn new(more: &[TokenSeed]) -> Self {
        let mut tokens = Self { known: BTreeMap::new() };
        defaults().into_iter().chain(more.iter().cloned()).for_each(|seed| tokens.put(seed));
        tokens
    }

    pub(crate) fn put(&mut self, seed: TokenSeed) {
        self.known.insert(seed.token.clone(), seed);
    }

    /// Who asks, or `None` when the credential is not known.
    pub(crate) fn identify(&self, headers: &HeaderMap, address: &str, anonymous_limit: u64) -> Option<Caller> {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Some(Caller::anonymous(address, anonymous_limit));
        };
        let secret = secret_of(value.to_str().ok()?)?;
        if looks_like_jwt(&secret) {
            return Some(Caller {
                label: "app".into(),
                app: true,
                bucket: "app".into(),
                limit: USER_LIMIT,
                ..Caller::anonymous(address, 0)
            });
        }
        self.known.get(&secret).map(caller)
    }
}

/// `token X`, `Bearer X` and Basic with the token as password or as user name.
fn secret_of(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "token" | "bearer" => Some(rest.trim().to_owned()),
        "basic" => {
            let text = String::from_utf8(from_base64(rest.trim())?).ok()?;
            let (user, password) = text.split_once(':')?;
            Some(if password.is_empty() || password == "x-oauth-basic" { user } else { password }.to_owned())
        }
        _ => None,
    }
}

fn looks_like_jwt(secret: &str) -> bool {
    secret.starts_with("eyJ") && secret.split('.').count() == 3
}

fn caller(seed: &TokenSeed) -> Caller {
    let bucket = match seed.kind {
        TokenKind::User => format!("user {}", seed.user),
        TokenKind::Installation => format!("installation {}", seed.token.get(..16).unwrap_or(&seed.token)),
        TokenKind::Actions => format!("jobs of {}", seed.user),
    };
    let own_limit = if seed.kind == TokenKind::Actions { ACTIONS_LIMIT } else { USER_LIMIT };
    let classic = seed.token.starts_with("ghp_") || seed.token.starts_with("gho_");
    let short = seed.token.get(..12).unwrap_or(&seed.token);
    Caller {
        label: seed.label.clone().unwrap_or_else(|| format!("{} {short}", seed.user)),
        login: (seed.kind == TokenKind::User).then(|| seed.user.clone()),
        private: seed.private.clone(),
        kind: Some(seed.kind),
        state: seed.state,
        bucket,
        limit: seed.limit.unwrap_or(own_limit),
        scopes: classic.then_some("gist, read:org, repo, workflow"),
        app: false,
    }
}

fn defaults() -> Vec<TokenSeed> {
    let user = |token: &str, user: &str, label: &str| TokenSeed {
        token: token.into(),
        user: user.into(),
        private: Private::Users(true),
        label: Some(label.into()),
        ..TokenSeed::default()
    };
    let all_of_octo = ["octo/hello", "octo/secret", "octo/ops", "octo/big"].map(String::from).to_vec();
    vec![
        user(ALICE, "alice", "alice"),
        user(ALICE_SECOND, "alice", "alice-second"),
        user(ALICE_OAUTH, "alice", "alice-oauth"),
        user(BOB, "bob", "bob"),
        TokenSeed { private: Private::Listed(vec!["octo/secret".into()]), ..user(CAROL, "carol", "carol") },
        TokenSeed {
            kind: TokenKind::Installation,
            private: Private::Listed(all_of_octo),
            ..user(INSTALLATION, "octo", "installation")
        },
        TokenSeed { kind: TokenKind::Actions, private: Private::None, ..user(ACTIONS, "octo/hello", "actions") },
        TokenSeed { state: TokenState::Expired, ..user(EXPIRED, "dave", "expired") },
        TokenSeed { state: TokenState::Revoked, ..user(REVOKED, "dave", "revoked") },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::base64;

    #[test]
    fn built_in_tokens_have_the_length_of_real_ones() {
        for token in [ALICE, ALICE_SECOND, ALICE_OAUTH, BOB, INSTALLATION, ACTIONS, EXPIRED, REVOKED] {
            assert_eq!(token.len(), 40, "{token}");
        }
        assert_eq!(CAROL.len(), 93);
    }

    #[test]
    fn a_secret_is_found_under_every_scheme() {
        let basic = format!("Basic {}", base64(b"x-access-token:s3"));
        let as_user = format!("basic {}", base64(b"s3:x-oauth-basic"));
        for value in ["token s3", "Bearer s3", "bearer  s3", &basic, &as_user] {
            assert_eq!(secret_of(value).as_deref(), Some("s3"), "{value}");
        }
        assert_eq!(secret_of("Digest s3"), None);
        assert_eq!(secret_of("s3"), None);
    }
}
