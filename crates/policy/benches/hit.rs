//! What policy adds to an answer from the cache: classifying the request, judging the entry, writing the head.
//! `cargo bench -p ghmesh-policy`
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use criterion::Criterion;
use ghmesh_model::{BodyCid, BodyFacts, Entry, History, Millis, Representation, Source};
use ghmesh_policy::answer::{self, HitKind};
use ghmesh_policy::{Freshness, Listener, Origins, Plan, PolicyConfig, Read, classify, freshness};
use http::Request;
use http::request::Parts;
use std::hint::black_box;

const NOW: Millis = Millis(1_700_000_030_000);

/// What go-github sends for a page of issues.
fn request() -> Parts {
    let request = Request::get("/repos/octo/hello/issues?state=open&per_page=100&page=2")
        .header("host", "127.0.0.1:9180")
        .header("user-agent", "go-github/v70")
        .header("accept", "application/vnd.github.v3+json")
        .header("authorization", "Bearer ghp_0123456789abcdefghijABCDEFGHIJ012345")
        .header("x-github-api-version", "2022-11-28")
        .header("accept-encoding", "gzip");
    request.body(()).unwrap().into_parts().0
}

/// What GitHub answers it with, as far as that is kept.
fn entry() -> Entry {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "private, max-age=60, s-maxage=60"),
        ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP"),
        ("vary", "Accept-Encoding, Accept, X-Requested-With"),
        ("x-github-media-type", "github.v3; format=json"),
        ("link", "<https://api.github.com/repositories/1/issues?page=3>; rel=\"next\""),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Entry {
        representation: Representation { cid: BodyCid([1; 32]), length: 6_000, headers },
        etag: Some("W/\"675ebb4af602c27e13d298420974c93558aaf2f51bde50693699a07534da718c\"".to_owned()),
        origin_date: 1_700_000_000,
        confirmed_at: Millis(1_700_000_000_000),
        scopes: Vec::new(),
        source: Source::Own,
        attestation: None,
        target: String::new(),
        facts: BodyFacts::default(),
        history: History::default(),
    }
}

fn read(parts: &Parts, origins: &Origins) -> Read {
    let listener = Listener::Tcp { address: "127.0.0.1:9180".parse().unwrap(), loopback: true };
    match classify(parts, origins, &listener, &|_| false, &PolicyConfig::default()).unwrap() {
        Plan::Read(read) => *read,
        Plan::Pass(pass) => panic!("{:?}", pass.reason),
    }
}

fn main() {
    let (parts, entry, freshness) = (request(), entry(), Freshness::default());
    let origins = Origins::new(&[], None, Vec::new()).unwrap();
    let classified = read(&parts, &origins);
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("classify a read", |bencher| bencher.iter(|| read(black_box(&parts), &origins)));
    criterion.bench_function("judge an entry", |bencher| {
        bencher.iter(|| freshness::verdict(black_box(&classified), &freshness, &entry, NOW));
    });
    criterion.bench_function("write a hit's head", |bencher| {
        bencher.iter(|| answer::hit(black_box(&classified), &entry, NOW, HitKind::Local, None));
    });
    criterion.final_summary();
}
