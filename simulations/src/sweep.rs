//! The same polls by fleets of very different sizes: what grows, and what does not.

use crate::report::Report;
use crate::scenario::Scenario;
use crate::sizes::{MESSAGE_ID, Sizes};
use crate::{asked, run};

/// Fleet sizes, from the predecessor's five to ten thousand.
pub const SIZES: [u32; 11] = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// Largest fleet of a quick sweep.
pub const QUICK: u32 = 1000;

/// Neighbours that gossipsub passes a record on to at most (`mesh_n_high`), less the one that it came from.
const COPIES: f64 = 11.0;
/// Heartbeats that name a record (`history_gossip`), and the share of a node's other neighbours that each names it to
/// (`gossip_factor`), and at least.
const HEARTBEATS: f64 = 3.0;
const FACTOR: f64 = 0.25;
const LAZY: f64 = 6.0;
/// Records of presence a second in the whole fleet, at most: each node's is due every max(5 s, N/20 s).
const PRESENCES: f64 = 20.0;
const PRESENCE_SECONDS: f64 = 5.0;

/// One size.
#[derive(Clone, Debug)]
pub struct Point {
    /// Nodes.
    pub nodes: u32,
    /// What came out.
    pub report: Report,
    /// The bytes of gossip that a node sends each second at most.
    pub bound: f64,
}

/// Runs `scenario` with `seed` for each size up to `largest`, and tells of each as it is done.
pub fn sweep(scenario: &Scenario, seed: u64, largest: u32, mut done: impl FnMut(&Point)) -> Vec<Point> {
    let sizes = SIZES.into_iter().filter(|size| *size <= largest);
    let points = sizes.map(|nodes| {
        let sized = Scenario { nodes, expect: Default::default(), ..scenario.clone() };
        let report = run(&sized, seed, false);
        let point = Point { nodes, bound: bound(&sized, &report), report };
        done(&point);
        point
    });
    points.collect()
}

/// The bound: of each record a node sends `COPIES` at most, its author one to each neighbour, and its name in three heartbeats to a
/// quarter of the other neighbours.
fn bound(scenario: &Scenario, report: &Report) -> f64 {
    let nodes = f64::from(scenario.nodes);
    let neighbours = scenario.network.degree.map_or(nodes - 1.0, f64::from).min(nodes - 1.0);
    let catalogue = asked::Catalogue::of(scenario);
    let sizes = catalogue.items().next().map(|item| Sizes::of(catalogue.get(item), scenario.body_bytes));
    let Some(sizes) = sizes else { return 0.0 };
    let seconds = report.duration_ms as f64 / 1000.0;
    let presences = (nodes / PRESENCE_SECONDS).min(PRESENCES);
    let records = report.traffic.records as f64 / seconds;
    let copies = COPIES.min(neighbours) + neighbours / nodes;
    let named = HEARTBEATS * (neighbours * FACTOR).max(LAZY).min(neighbours) * MESSAGE_ID as f64;
    let each = |bytes: u64| copies * bytes as f64 + named;
    presences * each(sizes.presence) + records * each(sizes.stored)
}
