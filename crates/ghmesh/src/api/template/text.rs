//! Widths on a terminal, truncation, and gh's colours (the style words of mgutz/ansi, such as `red+b:white+h`).

use unicode_width::UnicodeWidthChar as _;

const ELLIPSIS: &str = "...";

/// Narrower than this, text is cut without dots.
const NARROWEST_WITH_ELLIPSIS: usize = 5;

/// Columns that a text takes; escape sequences take none.
pub(super) fn width(text: &str) -> usize {
    characters(text).map(|(_, columns)| columns).sum()
}

/// Each character with its columns: 0 inside escape sequences (from escape to the next letter), else 1 or 2.
fn characters(text: &str) -> impl Iterator<Item = (char, usize)> {
    let mut escape = false;
    text.chars().map(move |c| {
        if c == '\u{1b}' {
            escape = true;
        }
        let columns = if escape { 0 } else { c.width().unwrap_or(0) };
        escape &= !c.is_ascii_alphabetic();
        (c, columns)
    })
}

/// The text cut to `most` columns, with dots if there is room, and padded when a wide character left a gap.
pub(super) fn truncated(most: usize, text: &str) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let tail = if most >= NARROWEST_WITH_ELLIPSIS { ELLIPSIS } else { "" };
    let room = most - tail.len();
    let (mut out, mut used) = (String::new(), 0);
    for (c, columns) in characters(text) {
        used += columns;
        if used > room {
            break;
        }
        out.push(c);
    }
    let coloured = out.contains('\u{1b}');
    out.push_str(tail);
    if coloured {
        out.push_str(RESET);
    }
    if width(&out) < most {
        out.push(' ');
    }
    out
}

/// The first line alone, with dots if there were more, cut to the width.
pub(super) fn truncated_line(most: usize, text: &str) -> String {
    match text.find(['\r', '\n']) {
        Some(end) => truncated(most, &format!("{}{ELLIPSIS}", &text[..end])),
        None => truncated(most, text),
    }
}

const RESET: &str = "\x1b[0m";

/// The text in a style; nothing is added for the empty style.
pub(super) fn coloured(style: &str, text: &str) -> String {
    match style {
        "" => text.to_owned(),
        "off" => format!("{text}{RESET}"),
        "reset" => format!("{RESET}{text}{RESET}"),
        style => format!("\x1b[{}m{text}{RESET}", codes(style)),
    }
}

/// The SGR codes of `colour+attributes:background+attributes`. An unknown colour is black, as in gh.
fn codes(style: &str) -> String {
    let (foreground, background) = match style.split_once(':') {
        Some((foreground, background)) => (foreground, Some(background)),
        None => (style, None),
    };
    let (colour, attributes) = foreground.split_once('+').unwrap_or((foreground, ""));
    let mut codes = vec!["0".to_owned()];
    let known = [('b', "1"), ('d', "2"), ('u', "4"), ('B', "5"), ('i', "7"), ('s', "9")];
    codes.extend(known.iter().filter(|(letter, _)| attributes.contains(*letter)).map(|(_, code)| (*code).to_owned()));
    codes.push(colour_code(colour, attributes, [30, 90], 38));
    if let Some(background) = background {
        let (colour, attributes) = background.split_once('+').unwrap_or((background, ""));
        codes.push(colour_code(colour, attributes, [40, 100], 48));
    }
    codes.join(";")
}

fn colour_code(colour: &str, attributes: &str, [normal, bright]: [u8; 2], palette: u8) -> String {
    if let Ok(number) = colour.parse::<u16>() {
        return format!("{palette};5;{number}");
    }
    let names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
    let index = match colour {
        "default" => 9,
        colour => names.iter().position(|name| *name == colour).unwrap_or(0) as u8,
    };
    let base = if attributes.contains('h') { bright } else { normal };
    (base + index).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that gh 2.23.0 prints for these styles.
    #[test]
    fn styles_have_the_codes_of_gh() {
        for (style, expected) in [
            ("red", "\x1b[0;31mt\x1b[0m"),
            ("green+b", "\x1b[0;1;32mt\x1b[0m"),
            ("red+bu:white+h", "\x1b[0;1;4;31;107mt\x1b[0m"),
            ("208", "\x1b[0;38;5;208mt\x1b[0m"),
            ("208:22", "\x1b[0;38;5;208;48;5;22mt\x1b[0m"),
            ("nope", "\x1b[0;30mt\x1b[0m"),
            ("", "t"),
            ("off", "t\x1b[0m"),
            ("reset", "\x1b[0mt\x1b[0m"),
            ("default:blue", "\x1b[0;39;44mt\x1b[0m"),
            ("red+hBisd", "\x1b[0;2;5;7;9;91mt\x1b[0m"),
            (":red", "\x1b[0;30;41mt\x1b[0m"),
        ] {
            assert_eq!(coloured(style, "t"), expected, "{style}");
        }
    }

    #[test]
    fn text_is_cut_by_columns() {
        for (most, text, expected) in [
            (5, "hello world", "he..."),
            (3, "hello world", "hel"),
            (20, "x", "x"),
            (6, "日本語日本語", "日... "),
            (7, "日本語日本語", "日本..."),
            (3, "\x1b[0;31mabcdef\x1b[0m", "\x1b[0;31mabc\x1b[0m"),
            (0, "abc", ""),
        ] {
            assert_eq!(truncated(most, text), expected, "{text}");
        }
        assert_eq!(truncated_line(10, "one\ntwo"), "one...");
    }
}
