//! Where the formula of [`crate::etag`] holds, and under which `Vary` to compute.
//!
//! GitHub documents neither. So what this node sees in GitHub's own answers to it decides, for each family of routes of each
//! API, and never what a peer says: [`FormulaBook::saw`] takes every answer from the origin, [`FormulaBook::hashed`] says how
//! to compute, or that only an ETag may be offered that GitHub gave to this credential here.
//!
//! # Which prefix is safe
//! A 304 to `H(P ‖ body)` proves that GitHub's bytes, P′ ‖ body′, are the same as ours. It proves *our body* only if P = P′, and
//! the body is a peer's, so that a wrong P is a way to have wrong bytes confirmed: if `Accept` is left out of P, a body that
//! begins with `*/*:` matches. The rules:
//! - `Accept` is always in P, for it is in everything that was recorded. Were it not in P′, the true body would have to begin
//!   with the value of this request's `Accept` and a colon, which no JSON does; a raw file could, and whoever wrote it would only
//!   cut off its own beginning.
//! - The credential is in P unless GitHub was seen here to leave it out for an authenticated request. If only one of P and P′
//!   has it, one of the bodies would have to contain it, and who can write that holds the credential.
//! - Without a credential there is no secret in P at all. So an anonymous request offers what was computed only under a `Vary`
//!   that was seen here, on an anonymous answer of that family.
//! - `Cookie` is never sent with a read, so that it adds nothing whether listed or not.
//!
//! A P that is too long or too short for GitHub's costs a body and is learned from: what was computed and didn't match although
//! the body is the same counts as a mismatch ([`Observation::Missed`]).

use crate::etag::{self, Hashed};
use crate::headers;
use crate::routes::{Family, Route};
use crate::{CredentialKind, Read};
use http::header::{self, HeaderMap};
use std::collections::BTreeMap;

/// Mismatches in a row after which nothing more is computed for a family. One may be an answer that changed on its way.
pub const MISMATCHES_TO_STOP: u8 = 2;
/// Matches in a row after which it is again.
pub const MATCHES_TO_RESUME: u8 = 8;
/// Most pairs of an API and a family that are kept: all families of more APIs than anybody configures. Of what doesn't fit
/// nothing is computed.
pub const MAX_ROWS: usize = 1024;
/// What GitHub's answers to authenticated requests list, as recorded since 2021.
const DOCUMENTED: Vary = Vary { authorization: true };

/// What an answer from the origin told about the formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The ETag was the computed one: of a 200, or of a 304 to it.
    Held,
    /// It was another.
    Failed,
    /// A computed ETag was offered, and the answer was a 200 with the very body that it was computed from.
    Missed,
    /// Nothing: it has no ETag, or no body.
    Untold,
}

impl Observation {
    /// What a 200 with this body tells. `missed`: this body's ETag was computed and offered.
    pub fn of(read: &Read, response: &HeaderMap, body: &[u8], missed: bool) -> Self {
        match etag::formula_holds(read, response, body) {
            _ if missed => Observation::Missed,
            Some(true) => Observation::Held,
            Some(false) => Observation::Failed,
            None => Observation::Untold,
        }
    }
}

/// What P is made of, beside `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vary {
    /// Whether `Authorization` counts.
    pub authorization: bool,
}

impl Vary {
    /// As a line of `Vary`.
    pub fn line(self) -> &'static str {
        if self.authorization { "Accept, Authorization, Cookie" } else { "Accept, Cookie" }
    }

    /// What a response lists; `None` where it doesn't list `Accept`, so that computing under it isn't safe.
    fn of(response: &HeaderMap) -> Option<Self> {
        let lists = |name: &str| headers::list(response, header::VARY).any(|word| word.eq_ignore_ascii_case(name));
        lists("accept").then(|| Vary { authorization: lists("authorization") })
    }
}

/// Whether the formula holds for one family of one API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Judgement {
    stopped: bool,
    /// Observations in a row that speak against what is believed.
    against: u8,
}

