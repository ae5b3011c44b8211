//! What a node offers GitHub to confirm for a credential: bodies that it already has, for whomever they were fetched.
//!
//! An ETag is a hash over the credential and the body, so that a 304 to one that was *computed here*, for the caller's own
//! credential and from bytes that were checked against their name, proves three things at no cost: the body is current, the
//! caller may read exactly these bytes, and whoever supplied them did not change them. So a body may come from anywhere, and
//! nobody's word about permission is needed. What would break the proof, and the rule against each:
//!
//! - An ETag that a peer or the client supplied could name anything: offered are tags computed here, or received here for this
//!   credential.
//! - A hash over fewer headers is another body's hash (`Accept` missing from the prefix, and the body beginning with it): the
//!   headers come from a `Vary` that GitHub sent to this node, and the 304's own `Vary` must agree.
//! - A 304 covers neither `Link` nor `Content-Type`: those of a peer are taken only where they can't mislead ([`hearsay`]).
//! - A 304 that names nothing that was offered proves nothing.

use crate::etag::{self, Hashed};
use crate::{Read, hearsay, storable};
use bytes::Bytes;
use ghmesh_model::Representation;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

/// Most tags in one `If-None-Match`: 8 of 68 bytes, far below any header limit.
pub const MAX_OFFERS: usize = 8;

/// The body of an empty list, which the answer to a list that was never asked for often is.
const EMPTY_LIST: &[u8] = b"[]";

/// Where a representation came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// GitHub gave it to this node for this very credential, with this ETag.
    Own {
        /// As GitHub wrote it.
        etag: String,
    },
    /// GitHub gave it to this node, for another credential.
    Here,
    /// A member sent it. Its body is what its name says; its headers are that member's word.
    Peer,
    /// Nobody did: it is what the answer may well be.
    Guess,
}

/// A representation that may be what GitHub would answer.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name and headers.
    pub representation: Representation,
    /// What the name names: checked by whoever made this.
    pub body: Bytes,
    /// Where it came from.
    pub provenance: Provenance,
}

impl Candidate {
    /// An empty list.
    pub fn empty_list() -> Self {
        let body = Bytes::from_static(EMPTY_LIST);
        let content_type = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
        let representation = Representation {
            cid: ghmesh_model::BodyCid::of(&body),
            length: body.len() as u64,
            headers: vec![content_type],
        };
        Candidate { representation, body, provenance: Provenance::Guess }
    }
}

/// A candidate with the tag under which it is offered.
#[derive(Clone, Debug)]
pub struct Offer {
    /// An entity tag.
    pub etag: String,
    /// What it stands for.
    pub candidate: Candidate,
    /// The request headers under the hash; `None` for a tag that GitHub gave.
    hashed: Option<Hashed>,
}

impl Offer {
    /// Whether its tag was computed here.
    pub fn is_computed(&self) -> bool {
        self.hashed.is_some()
    }
}

/// What is offered of `candidates`, in their order and without doubles; at most [`MAX_OFFERS`]. `hashed`: the request headers
/// that GitHub hashes on this route, where this node trusts the formula there.
pub fn offers(read: &Read, candidates: Vec<Candidate>, hashed: Option<Hashed>) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for candidate in candidates {
        let Some(offer) = offer(read, candidate, hashed) else { continue };
        let known = offers.iter().any(|earlier| etag::weak_eq(&earlier.etag, &offer.etag));
        if !known && offers.len() < MAX_OFFERS {
            offers.push(offer);
        }
    }
    offers
}

fn offer(read: &Read, candidate: Candidate, hashed: Option<Hashed>) -> Option<Offer> {
    let representation = &candidate.representation;
    match &candidate.provenance {
        Provenance::Own { etag } if etag::opaque(etag).is_some() => {
            Some(Offer { etag: etag.clone(), candidate, hashed: None })
        }
        Provenance::Peer => {
            let representation = hearsay::believable(read, representation, &candidate.body)?;
            computed(read, Candidate { representation, ..candidate }, hashed)
        }
        Provenance::Own { .. } | Provenance::Here | Provenance::Guess => computed(read, candidate, hashed),
    }
}

