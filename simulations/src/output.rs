//! Reports as CSV: one row for each run.

use crate::report::Report;
use serde::Serialize;
use std::path::Path;

/// One run.
#[derive(Clone, Debug, Serialize)]
struct Row<'a> {
    scenario: &'a str,
    nodes: u64,
    seed: u64,
    requests: u64,
    local: u64,
    calls: u64,
    charged: u64,
    changes: u64,
    cold_calls: u64,
    cold_charged: u64,
    doubled_calls: u64,
    failures: u64,
    stale: u64,
    calls_without: u64,
    failures_without: u64,
    calls_per_hour: f64,
    charged_per_hour: f64,
    outdated_permille: u64,
    outdated_p50_ms: u64,
    outdated_p99_ms: u64,
    request_p50_ms: u64,
    request_p99_ms: u64,
    records: u64,
    copies: u64,
    spread_p50_us: u64,
    spread_p99_us: u64,
    presences: u64,
    record_bytes: u64,
    heartbeat_bytes: u64,
    presence_bytes: u64,
    direct_bytes: u64,
    gossip_bytes_per_node_second: f64,
    violations: usize,
    digest: String,
}

impl<'a> Row<'a> {
    fn of(scenario: &'a str, report: &Report) -> Self {
        let traffic = &report.traffic;
        Row {
            scenario,
            nodes: report.nodes,
            seed: report.seed,
            requests: report.requests,
            local: report.local,
            calls: report.calls,
            charged: report.charged,
            changes: report.versions,
            cold_calls: report.cold_calls,
            cold_charged: report.cold_charged,
            doubled_calls: report.doubled,
            failures: report.failures,
            stale: report.stale,
            calls_without: report.without.calls,
            failures_without: report.without.failures,
            calls_per_hour: report.hourly(report.calls),
            charged_per_hour: report.hourly(report.charged),
            outdated_permille: report.outdated_permille(),
            outdated_p50_ms: report.outdated_ms.percentile(50),
            outdated_p99_ms: report.outdated_ms.percentile(99),
            request_p50_ms: report.durations_ms.percentile(50),
            request_p99_ms: report.durations_ms.percentile(99),
            records: traffic.records,
            copies: traffic.copies,
            spread_p50_us: traffic.spread_us.percentile(50),
            spread_p99_us: traffic.spread_us.percentile(99),
            presences: traffic.presences,
            record_bytes: traffic.record_bytes,
            heartbeat_bytes: traffic.heartbeat_bytes,
            presence_bytes: traffic.presence_bytes,
            direct_bytes: traffic.direct_bytes,
            gossip_bytes_per_node_second: traffic.gossip_bytes_per_node_second(),
            violations: report.violations.len(),
            digest: format!("{:016x}", report.digest),
        }
    }
}

/// Writes all runs.
///
/// # Errors
/// The file can't be written.
pub fn write_csv(path: &Path, rows: &[(String, Vec<Report>)]) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_path(path)?;
    for (name, reports) in rows {
        for report in reports {
            writer.serialize(Row::of(name, report))?;
        }
    }
    writer.flush()?;
    Ok(())
}
