//! A lookup's whole course through the coordination: asked, granted a lease, fetched. `cargo bench -p ghmesh-fleet`

use criterion::{BatchSize, Criterion};
use ghmesh_fleet::{Answer, Config, Fleet, Input, LookupId, Output, Subject, owners};
use ghmesh_model::{Fingerprint, MemberId, Millis, WireKey};
use std::time::Duration;

const NOW: Millis = Millis(1_700_000_000_000);

fn member(number: u8) -> MemberId {
    MemberId([number; 32])
}

fn fleet(members: u8) -> Fleet {
    let mut fleet = Fleet::new(Config { me: member(0), follow: true });
    for number in 1..members {
        fleet.handle(Input::Joined { member: member(number) }, NOW, &mut Vec::new());
    }
    fleet
}

/// A subject that another member owns.
fn foreign(members: u8) -> Subject {
    let subjects = (0..=u8::MAX).map(|byte| Subject { key: WireKey([byte; 32]), fingerprint: Fingerprint([7; 32]) });
    let is_foreign = |subject: &Subject| owners(&subject.key, (0..members).map(member))[0] != member(0);
    subjects.into_iter().find(is_foreign).expect("others own most keys")
}

/// The owner grants a lease; the standbys, asked before it is used, have nothing.
fn answer(output: &Output) -> Option<Input> {
    let Output::Ask { ask, lease, .. } = *output else { return None };
    Some(Input::Answered { ask, answer: if lease { Answer::Lease { behind: None } } else { Answer::No } })
}

fn course(fleet: &mut Fleet, subject: Subject) -> Vec<Output> {
    let mut out = Vec::new();
    let lookup = LookupId(1);
    fleet.handle(Input::Lookup { lookup, subject, max_age: Duration::from_secs(60), follow: true }, NOW, &mut out);
    let mut next = 0;
    while let Some(output) = out.get(next) {
        next += 1;
        if let Some(answered) = answer(output) {
            fleet.handle(answered, NOW, &mut out);
        }
    }
    assert!(out.iter().any(|output| matches!(output, Output::Fetch { .. })), "{out:?}");
    fleet.handle(Input::Fetched { lookup, took: Duration::from_millis(100) }, NOW, &mut out);
    out
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for members in [5, 200] {
        let subject = foreign(members);
        criterion.bench_function(&format!("a lookup through a lease, {members} members"), |bencher| {
            bencher.iter_batched_ref(|| fleet(members), |fleet| course(fleet, subject), BatchSize::SmallInput);
        });
    }
    criterion.final_summary();
}
