//! `ghmesh status`, `peers` and `id`: what the running daemon says of itself.

use crate::api::transport::{self, Daemon, Transport};
use crate::exit::Exit;
use crate::settings::{Loaded, Settings};
use anyhow::{Context, bail};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use std::fmt::Write;

/// Most bytes of a daemon's report that are read.
const MAX_REPORT_BYTES: usize = 4 * 1024 * 1024;

/// Prints the daemon's status.
pub(crate) async fn status(loaded: &Loaded, json: bool) -> anyhow::Result<Exit> {
    let status = ask(loaded, "/_ghmesh/status").await?;
    print!("{}", if json { pretty(&status) } else { status_text(&status) });
    Ok(Exit::Success)
}

/// Prints the members that the daemon is connected to.
pub(crate) async fn peers(loaded: &Loaded, json: bool) -> anyhow::Result<Exit> {
    let peers = ask(loaded, "/_ghmesh/peers").await?;
    print!("{}", if json { pretty(&peers) } else { peers_text(&peers) });
    Ok(Exit::Success)
}

/// Prints this node's multiaddrs, one a line: the running daemon's, else what the settings and the identity give.
pub(crate) async fn id(loaded: &Loaded) -> anyhow::Result<Exit> {
    let (peer_id, addresses) = match find(loaded).await {
        Some(daemon) => of_daemon(&daemon).await?,
        None => of_settings(&loaded.settings)?,
    };
    if addresses.is_empty() {
        println!("/p2p/{peer_id}");
    }
    for address in addresses {
        let address = address.split("/p2p/").next().unwrap_or_default().to_owned();
        println!("{address}/p2p/{peer_id}");
    }
    Ok(Exit::Success)
}

async fn of_daemon(daemon: &Daemon) -> anyhow::Result<(String, Vec<String>)> {
    let stats = get(daemon, "/_ghmesh/stats").await?;
    let peer_id = stats["peer_id"].as_str().unwrap_or_default().to_owned();
    if peer_id.is_empty() {
        bail!("the daemon has no peer id: its mesh is off, or has not started yet (see `ghmesh status`)");
    }
    let addresses = stats["listen_addrs"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok((peer_id, addresses.iter().filter_map(|address| address.as_str().map(str::to_owned)).collect()))
}

fn of_settings(settings: &Settings) -> anyhow::Result<(String, Vec<String>)> {
    ghmesh_store::prepare_directory(&settings.cache.dir)?;
    let identity = ghmesh_mesh::Identity::load_or_create(&settings.cache.dir)?;
    Ok((identity.peer_id(), settings.mesh.listen.clone()))
}

async fn ask(loaded: &Loaded, path: &str) -> anyhow::Result<Value> {
    let Some(daemon) = find(loaded).await else {
        let sockets: Vec<_> = loaded.socket_candidates.iter().map(|path| path.display().to_string()).collect();
        bail!("no daemon answers (looked at {}); start one with `ghmesh up`", sockets.join(", "));
    };
    get(&daemon, path).await
}

async fn find(loaded: &Loaded) -> Option<Daemon> {
    transport::find_daemon(&loaded.socket_candidates, loaded.settings.gateway.listen.first().copied()).await
}

async fn get(daemon: &Daemon, path: &str) -> anyhow::Result<Value> {
    let request = Request::get(format!("http://{}{path}", daemon.authority())).body(transport::empty())?;
    let (head, body) = daemon.send(request).await?.into_parts();
    let limited = http_body_util::Limited::new(body, MAX_REPORT_BYTES);
    let bytes = limited.collect().await.map_err(|error| anyhow::anyhow!("the daemon broke off: {error}"))?.to_bytes();
    let report: Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("what listens on {} is no ghmesh daemon", daemon.address()))?;
    if !head.status.is_success() {
        let message = report["message"].as_str().unwrap_or_default();
        bail!("the daemon refuses ({}): {message}", head.status.as_u16());
    }
    Ok(report)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn status_text(status: &Value) -> String {
    let stats = &status["stats"];
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let mut out = String::new();
    let mut line =
        |name: &str, value: String| writeln!(out, "{name:<18}{value}").expect("writing to a String succeeds");
    line("version", text(&status["version"]));
    line("mesh", format!("{} (label {})", text(&status["mesh"]), text(&status["mesh_label"])));
    line("peer id", text(&stats["peer_id"]));
    line("peers", stats["connected_peers"].to_string());
    line("requests", stats["requests"].to_string());
    line("hits", format!("{} (local {}, from peers {})", stats["hits"], stats["local_hits"], stats["peer_hits"]));
    line("misses", format!("{} (confirmed by a 304: {})", stats["misses"], stats["revalidated"]));
    line("hit rate", format!("{:.1} %", stats["hit_rate"].as_f64().unwrap_or_default() * 100.0));
    line("calls to GitHub", format!("{} (charged {})", stats["api_calls_made"], stats["api_calls_charged"]));
    line("calls saved", stats["api_calls_saved"].to_string());
    line("stale answers", stats["stale_served"].to_string());
    line("lookups failed", stats["fail_opens"].to_string());
    line("entries", format!("{} of {} ({} bytes)", stats["entries"], stats["max_entries"], stats["bytes"]));
    line("uptime", format!("{} s", stats["uptime_seconds"]));
    for source in status["sources"].as_array().into_iter().flatten() {
        line("discovery", source_text(source));
    }
    for origin in status["origins"].as_array().into_iter().flatten() {
        let state = if origin["reachable"] == true { "reachable" } else { "left alone after failures" };
        line("origin", format!("{} {state}", text(&origin["host"])));
    }
    out
}

fn source_text(source: &Value) -> String {
    let name = source["name"].as_str().unwrap_or("–");
    let last = match source["last_success_seconds"].as_u64() {
        Some(seconds) => format!("last success {seconds} s ago"),
        None => "no success yet".to_owned(),
    };
    let error = source["last_error"].as_str().map(|error| format!("; last error: {error}")).unwrap_or_default();
    format!("{name}: {} found, {last}{error}", source["found"])
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
        format!("{}  {round_trip}  {}\n", peer["peer_id"].as_str().unwrap_or("–"), addresses.join(" "))
    };
    peers.iter().map(line).collect()
}
