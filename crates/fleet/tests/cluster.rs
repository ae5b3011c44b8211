//! Several real state machines against a plain reference of what they are to bring about together: of one subject one node fetches,
//! all others wait, every lookup ends.
//!
//! What happens next (a lookup begins, a message arrives in whatever order, a call ends, a node dies) is chosen at random; a
//! failure shrinks to the shortest list of choices.

use ghmesh_fleet::{
    Answer, AskId, Config, FetchReason, Fleet, Input, InquiryId, Load, LookupId, Output, Reply, Subject, owners,
};
use ghmesh_model::{Fingerprint, MemberId, Millis, WireKey};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(60);

fn member(node: usize) -> MemberId {
    MemberId([u8::try_from(node).expect("few nodes"); 32])
}

fn subject(number: usize) -> Subject {
    Subject { key: WireKey([u8::try_from(number).expect("few keys"); 32]), fingerprint: Fingerprint([1; 32]) }
}

/// The reference: what the fleet as a whole does about one subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Whole {
    /// Nobody has it: one may fetch.
    #[default]
    Idle,
    /// This node fetches: nobody else may.
    Fetching(usize),
    /// The origin answered with what can't be shared: each may fetch for itself.
    EachItsOwn,
    /// It was fetched: nobody may fetch it again before it expires.
    Held,
}

impl Whole {
    fn fetch(&mut self, node: usize) {
        match *self {
            Whole::Idle => *self = Whole::Fetching(node),
            Whole::EachItsOwn => {}
            Whole::Fetching(other) => panic!("{node} fetches what {other} fetches"),
            Whole::Held => panic!("{node} fetches what was fetched"),
        }
    }

