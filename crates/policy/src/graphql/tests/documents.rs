//! Size, depth, and the canonical text.

use super::super::document::{Document, MAX_DEPTH, MAX_TOKENS};
use super::*;
use proptest::prelude::*;

/// Nested deeper than any stack is: 100,000 levels.
const ABSURD: usize = 100_000;

fn text(document: &str) -> Result<String, NotRead> {
    Document::of(document, None).map(|document| document.text())
}

fn nested(open: &str, inside: &str, close: &str, levels: usize) -> String {
    open.repeat(levels) + inside + &close.repeat(levels)
}

#[test]
fn absurd_depth_is_refused_before_it_is_parsed() {
    for document in [
        "{".repeat(ABSURD),
        nested("{a", "", "}", ABSURD),
        format!("{{a(b:{})}}", nested("[", "", "]", ABSURD)),
        format!("{{a(b:{})}}", nested("{c:", "1", "}", ABSURD)),
        format!("query($a:{}){{b}}", nested("[", "Int", "]", ABSURD)),
        format!("{{a {}}}", nested("...{", "b", "}", ABSURD)),
        "(".repeat(ABSURD),
    ] {
        assert_eq!(text(&document).unwrap_err(), NotRead::TooDeep, "{}…", &document[..20]);
    }
}

#[test]
fn nesting_in_texts_and_comments_is_none() {
    let braces = "{[(".repeat(1_000);
    let in_text = format!("{{a(b:\"{braces}\")}}");
    assert_eq!(text(&in_text).unwrap(), in_text);
    let in_block = format!("{{a(b:\"\"\"{braces} \\\"\"\" {braces}\"\"\")}}");
    assert_eq!(text(&in_block).unwrap(), in_block);
    assert_eq!(text(&format!("{{a #{braces}\"\n}}")).unwrap(), "{a}");
    let huge = "{".repeat(ABSURD);
    assert!(text(&format!("{{a(b:\"{huge}\")}}")).is_ok());
    assert!(text(&format!("{{a(b:\"\"\"{huge}\"\"\")}}")).is_ok());
    assert!(text(&format!("{{a #{huge}\n}}")).is_ok());
}

#[test]
fn depth_is_bounded_where_it_says() {
    assert!(text(&nested("{a", "", "}", MAX_DEPTH)).is_ok_and(|text| text.len() == 3 * MAX_DEPTH));
    assert_eq!(text(&nested("{a", "", "}", MAX_DEPTH + 1)).unwrap_err(), NotRead::TooDeep);
}

#[test]
fn width_costs_no_stack_and_is_bounded() {
    for wide in ["a ", "a@b ", "...on A{b}", "a(b:1,c:[1 2]) ", "a:b "] {
        let document = format!("{{{}}}", wide.repeat(2_000));
        assert!(text(&document).is_ok(), "{wide}");
    }
    let many = format!("{{{}}}", "a ".repeat(MAX_TOKENS));
    assert_eq!(text(&many).unwrap_err(), NotRead::TooManyTokens);
    let bangs = format!("query($a:Int{}){{b}}", "!".repeat(2_000));
    assert_eq!(text(&bangs).unwrap_err(), NotRead::Syntax);
}

#[test]
fn fragments_that_multiply_are_looked_at_once() {
    let levels = 1_000;
    let bomb = |level: usize| format!("fragment f{level} on A{{...f{0} a{{...f{0}}}}}", level + 1);
    let all: String = (0..levels).map(bomb).collect();
    let document = format!("{{...f0}}{all}fragment f{levels} on A{{a}}");
    assert_eq!(text(&document).unwrap(), document);
    let cycle = format!("{{...f0}}{all}fragment f{levels} on A{{...f0}}");
    assert_eq!(text(&cycle).unwrap_err(), NotRead::Fragments);
}

