#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::links::{ApiRoot, Roots};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;

const OWN: &str = "http://127.0.0.1:9180/api/v3";

fn base() -> Base {
    let rest = vec![ApiRoot::new("api.github.com", ""), ApiRoot::new("ghe.example", "/api/v3")];
    let uploads = ApiRoot::new("uploads.github.com", "");
    Base::new("http://127.0.0.1:9180".to_owned(), "/api/v3", Arc::new(Roots { rest, uploads })).own()
}

fn seen(body: &str) -> String {
    String::from_utf8(BodyRewriter::whole(base(), body.as_bytes())).unwrap()
}

#[test]
fn members_that_hold_urls_of_the_api_hold_the_callers() {
    for (body, wanted) in [
        (r#"{"url":"https://api.github.com/repos/o/r"}"#, format!(r#"{{"url":"{OWN}/repos/o/r"}}"#)),
        (
            r#"{"issues_url" : "https://api.github.com/repos/o/r/issues{/number}"}"#,
            format!(r#"{{"issues_url" : "{OWN}/repos/o/r/issues{{/number}}"}}"#),
        ),
        (
            r#"{"_links":{"self":{"href":"https://api.github.com/x?a=1"},"git":"https://api.github.com/y"}}"#,
            format!(r#"{{"_links":{{"self":{{"href":"{OWN}/x?a=1"}},"git":"{OWN}/y"}}}}"#),
        ),
        ("[{\"url\":\n\t\"http://API.github.com/u\"}]", format!("[{{\"url\":\n\t\"{OWN}/u\"}}]")),
        (r#"{"url":"https:\/\/api.github.com\/repos\/o\/r"}"#, format!(r#"{{"url":"{OWN}/repos/o/r"}}"#)),
        (r#"{"url":"https://api.github.com/q?a=\"b\\\/é"}"#, format!(r#"{{"url":"{OWN}/q?a=\"b\\/é"}}"#)),
        (r#"{"url":"https://api.github.com"}"#, format!(r#"{{"url":"{OWN}"}}"#)),
        (r#"{"url":"https://ghe.example/api/v3/user"}"#, format!(r#"{{"url":"{OWN}/user"}}"#)),
        (
            r#"{"upload_url":"https://uploads.github.com/repos/o/r/releases/1/assets{?name,label}"}"#,
            r#"{"upload_url":"http://127.0.0.1:9180/api/uploads/repos/o/r/releases/1/assets{?name,label}"}"#.to_owned(),
        ),
    ] {
        assert_eq!(seen(body), wanted, "{body}");
    }
}

#[test]
fn everything_else_stays_byte_for_byte() {
    for body in [
        r#"{"url":"https://api.github.com.evil/repos/o/r"}"#,
        r#"{"url":"https://api.github.com:444/x"}"#,
        r#"{"url":"https://user@api.github.com/x"}"#,
        r#"{"url":"https:\\/\\/api.github.com/x"}"#,
        r#"{"html_url":"https://github.com/o/r","git_url":"git://api.github.com/x"}"#,
        r#"{"url":"https://ghe.example/login"}"#,
        r#"{"body":"https://api.github.com/repos/o/r"}"#,
        r#"{"body":"\"url\":\"https://api.github.com/x\""}"#,
        r#"{"a":"url","b":"https://api.github.com/x"}"#,
        r#"["url","https://api.github.com/x"]"#,
        r#"{"url":["https://api.github.com/x"]}"#,
        r#"{"url":null,"b":"https://api.github.com/x"}"#,
        r#"{"https://api.github.com/x":"url"}"#,
        r#"{"url":"see https://api.github.com/x"}"#,
        r#"{"url":"https://api.github.com"#,
        r#"{"url":"https://api.github.com/x\"#,
        "not JSON: \"url\" \"https://api.github.com/x\"",
        "{}",
        "",
    ] {
        assert_eq!(seen(body), body);
    }
}

#[test]
fn a_name_that_only_ends_like_one_of_urls_is_told_by_its_whole_length() {
    let name = format!("{}_url", "x".repeat(MAX_NAME_BYTES - 4));
    let body = |name: &str| format!(r#"{{"{name}":"https://api.github.com/x"}}"#);
    assert!(seen(&body(&name)).contains(OWN));
    assert_eq!(seen(&body(&format!("x{name}"))), body(&format!("x{name}")));
    let hidden = format!("{}url", "x".repeat(MAX_NAME_BYTES));
    assert_eq!(seen(&body(&hidden)), body(&hidden));
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut rewriter = BodyRewriter::new(base());
    let mut written = Vec::new();
    rewriter.push(br#"{"url":"https://api.github.com/"#, &mut written);
    for _ in 0..10_000 {
        rewriter.push(&[b'x'; 100], &mut written);
        assert!(rewriter.string.len() <= MAX_START_BYTES + 100);
    }
    rewriter.push(b"\"}", &mut written);
    rewriter.finish(&mut written);
    assert_eq!(written.len(), r#"{"url":"/"}"#.len() + OWN.len() + 1_000_000);
}

/// A tree of JSON whose names and strings are likely to matter here.
fn tree() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("https://api.github.com/repos/o/r".to_owned()),
        Just("https://uploads.github.com/a".to_owned()),
        Just("https://ghe.example/api/v3".to_owned()),
        Just("https://ghe.example/api".to_owned()),
        "https?://(api|uploads)\\.github\\.com[/:.?#{\"\\\\é]{0,3}[a-z]{0,3}",
        "[\"\\\\/:,{}a-z\u{e9}\n]{0,8}",
    ];
    let name =
        prop_oneof![Just("url".to_owned()), Just("x_url".to_owned()), Just("href".to_owned()), "[a-z\"\\\\]{0,4}"];
    let leaf = prop_oneof![text.prop_map(Value::String), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// The rule on trees, which the rewriter must follow on text.
fn by_the_rule(value: &Value, base: &Base) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) if is_of_urls(name.as_bytes()) => {
                    (name.clone(), Value::from(base.rewritten_in_body(text).unwrap_or_else(|| text.clone())))
                }
                other => (name.clone(), by_the_rule(other, base)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| by_the_rule(item, base)).collect(),
        other => other.clone(),
    }
}

/// The same text with every slash escaped, as PHP and others write it.
fn with_escaped_slashes(text: &str) -> String {
    text.replace('/', "\\/")
}

proptest! {
    #[test]
    fn any_json_is_rewritten_by_the_rule_however_it_is_written_and_cut(
        value in tree(),
        pretty: bool,
        escaped: bool,
        cuts in prop::collection::vec(1..40usize, 0..40),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let text = if escaped { with_escaped_slashes(&text) } else { text };
        let whole = seen(&text);
        prop_assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), by_the_rule(&value, &base()));
        let (mut rewriter, mut written, mut rest) = (BodyRewriter::new(base()), Vec::new(), text.as_bytes());
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            rewriter.push(piece, &mut written);
            rest = after;
        }
        rewriter.push(rest, &mut written);
        rewriter.finish(&mut written);
        prop_assert_eq!(String::from_utf8(written).unwrap(), whole);
    }

    #[test]
    fn what_names_no_api_is_not_touched(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(BodyRewriter::whole(base(), &body), body);
    }

    #[test]
    fn rewriting_twice_is_rewriting_once(value in tree()) {
        let once = seen(&value.to_string());
        prop_assert_eq!(seen(&once), once);
    }
}
