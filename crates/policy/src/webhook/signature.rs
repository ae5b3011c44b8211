//! Who sent a delivery: whoever knows the hook's secret.
//!
//! Source: "Validating webhook deliveries" in GitHub's documentation: `X-Hub-Signature-256` is `sha256=`, and the HMAC-SHA256 of
//! the body under the secret in hexadecimal digits.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// What GitHub and this daemon share to sign deliveries. Zeroized when dropped, never shown.
#[derive(Clone)]
pub struct WebhookSecret(Zeroizing<String>);

impl WebhookSecret {
    /// Wraps the configured value.
    pub fn new(secret: &str) -> Self {
        WebhookSecret(Zeroizing::new(secret.to_owned()))
    }

    /// Whether `signature`, as it stands in the header, is this body's. Takes the same time wherever they differ.
    pub fn has_signed(&self, body: &[u8], signature: &str) -> bool {
        let Some(claimed) = signature.strip_prefix("sha256=").and_then(bytes_of_hex) else { return false };
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        mac.chain_update(body).verify_slice(&claimed).is_ok()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitHub's own example.
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn threat_21_only_who_knows_the_secret_signs_exactly_this_body() {
        let secret = WebhookSecret::new("It's a Secret to Everybody");
        assert!(secret.has_signed(b"Hello, World!", SIGNATURE));
        assert!(secret.has_signed(b"Hello, World!", &SIGNATURE.to_uppercase().replace("SHA", "sha")));
        assert!(!secret.has_signed(b"Hello, World", SIGNATURE));
        assert!(!WebhookSecret::new("It's a secret to everybody").has_signed(b"Hello, World!", SIGNATURE));
    }

    #[test]
    fn what_is_no_signature_signs_nothing() {
        let secret = WebhookSecret::new("It's a Secret to Everybody");
        let (_, digits) = SIGNATURE.split_at("sha256=".len());
        for signature in [
            "",
            "sha256=",
            digits,
            &SIGNATURE[..SIGNATURE.len() - 2],
            &format!("{SIGNATURE}00"),
            &format!("sha1={digits}"),
            &SIGNATURE.replace('7', "g"),
            &SIGNATURE.replace('7', "+"),
        ] {
            assert!(!secret.has_signed(b"Hello, World!", signature), "{signature}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", WebhookSecret::new("hunter2")).contains("hunter2"));
    }
}
