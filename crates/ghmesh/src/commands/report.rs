//! `ghmesh status` and `peers`: what the running daemon says of itself.

use crate::commands::daemon::private_page;
use crate::exit::Exit;
use crate::settings::Loaded;
use serde_json::Value;
use std::fmt::Write;

/// Prints the daemon's status.
pub(crate) async fn status(loaded: &Loaded, json: bool) -> anyhow::Result<Exit> {
    let status = private_page(loaded, "/_ghmesh/status").await?;
    print!("{}", if json { pretty(&status) } else { status_text(&status) });
    Ok(Exit::Success)
}

/// Prints the members that the daemon is connected to.
pub(crate) async fn peers(loaded: &Loaded, json: bool) -> anyhow::Result<Exit> {
    let peers = private_page(loaded, "/_ghmesh/peers").await?;
    print!("{}", if json { pretty(&peers) } else { peers_text(&peers) });
    Ok(Exit::Success)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn status_text(status: &Value) -> String {
    let mut lines = mesh_lines(status);
    lines.extend(request_lines(&status["stats"]));
    let each = |list: &Value| list.as_array().cloned().unwrap_or_default();
    lines.extend(each(&status["sources"]).iter().map(|source| ("discovery", source_text(source))));
    lines.extend(each(&status["others"]).iter().map(|other| ("seen, not joined", other_text(other))));
    lines.extend(each(&status["limits"]).iter().map(|limit| ("limits", limit_text(limit))));
    lines.extend(each(&status["origins"]).iter().map(|origin| ("origin", origin_text(origin))));
    lines.push(("freshness", freshness_text(status)));
    lines.extend(each(&status["changes"]).iter().map(|change| ("changes", change_text(change))));
    lines.extend(each(&status["formulas"]).iter().filter_map(formula_text).map(|text| ("entity tags", text)));
    let mut out = String::new();
    for (name, value) in lines {
        writeln!(out, "{name:<18}{value}").expect("writing to a String succeeds");
    }
    out
}

fn mesh_lines(status: &Value) -> Vec<(&'static str, String)> {
    let stats = &status["stats"];
    vec![
        ("version", text(&status["version"]).to_owned()),
        ("mesh", mesh_text(status)),
        ("peer id", text(&stats["peer_id"]).to_owned()),
        ("peers", stats["connected_peers"].to_string()),
        ("strangers", strangers_text(status)),
        ("sharing", text(&status["sharing"]).to_owned()),
    ]
}

fn request_lines(stats: &Value) -> Vec<(&'static str, String)> {
    let count = |name: &str| stats[name].to_string();
    vec![
        ("requests", count("requests")),
        ("hits", format!("{} (local {}, from peers {})", stats["hits"], stats["local_hits"], stats["peer_hits"])),
        ("misses", format!("{} (confirmed by a 304: {})", stats["misses"], stats["revalidated"])),
        ("hit rate", format!("{:.1} %", stats["hit_rate"].as_f64().unwrap_or_default() * 100.0)),
        ("passed on", format!("{} (writes, and what is not cached)", stats["passed"])),
        ("stale answers", format!("{} (to spare a limit: {})", stats["stale_served"], stats["spared"])),
        ("held back", format!("{} (reads that GitHub's limits did not allow)", stats["held_back"])),
        ("failures", format!("{} (answered with an error of ghmesh's own)", stats["failures"])),
        ("calls to GitHub", format!("{} (charged {})", stats["api_calls_made"], stats["api_calls_charged"])),
        ("calls saved", count("api_calls_saved")),
        ("fail-opens", format!("{} (GitHub was asked as members did not answer in time)", stats["fail_opens"])),
        ("entries", format!("{} of {} ({} bytes)", stats["entries"], stats["max_entries"], stats["bytes"])),
        ("uptime", format!("{} s", stats["uptime_seconds"])),
    ]
}

fn mesh_text(status: &Value) -> String {
    match text(&status["mesh"]) {
        "running" => {
            let accepted = status["accepted_labels"].as_array().map_or(0, Vec::len);
            let besides = if accepted == 0 { String::new() } else { format!(", {accepted} more accepted") };
            let problem = status["secret_problem"].as_str();
            let problem = problem.map(|problem| format!("; the secrets can't be changed: {problem}"));
            format!("running (label {}{besides}){}", text(&status["mesh_label"]), problem.unwrap_or_default())
        }
        "failed" => format!("failed, the cache is local until the next start: {}", text(&status["mesh_failure"])),
        "off" => "off, the cache is local: mesh.enabled is false, or there is no mesh secret".to_owned(),
        other => other.to_owned(),
    }
}

/// Nodes with another secret look like any foreign program: what can be said is that somebody was there.
fn strangers_text(status: &Value) -> String {
    let strangers = status["strangers"].as_u64().unwrap_or_default();
    match (strangers, status["stats"]["connected_peers"].as_u64()) {
        (0, _) => "0".to_owned(),
        (_, Some(0)) => {
            format!("{strangers} turned away, and no peers: do all nodes have the same mesh.secret and mesh.cluster?")
        }
        (_, _) => format!("{strangers} turned away (another mesh.secret or mesh.cluster, or no ghmesh)"),
    }
}

fn origin_text(origin: &Value) -> String {
    let answered = match origin["last_answer_seconds"].as_u64() {
        Some(seconds) => format!("answered {seconds} s ago"),
        None => "no answer yet".to_owned(),
    };
    let state = match (text(&origin["breaker"]), origin["retry_in_seconds"].as_u64(), origin["failures"].as_u64()) {
        ("open", Some(seconds), _) => format!("breaker open: left alone for {seconds} s more; "),
        ("half-open", _, _) => "breaker half-open: one request tries; ".to_owned(),
        (_, _, Some(failures @ 1..)) => format!("failing, {failures} in a row; "),
        (_, _, _) => String::new(),
    };
    let failed = match (origin["last_failure_seconds"].as_u64(), text(&origin["last_failure"])) {
        (Some(seconds), error) => format!("; last failure {seconds} s ago: {error}"),
        (None, _) => String::new(),
    };
    format!("{}: {state}{answered}{failed}", text(&origin["host"]))
}

fn freshness_text(status: &Value) -> String {
    let adaptive = status["adaptive"] == true;
    (if adaptive { "adaptive: by how often resources change" } else { "by the route table and the settings alone" })
        .to_owned()
}

fn change_text(change: &Value) -> String {
    let every = match change["change_every_seconds"].as_u64() {
        Some(seconds) => format!("; about one in {seconds} s"),
        None => String::new(),
    };
    let (routes, checks, changed) = (text(&change["routes"]), &change["checks"], &change["changed"]);
    format!("{routes}: {changed} of {checks} checks found a change{every}")
}

/// Only where they can't be computed: there, no credential's answer saves another a charged call.
fn formula_text(formula: &Value) -> Option<String> {
    let (routes, host) = (text(&formula["routes"]), text(&formula["host"]));
    let why = match (formula["holds"].as_bool(), formula["vary"].as_str()) {
        (Some(false), _) => "GitHub computes them otherwise than known",
        (_, None) => "GitHub's Vary makes computing them unsafe",
        (_, Some(_)) => return None,
    };
    Some(format!("{routes} of {host}: only those that GitHub gave ({why})"))
}

fn limit_text(limit: &Value) -> String {
    let bucket = |bucket: &Value| {
        let told = if bucket["told"] == true { ", as a member says" } else { "" };
        let (left, reset) = (&bucket["remaining"], &bucket["reset_seconds"]);
        format!("{} {left} of {} left, full in {reset} s{told}", text(&bucket["name"]), bucket["limit"])
    };
    let mut parts: Vec<_> = limit["buckets"].as_array().into_iter().flatten().map(bucket).collect();
    if let Some(seconds) = limit["retry_after_seconds"].as_u64() {
        parts.insert(0, format!("GitHub asked for silence for {seconds} s more"));
    }
    if parts.is_empty() {
        parts.push("nothing known".to_owned());
    }
    let credential = text(&limit["credential"]);
    format!("{} for {credential} ({} nodes): {}", text(&limit["host"]), limit["users"], parts.join("; "))
}

fn source_text(source: &Value) -> String {
    let (name, health, addresses) = (text(&source["name"]), text(&source["health"]), &source["addresses"]);
    if health == "off" {
        return format!("{name}: off");
    }
    let last = match (source["last_success_seconds"].as_u64(), source["last_answer_seconds"].as_u64()) {
        (Some(seconds), _) => format!("last success {seconds} s ago"),
        (None, Some(seconds)) => format!("no success yet, last answer {seconds} s ago"),
        (None, None) => "no success yet".to_owned(),
    };
    let error = match (source["last_error"].as_str(), source["last_error_seconds"].as_u64()) {
        (Some(error), Some(seconds)) => format!("; last error {seconds} s ago: {error}"),
        _ => String::new(),
    };
    format!("{name}: {health}, {} found, {addresses} addresses, {last}{error}", source["found"])
}

/// Somebody outside this mesh, as on one LAN others' meshes are.
fn other_text(other: &Value) -> String {
    let (kind, address, peer) = (text(&other["kind"]), text(&other["address"]), text(&other["peer_id"]));
    format!("{kind} at {address} ({peer}), by {}, {} s ago", text(&other["source"]), other["seen_seconds"])
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or("–")
}

fn peers_text(peers: &Value) -> String {
    let peers = peers.as_array().map(Vec::as_slice).unwrap_or_default();
    if peers.is_empty() {
        return "no peers connected\n".to_owned();
    }
    let line = |peer: &Value| {
        let round_trip = peer["round_trip_ms"].as_f64().map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
        let addresses = peer["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
        let addresses: Vec<_> = addresses.iter().filter_map(Value::as_str).collect();
        format!("{}  {round_trip}  {}\n", text(&peer["peer_id"]), addresses.join(" "))
    };
    peers.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_origin_is_shown_as_it_is() {
        let answered = json!({"host": "h", "breaker": "closed", "failures": 0, "last_answer_seconds": 3});
        assert_eq!(origin_text(&answered), "h: answered 3 s ago");
        let failing = json!({
            "host": "h", "breaker": "closed", "failures": 2, "last_failure_seconds": 1, "last_failure": "refused"
        });
        assert_eq!(origin_text(&failing), "h: failing, 2 in a row; no answer yet; last failure 1 s ago: refused");
        let open = json!({
            "host": "h", "breaker": "open", "retry_in_seconds": 2, "failures": 0, "last_answer_seconds": 60,
            "last_failure_seconds": 0, "last_failure": "silent"
        });
        assert_eq!(
            origin_text(&open),
            "h: breaker open: left alone for 2 s more; answered 60 s ago; last failure 0 s ago: silent"
        );
    }

    #[test]
    fn routes_where_entity_tags_cannot_be_computed_are_shown_with_the_reason() {
        let of = |holds: bool, vary: Option<&str>| {
            formula_text(&json!({"host": "h", "routes": "issues", "holds": holds, "vary": vary}))
        };
        assert_eq!(of(true, Some("Accept")), None);
        let otherwise = of(false, Some("Accept")).expect("it is shown");
        assert_eq!(otherwise, "issues of h: only those that GitHub gave (GitHub computes them otherwise than known)");
        assert!(of(true, None).expect("it is shown").contains("unsafe"));
    }

    #[test]
    fn changes_are_shown_with_how_often_they_come() {
        let change = json!({"routes": "runs", "checks": 9, "changed": 3, "change_every_seconds": 40});
        assert_eq!(change_text(&change), "runs: 3 of 9 checks found a change; about one in 40 s");
        let quiet = json!({"routes": "runs", "checks": 9, "changed": 0, "change_every_seconds": null});
        assert_eq!(change_text(&quiet), "runs: 0 of 9 checks found a change");
        assert!(freshness_text(&json!({"adaptive": true})).starts_with("adaptive"));
        assert!(!freshness_text(&json!({"adaptive": false})).starts_with("adaptive"));
    }

    #[test]
    fn limits_are_shown_by_credential_and_bucket() {
        let core = json!({"name": "core", "limit": 5000, "remaining": 12, "reset_seconds": 60, "told": false});
        let search = json!({"name": "search", "limit": 30, "remaining": 29, "reset_seconds": 9, "told": true});
        let mut limit = json!({"host": "h", "credential": "3379b12f", "users": 2, "buckets": [core, search]});
        assert_eq!(
            limit_text(&limit),
            "h for 3379b12f (2 nodes): core 12 of 5000 left, full in 60 s; search 29 of 30 left, full in 9 s, as a member says"
        );
        limit["buckets"] = json!([]);
        assert_eq!(limit_text(&limit), "h for 3379b12f (2 nodes): nothing known");
        limit["retry_after_seconds"] = json!(30);
        assert_eq!(limit_text(&limit), "h for 3379b12f (2 nodes): GitHub asked for silence for 30 s more");
    }

    #[test]
    fn each_way_of_finding_members_is_shown_with_its_health() {
        let mut source = json!({"name": "dns", "health": "off", "found": 0, "addresses": 0});
        assert_eq!(source_text(&source), "dns: off");
        source["health"] = json!("failing");
        source["last_answer_seconds"] = json!(9);
        (source["last_error"], source["last_error_seconds"]) = (json!("refused"), json!(2));
        let expected =
            "dns: failing, 0 found, 0 addresses, no success yet, last answer 9 s ago; last error 2 s ago: refused";
        assert_eq!(source_text(&source), expected);
        let other = json!({"kind": "other mesh", "address": "/ip4/10.0.0.9/tcp/1", "peer_id": "12D3", "source": "mdns",
            "seen_seconds": 4});
        assert_eq!(other_text(&other), "other mesh at /ip4/10.0.0.9/tcp/1 (12D3), by mdns, 4 s ago");
    }

    #[test]
    fn strangers_without_peers_point_to_the_secret() {
        let of =
            |strangers, peers| strangers_text(&json!({"strangers": strangers, "stats": {"connected_peers": peers}}));
        assert_eq!(of(0, 0), "0");
        assert!(of(3, 0).starts_with("3 turned away, and no peers") && of(3, 0).contains("mesh.secret"));
        assert!(of(3, 2).starts_with("3 turned away (another mesh.secret"));
    }
}
