//! The run: takes events in order, moves inputs and outputs between nodes as their shells do, and checks what comes out.

mod flight;
mod gossip;
mod limits;
mod mischief;
mod nodes;
mod talk;
mod watch;

use crate::asked::Catalogue;
use crate::event::{CallId, Event, FloodId, Happening, Queue};
use crate::github::{Accounts, GitHub};
use crate::model::{BodyId, Item, Moment, NodeIndex, Ring, mix};
use crate::node::Node;
use crate::report::Report;
use crate::rng::Rng;
use crate::scenario::{Scenario, Span};
use crate::sizes::Sizes;
use flight::Call;
use ghmesh_fleet::Subject;
use ghmesh_model::{Fingerprint, MemberId, WireKey};
use gossip::Flood;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use watch::Sabotage;

/// Nothing is under way so long after the last poll, or it will be for ever.
const DRAIN_MS: u64 = 120_000;

/// Sets the names of secrets apart from all else that a seed decides.
const NAMING: u64 = 0x6e61_6d65;

/// How a run is made, beside scenario and seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Writes every event to stderr.
    pub trace: bool,
    /// Breaks a rule, so that a test sees the breach reported.
    pub sabotage: Option<Sabotage>,
}

/// Runs a scenario with one seed. `trace` writes every event to stderr.
pub fn run(scenario: &Scenario, seed: u64, trace: bool) -> Report {
    run_with(scenario, seed, Options { trace, sabotage: None })
}

/// Runs a scenario with one seed.
pub fn run_with(scenario: &Scenario, seed: u64, options: Options) -> Report {
    let mut world = World::new(scenario, seed, options);
    let end = (scenario.polls.until_ms + DRAIN_MS) * 1000;
    let mut digest = seed;
    while let Some((at, event)) = world.queue.pop() {
        if at > end {
            break;
        }
        world.now = at;
        let (one, other) = event.numbers();
        digest = mix(mix(mix(digest, at), one), other);
        if options.trace {
            eprintln!("{at:>12} {event:?}");
        }
        world.happen(event);
    }
    world.report.digest = digest;
    world.finish()
}

