//! Requests and entries for the tests of this crate.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::{Listener, Origins, Pass, Plan, PolicyConfig, Read, Refusal, classify};
use ghmesh_model::{BodyCid, Entry, Millis, Representation, Source};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request};
use std::time::Duration;

/// A header as tests write it.
pub(crate) type Pair<'a> = (&'a str, &'a str);

/// The moment at which [`entry`] was confirmed.
pub(crate) const CONFIRMED: Millis = Millis(1_700_000_000_000);

pub(crate) const TCP: &str = "127.0.0.1:9180";

pub(crate) fn tcp() -> Listener {
    Listener::Tcp { address: TCP.parse().unwrap(), loopback: true }
}

pub(crate) fn origins(hosts: &[&str], url: Option<&str>, names: &[&str]) -> Origins {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Origins::new(&owned(hosts), url, owned(names)).unwrap()
}

pub(crate) fn github() -> Origins {
    origins(&[], None, &[])
}

pub(crate) fn headers(pairs: &[Pair<'_>]) -> HeaderMap {
    let pair =
        |(name, value): &Pair<'_>| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    pairs.iter().map(pair).collect()
}

pub(crate) fn request(method: &Method, uri: &str, pairs: &[Pair<'_>]) -> Parts {
    let mut parts = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
    parts.headers = headers(pairs);
    parts
}

/// Classified as it arrives on loopback, with a `Host` unless `pairs` has one.
pub(crate) fn plan(method: &Method, uri: &str, pairs: &[Pair<'_>]) -> Result<Plan, Refusal> {
    let mut all = vec![("host", TCP)];
    if pairs.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        all.clear();
    }
    all.extend(pairs);
    classify(&request(method, uri, &all), &github(), &tcp(), &|_| false, &PolicyConfig::default())
}

pub(crate) fn read(uri: &str, pairs: &[Pair<'_>]) -> Read {
    match plan(&Method::GET, uri, pairs).unwrap() {
        Plan::Read(read) => *read,
        Plan::Pass(pass) => panic!("{uri} passes: {:?}", pass.reason),
    }
}

pub(crate) fn pass(method: &Method, uri: &str, pairs: &[Pair<'_>]) -> Pass {
    match plan(method, uri, pairs).unwrap() {
        Plan::Pass(pass) => *pass,
        Plan::Read(read) => panic!("{uri} is a read of {}", read.target),
    }
}

pub(crate) fn after(seconds: u64) -> Millis {
    CONFIRMED.after(Duration::from_secs(seconds))
}

/// An entry confirmed at [`CONFIRMED`] with these headers and body.
pub(crate) fn entry(pairs: &[Pair<'_>], body: &[u8]) -> Entry {
    let headers = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Entry {
        representation: Representation { cid: BodyCid::of(body), length: body.len() as u64, headers },
        etag: Some("W/\"abc\"".to_owned()),
        origin_date: CONFIRMED.0 / 1000,
        confirmed_at: CONFIRMED,
        scopes: Vec::new(),
        source: Source::Own,
        attestation: None,
        target: String::new(),
        facts: Default::default(),
        history: Default::default(),
    }
}