    fn end(&mut self, how: End) {
        match (*self, how) {
            (Whole::EachItsOwn, _) => {}
            (_, End::Stored) => *self = Whole::Held,
            (_, End::Failed) => *self = Whole::Idle,
            (_, End::Unshareable) => *self = Whole::EachItsOwn,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stored,
    Failed,
    Unshareable,
}

/// What is on its way to a node.
#[derive(Clone, Copy, Debug)]
enum Message {
    Ask { ask: AskId, subject: Subject, lease: bool },
    Answer { ask: AskId, answer: Answer },
    Record { subject: Subject },
    Release { subject: Subject, unshareable: bool },
    Left,
}

struct Cluster {
    nodes: Vec<Fleet>,
    dead: BTreeSet<usize>,
    now: Millis,
    /// From, to, what.
    messages: Vec<(usize, usize, Message)>,
    /// Lookups that have not ended: where, of what, whether they fetch.
    lookups: BTreeMap<LookupId, (usize, Subject, bool)>,
    held: BTreeSet<(usize, Subject)>,
    whole: BTreeMap<Subject, Whole>,
    /// Whether the reference holds: not while nodes die, as those that don't know it yet disagree with those that do.
    strict: bool,
    fetches: u64,
    asked: BTreeMap<usize, u64>,
    last: u64,
}

impl Cluster {
    /// Nodes that have known each other for a minute.
    fn new(count: usize, strict: bool) -> Self {
        let fleet = |node| Fleet::new(Config { me: member(node), follow: false });
        let mut nodes: Vec<_> = (0..count).map(fleet).collect();
        for (node, fleet) in nodes.iter_mut().enumerate() {
            for other in (0..count).filter(|other| *other != node) {
                fleet.handle(Input::Joined { member: member(other) }, Millis(1_000_000), &mut Vec::new());
            }
        }
        Cluster {
            nodes,
            dead: BTreeSet::new(),
            now: Millis(1_060_000),
            messages: Vec::new(),
            lookups: BTreeMap::new(),
            held: BTreeSet::new(),
            whole: BTreeMap::new(),
            strict,
            fetches: 0,
            asked: BTreeMap::new(),
            last: 0,
        }
    }

    fn give(&mut self, node: usize, input: Input) {
        if self.dead.contains(&node) {
            return;
        }
        let asker = match &input {
            Input::Inquired { from, inquiry, .. } => Some((usize::from(from.0[0]), AskId(inquiry.0))),
            _ => None,
        };
        let mut out = Vec::new();
        self.nodes[node].handle(input, self.now, &mut out);
        out.into_iter().for_each(|output| self.perform(node, output, asker));
    }

    fn perform(&mut self, node: usize, output: Output, asker: Option<(usize, AskId)>) {
        let index = |member: MemberId| usize::from(member.0[0]);
        match output {
            Output::Ask { ask, to, subject, lease, .. } => {
                *self.asked.entry(index(to)).or_default() += 1;
                self.messages.push((node, index(to), Message::Ask { ask, subject, lease }));
            }
            Output::Reply { reply, .. } => {
                let (to, ask) = asker.expect("only who is asked replies");
                let answer = match reply {
                    Reply::Have => Answer::Have,
                    Reply::Coming { wait } => Answer::Coming { wait },
                    Reply::Lease { behind, .. } => Answer::Lease { behind },
                    Reply::No => Answer::No,
                };
                self.messages.push((node, to, Message::Answer { ask, answer }));
            }
            Output::Deliver { to, subject } => {
                let message = match self.held.contains(&(node, subject)) {
                    true => Message::Record { subject },
                    false => Message::Release { subject, unshareable: false },
                };
                self.messages.push((node, index(to), message));
            }
            Output::Release { to, subject, unshareable } => {
                self.messages.push((node, index(to), Message::Release { subject, unshareable }));
            }
            Output::Use { lookup, .. } => {
                let Some((_, subject, _)) = self.lookups.get(&lookup) else { return };
                self.held.insert((node, *subject));
                self.end(lookup, Input::Found { lookup });
            }
            Output::Check { lookup } => {
                let Some((_, subject, _)) = self.lookups.get(&lookup) else { return };
                match self.held.contains(&(node, *subject)) {
                    true => self.end(lookup, Input::Found { lookup }),
                    false => self.give(node, Input::Checked { lookup }),
                }
            }
            Output::Fetch { lookup, reason } => self.fetch(node, lookup, reason),
            Output::Announce { .. } | Output::Withdraw { .. } => panic!("all are neighbours"),
            Output::Expel { .. } => panic!("nobody misbehaves"),
        }
    }

    fn fetch(&mut self, node: usize, lookup: LookupId, reason: FetchReason) {
        let (_, subject, fetches) = self.lookups.get_mut(&lookup).expect("only lookups under way are told anything");
        assert!(!*fetches, "a lookup fetches once");
        *fetches = true;
        self.fetches += 1;
        let alone = self.nodes[node].members().next().is_none();
        assert!(alone || reason != FetchReason::Alone);
        if self.strict {
            self.whole.entry(*subject).or_default().fetch(node);
        }
    }

    fn look_up(&mut self, node: usize, subject: Subject) {
        if self.dead.contains(&node) || self.held.contains(&(node, subject)) {
            return;
        }
        self.last += 1;
        let lookup = LookupId(self.last);
        self.lookups.insert(lookup, (node, subject, false));
        self.give(node, Input::Lookup { lookup, subject, max_age: TTL, follow: false });
    }

    fn end(&mut self, lookup: LookupId, input: Input) {
        let Some((node, _, _)) = self.lookups.remove(&lookup) else { return };
        self.give(node, input);
    }

    fn call_ends(&mut self, lookup: LookupId, how: End) {
        let (node, subject, _) = self.lookups[&lookup];
        if self.strict {
            self.whole.entry(subject).or_default().end(how);
        }
        match how {
            End::Stored => {
                self.held.insert((node, subject));
                self.end(lookup, Input::Fetched { lookup, took: Duration::from_millis(80) });
            }
            End::Failed => self.end(lookup, Input::Ended { lookup, unshareable: false }),
            End::Unshareable => self.end(lookup, Input::Ended { lookup, unshareable: true }),
        }
    }

    fn deliver(&mut self, index: usize) {
        let (from, to, message) = self.messages.swap_remove(index);
        if self.dead.contains(&to) {
            if let Message::Ask { ask, .. } = message {
                self.give(from, Input::AskFailed { ask });
            }
            return;
        }
        match message {
            Message::Ask { ask, subject, lease } => {
                let held = self.held.contains(&(to, subject));
                // The question's number serves as the inquiry's: only its answer is looked up by it.
                let input = Input::Inquired { inquiry: InquiryId(ask.0), from: member(from), subject, held, lease };
                self.give(to, input);
            }
            Message::Answer { ask, answer } => self.give(to, Input::Answered { ask, answer }),
            Message::Record { subject } => {
                self.held.insert((to, subject));
                self.give(to, Input::Arrived { subject, confirmed_at: self.now });
            }
            Message::Release { subject, unshareable } => {
                self.give(to, Input::Released { from: member(from), subject, unshareable });
            }
            Message::Left => self.give(to, Input::Left { member: member(from) }),
        }
    }

    /// Calls under way.
    fn calls(&self) -> Vec<LookupId> {
        self.lookups.iter().filter(|(_, (_, _, fetches))| *fetches).map(|(lookup, _)| *lookup).collect()
    }

    fn die(&mut self, node: usize) {
        self.dead.insert(node);
        self.lookups.retain(|_, (at, _, _)| *at != node);
        self.messages.retain(|(from, ..)| *from != node);
        let living = (0..self.nodes.len()).filter(|other| !self.dead.contains(other));
        self.messages.extend(living.map(|other| (node, other, Message::Left)));
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span);
        (0..self.nodes.len()).for_each(|node| self.give(node, Input::Tick));
    }

    /// Everything that is under way comes to its end; where nothing is, time passes to the next deadline.
    fn settle(&mut self) {
        loop {
            if !self.messages.is_empty() {
                self.deliver(0);
            } else if let Some(lookup) = self.calls().first() {
                self.call_ends(*lookup, End::Stored);
            } else {
                let living = self.nodes.iter().enumerate().filter(|(node, _)| !self.dead.contains(node));
                let Some(at) = living.filter_map(|(_, fleet)| fleet.next_deadline()).min() else { break };
                self.pass(at.since(self.now).unwrap_or_default());
            }
        }
        assert!(self.lookups.is_empty(), "every lookup ends: {:?}", self.lookups);
        for (node, fleet) in self.nodes.iter().enumerate().filter(|(node, _)| !self.dead.contains(node)) {
            assert_eq!(fleet.load(), Load::default(), "nothing is left at {node}");
        }
    }
}

/// Every node looks up every key, each in its own turn.
fn plan(nodes: usize, keys: usize) -> Vec<(usize, Subject)> {
    (0..nodes).flat_map(|node| (0..keys).map(move |key| (node, subject(key)))).collect()
}

/// Follows the choices: each is one of the lookups to begin, messages to deliver and calls to end, in that order.
fn play(cluster: &mut Cluster, mut plan: Vec<(usize, Subject)>, choices: Vec<usize>, mut ends: Vec<End>) {
    let mut choices = choices.into_iter();
    loop {
        let calls = cluster.calls();
        let count = plan.len() + cluster.messages.len() + calls.len();
        if count == 0 {
            return;
        }
        let choice = choices.next().unwrap_or(0) % count;
        if choice < plan.len() {
            let (node, subject) = plan.swap_remove(choice);
            cluster.look_up(node, subject);
        } else if choice < plan.len() + cluster.messages.len() {
            cluster.deliver(choice - plan.len());
        } else {
            cluster.call_ends(calls[choice - plan.len() - cluster.messages.len()], ends.pop().unwrap_or(End::Stored));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever overtakes whatever: one call for each key.
    #[test]
    fn of_each_subject_one_node_fetches_and_all_get_it(
        nodes in 1..7_usize,
        keys in 1..3_usize,
        choices in proptest::collection::vec(any::<usize>(), 0..300),
    ) {
        let mut cluster = Cluster::new(nodes, true);
        play(&mut cluster, plan(nodes, keys), choices, Vec::new());
        cluster.settle();
        prop_assert_eq!(cluster.fetches, keys as u64);
        prop_assert_eq!(cluster.held.len(), nodes * keys);
    }

    /// A call that fails is made again by one; one whose answer can't be shared, by each.
    #[test]
    fn after_a_failure_one_fetches_and_after_what_can_not_be_shared_each(
        nodes in 1..7_usize,
        choices in proptest::collection::vec(any::<usize>(), 0..300),
        unshareable: bool,
    ) {
        let mut cluster = Cluster::new(nodes, true);
        let first = if unshareable { End::Unshareable } else { End::Failed };
        play(&mut cluster, plan(nodes, 1), choices, vec![first]);
        cluster.settle();
        if unshareable {
            prop_assert!(cluster.fetches <= nodes as u64, "{} calls", cluster.fetches);
        } else {
            prop_assert!(cluster.fetches <= 2, "{} calls", cluster.fetches);
        }
    }

    /// Nodes die and time passes in between: nobody waits for ever, and nothing is left.
    #[test]
    fn whoever_dies_whenever_every_lookup_of_the_others_ends(
        nodes in 2..7_usize,
        keys in 1..3_usize,
        acts in proptest::collection::vec((0..20_u8, any::<usize>()), 0..300),
    ) {
        let mut cluster = Cluster::new(nodes, false);
        let mut plan = plan(nodes, keys);
        for (act, choice) in acts {
            match act {
                0 if cluster.dead.len() + 1 < nodes => cluster.die(choice % nodes),
                1..=3 => cluster.pass(Duration::from_millis(choice as u64 % 200)),
                4..=8 if !plan.is_empty() => {
                    let (node, subject) = plan.swap_remove(choice % plan.len());
                    cluster.look_up(node, subject);
                }
                9..=10 => {
                    let calls = cluster.calls();
                    if let Some(index) = choice.checked_rem(calls.len()) {
                        let ends = [End::Stored, End::Failed, End::Unshareable];
                        cluster.call_ends(calls[index], ends[choice / 7 % 3]);
                    }
                }
                _ => {
                    if let Some(index) = choice.checked_rem(cluster.messages.len()) {
                        cluster.deliver(index);
                    }
                }
            }
        }
        let started = cluster.now;
        cluster.settle();
        let took = cluster.now.since(started).expect("time goes on");
        prop_assert!(took <= Duration::from_secs(21), "a wait and a lease: {took:?}");
    }
}

/// A key that everybody wants and gossip never brings: its owner is asked once by each, however often each looks it up, and
/// who has it answers in the owner's place.
#[test]
fn a_hot_key_costs_its_owner_one_question_of_each_node() {
    let (nodes, hot) = (40, subject(1));
    let mut cluster = Cluster::new(nodes, true);
    let owner = usize::from(owners(&hot.key, (0..nodes).map(member))[0].0[0]);
    for round in 0..50 {
        (0..nodes).for_each(|node| cluster.look_up((node + round) % nodes, hot));
        while !cluster.messages.is_empty() || !cluster.calls().is_empty() {
            match cluster.calls().first() {
                Some(lookup) if cluster.messages.is_empty() => cluster.call_ends(*lookup, End::Stored),
                _ => cluster.deliver(0),
            }
        }
    }
    assert_eq!(cluster.fetches, 1);
    assert!(cluster.asked[&owner] < nodes as u64, "{:?}", cluster.asked);
    cluster.settle();
}

/// An owner that does not answer any more: its standby, which has the key, does.
#[test]
fn a_hot_key_outlives_its_owner() {
    let (nodes, hot) = (12, subject(1));
    let mut cluster = Cluster::new(nodes, false);
    let ranked = owners(&hot.key, (0..nodes).map(member));
    let [owner, standby] = [0, 1].map(|rank| usize::from(ranked[rank].0[0]));
    cluster.held.insert((standby, hot));
    cluster.dead.insert(owner);
    let others = (0..nodes).filter(|node| ![owner, standby].contains(node));
    others.for_each(|node| cluster.look_up(node, hot));
    while !cluster.messages.is_empty() {
        cluster.deliver(0);
    }
    cluster.settle();
    assert_eq!(cluster.fetches, 0);
}
