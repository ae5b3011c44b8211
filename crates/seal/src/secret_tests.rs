//! Secrets: what passes, what is refused, and what the refusals say.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

const CLASSIC: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

fn refusal(secret: &str) -> Refusal {
    assess(secret, WeakSecrets::Refused).unwrap_err()
}

#[test]
fn long_lived_tokens_pass() {
    let fine_grained = "github_pat_11ABCDEFG0abcdefghijkl_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW";
    for token in [CLASSIC, &CLASSIC.replace("ghp", "gho"), &CLASSIC.replace("ghp", "ghu"), fine_grained] {
        assert_eq!(assess(token, WeakSecrets::Refused), Ok(Strength::Token), "{token}");
    }
    assert_eq!(assess("0123456789abcdef0123456789abcdef01234567", WeakSecrets::Refused), Ok(Strength::Token));
}

#[test]
fn a_job_token_is_refused_even_where_weak_secrets_are_allowed() {
    for weak in [WeakSecrets::Refused, WeakSecrets::Allowed] {
        assert_eq!(assess(&CLASSIC.replace("ghp", "ghs"), weak), Err(Refusal::ShortLived));
    }
}

#[test]
fn what_only_looks_like_a_token_is_weak() {
    let short = "ghp_short";
    let placeholder = format!("ghp_{}", "x".repeat(36));
    let zeros = "0".repeat(40);
    let spaced = CLASSIC.replace('5', " ");
    for secret in [short, &placeholder, &zeros, &spaced, "correct horse battery staple", "123456", "ghr_abc"] {
        assert_eq!(refusal(secret), Refusal::Weak, "{secret}");
        assert_eq!(assess(secret, WeakSecrets::Allowed), Ok(Strength::Weak), "{secret}");
    }
}

#[test]
fn an_empty_secret_is_told_apart() {
    assert_eq!(refusal(""), Refusal::Empty);
    assert_eq!(assess(" \n", WeakSecrets::Allowed), Err(Refusal::Empty));
}

proptest! {
    #[test]
    fn generated_secrets_pass(random in any::<[u8; 32]>()) {
        let secret = generate(random);
        prop_assert_eq!(secret.len(), 66);
        prop_assert_eq!(assess(&secret, WeakSecrets::Refused), Ok(Strength::Generated));
    }

    #[test]
    fn a_mistyped_character_is_told(random in any::<[u8; 32]>(), at in 10usize..66, typed in "[a-z0-9A-Zé]") {
        let secret = generate(random);
        let mistyped: String =
            secret.chars().enumerate().map(|(i, c)| if i == at { typed.chars().next().unwrap() } else { c }).collect();
        prop_assume!(mistyped != *secret);
        let refusal = assess(&mistyped, WeakSecrets::Allowed).unwrap_err();
        let possible = [Refusal::Mistyped(Mistake::Checksum), Refusal::Mistyped(Mistake::Character { position: at + 1 })];
        prop_assert!(possible.contains(&refusal), "{refusal:?}");
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text in "\\PC*", prefixed in any::<bool>()) {
        let text = if prefixed { format!("ghmesh-v1-{text}") } else { text };
        let _ = assess(&text, WeakSecrets::Refused);
    }
}

#[test]
fn missing_and_swapped_characters_are_told() {
    let secret = generate([3; 32]);
    let expected = Mistake::Length { found: 65, expected: 66 };
    assert_eq!(refusal(&secret[..65]), Refusal::Mistyped(expected));
    let mut swapped: Vec<char> = secret.chars().collect();
    let at = (10..65).find(|at| swapped[*at] != swapped[*at + 1]).unwrap();
    swapped.swap(at, at + 1);
    assert_eq!(refusal(&swapped.into_iter().collect::<String>()), Refusal::Mistyped(Mistake::Checksum));
}

#[test]
fn refusals_say_what_to_set_and_nothing_of_the_secret() {
    for secret in ["hunter2", "ghs_hunter2", "ghmesh-v1-hunter2", ""] {
        let text = refusal(secret).to_string();
        assert!(text.contains("ghmesh secret new"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(Refusal::Weak.to_string().contains("mesh.allow_weak_secret"));
    assert!(Refusal::ShortLived.to_string().contains("mesh.secret"));
}
