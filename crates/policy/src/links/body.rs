//! The API's URLs in JSON bodies, on their way to a caller whose base URL is this daemon.
//!
//! PyGithub refuses a URL of another host, and other clients follow what they are given past the cache. So values of members
//! that hold URLs ([`is_of_urls`]) and begin with the API's own become URLs of the caller's base; text that people wrote is left
//! alone, and so is everything else, byte for byte. This is done piece by piece, so that a body of any size needs only as much
//! memory as one URL.

use super::Base;

/// Longest start of a URL that is looked at, in bytes of JSON: a scheme, a host of 253 and a path prefix are far shorter, also
/// with every slash escaped.
const MAX_START_BYTES: usize = 1024;
/// Longest name of a member that is told from others, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Rewrites one JSON text.
#[derive(Clone, Debug)]
pub struct BodyRewriter {
    base: Base,
    place: Place,
    /// The string that has just ended, or its start: the name of a member if a colon follows.
    string: Vec<u8>,
    /// What stands next is the value of a member that holds URLs.
    url_follows: bool,
}

/// Where in the text the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Outside of strings.
    Between,
    /// In a string that stays as it is.
    Text { escaped: bool },
    /// In a string that may be a URL of the API. It is held back until that is known.
    Candidate { escaped: bool },
}

impl BodyRewriter {
    /// For a caller of this base.
    pub fn new(base: Base) -> Self {
        BodyRewriter { base, place: Place::Between, string: Vec::new(), url_follows: false }
    }

    /// The whole of a short body.
    pub fn whole(base: Base, body: &[u8]) -> Vec<u8> {
        let mut rewriter = BodyRewriter::new(base);
        let mut written = Vec::with_capacity(body.len() + body.len() / 8);
        rewriter.push(body, &mut written);
        rewriter.finish(&mut written);
        written
    }

    /// Takes the next piece, and appends to `written` what is known by now.
    pub fn push(&mut self, mut piece: &[u8], written: &mut Vec<u8>) {
        while !piece.is_empty() {
            piece = match self.place {
                Place::Between => self.between(piece, written),
                Place::Text { escaped } => self.text(escaped, piece, written),
                Place::Candidate { escaped } => self.candidate(escaped, piece, written),
            };
        }
    }

    /// Appends what was held back, where the text ended within a string.
    pub fn finish(self, written: &mut Vec<u8>) {
        if let Place::Candidate { .. } = self.place {
            written.extend_from_slice(&self.string);
        }
    }

    fn between<'a>(&mut self, piece: &'a [u8], written: &mut Vec<u8>) -> &'a [u8] {
        let start = piece.iter().position(|&byte| byte == b'"');
        let (passed, rest) = start.map_or((piece, &[][..]), |start| piece.split_at(start + 1));
        written.extend_from_slice(passed);
        self.url_follows = self.leads_to_url(passed);
        if start.is_some() {
            self.string.clear();
            let escaped = false;
            self.place = if self.url_follows { Place::Candidate { escaped } } else { Place::Text { escaped } };
        }
        rest
    }

    /// Whether a value that follows `passed` is one of a member that holds URLs: nothing but a colon may stand between its name
    /// and it.
    fn leads_to_url(&self, passed: &[u8]) -> bool {
        let mut url_follows = self.url_follows;
        for byte in passed {
            match byte {
                b':' => url_follows = is_of_urls(&self.string),
                b'"' | b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => url_follows = false,
            }
        }
        url_follows
    }

    fn text<'a>(&mut self, escaped: bool, piece: &'a [u8], written: &mut Vec<u8>) -> &'a [u8] {
        let (within, rest, escaped) = string_part(escaped, piece);
        written.extend_from_slice(within);
        let room = (MAX_NAME_BYTES + 1).saturating_sub(self.string.len());
        self.string.extend(within.iter().take(room));
        self.place = Place::Text { escaped };
        self.close(rest, written)
    }

    fn candidate<'a>(&mut self, escaped: bool, piece: &'a [u8], written: &mut Vec<u8>) -> &'a [u8] {
        let looked_at = piece.len().min(MAX_START_BYTES);
        let (within, _, escaped) = string_part(escaped, &piece[..looked_at]);
        self.string.extend_from_slice(within);
        let rest = &piece[within.len()..];
        let ended = rest.first() == Some(&b'"') && !escaped;
        if !ended && (escaped || self.string.len() < MAX_START_BYTES) {
            self.place = Place::Candidate { escaped };
            return rest;
        }
        written.extend(self.base.rewritten_json(&self.string));
        // No name, whatever follows.
        self.string = vec![b'\\'];
        self.place = Place::Text { escaped: false };
        self.close(rest, written)
    }

    /// Ends the string if `rest` begins with the quote that ends it.
    fn close<'a>(&mut self, rest: &'a [u8], written: &mut Vec<u8>) -> &'a [u8] {
        let Some(after) = rest.strip_prefix(b"\"") else { return rest };
        written.push(b'"');
        (self.place, self.url_follows) = (Place::Between, false);
        after
    }
}

impl Base {
    /// A string of JSON as its caller is to see it, both without their quotes.
    fn rewritten_json(&self, string: &[u8]) -> Vec<u8> {
        let plain = with_plain_slashes(string);
        // A start that was cut within a character is text up to there.
        let text = match std::str::from_utf8(&plain) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&plain[..error.valid_up_to()]).unwrap_or_default(),
        };
        match self.rewritten_in_body(text) {
            Some(rewritten) => [rewritten.as_bytes(), &plain[text.len()..]].concat(),
            None => string.to_vec(),
        }
    }
}

/// The bytes up to the quote that ends a string, the rest, and whether the last one escapes the next.
fn string_part(mut escaped: bool, piece: &[u8]) -> (&[u8], &[u8], bool) {
    for (position, byte) in piece.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => {
                let (within, rest) = piece.split_at(position);
                return (within, rest, false);
            }
            _ => {}
        }
    }
    (piece, &[], escaped)
}

/// Whether members of this name hold URLs. `self`, `git` and `href` stand in `_links`.
fn is_of_urls(name: &[u8]) -> bool {
    name.len() <= MAX_NAME_BYTES && (matches!(name, b"url" | b"href" | b"self" | b"git") || name.ends_with(b"_url"))
}

/// The same string of JSON with `\/` written as `/`, which means the same.
fn with_plain_slashes(string: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(string.len());
    let mut bytes = string.iter().copied();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == b'\\' { bytes.next() } else { None };
        if escaped != Some(b'/') {
            plain.push(byte);
        }
        plain.extend(escaped);
    }
    plain
}

#[cfg(test)]
mod tests;
