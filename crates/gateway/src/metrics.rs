//! The node's and the gateway's totals as OpenMetrics text. No label holds a path, a key or a credential.

use ghmesh_node::Stats;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// OpenMetrics 1.0, §4.1.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the gateway itself counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GatewayTotals {
    /// Connections open now.
    pub(crate) connections: u64,
    /// Requests that the gateway refused, whatever the reason.
    pub(crate) refused: u64,
    /// Deliveries of GitHub's webhooks with a good signature.
    pub(crate) deliveries: u64,
}

/// The exposition, ending with `# EOF`.
pub(crate) fn render(stats: &Stats, mesh: &str, gateway: GatewayTotals) -> String {
    let mut registry = Registry::with_prefix("ghmesh");
    counters(&mut registry, stats, gateway);
    gauges(&mut registry, stats, gateway);
    let failed = ConstGauge::new(i64::from(mesh == "failed"));
    register(&mut registry, "mesh_failed", "1 where the mesh could not start, so that the cache is local", failed);
    let mut text = String::with_capacity(8 * 1024);
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to a string cannot fail");
    text
}

fn counters(registry: &mut Registry, stats: &Stats, gateway: GatewayTotals) {
    let mut count = |name: &str, help: &str, value: u64| register(registry, name, help, ConstCounter::new(value));
    count("requests", "Requests to the API that were received", stats.requests);
    count("local_hits", "Answers from this node's own entries, without a call", stats.local_hits);
    count("peer_hits", "Answers from entries that a peer gave, without a call", stats.peer_hits);
    count("misses", "Reads that needed a call of this node's", stats.misses);
    count("revalidated", "Misses that GitHub answered with a 304", stats.revalidated);
    count("passed", "Writes and other requests that are never cached", stats.passed);
    count("stale_served", "Expired answers given because GitHub was limited, down or slow", stats.stale_served);
    count("spared", "Expired answers given because little was left of a rate limit", stats.spared);
    count("held_back", "Reads not sent to GitHub because it limits the credential", stats.held_back);
    count("failures", "Requests that ended with an error of ghmesh's own", stats.failures);
    count("api_calls", "Calls made to GitHub", stats.api_calls_made);
    count("api_calls_charged", "Calls that GitHub charges against a rate limit", stats.api_calls_charged);
    count("api_calls_saved", "Calls that the cache made unnecessary or free", stats.api_calls_saved);
    count("fail_opens", "Lookups that went to GitHub because members did not answer in time", stats.fail_opens);
    count("expulsions", "Times that a member was kept out for what no honest one does", stats.expulsions);
    count("records_received", "Records that peers sent", stats.records_received);
    count("records_gossiped", "Records that peers told everybody", stats.records_gossiped);
    count("invalidations_heard", "Times that peers told that something changed", stats.invalidations_heard);
    count(
        "records_refused",
        "Records of peers that were malformed, replayed, forged or too old",
        stats.records_refused,
    );
    count("sync_rounds", "Comparisons with a member that ended", stats.sync_rounds);
    count("sync_records_pulled", "Records taken from members because they were lacking", stats.sync_records_pulled);
    count("sync_records_given", "Records given to members that lacked them", stats.sync_records_given);
    count("sync_bytes_pulled", "Bytes of records taken from members", stats.sync_bytes_pulled);
    count("sync_bytes_given", "Bytes of records given to members", stats.sync_bytes_given);
    count("gossip_sent", "Records gossiped", stats.gossip_sent);
    count("gossip_lost", "Records that gossip did not take: nobody connected, or queues full", stats.gossip_lost);
    count("gossip_dropped", "Gossip of members dropped because this node was busy", stats.gossip_dropped);
    count("gossip_excess", "Gossip of members dropped because they gossip too much", stats.gossip_excess);
    count("requests_dropped", "Requests of members dropped because this node was busy", stats.requests_dropped);
    count("requests_excess", "Requests of members dropped because they ask too much", stats.requests_excess);
    count("webhook_deliveries", "Deliveries of GitHub's webhooks with a good signature", gateway.deliveries);
    count("gateway_refused", "Requests that the gateway refused", gateway.refused);
}

fn gauges(registry: &mut Registry, stats: &Stats, gateway: GatewayTotals) {
    let mut gauge = |name: &str, help: &str, value: u64| register(registry, name, help, ConstGauge::new(exact(value)));
    gauge("connected_peers", "Members connected", stats.connected_peers);
    gauge("fleet_size", "Members of the fleet, this node included", stats.fleet_size);
    gauge("entries", "Entries stored", stats.entries);
    gauge("max_entries", "Most entries that are kept", stats.max_entries);
    gauge("gateway_connections", "Client connections open", gateway.connections);
    let bytes = ConstGauge::new(exact(stats.bytes));
    registry.register_with_unit("stored", "Bytes stored, bodies and entries", Unit::Bytes, bytes);
    let uptime = ConstGauge::new(exact(stats.uptime_seconds));
    registry.register_with_unit("uptime", "Time since the start", Unit::Seconds, uptime);
}

fn register(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: impl EncodeMetric + TypedMetric + Send + Sync + fmt::Debug + 'static,
) {
    registry.register(name, help, metric);
}

/// OpenMetrics gauges are signed; no total of ours comes near the limit.
fn exact(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_total_is_exposed_with_its_type_and_value() {
        let stats = Stats { requests: 7, local_hits: 3, bytes: 12, uptime_seconds: 5, ..Stats::default() };
        let text = render(&stats, "failed", GatewayTotals { connections: 2, refused: 9, deliveries: 4 });
        for line in [
            "# TYPE ghmesh_requests counter",
            "ghmesh_requests_total 7",
            "ghmesh_local_hits_total 3",
            "# TYPE ghmesh_stored_bytes gauge",
            "# UNIT ghmesh_stored_bytes bytes",
            "ghmesh_stored_bytes 12",
            "ghmesh_uptime_seconds 5",
            "ghmesh_gateway_connections 2",
            "ghmesh_mesh_failed 1",
            "ghmesh_gateway_refused_total 9",
            "ghmesh_webhook_deliveries_total 4",
        ] {
            assert!(text.lines().any(|present| present == line), "{line} is missing from\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let running = render(&stats, "running", GatewayTotals::default());
        assert!(running.contains("\nghmesh_mesh_failed 0\n"), "{running}");
    }

    #[test]
    fn nothing_that_stats_counts_is_left_out() {
        // Derived from others by whoever reads the metrics, or not numbers of this kind.
        let derived = ["hits", "hit_rate", "peer_id", "listen_addrs"];
        let renamed = [("api_calls_made", "api_calls"), ("bytes", "stored_bytes")];
        let text = render(&Stats::default(), "running", GatewayTotals::default());
        let stats = serde_json::to_value(Stats::default()).expect("stats are JSON");
        for field in stats.as_object().expect("an object").keys().filter(|field| !derived.contains(&field.as_str())) {
            let name = renamed.iter().find(|(from, _)| from == field).map_or(field.as_str(), |(_, to)| to);
            assert!(text.contains(&format!("# TYPE ghmesh_{name} ")), "no metric for {field}");
        }
    }
}
