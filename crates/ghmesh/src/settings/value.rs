//! From what was written to what it means: times, sizes, addresses, modes, lists.
//!
//! Environment variables and flags give texts; files give texts, numbers, booleans and lists. Both are read by the same
//! code.

use super::problem::Fault;
use super::secret::SecretText;
use figment::value::{Num, Value};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use url::Url;

/// A value of one kind, from what was written.
pub(super) trait Setting: Sized {
    /// Reads a text.
    fn from_text(text: &str) -> Result<Self, Fault>;

    /// What is said about a value that is no such thing.
    fn fault() -> Fault;

    /// Reads a whole number. Kinds that aren't numbers refuse it.
    fn from_number(_number: i128) -> Result<Self, Fault> {
        Err(Self::fault())
    }

    /// Reads a boolean. Kinds that aren't booleans refuse it.
    fn from_bool(_value: bool) -> Result<Self, Fault> {
        Err(Self::fault())
    }

    /// Reads whatever was written.
    fn from_value(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::String(_, text) => Self::from_text(text),
            Value::Bool(_, value) => Self::from_bool(*value),
            Value::Num(_, number) => match whole(*number) {
                Some(number) => Self::from_number(number),
                None => Err(Self::fault()),
            },
            Value::Char(..) | Value::Empty(..) | Value::Dict(..) | Value::Array(..) => Err(Self::fault()),
        }
    }
}

fn whole(number: Num) -> Option<i128> {
    number.to_i128().or_else(|| number.to_u128().and_then(|number| i128::try_from(number).ok()))
}

/// The items of a list: of a list each item, of a text the parts between commas. `none` is the list without items.
pub(super) fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(_, items) => Some(items.clone()),
        Value::String(_, text) if text.trim() == "none" => Some(Vec::new()),
        Value::String(_, text) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Some(parts.map(Value::from).collect())
        }
        Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) | Value::Dict(..) => None,
    }
}

impl Setting for bool {
    fn from_text(text: &str) -> Result<Self, Fault> {
        match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(Self::fault()),
        }
    }

    fn fault() -> Fault {
        Fault::Kind { kind: "a yes or no", instead: "true or false" }
    }

    fn from_bool(value: bool) -> Result<Self, Fault> {
        Ok(value)
    }
}

impl Setting for String {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() { Err(Self::fault()) } else { Ok(text.trim().to_owned()) }
    }

    fn fault() -> Fault {
        Fault::Kind { kind: "a text", instead: "it in quotes, or leave the setting out" }
    }
}

impl Setting for SecretText {
    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.trim().is_empty() { Err(Self::fault()) } else { Ok(SecretText::new(text)) }
    }

    fn fault() -> Fault {
        String::fault()
    }

    fn from_number(_number: i128) -> Result<Self, Fault> {
        Err(Fault::Unquoted)
    }
}

impl Setting for u64 {
    fn from_text(text: &str) -> Result<Self, Fault> {
        text.trim().replace('_', "").parse().map_err(|_| Self::fault())
    }

    fn fault() -> Fault {
        Fault::Kind { kind: "a number", instead: "digits only, as in 1000" }
    }

    fn from_number(number: i128) -> Result<Self, Fault> {
        u64::try_from(number).map_err(|_| Self::fault())
    }
}

/// A count of bytes, written as a number or with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteSize(pub(super) u64);

/// Units of sizes, in small letters. One letter means the power of 1024, as systemd and docker read it.
const BYTE_UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

impl Setting for ByteSize {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let text = text.trim().to_lowercase();
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let (_, bytes) = BYTE_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(Self::fault)?;
        let count: u64 = digits.parse().map_err(|_| Self::fault())?;
        count.checked_mul(*bytes).map(ByteSize).ok_or_else(Self::fault)
    }

    fn fault() -> Fault {
        Fault::Kind {
            kind: "a size",
            instead: "bytes or a whole number with a unit, as in 1048576, \"512 MiB\" or \"1 GB\"",
        }
    }

    fn from_number(number: i128) -> Result<Self, Fault> {
        u64::from_number(number).map(ByteSize).map_err(|_| Self::fault())
    }
}

impl Setting for Duration {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        match text.parse() {
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => humantime::parse_duration(text).map_err(|_| Self::fault()),
        }
    }

    fn fault() -> Fault {
        Fault::Kind { kind: "a time", instead: "whole seconds or a time with units, as in 90, \"5m\" or \"1h 30m\"" }
    }

    fn from_number(number: i128) -> Result<Self, Fault> {
        u64::from_number(number).map(Duration::from_secs).map_err(|_| Self::fault())
    }
}

/// Permission bits. A text is octal, as `chmod` takes it; a number is what it is (TOML writes octal numbers `0o600`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMode(pub(super) u32);

impl Setting for FileMode {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0o").unwrap_or(digits);
        // `from_str_radix` would take a sign.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Self::fault());
        }
        u32::from_str_radix(digits, 8).map(FileMode).map_err(|_| Self::fault())
    }

    fn fault() -> Fault {
        Fault::Kind { kind: "a file mode", instead: "it in octal, as in \"0600\" or \"0660\"" }
    }

    /// A decimal number that was meant as octal (`600`) has bits above 0777, so it is told apart: the octal numbers
    /// from 600 to 777, read as decimal ones, are all above 511.
    fn from_number(number: i128) -> Result<Self, Fault> {
        u32::try_from(number).ok().filter(|mode| *mode <= 0o777).map(FileMode).ok_or_else(Self::fault)
    }
}

impl Setting for SocketAddr {
    fn from_text(text: &str) -> Result<Self, Fault> {
        text.trim().parse().map_err(|_| Self::fault())
    }

    fn fault() -> Fault {
        Fault::Kind {
            kind: "an address with a port",
            instead: "an IP address and a port, as in 127.0.0.1:9180 or [::1]:9180",
        }
    }
}

impl Setting for Url {
    fn from_text(text: &str) -> Result<Self, Fault> {
        let url = Url::parse(text.trim()).map_err(|_| Self::fault())?;
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
        if usable { Ok(url) } else { Err(Self::fault()) }
    }

    fn fault() -> Fault {
        Fault::Kind { kind: "a URL", instead: "one with its scheme, as in http://proxy.example.com:3128" }
    }
}

/// A bound in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Quantity {
    /// A number of things.
    Count(u64),
    /// A number of bytes.
    Bytes(u64),
    /// A length of time.
    Time(Duration),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Count(count) => write!(f, "{count}"),
            Quantity::Bytes(bytes) => {
                let (unit, size) = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
                    .into_iter()
                    .find(|(_, size)| *bytes >= *size && bytes % size == 0)
                    .unwrap_or(("bytes", 1_u64));
                write!(f, "{} {unit}", bytes / size)
            }
            Quantity::Time(time) => write!(f, "{}", humantime::format_duration(*time)),
        }
    }
}
