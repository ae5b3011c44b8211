//! Whatever comes in whatever order: nothing panics, every lookup comes to an end, and nothing is left of it.

use super::*;
use crate::InquiryId;
use ghmesh_model::{Fingerprint, WireKey};
use proptest::prelude::*;

const MEMBERS: u8 = 5;

/// What the outside does next. The numbers choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    Lookup(u8),
    Answer(usize, Answer),
    Fail(usize),
    /// The flight ends, as it was told to or of itself: 0 found, 1 fetched, else ended (3 with an answer that can't be shared).
    End(usize, u8),
    Refuse(usize),
    Check(usize),
    Inquire {
        from: u8,
        key: u8,
        held: bool,
        lease: bool,
    },
    Arrive {
        key: u8,
        age: u64,
    },
    Release {
        from: u8,
        key: u8,
        unshareable: bool,
    },
    Announce {
        from: u8,
        key: u8,
    },
    Withdraw {
        from: u8,
        key: u8,
        unshareable: bool,
    },
    Conclude {
        from: u8,
        key: u8,
    },
    Extent(bool),
    Join(u8),
    Leave(u8),
    Offend(u8, Offence),
    RoundTrip(u64),
    Pass(u64),
    /// Numbers that were never given.
    Garbage(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let answer = prop_oneof![
        Just(Answer::Have),
        Just(Answer::Lease { behind: None }),
        (0..20_000_u64).prop_map(|wait| Answer::Lease { behind: Some(Duration::from_millis(wait)) }),
        Just(Answer::No),
        (0..20_000_u64).prop_map(|wait| Answer::Coming { wait: Duration::from_millis(wait) }),
    ];
    let (member, key) = (1..MEMBERS, 0..3_u8);
    let act = prop_oneof![
        4 => key.clone().prop_map(Act::Lookup),
        6 => (any::<usize>(), answer).prop_map(|(index, answer)| Act::Answer(index, answer)),
        1 => any::<usize>().prop_map(Act::Fail),
        3 => (any::<usize>(), 0..4_u8).prop_map(|(index, how)| Act::End(index, how)),
        2 => any::<usize>().prop_map(Act::Refuse),
        2 => any::<usize>().prop_map(Act::Check),
        4 => (member.clone(), key.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(from, key, held, lease)| Act::Inquire { from, key, held, lease }),
        2 => (key.clone(), 0..60_000_u64).prop_map(|(key, age)| Act::Arrive { key, age }),
        2 => (member.clone(), key.clone(), any::<bool>())
            .prop_map(|(from, key, unshareable)| Act::Release { from, key, unshareable }),
        2 => (member.clone(), key.clone()).prop_map(|(from, key)| Act::Announce { from, key }),
        1 => (member.clone(), key, any::<bool>())
            .prop_map(|(from, key, unshareable)| Act::Withdraw { from, key, unshareable }),
        1 => (member.clone(), 0..3_u8).prop_map(|(from, key)| Act::Conclude { from, key }),
        1 => prop::bool::weighted(0.8).prop_map(Act::Extent),
        3 => member.clone().prop_map(Act::Join),
        1 => member.clone().prop_map(Act::Leave),
        1 => (member, offence()).prop_map(|(member, offence)| Act::Offend(member, offence)),
        1 => (0..400_u64).prop_map(Act::RoundTrip),
        5 => prop_oneof![0..30_u64, 0..4_000_u64].prop_map(Act::Pass),
        1 => any::<u64>().prop_map(Act::Garbage),
    ];
    proptest::collection::vec(act, 1..120)
}

fn offence() -> impl Strategy<Value = Offence> {
    prop_oneof![
        Just(Offence::WrongBody),
        Just(Offence::WrongAge),
        Just(Offence::Garbage),
        Just(Offence::Flood),
        Just(Offence::Late),
    ]
}

/// The outside as a shell sees it.
struct Outside {
    fleet: Fleet,
    now: Millis,
    last: u64,
    /// Flights: whether they were told to use an answer and have not refused it yet, and how often they were told to fetch.
    flights: BTreeMap<LookupId, (bool, u32)>,
    asks: Vec<AskId>,
}

