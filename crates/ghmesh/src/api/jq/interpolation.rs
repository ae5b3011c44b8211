//! Gives `"\(…)"` Go's numbers. jaq's plain interpolation is built in and writes a whole quotient as `5.0`; interpolation with
//! a format calls a definition, and the prelude's `@text` writes `5`. So every interpolated string without a format gets `@text`.

use jaq_core::load::lex::{Error, Lexer, StrPart, Tok, Token};
use jaq_core::load::span;

/// The filter with `@text` put before each string that interpolates and has no format of its own.
pub(super) fn go_numbers(filter: &str) -> Result<String, Vec<Error<&str>>> {
    let tokens = Lexer::new(filter).lex()?;
    let mut positions = Vec::new();
    collect(filter, &tokens, &mut positions);
    positions.sort_unstable();
    let mut text = String::with_capacity(filter.len() + 6 * positions.len());
    let mut from = 0;
    for position in positions {
        text.push_str(&filter[from..position]);
        text.push_str("@text ");
        from = position;
    }
    text.push_str(&filter[from..]);
    Ok(text)
}

fn collect(filter: &str, tokens: &[Token<&str>], positions: &mut Vec<usize>) {
    let mut formatted = false;
    for Token(text, token) in tokens {
        match token {
            Tok::Str(parts) => collect_string(filter, text, parts, formatted, positions),
            Tok::Block(tokens) => collect(filter, tokens, positions),
            Tok::Word | Tok::Var | Tok::Fmt | Tok::Num | Tok::Sym => {}
        }
        formatted = matches!(token, Tok::Fmt);
    }
}

fn collect_string(
    filter: &str,
    text: &str,
    parts: &[StrPart<&str, Token<&str>>],
    formatted: bool,
    positions: &mut Vec<usize>,
) {
    let terms: Vec<_> =
        parts.iter().filter_map(|part| if let StrPart::Term(term) = part { Some(term) } else { None }).collect();
    if !terms.is_empty() && !formatted {
        positions.push(span(filter, text).start);
    }
    terms.into_iter().for_each(|term| collect(filter, std::slice::from_ref(term), positions));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_plain_interpolation_is_marked() {
        for (filter, expected) in [
            (r#""a""#, r#""a""#),
            (r#""a\(.b)""#, r#"@text "a\(.b)""#),
            (r#"@json "a\(.b)""#, r#"@json "a\(.b)""#),
            (r#"[.x | "a\("b\(1)")"]"#, r#"[.x | @text "a\(@text "b\(1)")"]"#),
            (r#"{"k\(1)": "\n"}"#, r#"{@text "k\(1)": "\n"}"#),
        ] {
            assert_eq!(go_numbers(filter).unwrap(), expected);
        }
    }
}
