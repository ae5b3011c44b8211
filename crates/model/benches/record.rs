//! Encoding and decoding the record that says what a node fetched. `cargo bench -p ghmesh-model`
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use criterion::Criterion;
use ghmesh_model::wire::{Record, Shared, SignedRecord, Stamp, Stored, Validation};
use ghmesh_model::{BodyCid, Fingerprint, MemberId, Representation, Scope, WireKey, cbor, limits};
use std::hint::black_box;

fn stored() -> Stored {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "private, max-age=60, s-maxage=60"),
        ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP"),
        ("link", "<https://api.github.com/repositories/1/issues?page=2>; rel=\"next\""),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let cid = BodyCid([6; 32]);
    let (key, fingerprint) = (WireKey([4; 32]), Fingerprint([5; 32]));
    Stored {
        representation: Representation { cid, length: 6_000, headers },
        validation: Validation { key, fingerprint, cid, origin_date: 1_700_000_000, mac: vec![8; 32] },
        scopes: vec![Scope([10; 16]); 6],
    }
}

fn main() {
    let record = Record::Stored(stored());
    let (kind, payload) = record.to_parts();
    let stamp = Stamp { author: MemberId([1; 32]), boot: 2, sequence: 3 };
    let signed = SignedRecord { stamp, kind, payload, signature: vec![9; 64] };
    let shared = Shared { signed: signed.clone(), age_ms: 5, body: Some(vec![b'x'; 6_000]) };
    let message = cbor::encode(&shared);
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("encode a Stored record", |bencher| bencher.iter(|| black_box(&record).to_parts()));
    criterion.bench_function("decode a Stored record", |bencher| bencher.iter(|| black_box(&signed).record().unwrap()));
    criterion
        .bench_function("encode it signed, with its body", |bencher| bencher.iter(|| cbor::encode(black_box(&shared))));
    criterion.bench_function("decode it signed, with its body", |bencher| {
        bencher.iter(|| cbor::decode::<Shared>(black_box(&message), limits::MAX_GOSSIP_BYTES).unwrap());
    });
    criterion.final_summary();
}
