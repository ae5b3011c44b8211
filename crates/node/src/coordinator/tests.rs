//! What a search says to the task, and what it does without one.

use super::*;
use crate::fixtures::{Bench, PATH};

const ONE: LookupId = LookupId(1);

fn told(commands: &mut mpsc::Receiver<Command>) -> Vec<Input> {
    let mut inputs = Vec::new();
    while let Ok(command) = commands.try_recv() {
        match command {
            Command::Input(input) => inputs.push(input),
            Command::Lookup { .. } | Command::Answered { .. } | Command::Inquired { .. } => panic!("an input is told"),
        }
    }
    inputs
}

#[test]
fn every_search_ends_once_and_says_how() {
    let took = Duration::from_millis(5);
    let ends: [(fn(Search), Input); 4] = [
        (Search::found, Input::Found { lookup: ONE }),
        (|search| search.fetched(Duration::from_millis(5)), Input::Fetched { lookup: ONE, took }),
        (Search::unshareable, Input::Ended { lookup: ONE, unshareable: true }),
        (drop, Input::Ended { lookup: ONE, unshareable: false }),
    ];
    for (end, input) in ends {
        let (search, mut commands) = Search::alone();
        end(search);
        assert_eq!(told(&mut commands), [input]);
    }
}

#[test]
fn what_was_of_no_use_does_not_end_a_search() {
    let (search, mut commands) = Search::alone();
    search.refuse();
    search.go_on();
    assert_eq!(told(&mut commands), [Input::Refused { lookup: ONE }, Input::Checked { lookup: ONE }]);
}

#[tokio::test]
async fn a_search_without_a_task_fetches() {
    let (commands, inbox) = mpsc::channel(1);
    let coordinator = Coordinator { commands, lookups: Arc::default(), view: Arc::default() };
    let subject = Subject { key: ghmesh_model::WireKey([1; 32]), fingerprint: ghmesh_model::Fingerprint([2; 32]) };
    coordinator.tell(Input::Tick);
    let mut overloaded = coordinator.search(subject, Duration::MAX, true).await;
    assert!(matches!(overloaded.next().await, Step::Fetch(FetchReason::FailOpen)), "the inbox is full");
    drop(inbox);
    let mut orphan = coordinator.search(subject, Duration::MAX, true).await;
    assert!(matches!(orphan.next().await, Step::Fetch(FetchReason::FailOpen)), "the task is gone");
}

#[tokio::test]
async fn who_is_alone_fetches_at_once_and_leaves_nothing() {
    let bench = Bench::in_mesh().await;
    let subject = bench.subject(&bench.read(PATH, &[]));
    let Some(members) = bench.inner().members.get() else { panic!("it has joined") };
    let mut search = members.coordinator.search(subject, Duration::MAX, true).await;
    assert!(matches!(search.next().await, Step::Fetch(FetchReason::Alone)));
    assert_eq!((members.coordinator.view().members, members.coordinator.view().counters), (0, Counters::default()));
}