impl Judgement {
    fn take(&mut self, held: bool) {
        if held != self.stopped {
            self.against = 0;
            return;
        }
        self.against += 1;
        let enough = if self.stopped { MATCHES_TO_RESUME } else { MISMATCHES_TO_STOP };
        if self.against >= enough {
            *self = Judgement { stopped: !self.stopped, against: 0 };
        }
    }
}

/// `Vary` as last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Never,
    /// It doesn't list `Accept`.
    Unsafe,
    Lists(Vary),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    judgement: Judgement,
    authenticated: Seen,
    anonymous: Seen,
}

impl Page {
    fn seen(&mut self, authenticated: bool) -> &mut Seen {
        if authenticated { &mut self.authenticated } else { &mut self.anonymous }
    }

    fn vary(mut self, authenticated: bool) -> Option<Vary> {
        match *self.seen(authenticated) {
            Seen::Never => authenticated.then_some(DOCUMENTED),
            Seen::Unsafe => None,
            Seen::Lists(vary) => Some(vary),
        }
    }
}

/// One family of one API, for whoever looks at the state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormulaRow<'a> {
    /// The API, as in [`crate::Target::authority`].
    pub authority: &'a str,
    /// The routes.
    pub family: Family,
    /// Whether ETags are computed there. If not, only those are offered that GitHub gave to the same credential here.
    pub holds: bool,
    /// The `Vary` under which they are computed for a credential; `None` where that isn't safe.
    pub vary: Option<Vary>,
}

/// What this node has seen of GitHub's ETags.
#[derive(Clone, Debug, Default)]
pub struct FormulaBook {
    pages: BTreeMap<String, BTreeMap<Family, Page>>,
}

impl FormulaBook {
    /// Takes the head of an answer from the origin to `read`, a 200 or a 304, and what it told.
    pub fn saw(&mut self, read: &Read, response: &HeaderMap, observation: Observation) {
        let Some(page) = self.page_mut(read) else { return };
        // A 304 need not repeat `Vary`.
        if response.contains_key(header::VARY) {
            *page.seen(is_authenticated(read)) = Vary::of(response).map_or(Seen::Unsafe, Seen::Lists);
        }
        match observation {
            Observation::Held => page.judgement.take(true),
            Observation::Failed | Observation::Missed => page.judgement.take(false),
            Observation::Untold => {}
        }
    }

    /// The request headers under the ETag of a known body for `read`; `None` where nothing computed may be offered.
    pub fn hashed(&self, read: &Read) -> Option<Hashed> {
        self.offer(read).map(|vary| Hashed::under([vary.line()]))
    }

    /// Under which `Vary` to compute.
    fn offer(&self, read: &Read) -> Option<Vary> {
        let page = self.page(read)?;
        if page.judgement.stopped { None } else { page.vary(is_authenticated(read)) }
    }

    /// Every family that anything was seen of.
    pub fn rows(&self) -> impl Iterator<Item = FormulaRow<'_>> {
        self.pages.iter().flat_map(|(authority, families)| {
            families.iter().map(move |(family, page)| FormulaRow {
                authority,
                family: *family,
                holds: !page.judgement.stopped,
                vary: page.vary(true),
            })
        })
    }

    /// `None` where there is no room for what hasn't been seen yet.
    fn page(&self, read: &Read) -> Option<Page> {
        let family = Route::of(&read.target).family;
        let known = self.pages.get(&read.target.authority).and_then(|families| families.get(&family));
        known.copied().or_else(|| self.has_room().then(Page::default))
    }

    fn page_mut(&mut self, read: &Read) -> Option<&mut Page> {
        let family = Route::of(&read.target).family;
        self.page(read)?;
        Some(self.pages.entry(read.target.authority.clone()).or_default().entry(family).or_default())
    }

    fn has_room(&self) -> bool {
        self.pages.values().map(BTreeMap::len).sum::<usize>() < MAX_ROWS
    }
}

fn is_authenticated(read: &Read) -> bool {
    read.credential.kind() != CredentialKind::Anonymous
}

#[cfg(test)]
mod tests;
