//! Durations as Go writes them (`time.ParseDuration`, `Duration.String`): what `gh api --cache` takes and what it sends.

use std::fmt::Write as _;
use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number, no unit or an unknown one.
    #[error("not a duration: write it as 3600s, 60m, 1h30m or 1.5h (units: ms, s, m, h)")]
    Form,
    /// A cache lifetime can't be negative.
    #[error("a duration can't be negative here")]
    Negative,
    /// More than 292 years, which Go can't hold either.
    #[error("the duration is too long")]
    TooLong,
}

/// Go's largest duration in nanoseconds (`1<<63 - 1`).
const LONGEST_NANOSECONDS: f64 = i64::MAX as f64;

/// Reads a Go duration such as `1h30m`, `1.5h`, `300ms` or `0`.
///
/// # Errors
/// When it has another form, is negative, or longer than Go can hold.
pub(super) fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Form);
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let (part, after) = part(rest)?;
        nanoseconds += part;
        rest = after;
    }
    if nanoseconds >= LONGEST_NANOSECONDS {
        return Err(DurationError::TooLong);
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

/// One number with its unit, in nanoseconds, and what follows it.
fn part(text: &str) -> Result<(f64, &str), DurationError> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(DurationError::Form)?;
    let (number, rest) = text.split_at(number_end);
    let number: f64 = number.parse().map_err(|_| DurationError::Form)?;
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let nanoseconds = match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return Err(DurationError::Form),
    };
    Ok((number * nanoseconds, rest))
}

/// Writes a duration as Go does: `1h0m0s`, `1m30s`, `1.5s`, `300ms`.
pub(super) fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format_below_a_second(duration);
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{}", seconds % 60);
    push_fraction(&mut text, duration.subsec_nanos(), 9);
    text.push('s');
    text
}

fn format_below_a_second(duration: Duration) -> String {
    let nanoseconds = duration.subsec_nanos();
    let (unit, digits, size) = match nanoseconds {
        0 => return "0s".to_owned(),
        1..1_000 => ("ns", 0, 1),
        1_000..1_000_000 => ("µs", 3, 1_000),
        _ => ("ms", 6, 1_000_000),
    };
    let mut text = (nanoseconds / size).to_string();
    push_fraction(&mut text, nanoseconds % size, digits);
    text.push_str(unit);
    text
}

/// Appends `.fraction` of `digits` places without its trailing zeros; nothing when it is zero.
fn push_fraction(text: &mut String, fraction: u32, digits: usize) {
    if fraction > 0 {
        let padded = format!("{fraction:0digits$}");
        let _ = write!(text, ".{}", padded.trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read_and_written_as_go_does() {
        for (text, written) in [
            ("3600s", "1h0m0s"),
            ("60m", "1h0m0s"),
            ("1h", "1h0m0s"),
            ("1.5h", "1h30m0s"),
            ("1h30m10.5s", "1h30m10.5s"),
            ("90s", "1m30s"),
            ("300ms", "300ms"),
            ("1500us", "1.5ms"),
            ("0", "0s"),
            ("+5s", "5s"),
        ] {
            assert_eq!(parse(text).map(format).as_deref(), Ok(written), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "+", "5", "s", "1x", "1h ", "1.2.3s", "1hh", "soon", "."] {
            assert_eq!(parse(text), Err(DurationError::Form), "{text:?}");
        }
        assert_eq!(parse("-1s"), Err(DurationError::Negative));
        assert_eq!(parse("9999999h"), Err(DurationError::TooLong));
    }
}
