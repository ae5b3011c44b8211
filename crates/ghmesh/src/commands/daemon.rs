//! Finds the running daemon, and asks it for its pages.

use crate::api::transport::{self, Address, Daemon, Search, Transport};
use crate::settings::Loaded;
use anyhow::{Context, bail};
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Most bytes of a daemon's report that are read.
const MAX_REPORT_BYTES: usize = 4 * 1024 * 1024;

/// Looks for the daemon where the settings say that it listens.
pub(crate) async fn find(loaded: &Loaded) -> Search {
    transport::find_daemon(&loaded.socket_candidates, loaded.settings.gateway.listen.first().copied()).await
}

/// A page that the daemon shows to those who may open its socket.
pub(crate) async fn private_page(loaded: &Loaded, path: &str) -> anyhow::Result<Value> {
    let Search { daemon, forbidden } = find(loaded).await;
    let daemon = daemon.filter(|daemon| forbidden.is_empty() || matches!(daemon.address(), Address::Unix(_)));
    match daemon {
        Some(daemon) => page(&daemon, path).await,
        None if forbidden.is_empty() => {
            bail!("no daemon answers (looked at {}); start one with `ghmesh up`", list(&loaded.socket_candidates))
        }
        None => bail!(permission_denied(&forbidden)),
    }
}

/// What is said to a user who may not open these sockets.
pub(crate) fn permission_denied(sockets: &[PathBuf]) -> String {
    format!(
        "permission denied on {}: the daemon's socket is not for this user. Ask as the daemon's user or root, or let a group in: \
         gateway.socket_mode = \"0660\", gateway.socket_group = the group, and this user a member of it",
        list(sockets)
    )
}

/// One of the daemon's pages.
pub(crate) async fn page(daemon: &Daemon, path: &str) -> anyhow::Result<Value> {
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

fn list(paths: &[PathBuf]) -> String {
    let shown = |path: &PathBuf| Path::display(path).to_string();
    paths.iter().map(shown).collect::<Vec<_>>().join(", ")
}
