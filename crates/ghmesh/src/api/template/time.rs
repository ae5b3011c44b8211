//! `timeago` and `timefmt`: RFC 3339 times, and Go's layouts, which spell formats by an example date.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// A wall-clock time with its offset from UTC, as written in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    local: DateTime,
    offset_seconds: i32,
    /// Written with `Z`, so that it prints as UTC.
    utc: bool,
}

/// Reads `2021-12-25T13:14:15.123Z` or with an offset `+02:30`.
pub(super) fn parse(text: &str) -> Option<Time> {
    let digits = |range| text.get(range).is_some_and(|part: &str| part.bytes().all(|byte| byte.is_ascii_digit()));
    if !digits(0..4) || !matches!(text.as_bytes().get(10), Some(b'T')) {
        return None;
    }
    let zone_start = text.get(11..)?.find(['Z', '+', '-'])? + 11;
    let (local, zone) = text.split_at(zone_start);
    let local: DateTime = local.parse().ok()?;
    let offset_seconds = if zone == "Z" { 0 } else { offset(zone)? };
    Some(Time { local, offset_seconds, utc: zone == "Z" || offset_seconds == 0 })
}

fn offset(zone: &str) -> Option<i32> {
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 24 && minutes < 60).then_some(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// gh's words for how long ago a time is; anything in the future is "just now".
pub(super) fn ago(time: &Time, now: Timestamp) -> Option<String> {
    let offset = jiff::tz::Offset::from_seconds(time.offset_seconds).ok()?;
    let then = offset.to_timestamp(time.local).ok()?;
    let seconds = now.duration_since(then).as_secs();
    Some(match seconds {
        ..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => counted(seconds / MINUTE, "minute"),
        HOUR..DAY => counted(seconds / HOUR, "hour"),
        _ if seconds < 30 * DAY => counted(seconds / DAY, "day"),
        _ if seconds < 365 * DAY => counted(seconds / DAY / 30, "month"),
        _ => counted(seconds / DAY / 365, "year"),
    })
}

fn counted(number: i64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural} ago")
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The elements of a layout; of two that begin alike the longer stands first. Fractions are found apart.
const ELEMENTS: &[&str] = &[
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "__2",
    "_2006",
    "_2",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "1",
    "2",
    "3",
    "4",
    "5",
    "PM",
    "pm",
    "-07:00:00",
    "-07:00",
    "-070000",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z07:00",
    "Z070000",
    "Z0700",
    "Z07",
];

impl Time {
    /// Go's `Time.Format`.
    pub(super) fn format(&self, layout: &str) -> String {
        let mut out = String::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            if let Some(digits) = fraction(rest) {
                self.push_fraction(&mut out, &rest[..=digits]);
                rest = &rest[digits + 1..];
            } else if let Some(element) = element(rest) {
                out.push_str(&self.element(element));
                rest = &rest[element.len()..];
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        out
    }

    fn element(&self, element: &str) -> String {
        let time = &self.local;
        let month = MONTHS[usize::from(time.month().unsigned_abs()) - 1];
        let weekday = WEEKDAYS[usize::from(time.weekday().to_sunday_zero_offset().unsigned_abs())];
        let hour12 = (time.hour() + 11) % 12 + 1;
        match element {
            "2006" => format!("{:04}", time.year()),
            "_2006" => format!("_{:04}", time.year()),
            "06" => format!("{:02}", time.year() % 100),
            "January" => month.to_owned(),
            "Jan" => month[..3].to_owned(),
            "01" => format!("{:02}", time.month()),
            "1" => time.month().to_string(),
            "Monday" => weekday.to_owned(),
            "Mon" => weekday[..3].to_owned(),
            "02" => format!("{:02}", time.day()),
            "_2" => format!("{:2}", time.day()),
            "2" => time.day().to_string(),
            "002" => format!("{:03}", time.day_of_year()),
            "__2" => format!("{:3}", time.day_of_year()),
            "15" => format!("{:02}", time.hour()),
            "03" => format!("{hour12:02}"),
            "3" => hour12.to_string(),
            "04" => format!("{:02}", time.minute()),
            "4" => time.minute().to_string(),
            "05" => format!("{:02}", time.second()),
            "5" => time.second().to_string(),
            "PM" => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            "pm" => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
            "MST" => {
                if self.utc {
                    "UTC".to_owned()
                } else {
                    self.zone("-0700")
                }
            }
            zone => self.zone(zone),
        }
    }

    /// A zone element; those with `Z` print `Z` for UTC.
    fn zone(&self, element: &str) -> String {
        if element.starts_with('Z') && self.offset_seconds == 0 {
            return "Z".to_owned();
        }
        let sign = if self.offset_seconds < 0 { '-' } else { '+' };
        let seconds = self.offset_seconds.abs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match &element[1..] {
            "07:00:00" => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
            "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
            "070000" => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
            "0700" => format!("{sign}{hours:02}{minutes:02}"),
            _ => format!("{sign}{hours:02}"),
        }
    }

    /// `.000` keeps its zeros, `.999` drops them and, when nothing is left, the point.
    fn push_fraction(&self, out: &mut String, element: &str) {
        let nanoseconds = format!("{:09}", self.local.subsec_nanosecond());
        let digits = &nanoseconds[..(element.len() - 1).min(9)];
        let digits = if element.ends_with('9') { digits.trim_end_matches('0') } else { digits };
        if !digits.is_empty() {
            out.push_str(&element[..1]);
            out.push_str(digits);
        }
    }
}

/// How many zeros or nines stand behind the point (or comma) that the layout begins with; they must not be part of a number.
fn fraction(layout: &str) -> Option<usize> {
    let digits = layout.strip_prefix(['.', ','])?;
    let kind = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == kind).count();
    let ends = !digits[count..].starts_with(|c: char| c.is_ascii_digit());
    (ends && count <= 9).then_some(count)
}

/// The element that the layout begins with, if any. "Jan" and "Mon" aren't elements inside words such as "Janet".
fn element(layout: &str) -> Option<&'static str> {
    let found = ELEMENTS.iter().find(|element| layout.starts_with(**element))?;
    let goes_on = layout[found.len()..].starts_with(|c: char| c.is_ascii_lowercase());
    let is_abbreviation = matches!(*found, "Jan" | "Mon");
    (!(is_abbreviation && goes_on)).then_some(*found)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn layouts_are_spelled_by_example() {
        for (layout, time, expected) in [
            (
                "2006-01-02 15:04:05 MST Mon Jan _2 3PM Z07:00 -0700 .000",
                "2020-01-02T03:04:05Z",
                "2020-01-02 03:04:05 UTC Thu Jan  2 3AM Z +0000 .000",
            ),
            (
                "Monday, January 2, 06 at 03:04pm 002 1 01 Z0700 -07 5 4",
                "2021-12-25T13:14:15.123456+02:30",
                "Saturday, December 25, 21 at 01:14pm 359 12 12 +0230 +02 15 14",
            ),
            ("05.000 05.999999 5,00", "2021-12-25T13:14:05.120Z", "05.120 05.12 5,12"),
            ("05.999", "2021-12-25T13:14:05Z", "05"),
            ("Janet Month __2 é", "2021-02-03T13:14:05Z", "Janet Month  34 é"),
        ] {
            assert_eq!(parse(time).unwrap().format(layout), expected, "{layout}");
        }
    }

    #[test]
    fn only_rfc_3339_times_are_read() {
        for text in [
            "",
            "bad",
            "2020",
            "2020-01-02",
            "2020-13-02T00:00:00Z",
            "2020-01-02 00:00:00Z",
            "2020-01-02T00:00:00",
            "2020-01-02T00:00:00+2:00",
            "2020-01-02T00:00:00+02:99",
            "é020-01-02T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_told_relative_to_now() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (seconds, expected) in [
            (-100, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (86399, "23 hours ago"),
            (86400, "1 day ago"),
            (2_591_999, "29 days ago"),
            (2_592_000, "1 month ago"),
            (31_535_999, "12 months ago"),
            (31_536_000, "1 year ago"),
            (63_072_000, "2 years ago"),
        ] {
            let then = now - SignedDuration::from_secs(seconds);
            assert_eq!(ago(&parse(&then.to_string()).unwrap(), now).as_deref(), Some(expected), "{seconds}");
        }
        let shifted = parse("2026-01-01T03:00:00+05:00").unwrap();
        assert_eq!(ago(&shifted, now).as_deref(), Some("2 hours ago"));
    }
}
