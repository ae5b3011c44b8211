//! What a caller authenticates with. It is compared, hashed and sent to the origin; never stored, printed or told to peers.

use std::fmt;
use zeroize::Zeroizing;

/// Prefixes of the tokens that GitHub generates, all with far more than 128 bits of entropy. Source: "About authentication to
/// GitHub", GitHub's token formats.
const TOKEN_PREFIXES: [&str; 6] = ["ghp_", "github_pat_", "gho_", "ghu_", "ghs_", "ghr_"];
/// Length of a token from before there were prefixes: 40 hexadecimal digits.
const OLD_TOKEN_LENGTH: usize = 40;

/// The whole value of an `Authorization` header, scheme included (GitHub's ETags tell `token x` from `Bearer x`). Empty for an
/// anonymous caller. Its bytes are wiped when it is dropped.
#[derive(Clone)]
pub struct Credential(Zeroizing<Vec<u8>>);

/// How far what a credential proves may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// No credential.
    Anonymous,
    /// A token that GitHub generated: too random to be guessed from a hash, so that its fingerprint may leave the node.
    Token,
    /// Anything else (Basic passwords, App JWTs, unknown schemes): a hash of it could be guessed, so it stays on the node.
    Private,
}

impl Credential {
    /// The credential of a caller that presents none.
    pub fn anonymous() -> Self {
        Credential(Zeroizing::new(Vec::new()))
    }

    /// What stands for all callers where they trust each other ([`crate::Sharing::Mesh`]). No header can hold its bytes.
    pub fn everybody() -> Self {
        Credential(Zeroizing::new(b"\0everybody".to_vec()))
    }

    /// The credential in an `Authorization` value.
    pub fn new(value: &[u8]) -> Self {
        Credential(Zeroizing::new(value.to_vec()))
    }

    /// The whole value; empty for an anonymous caller.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it may be known beyond this node, hashed.
    pub fn kind(&self) -> CredentialKind {
        if self.0.is_empty() {
            return CredentialKind::Anonymous;
        }
        match token(&self.0) {
            Some(token) if is_generated(token) => CredentialKind::Token,
            Some(_) | None => CredentialKind::Private,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?}, redacted)", self.kind())
    }
}

/// What follows the schemes that carry GitHub's tokens.
fn token(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let carries_tokens = scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
    carries_tokens.then(|| token.trim())
}

fn is_generated(token: &str) -> bool {
    let old = token.len() == OLD_TOKEN_LENGTH && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let prefixed = TOKEN_PREFIXES.iter().filter_map(|prefix| token.strip_prefix(prefix)).any(is_token_text);
    old || prefixed
}

fn is_token_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_that_github_generated_may_leave_the_node() {
        for (value, kind) in [
            ("", CredentialKind::Anonymous),
            ("token ghp_16C7e42F292c6912E7710c838347Ae178B4a", CredentialKind::Token),
            ("Bearer github_pat_11ABCDEFG_x", CredentialKind::Token),
            ("BEARER gho_abc", CredentialKind::Token),
            ("bearer ghu_abc", CredentialKind::Token),
            ("token ghs_abc", CredentialKind::Token),
            ("token 0123456789abcdef0123456789abcdef01234567", CredentialKind::Token),
            ("Basic b2N0b2NhdDpodW50ZXIy", CredentialKind::Private),
            ("Basic ghp_abc", CredentialKind::Private),
            ("Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOjF9.c2ln", CredentialKind::Private),
            ("token hunter2", CredentialKind::Private),
            ("token ghp_", CredentialKind::Private),
            ("token ghp_abc def", CredentialKind::Private),
            ("ghp_abc", CredentialKind::Private),
        ] {
            assert_eq!(Credential::new(value.as_bytes()).kind(), kind, "{value}");
        }
    }

    #[test]
    fn a_credential_is_never_printed() {
        let shown = format!("{:?}", Credential::new(b"token ghp_secret"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
