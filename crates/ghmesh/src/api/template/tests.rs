//! What gh 2.23.0 printed for the same templates over the same document (`testdata/templates.json`), and what only we bound.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const DOCUMENT: &[u8] = include_bytes!("../testdata/document.json");

fn render(template: &str) -> Result<String, TemplateError> {
    let mut template = Template::parse(template, false, 80, "2026-11-21T00:00:00Z".parse().unwrap())?;
    let mut out = template.execute(DOCUMENT)?;
    out.push_str(&template.flush());
    Ok(out)
}

#[test]
fn templates_print_what_gh_prints() {
    let recorded: Vec<(String, String, i32)> =
        serde_json::from_str(include_str!("../testdata/templates.json")).unwrap();
    let mut wrong = Vec::new();
    for (template, stdout, code) in recorded {
        match (render(&template), code) {
            (Ok(out), 0) if out == stdout => {}
            (Err(_), 1) => {}
            (other, _) => wrong.push(format!("{template}\n  gh:   {code} {stdout:?}\n  here: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Newer gh than the recorded one knows these.
#[test]
fn later_additions_work() {
    for (template, expected) in [
        ("{{range 3}}{{.}}{{end}}{{range $i, $n := 2}}{{$i}}{{$n}}{{end}}", "0120011"),
        ("{{with .missing}}a{{else with .o}}{{.k}}{{else}}c{{end}}", "v"),
        (r#"{{contains "x" .s}} {{hasPrefix "y" .s}} {{.s | hasSuffix "y"}}"#, "true false true"),
    ] {
        assert_eq!(render(template).unwrap(), expected, "{template}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let mut template =
        Template::parse(r#"{{color "red" .s}}{{autocolor "red+b" 5.0}}"#, true, 80, Timestamp::now()).unwrap();
    assert_eq!(template.execute(DOCUMENT).unwrap(), "\x1b[0;31mx y\x1b[0m\x1b[0;1;31m5\x1b[0m");
}

#[test]
fn pages_fill_one_table() {
    let mut template = Template::parse(r#"{{range .}}{{tablerow .}}{{end}}"#, false, 80, Timestamp::now()).unwrap();
    assert_eq!(template.execute(br#"["a"]"#).unwrap(), "");
    assert_eq!(template.execute(br#"["bcd"]"#).unwrap(), "");
    assert_eq!(template.flush(), "a\nbcd\n");
}

#[test]
fn nothing_runs_for_ever() {
    let endless = r#"{{define "r"}}{{template "r"}}{{end}}{{template "r"}}"#;
    assert!(matches!(render(endless), Err(TemplateError::Execution { fault: Fault::TooDeep(_), .. })));
    let long = "{{range 100000}}{{range 100000}}{{end}}{{end}}";
    assert!(matches!(render(long), Err(TemplateError::Execution { fault: Fault::TooLong(_), .. })));
    let deep = "{{if true}}".repeat(200);
    assert!(matches!(render(&deep), Err(TemplateError::Syntax { problem: Problem::TooDeep(_), .. })));
    let parentheses = format!("{{{{{}1{}}}}}", "(".repeat(200), ")".repeat(200));
    assert!(matches!(render(&parentheses), Err(TemplateError::Syntax { problem: Problem::TooDeep(_), .. })));
}

#[test]
fn errors_say_where_and_what() {
    for (template, expected) in [
        ("a\n{{nosuch}}", "template: line 2: function \"nosuch\" not defined"),
        ("{{.a.b}}", "template: line 1: can't evaluate field b in type float64"),
        ("{{end}}", "template: line 1: unexpected {{end}}"),
        ("{{if .a}}", "template: line 1: unexpected end: {{end}} is missing"),
        ("{{1i}}", "template: line 1: bad literal syntax: 1i"),
        ("\n\n{{eq .a 1}}", "template: line 3: error calling eq: incompatible types for comparison"),
    ] {
        assert_eq!(render(template).unwrap_err().to_string(), expected);
    }
    let mut template = Template::parse("{{.}}", false, 80, Timestamp::now()).unwrap();
    assert!(template.execute(b"oops").unwrap_err().to_string().contains("not JSON"));
}
