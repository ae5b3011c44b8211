//! Reports as text.

use super::{Histogram, Report};
use std::fmt::Write as _;

/// A table of scenarios, each with the reports of its seeds.
pub fn table(rows: &[(String, Vec<Report>)]) -> String {
    let mut table = format!(
        "{:<14} {:>5} {:>9} {:>7} {:>11} {:>11} {:>11} {:>13} {:>7} {:>10} {:>16} {:>9} {:>6}\n",
        "scenario",
        "seeds",
        "requests",
        "local",
        "calls",
        "charged",
        "changes",
        "failed/stale",
        "without",
        "outdated",
        "p50/p99/max ms",
        "B/node/s",
        "wrong"
    );
    for (name, reports) in rows {
        let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum::<u64>();
        let requests = sum(|report| report.requests).max(1);
        let mut durations = Histogram::default();
        reports.iter().for_each(|report| durations.merge(&report.durations_ms));
        let times = [50, 99, 100].map(|percent| durations.percentile(percent).to_string()).join("/");
        let bytes: f64 = reports.iter().map(|report| report.traffic.gossip_bytes_per_node_second()).sum();
        let _ = writeln!(
            table,
            "{name:<14} {:>5} {:>9} {:>6}% {:>11} {:>11} {:>11} {:>13} {:>7} {:>9}‰ {times:>16} {:>9.0} {:>6}",
            reports.len(),
            requests,
            sum(|report| report.local) * 100 / requests,
            range(reports, |report| report.calls),
            range(reports, |report| report.charged),
            range(reports, |report| report.versions),
            format!("{}/{}", range(reports, |report| report.failures), range(reports, |report| report.stale)),
            range(reports, |report| report.without.failures),
            sum(|report| report.outdated) * 1000 / requests,
            bytes / reports.len().max(1) as f64,
            reports.iter().filter(|report| !report.violations.is_empty()).count(),
        );
    }
    table
}

/// Least and most of a count, over the seeds.
fn range(reports: &[Report], count: fn(&Report) -> u64) -> String {
    let (least, most) = (reports.iter().map(count).min(), reports.iter().map(count).max());
    match (least.unwrap_or_default(), most.unwrap_or_default()) {
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least}-{most}"),
    }
}
