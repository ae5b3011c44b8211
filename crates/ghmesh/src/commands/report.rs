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
    lines.extend(each(&status["origins"]).iter().map(|origin| ("origin", origin_text(origin))));
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
        ("stale answers", count("stale_served")),
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
        "running" => format!("running (label {})", text(&status["mesh_label"])),
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

fn source_text(source: &Value) -> String {
    let last = match source["last_success_seconds"].as_u64() {
        Some(seconds) => format!("last success {seconds} s ago"),
        None => "no success yet".to_owned(),
    };
    let error = source["last_error"].as_str().map(|error| format!("; last error: {error}")).unwrap_or_default();
    format!("{}: {} found, {last}{error}", text(&source["name"]), source["found"])
}

fn text(value: &Value) -> &str {
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
    fn strangers_without_peers_point_to_the_secret() {
        let of =
            |strangers, peers| strangers_text(&json!({"strangers": strangers, "stats": {"connected_peers": peers}}));
        assert_eq!(of(0, 0), "0");
        assert!(of(3, 0).starts_with("3 turned away, and no peers") && of(3, 0).contains("mesh.secret"));
        assert!(of(3, 2).starts_with("3 turned away (another mesh.secret"));
    }
}
