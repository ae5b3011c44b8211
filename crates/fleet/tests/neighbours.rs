//! Beyond the bounded number of connections owners are chosen among neighbours, so that several members own one key. How many
//! calls that costs, derived and measured (docs/adr/0012-owners-among-neighbours.md).

use ghmesh_fleet::owners;
use ghmesh_model::{MemberId, WireKey};
use std::collections::{BTreeMap, BTreeSet};

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut all: Vec<_> = (0..count).collect();
        (1..count).rev().for_each(|last| all.swap(last, self.below(last + 1)));
        all
    }
}

/// Each node's neighbours in a random graph: a union of random cycles, so of `degree` each but for the few that meet twice.
fn graph(nodes: usize, degree: usize, random: &mut Random) -> Vec<BTreeSet<usize>> {
    let mut neighbours = vec![BTreeSet::new(); nodes];
    for _ in 0..degree / 2 {
        let cycle = random.permutation(nodes);
        for (place, &node) in cycle.iter().enumerate() {
            let next = cycle[(place + 1) % nodes];
            neighbours[node].insert(next);
            neighbours[next].insert(node);
        }
    }
    neighbours
}

fn member(node: usize) -> MemberId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(node as u64).to_be_bytes());
    MemberId(id)
}

fn node(member: MemberId) -> usize {
    let bytes = member.0[..8].try_into().expect("eight bytes");
    usize::try_from(u64::from_be_bytes(bytes)).expect("a node's number")
}

/// What one key costs where all nodes ask in the same moment: members that are asked to decide, and calls. One of those that ask
/// an owner is let fetch; it looks at its two standbys first and waits where one of them lets somebody fetch, too.
fn measured(neighbours: &[BTreeSet<usize>], key: WireKey, random: &mut Random) -> (usize, usize) {
    let mut askers: BTreeMap<usize, Vec<(usize, Vec<usize>)>> = BTreeMap::new();
    for (asker, known) in neighbours.iter().enumerate() {
        let ranked = owners(&key, known.iter().copied().chain([asker]).map(member));
        let ranked: Vec<_> = ranked.into_iter().map(node).collect();
        askers.entry(ranked[0]).or_default().push((asker, ranked));
    }
    let fetches = askers.values().filter(|asking| {
        let (_, ranked) = &asking[random.below(asking.len())];
        !ranked[1..].iter().any(|standby| askers.contains_key(standby))
    });
    (askers.len(), fetches.count())
}

/// Owners of one key among `nodes` that know `degree` others each: a node that outranks the share x of all is the best of any one
/// of the degree + 1 neighbourhoods that it is in with probability x^degree. Over all x that is the (degree + 1)th harmonic number
/// divided by the degree, nearly.
fn derived(nodes: usize, degree: usize) -> f64 {
    let harmonic: f64 = (1..=degree + 1).map(|term| 1.0 / term as f64).sum();
    nodes as f64 * harmonic / degree as f64
}

#[test]
fn owners_among_neighbours_are_as_many_as_derived_and_calls_are_fewer() {
    let mut random = Random(1);
    println!("nodes degree  owners derived  measured  calls in one moment");
    for (nodes, degree, keys) in [(300, 16, 40), (1_000, 64, 10), (1_000, 128, 10), (2_000, 64, 5)] {
        let neighbours = graph(nodes, degree, &mut random);
        let (mut owning, mut calls) = (0, 0);
        for _ in 0..keys {
            let key = WireKey(std::array::from_fn(|_| random.next().to_be_bytes()[0]));
            let (owners, fetches) = measured(&neighbours, key, &mut random);
            owning += owners;
            calls += fetches;
        }
        let (owning, calls) = (owning as f64 / f64::from(keys), calls as f64 / f64::from(keys));
        let expected = derived(nodes, degree);
        println!("{nodes:5} {degree:6} {expected:15.1} {owning:9.1} {calls:20.1}");
        assert!((0.7..1.2).contains(&(owning / expected)), "{nodes} × {degree}: {owning} owners, derived {expected}");
        assert!(calls >= 1.0 && calls <= owning, "{nodes} × {degree}: {calls} calls of {owning}");
    }
}

#[test]
fn where_all_are_neighbours_there_is_one_owner() {
    let mut random = Random(2);
    let everybody: Vec<BTreeSet<usize>> =
        (0..60).map(|node| (0..60).filter(|other| *other != node).collect()).collect();
    for byte in 0..50 {
        assert_eq!(measured(&everybody, WireKey([byte; 32]), &mut random), (1, 1));
    }
}