impl Outside {
    fn new() -> Self {
        let fleet = Fleet::new(Config { me: MemberId([0; 32]), follow: true });
        Outside { fleet, now: Millis(1_000_000), last: 0, flights: BTreeMap::new(), asks: Vec::new() }
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn give(&mut self, input: Input) {
        let mut out = Vec::new();
        let inquired = matches!(input, Input::Inquired { .. });
        self.fleet.handle(input, self.now, &mut out);
        let replies = out.iter().filter(|output| matches!(output, Output::Reply { .. })).count();
        assert_eq!(replies, usize::from(inquired), "each question has one answer: {out:?}");
        let goes_on = out.iter().any(|output| matches!(output, Output::Ask { .. } | Output::Fetch { .. }));
        assert!(!(inquired && goes_on), "nobody is asked, nor GitHub, for a member that asks: {out:?}");
        out.into_iter().for_each(|output| self.follow(output));
        let load = self.fleet.load();
        assert_eq!(load.lookups, self.flights.len());
        assert!(load.timers <= 3 * load.lookups + load.leases, "{load:?}");
        assert!(load.asks <= 6 * load.lookups, "{load:?}");
        if let Some(at) = self.fleet.next_deadline() {
            assert!(at <= self.now.after(MAX_WAIT + WAIT_MARGIN), "nothing lasts longer than the longest wait");
        }
    }

    fn follow(&mut self, output: Output) {
        match output {
            Output::Ask { ask, to, deadline, .. } => {
                assert!(self.fleet.members.contains_key(&to) && deadline > self.now, "{output:?}");
                self.asks.push(ask);
            }
            Output::Use { lookup, .. } => {
                let (using, fetches) = self.flights.get_mut(&lookup).expect("only flights under way are told anything");
                assert_eq!((*using, *fetches), (false, 0), "one thing at a time, and nothing after a fetch");
                *using = true;
            }
            Output::Fetch { lookup, .. } => {
                let (using, fetches) = self.flights.get_mut(&lookup).expect("only flights under way are told anything");
                assert_eq!((*using, *fetches), (false, 0), "one thing at a time, and one fetch");
                *fetches += 1;
            }
            Output::Check { lookup } => assert_eq!(self.flights.get(&lookup), Some(&(false, 0)), "it searches still"),
            // The shell closes its connections.
            Output::Expel { member, span } => {
                assert!(span >= Duration::from_secs(60) && span <= Duration::from_secs(3600), "{span:?}");
                self.give(Input::Left { member });
            }
            Output::Announce { lookup } => assert_eq!(self.flights.get(&lookup), Some(&(false, 0)), "before its fetch"),
            Output::Reply { .. } | Output::Deliver { .. } | Output::Release { .. } | Output::Withdraw { .. } => {}
        }
    }

    fn act(&mut self, act: Act) {
        let member = |number: u8| MemberId([number; 32]);
        // Three subjects: two credentials of one key, and another key.
        let subject = |number: u8| Subject { key: WireKey([number / 2; 32]), fingerprint: Fingerprint([number; 32]) };
        match act {
            Act::Lookup(key) => self.look_up(subject(key)),
            Act::Answer(index, answer) => {
                if let Some(ask) = self.ask(index) {
                    self.give(Input::Answered { ask, answer });
                }
            }
            Act::Fail(index) => {
                if let Some(ask) = self.ask(index) {
                    self.give(Input::AskFailed { ask });
                }
            }
            Act::End(index, how) => self.end(index, how),
            Act::Refuse(index) => {
                if let Some(lookup) = self.flight(index) {
                    let (using, _) = self.flights.get_mut(&lookup).expect("just chosen");
                    *using = false;
                    self.give(Input::Refused { lookup });
                }
            }
            Act::Check(index) => {
                if let Some(lookup) = self.flight(index) {
                    self.give(Input::Checked { lookup });
                }
            }
            Act::Inquire { from, key, held, lease } => {
                let inquiry = InquiryId(self.number());
                self.give(Input::Inquired { inquiry, from: member(from), subject: subject(key), held, lease });
            }
            Act::Arrive { key, age } => {
                let confirmed_at = self.now.before(Duration::from_millis(age));
                self.give(Input::Arrived { subject: subject(key), confirmed_at });
            }
            Act::Release { from, key, unshareable } => {
                self.give(Input::Released { from: member(from), subject: subject(key), unshareable });
            }
            Act::Announce { from, key } => self.give(Input::Announced { from: member(from), subject: subject(key) }),
            Act::Withdraw { from, key, unshareable } => {
                self.give(Input::Withdrawn { from: member(from), subject: subject(key), unshareable });
            }
            Act::Conclude { from, key } => self.give(Input::Concluded { from: member(from), subject: subject(key) }),
            Act::Extent(beyond) => self.give(Input::Extent { beyond }),
            Act::Join(number) => self.give(Input::Joined { member: member(number) }),
            Act::Leave(number) => self.give(Input::Left { member: member(number) }),
            Act::Offend(number, offence) => self.give(Input::Offended { member: member(number), offence }),
            Act::RoundTrip(took) => self.give(Input::RoundTrip { took: Duration::from_millis(took) }),
            Act::Pass(milliseconds) => {
                self.now.0 += milliseconds;
                self.give(Input::Tick);
            }
            Act::Garbage(number) => {
                let number = number.saturating_add(1_000_000);
                self.give(Input::AskFailed { ask: AskId(number) });
                self.give(Input::Ended { lookup: LookupId(number), unshareable: false });
                self.give(Input::Refused { lookup: LookupId(number) });
                self.give(Input::Checked { lookup: LookupId(number) });
            }
        }
    }

    fn look_up(&mut self, subject: Subject) {
        let lookup = LookupId(self.number());
        self.flights.insert(lookup, (false, 0));
        self.give(Input::Lookup { lookup, subject, max_age: Duration::from_secs(60), follow: true });
    }

    fn ask(&mut self, index: usize) -> Option<AskId> {
        let index = index.checked_rem(self.asks.len())?;
        Some(self.asks.swap_remove(index))
    }

    fn flight(&self, index: usize) -> Option<LookupId> {
        let index = index.checked_rem(self.flights.len())?;
        self.flights.keys().nth(index).copied()
    }

    fn end(&mut self, index: usize, how: u8) {
        let Some(lookup) = self.flight(index) else { return };
        self.flights.remove(&lookup);
        self.give(match how {
            0 => Input::Found { lookup },
            1 => Input::Fetched { lookup, took: Duration::from_millis(90) },
            _ => Input::Ended { lookup, unshareable: how == 3 },
        });
    }

    /// From now on nobody answers and nothing arrives. Time passes from deadline to deadline; who was told to use an answer
    /// refuses it, who was told to fetch has fetched.
    fn wind_up(&mut self) {
        let silent_since = self.now;
        loop {
            while let Some((&lookup, &(using, _))) =
                self.flights.iter().find(|(_, (using, fetches))| *using || *fetches > 0)
            {
                if using {
                    self.flights.insert(lookup, (false, 0));
                    self.give(Input::Refused { lookup });
                } else {
                    self.flights.remove(&lookup);
                    self.give(Input::Fetched { lookup, took: Duration::from_millis(90) });
                }
            }
            let Some(at) = self.fleet.next_deadline() else { break };
            self.now = at.max(self.now);
            self.give(Input::Tick);
        }
        assert_eq!(self.fleet.load(), Load::default());
        assert!(self.flights.is_empty());
        // A wait under way, then nobody answers when it asks again.
        let limit = silent_since.after(MAX_WAIT + Duration::from_millis(150));
        assert!(self.now <= limit, "took until {:?}, silent since {silent_since:?}", self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_lookup_ends_and_nothing_is_left(acts in acts()) {
        let mut outside = Outside::new();
        acts.into_iter().for_each(|act| outside.act(act));
        outside.wind_up();
    }
}