struct World<'a> {
    scenario: &'a Scenario,
    options: Options,
    rng: Rng,
    now: Moment,
    queue: Queue,
    nodes: Vec<Node>,
    by_member: HashMap<MemberId, NodeIndex>,
    /// Nodes that are alive, in no order, and where each stands in it.
    alive: Vec<NodeIndex>,
    places: BTreeMap<NodeIndex, usize>,
    catalogue: Catalogue,
    sizes: Sizes,
    /// Each item's subject under each secret of the mesh.
    subjects: Vec<[Subject; 2]>,
    items: HashMap<Subject, (Item, Ring)>,
    /// What the two secrets of the mesh are called, hashed.
    names: [u64; 2],
    /// What each credential is: its holders alone can make MACs with it.
    secrets: Vec<u64>,
    github: GitHub,
    without: Accounts,
    calls: BTreeMap<CallId, Call>,
    last_call: CallId,
    floods: HashMap<FloodId, Flood>,
    last_flood: FloodId,
    /// Writes that the origin has done: key and version.
    writes: Vec<(u16, usize)>,
    /// When each item was last asked of the origin.
    last_calls: BTreeMap<Item, Moment>,
    /// Calls under way for each item.
    under_way: BTreeMap<Item, u32>,
    /// Connections that a split has cut.
    severed: BTreeSet<(NodeIndex, NodeIndex)>,
    /// What a replayer remembers.
    hoard: BTreeMap<Item, crate::model::Validation>,
    forged: u32,
    report: Report,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let catalogue = Catalogue::of(scenario);
        let fingerprints: Vec<_> = (0..catalogue.credentials()).map(|_| [rng.bytes(), rng.bytes()]).collect();
        let secrets = (0..catalogue.credentials()).map(|_| rng.number()).collect();
        // Apart, so that runs without a change of secrets are as they were before there was one.
        let mut naming = Rng::new(seed ^ NAMING);
        let names = [naming.number(), naming.number()];
        let keys: Vec<_> = scenario.targets().iter().map(|_| [rng.bytes(), rng.bytes()]).collect();
        let subject = |item: Item, ring: usize| Subject {
            key: WireKey(keys[usize::from(item.key)][ring]),
            fingerprint: Fingerprint(fingerprints[usize::from(item.credential)][ring]),
        };
        let subjects: Vec<_> = catalogue.items().map(|item| [subject(item, 0), subject(item, 1)]).collect();
        let named = catalogue.items().zip(&subjects);
        let items = named.flat_map(|(item, [old, new])| [(*old, (item, 0)), (*new, (item, 1))]).collect();
        let sizes = Sizes::of(catalogue.get(Item { key: 0, credential: 0 }), scenario.body_bytes);
        let report = Report {
            seed,
            nodes: u64::from(scenario.nodes),
            duration_ms: scenario.polls.until_ms,
            ..Report::default()
        };
        let mut world = World {
            scenario,
            options,
            rng,
            now: 0,
            queue: Queue::default(),
            nodes: Vec::new(),
            by_member: HashMap::new(),
            alive: Vec::new(),
            places: BTreeMap::new(),
            catalogue,
            sizes,
            subjects,
            items,
            names,
            secrets,
            github: GitHub::new(scenario),
            without: Accounts::new(scenario.limits),
            calls: BTreeMap::new(),
            last_call: 0,
            floods: HashMap::new(),
            last_flood: 0,
            writes: Vec::new(),
            last_calls: BTreeMap::new(),
            under_way: BTreeMap::new(),
            severed: BTreeSet::new(),
            hoard: BTreeMap::new(),
            forged: 0,
            report,
        };
        world.begin();
        world
    }

    fn happen(&mut self, event: Event) {
        let (node, happening) = match event {
            Event::Strike(number) => return self.strike(number),
            Event::Come => return self.come(),
            Event::Origin(call) => return self.at_origin(call),
            Event::Write(node, key) => return self.write_at_origin(node, key),
            Event::Gossip(flood, to, from) => return self.gossip_arrives(flood, to, from),
            Event::At(node, happening) => (node, happening),
        };
        let here = self.node(node);
        if here.is_dead {
            return;
        }
        let wakes = here.frozen_until;
        if wakes > self.now {
            return self.queue.push(wakes, Event::At(node, happening));
        }
        match happening {
            Happening::Poll => self.poll(node),
            Happening::Link(peer, true) => self.link(node, peer),
            Happening::Link(peer, false) => self.unlink(node, peer),
            Happening::Message(from, message) => self.message(node, from, message),
            Happening::Input(input) => {
                self.read_inbox(node);
                self.input(node, input, None);
            }
            Happening::Tick => self.tick(node),
            Happening::Answered(ask, response) => self.answered(node, ask, response),
            Happening::Asked { from, ask, subject, max_age, lease } => {
                self.asked(node, from, ask, subject, max_age, lease);
            }
            Happening::Step(lookup, step) => self.step(node, lookup, step),
            Happening::Called(call) => self.called(node, call),
            Happening::Written(write) => self.written(node, write),
            Happening::Roll(number) => self.roll(node, number),
            Happening::End(killed) => self.end(node, killed),
            Happening::Misbehave => self.misbehave(node),
        }
    }

    fn node(&self, node: NodeIndex) -> &Node {
        &self.nodes[node as usize]
    }

    fn node_mut(&mut self, node: NodeIndex) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    fn at(&mut self, at: Moment, node: NodeIndex, happening: Happening) {
        self.queue.push(at, Event::At(node, happening));
    }

    fn after_ms(&mut self, span: Span) -> Moment {
        self.now + self.rng.within(span) * 1000
    }

    fn subject(&self, item: Item, ring: Ring) -> Subject {
        self.subjects[self.catalogue.index(item)][usize::from(ring)]
    }

    /// The secret under which a node shares: of those that all members connected to it hold, the one whose name is the smallest.
    fn leading(&self, node: NodeIndex) -> Ring {
        let here = self.node(node);
        let held_by_all = |ring: &&Ring| here.links.iter().all(|peer| self.node(*peer).rings.contains(ring));
        let known = |rings: &[Ring]| rings.first().copied().unwrap_or_default();
        if here.rings.len() == 1 {
            return known(&here.rings);
        }
        let common = here.rings.iter().filter(held_by_all).min_by_key(|ring| self.names[usize::from(**ring)]);
        common.copied().unwrap_or_else(|| known(&here.rings))
    }

    /// A body that nobody's origin ever gave.
    fn invented(&mut self) -> BodyId {
        self.forged += 1;
        BodyId(u32::MAX - self.forged)
    }

    /// A random node that is alive and honest, if there is one.
    fn anybody(&mut self) -> Option<NodeIndex> {
        let honest: Vec<_> = self.alive.iter().copied().filter(|node| self.node(*node).is_honest()).collect();
        let count = honest.len() as u64;
        (count > 0).then(|| honest[(self.rng.number() % count) as usize])
    }
}
