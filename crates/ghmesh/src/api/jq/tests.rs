//! What gh 2.23.0 printed for the same filters over the same document (`testdata/filters.json`), where we differ, and the bounds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const DOCUMENT: &[u8] = include_bytes!("../testdata/document.json");

fn lines_within(filter: &str, limits: Limits) -> Result<Vec<String>, FilterError> {
    let variables = BTreeMap::from([("GH_TOKEN".to_owned(), "tok".to_owned())]);
    let mut lines = Vec::new();
    run(filter, &variables, Bytes::from_static(DOCUMENT), limits, |line| {
        lines.push(line.text);
        Ok::<(), FilterError>(())
    })?;
    Ok(lines)
}

fn lines(filter: &str) -> Result<Vec<String>, FilterError> {
    lines_within(filter, LIMITS)
}

#[test]
fn filters_print_what_gh_prints() {
    let recorded: Vec<(String, String, i32)> = serde_json::from_str(include_str!("../testdata/filters.json")).unwrap();
    let mut wrong = Vec::new();
    for (filter, stdout, code) in recorded {
        let here = lines(&filter).map(|lines| lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        match (here, code) {
            (Ok(out), 0) if out == stdout => {}
            (Err(_), 1) => {}
            (other, _) => wrong.push(format!("{filter}\n  gh:   {code} {stdout:?}\n  here: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where gojq 2023 loses digits or lacks what it has since learnt.
#[test]
fn later_additions_work_and_no_digit_is_lost() {
    for (filter, expected) in [
        (".huge", "3845703270446145537"),
        ("[.huge]", "[3845703270446145537]"),
        ("\"\\(.huge)\"", "3845703270446145537"),
        (".s | @uri", "x%20y"),
        (".s | trim", "x y"),
        (".o | pick(.k)", r#"{"k":"v"}"#),
        (".s | toarray", r#"["x y"]"#),
        ("$ENV.GH_TOKEN, env.GH_TOKEN", "tok,tok"),
        ("[{name:\"a\",value:1},{k:\"b\",v:null}] | from_entries", r#"{"a":1,"b":null}"#),
        ("65 | ascii", "A"),
        ("1, halt, 2", "1"),
    ] {
        assert_eq!(lines(filter).unwrap().join(","), expected, "{filter}");
    }
}

/// What jaq does in its own way, kept here so that a change is noticed.
#[test]
fn known_differences_from_gojq() {
    for (filter, expected) in [
        ("1/0", "+Inf"),
        (".[0]?", ""),
        (".a?//1", "1"),
        ("[.l | to_entries | from_entries]", r#"[{"0":1,"1":2,"2":3}]"#),
    ] {
        assert_eq!(lines(filter).unwrap().join(","), expected, "{filter}");
    }
    assert!(matches!(lines("{} | .a.b = 1"), Err(FilterError::Raised { .. })));
}

#[test]
fn paths_are_set_and_deleted_as_jq_does() {
    for (filter, expected) in [
        ("{} | setpath([\"a\", 1, \"b\"]; 2)", r#"{"a":[null,{"b":2}]}"#),
        ("[1,2,3] | setpath([-1]; 9)", "[1,2,9]"),
        ("[1,2,3,4] | del(.[0,2])", "[2,4]"),
        ("[1,2,3] | del(.[-1], .[0])", "[2]"),
        ("{a:{b:1,c:2}} | del(.a.b, .x.y)", r#"{"a":{"c":2}}"#),
        ("[1,2,3] | delpaths([[0],[0],[7]])", "[2,3]"),
        ("1 | delpaths([[]])", ""),
    ] {
        assert_eq!(lines(filter).unwrap().join(","), expected, "{filter}");
    }
    for filter in ["1 | setpath([\"a\"]; 2)", "[] | setpath([1e9]; 2)", "[] | setpath([-1]; 2)", "{} | delpaths(1)"] {
        assert!(matches!(lines(filter), Err(FilterError::Raised { .. })), "{filter}");
    }
}

#[test]
fn a_bad_filter_is_told_before_anything_is_sent() {
    for (filter, expected) in [
        (".[", "the jq filter doesn't parse: expected closing bracket, got the end of the filter"),
        (".a |", "the jq filter doesn't parse: expected term, got the end of the filter"),
        ("foo(1)", "the jq filter uses an undefined function: foo/1"),
        ("$x", "the jq filter uses an undefined variable: $x"),
        ("\"abc", "the jq filter doesn't parse: expected closing quote, got the end of the filter"),
        ("import \"a\" as a; .", "the jq filter uses an undefined module: a"),
    ] {
        assert_eq!(check(filter).unwrap_err().to_string(), expected, "{filter}");
    }
}

#[test]
fn an_answer_that_is_not_json_is_told() {
    let result = run(".", &BTreeMap::new(), Bytes::from_static(b"<html>"), LIMITS, |_| Ok::<(), FilterError>(()));
    assert!(matches!(result, Err(FilterError::Input { .. })));
}

/// The filters here end by themselves some seconds later: their threads can't be stopped, only left behind.
#[test]
fn a_filter_is_given_up_on() {
    let short = Limits { stall: Duration::from_millis(200), memory: 64 << 20, output: 1000 };
    assert_eq!(lines_within("last(range(1e8))", short), Err(FilterError::Stalled(short.stall)));
    assert_eq!(lines_within("repeat(1)", short), Err(FilterError::Output(1000)));
    let patient = Limits { stall: Duration::from_secs(60), ..short };
    assert_eq!(lines_within("[range(2e7)] | length", patient), Err(FilterError::Memory(64 << 20)));
}

#[test]
fn the_printer_can_stop_an_endless_filter() {
    let stop = FilterError::Lost;
    let result = run("repeat(1)", &BTreeMap::new(), Bytes::from_static(b"1"), LIMITS, |_| Err(stop.clone()));
    assert_eq!(result, Err(stop));
}

#[test]
fn deep_values_are_refused_and_not_overflowed() {
    assert_eq!(lines("reduce range(6000) as $i (0; [.])"), Err(FilterError::Value(ValueError::TooDeep)));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let result = run(".", &BTreeMap::new(), Bytes::from(deep), LIMITS, |_| Ok::<(), FilterError>(()));
    assert!(matches!(result, Err(FilterError::Input { .. })));
}
