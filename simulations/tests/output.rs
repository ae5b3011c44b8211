//! Fleets of several sizes, as rows and plots.

use ghmesh_simulations::report::Report;
use ghmesh_simulations::scenario::Scenario;
use ghmesh_simulations::sweep::{Point, sweep};
use ghmesh_simulations::{output, plot};

/// The quick part of what `scaling` does: as long as everybody is connected to everybody.
const LARGEST: u32 = 50;

fn points() -> Vec<Point> {
    let mut scenario = Scenario::load("fleet-10000").unwrap_or_else(|error| panic!("{error}"));
    scenario.polls.until_ms = 1_200_000;
    sweep(&scenario, 0, LARGEST, |_| {})
}

#[test]
fn fleets_of_all_sizes_pay_for_changes_and_gossip_within_the_bound() {
    let points = points();
    assert_eq!(points.iter().map(|point| point.nodes).collect::<Vec<_>>(), [5, 10, 20, 50]);
    for Point { nodes, report, bound } in &points {
        assert_eq!((report.charged, report.violations.as_slice()), (report.versions, [].as_slice()), "{nodes} nodes");
        let sent = report.traffic.gossip_bytes_per_node_second();
        assert!(sent > 0.0 && sent <= *bound, "{nodes} nodes: {sent} B/s, bound {bound}");
    }
}

#[test]
fn runs_are_written_as_rows_and_plots() {
    let directory = tempfile::tempdir().expect("a directory");
    let points = points();
    plot::draw_all(directory.path(), &points).expect("plots");
    for (file, text) in [
        ("calls.svg", "without ghmesh"),
        ("staleness.svg", "outdated"),
        ("gossip.svg", "the bound"),
        ("spread.svg", "p99"),
    ] {
        let svg = std::fs::read_to_string(directory.path().join(file)).expect(file);
        assert!(svg.starts_with("<svg") && svg.contains(text), "{file}");
    }
    let rows: Vec<(String, Vec<Report>)> =
        points.into_iter().map(|point| (point.nodes.to_string(), vec![point.report])).collect();
    let path = directory.path().join("rows.csv");
    output::write_csv(&path, &rows).expect("rows");
    let mut reader = csv::Reader::from_path(&path).expect("it is there");
    let headers = reader.headers().expect("a first line").clone();
    let nodes = headers.iter().position(|name| name == "nodes").expect("a column");
    let read: Vec<String> = reader.records().map(|row| row.expect("a row")[nodes].to_owned()).collect();
    assert_eq!(read, ["5", "10", "20", "50"]);
}