fn computed(read: &Read, candidate: Candidate, hashed: Option<Hashed>) -> Option<Offer> {
    let hashed = hashed?;
    let etag = format!("W/{}", hashed.etag(&read.upstream, &candidate.body));
    Some(Offer { etag, candidate, hashed: Some(hashed) })
}

/// The `If-None-Match` of a request that makes these offers; `None` where there are none.
pub fn if_none_match(offers: &[Offer]) -> Option<HeaderValue> {
    let tags: Vec<&str> = offers.iter().map(|offer| offer.etag.as_str()).collect();
    (!tags.is_empty()).then(|| HeaderValue::from_str(&tags.join(", ")).ok()).flatten()
}

/// The offer that a response confirms. `None` where it confirms nothing: fetch whole.
pub fn confirmed(mut offers: Vec<Offer>, read: &Read, status: StatusCode, response: &HeaderMap) -> Option<Offer> {
    let tags: Vec<&str> = offers.iter().map(|offer| offer.etag.as_str()).collect();
    let named = etag::confirmed(&tags, status, response)?;
    let offer = offers.swap_remove(named);
    let under_same_headers = |hashed: &Hashed| {
        let covered = |hashed: Hashed| hashed.covered(&read.upstream);
        !response.contains_key(header::VARY) || covered(*hashed) == covered(Hashed::of(response))
    };
    offer.hashed.as_ref().is_none_or(under_same_headers).then_some(offer)
}

