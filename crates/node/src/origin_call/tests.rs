//! What a call is, what it costs, and what those who wait for it are told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::coordinator::Command;
use crate::fixtures::{Bench, PATH};
use ghmesh_fleet::Input;
use ghmesh_github_sim::Fault;
use tokio::sync::mpsc;

/// Calls for `path` on behalf of a search, and gives what the search's end was.
async fn told(bench: &Bench, path: &str) -> (Flown, Input) {
    let (search, mut commands) = Search::alone();
    let flown = bench.inner().call(&bench.read(path, &[]), Some(search)).await;
    let Ok(Command::Input(input)) = commands.try_recv() else { panic!("it has an end") };
    assert!(matches!(commands.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)), "and one only");
    (flown, input)
}

fn ended(unshareable: bool) -> Input {
    Input::Ended { lookup: ghmesh_fleet::LookupId(1), unshareable }
}

fn how(flown: &Flown) -> How {
    match flown {
        Flown::Landed(landed, _) => match **landed {
            Landed::Entry { how, .. } => how,
            Landed::Plain { status, .. } => panic!("not kept: {status}"),
        },
        Flown::Stream(_) => panic!("streamed"),
        Flown::Failed(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn what_is_stored_ends_a_search_with_an_answer_for_all() {
    let bench = Bench::in_mesh().await;
    let (first, told_first) = told(&bench, PATH).await;
    assert_eq!(how(&first), How::Fetched { stored: true });
    let (second, told_second) = told(&bench, PATH).await;
    assert_eq!(how(&second), How::Revalidated { stored: true });
    for input in [told_first, told_second] {
        assert!(matches!(input, Input::Fetched { .. }), "{input:?}");
    }
    let subject = bench.subject(&bench.read(PATH, &[]));
    assert_eq!(bench.exchange().records(subject, Duration::MAX).unwrap().len(), 2, "a Stored and a Revalidated");
}

#[tokio::test]
async fn an_answer_that_is_no_other_nodes_frees_all_and_a_failure_one() {
    let bench = Bench::in_mesh().await;
    bench.github.set_faults(vec![Fault::dropped()]);
    let (flown, input) = told(&bench, PATH).await;
    assert!(matches!(flown, Flown::Failed(Failure::Unreachable { .. })));
    assert_eq!(input, ended(false));
    for (status, unshareable) in [(404, true), (422, true), (202, true), (302, true), (503, false), (429, false)] {
        bench.github.set_faults(vec![Fault::status(status)]);
        let (flown, input) = told(&bench, PATH).await;
        let Flown::Landed(landed, None) = flown else { panic!("{status}: GitHub's own answer") };
        assert!(matches!(&*landed, Landed::Plain { status: given, .. } if given.as_u16() == status));
        assert_eq!(input, ended(unshareable), "{status}");
    }
    // After a 429 GitHub is left alone.
    let (flown, input) = told(&bench, PATH).await;
    assert!(matches!(flown, Flown::Failed(Failure::Limited { .. })));
    assert_eq!(input, ended(false));
}

#[tokio::test]
async fn what_stays_on_this_node_frees_all() {
    let bench = Bench::alone().await;
    let (flown, input) = told(&bench, PATH).await;
    assert_eq!((how(&flown), input), (How::Fetched { stored: true }, ended(true)));
}

#[tokio::test]
async fn a_304_that_names_something_else_is_followed_by_a_whole_answer() {
    let bench = Bench::alone().await;
    told(&bench, PATH).await;
    let headers = vec![("etag".to_owned(), "\"0123456789abcdef\"".to_owned())];
    bench.github.set_faults(vec![Fault { headers, ..Fault::status(304) }.times(1)]);
    assert_eq!(how(&told(&bench, PATH).await.0), How::Fetched { stored: true });
    let conditional: Vec<_> = bench.github.counters().log.iter().map(|call| call.conditional).collect();
    assert_eq!(conditional, [false, true, false]);
    assert_eq!(bench.node.stats().api_calls_made, 3);
}

#[tokio::test]
async fn nothing_but_304s_is_no_answer() {
    let bench = Bench::alone().await;
    bench.github.set_faults(vec![Fault::status(304)]);
    let flown = bench.inner().call(&bench.read(PATH, &[]), None).await;
    let Flown::Failed(Failure::Unreachable { error }) = flown else { panic!("it proves nothing") };
    assert!(error.to_string().contains("304") || format!("{error:?}").contains("304"), "{error}");
}

#[tokio::test]
async fn githubs_charges_are_counted_as_it_makes_them() {
    let bench = Bench::alone().await;
    let target = bench.read(PATH, &[]).target;
    let mut limits = target.clone();
    limits.resource.as_mut().unwrap().path = "/rate_limit".to_owned();
    let charged = |target, status, authorised| is_charged(target, StatusCode::from_u16(status).unwrap(), authorised);
    assert!(charged(&target, 200, true) && charged(&target, 404, true) && charged(&target, 304, false));
    assert!(!charged(&target, 304, true), "free for who is known");
    assert!(!charged(&target, 502, true), "GitHub's own fault");
    assert!(!charged(&limits, 200, true), "asking for limits is free");
}