#[test]
fn json_of_absurd_depth_is_refused() {
    for body in [
        "[".repeat(ABSURD),
        r#"{"a":"#.repeat(20_000),
        format!(r#"{{"query":"{{a}}","variables":{{"x":{}}}}}"#, nested("[", "1", "]", ABSURD)),
    ] {
        assert_eq!(of(body.as_bytes()).unwrap_err(), NotRead::Json);
    }
}

#[test]
fn the_text_holds_what_runs_and_keeps_its_order() {
    let document = "fragment b on B{y x} query Q{...b ...a} mutation M{c ...d} fragment d on D{e} fragment a on A{z}";
    let chosen = |name| Document::of(document, Some(name)).unwrap().text();
    assert_eq!(chosen("Q"), "query Q{...b...a}fragment b on B{y x}fragment a on A{z}");
    assert_eq!(chosen("M"), "mutation M{c...d}fragment d on D{e}");
}

#[test]
fn tokens_that_would_join_stay_apart() {
    for (document, wanted) in [
        ("query($a:Int=1,$b:Int=-1){c(d:[1,-2,3.5e1],e:$a,f:\"g\",h:\"\")}", None),
        ("{ a ( b : [ \"\" \"c\" , \"\"\"d\"\"\" ] ) }", Some("{a(b:[\"\" \"c\" \"\"\"d\"\"\"])}")),
        ("{ a ( b : [ 1 , 2 , -3 , A , true , null ] ) }", Some("{a(b:[1 2 -3 A true null])}")),
        (
            "{ a , ... on B @ c { d } , ... { e } , ... f } fragment f on G { h }",
            Some("{a...on B@c{d}...{e}...f}fragment f on G{h}"),
        ),
    ] {
        let once = text(document).unwrap();
        assert_eq!(text(&once).as_ref(), Ok(&once));
        assert!(wanted.is_none_or(|wanted| once == wanted), "{once}");
    }
}

/// One token, or what can't be torn apart.
fn selection(depth: u32) -> BoxedStrategy<Vec<String>> {
    let name = "[_a-z][_a-z0-9]{0,3}".prop_filter("a word of the language", |name| name != "on");
    let value = prop_oneof![
        "-?[1-9][0-9]{0,4}",
        "[1-9]\\.[0-9]{1,3}e-?[1-9]",
        Just("$v".to_owned()),
        "\"[ #,{}a-z]{0,6}\"",
        "\"\"\"[ #,{}a-z\n]{0,6}\"\"\"",
        Just("null".to_owned()),
        "[A-Z]{1,3}",
    ];
    let argument = (name.clone(), prop::collection::vec(value, 0..3))
        .prop_map(|(name, values)| [vec![name, ":".into(), "[".into()], values, vec!["]".into()]].concat());
    let arguments = prop::collection::vec(argument, 0..3).prop_map(|all| {
        if all.is_empty() { vec![] } else { [vec!["(".to_owned()], all.concat(), vec![")".to_owned()]].concat() }
    });
    let field = (name, arguments).prop_map(|(name, arguments)| [vec![name], arguments].concat());
    if depth == 0 {
        return field.boxed();
    }
    let below = prop::collection::vec(selection(depth - 1), 1..4).prop_map(|all| braced(all.concat()));
    let inline = below.clone().prop_map(|below| [vec!["...".into(), "on".into(), "T".into()], below].concat());
    prop_oneof![field.clone(), (field, below).prop_map(|(field, below)| [field, below].concat()), inline].boxed()
}

fn braced(tokens: Vec<String>) -> Vec<String> {
    [vec!["{".to_owned()], tokens, vec!["}".to_owned()]].concat()
}

fn query() -> impl Strategy<Value = Vec<String>> {
    let head = ["query", "Q", "(", "$v", ":", "Int", ")"].map(str::to_owned).to_vec();
    prop::collection::vec(selection(3), 1..5).prop_map(move |all| [head.clone(), braced(all.concat())].concat())
}

/// What means nothing between two tokens.
fn ignored() -> impl Strategy<Value = String> {
    "( |,|\t|\n|\r\n|#[a-z{}\"(]{0,5}\n){1,3}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn texts_ignore_what_means_nothing_and_stay_what_they_are(
        tokens in query(),
        one in prop::collection::vec(ignored(), 40),
        two in prop::collection::vec(ignored(), 40),
    ) {
        let written = |between: &[String]| -> String {
            tokens.iter().zip(between.iter().cycle()).flat_map(|(token, space)| [token.as_str(), space]).collect()
        };
        let first = text(&written(&one)).unwrap();
        prop_assert_eq!(text(&written(&two)), Ok(first.clone()));
        prop_assert_eq!(text(&first), Ok(first.clone()));
        prop_assert_eq!(tokens.concat().replace(' ', ""), first.replace(' ', ""));
    }

    #[test]
    fn no_document_panics(document in "[{}()\\[\\]:$@!.\"#\\\\a-z0-9 \n,-]{0,80}") {
        let once = text(&document);
        if let Ok(once) = once {
            prop_assert_eq!(text(&once), Ok(once));
        }
    }

    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200), member in "\\PC{0,60}") {
        let _ = of(&body);
        let read = of(&asking(&member));
        prop_assert!(read.is_err() || read.is_ok_and(|read| of(&read.graphql.unwrap().body).is_ok()));
    }
}