/// The headers of a confirmed representation: those that the 304 carries replace the kept ones ("the cache MUST […] replace
/// each stored header field with the corresponding one in the response", RFC 9111 §4.3.4), so that lifetimes and `Vary` are
/// GitHub's word even where a member supplied the rest.
pub fn freshened(kept: &[(String, String)], response: &HeaderMap) -> Vec<(String, String)> {
    let told = storable::shareable(response).unwrap_or_default();
    let is_told = |name: &str| told.iter().any(|(told, _)| told == name);
    let rest = kept.iter().filter(|(name, _)| !is_told(name)).cloned();
    let mut headers: Vec<_> = rest.chain(told.iter().cloned()).collect();
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    headers
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::fixtures::{self, Pair};

    const ALICE: Pair<'_> = ("authorization", "token ghp_alice");
    const JSON: Pair<'_> = ("content-type", "application/json");

    fn candidate(headers: &[Pair<'_>], body: &'static [u8], provenance: Provenance) -> Candidate {
        let representation = fixtures::entry(headers, body).representation;
        Candidate { representation, body: Bytes::from_static(body), provenance }
    }

    fn own(etag: &str) -> Candidate {
        candidate(&[], b"{}", Provenance::Own { etag: etag.to_owned() })
    }

    fn tags(uri: &str, candidates: Vec<Candidate>, hashed: Option<Hashed>) -> Vec<String> {
        let offers = offers(&fixtures::read(uri, &[ALICE]), candidates, hashed);
        offers.into_iter().map(|offer| offer.etag).collect()
    }

    fn computed(body: &[u8]) -> String {
        format!("W/{}", Hashed::DOCUMENTED.etag(&fixtures::read("/x", &[ALICE]).upstream, body))
    }

    #[test]
    fn threat_3_offered_is_what_was_received_for_this_credential_or_computed_here() {
        let here = candidate(&[JSON], b"{\"a\":1}", Provenance::Here);
        let peer = candidate(&[JSON], b"{\"a\":2}", Provenance::Peer);
        let all = vec![own("W/\"mine\""), here, peer, Candidate::empty_list()];
        let computed = [computed(b"{\"a\":1}"), computed(b"{\"a\":2}"), computed(b"[]")];
        let expected = [vec!["W/\"mine\"".to_owned()], computed.to_vec()].concat();
        assert_eq!(tags("/repos/o/r", all.clone(), Some(Hashed::DOCUMENTED)), expected);
        assert_eq!(tags("/repos/o/r", all, None), ["W/\"mine\""], "the formula is not trusted here");
    }

    #[test]
    fn what_is_no_tag_is_computed_and_doubles_are_offered_once() {
        let twice = vec![own("broken"), own("W/\"a\""), own("\"a\"")];
        assert_eq!(tags("/x", twice, Some(Hashed::DOCUMENTED)), [computed(b"{}"), "W/\"a\"".to_owned()]);
        let many = (0..20).map(|number| own(&format!("\"{number}\""))).collect();
        assert_eq!(tags("/x", many, None).len(), MAX_OFFERS);
    }

    #[test]
    fn threat_4_what_a_member_could_mislead_with_is_not_offered() {
        let full = b"[1,2]";
        for (headers, offered) in [
            (vec![JSON], false),
            (vec![JSON, ("link", "<https://api.github.com/repos/o/r/issues?page=2>; rel=\"next\"")], true),
            (vec![JSON, ("link", "<https://evil.example/issues?page=2>; rel=\"next\"")], false),
            (vec![JSON, ("set-cookie", "a=b")], false),
        ] {
            let candidates = vec![candidate(&headers, full, Provenance::Peer)];
            let tags = tags("/repos/o/r/issues?per_page=2", candidates, Some(Hashed::DOCUMENTED));
            assert_eq!(!tags.is_empty(), offered, "{headers:?}");
        }
        let own_eyes = vec![candidate(&[JSON], full, Provenance::Here)];
        assert_eq!(tags("/repos/o/r/issues?per_page=2", own_eyes, Some(Hashed::DOCUMENTED)).len(), 1);
    }

    #[test]
    fn threat_3_a_304_confirms_the_offer_that_it_names_under_the_same_vary() {
        let read = fixtures::read("/repos/o/r", &[ALICE]);
        let here = |body| candidate(&[JSON], body, Provenance::Here);
        let made = || offers(&read, vec![here(b"{\"a\":1}"), here(b"{\"a\":2}")], Some(Hashed::DOCUMENTED));
        let named = computed(b"{\"a\":2}");
        let all = "Accept, Authorization, Cookie, X-GitHub-OTP";
        for (headers, confirms) in [
            (vec![("etag", named.as_str())], true),
            (vec![("etag", named.as_str()), ("vary", all)], true),
            (vec![("etag", named.as_str()), ("vary", "Accept, Authorization")], true),
            (vec![("etag", named.as_str()), ("vary", "Authorization")], false),
            (vec![("etag", "\"other\"")], false),
            (vec![], false),
        ] {
            let confirmed = confirmed(made(), &read, StatusCode::NOT_MODIFIED, &fixtures::headers(&headers));
            assert_eq!(
                confirmed.map(|offer| offer.candidate.body).as_deref(),
                confirms.then_some(&b"{\"a\":2}"[..]),
                "{headers:?}"
            );
        }
        let list = if_none_match(&made()).unwrap();
        assert_eq!(list, format!("{}, {named}", computed(b"{\"a\":1}")).as_str());
        assert_eq!(if_none_match(&[]), None);
    }

    #[test]
    fn a_304s_headers_replace_the_kept_ones() {
        let owned = |pairs: &[Pair<'_>]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let kept = owned(&[("cache-control", "max-age=9999"), JSON, ("vary", "x"), ("vary", "y")]);
        let told =
            fixtures::headers(&[("vary", "Accept"), ("cache-control", "private, max-age=60"), ("etag", "\"a\"")]);
        let expected = owned(&[("cache-control", "private, max-age=60"), JSON, ("vary", "Accept")]);
        assert_eq!(freshened(&kept, &told), expected);
        assert_eq!(freshened(&kept, &HeaderMap::new()), kept);
    }
}
