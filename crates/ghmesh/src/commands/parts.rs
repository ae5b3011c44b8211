//! Builds a node's parts from the settings; each part from its own configuration.

use crate::settings::Settings;
use anyhow::Context;
use ghmesh_gateway::Gateway;
use ghmesh_node::{Clock, Node};
use ghmesh_origin::Origin;
use ghmesh_policy::{Origins, PolicyConfig, WebhookSecret};
use ghmesh_store::Store;

/// Opens the store in the data directory. Blocks while it repairs what a crash left.
pub(crate) fn store(settings: &Settings, clock: Clock) -> Result<Store, ghmesh_store::OpenError> {
    let cache = &settings.cache;
    let config = ghmesh_store::Config {
        dir: cache.dir.clone(),
        max_bytes: cache.max_bytes,
        max_entries: cache.max_entries,
        memory_bytes: cache.memory_bytes,
    };
    ghmesh_store::open(config, clock.function())
}

/// A node on `store`, without a mesh.
pub(crate) fn node(settings: &Settings, clock: Clock, store: Store) -> anyhow::Result<Node> {
    let origin = Origin::new(settings.origin.config(), clock.function()).context("the HTTP client can't be built")?;
    let freshness = settings.times();
    let config = ghmesh_node::Config {
        freshness,
        sharing: settings.cache.sharing,
        mesh_enabled: settings.mesh.enabled,
        origins: origins(settings)?,
    };
    Ok(Node::new(config, clock, store, origin))
}

/// The gateway before `node`. It listens nowhere yet. `webhook_secret` makes it take GitHub's deliveries.
pub(crate) fn gateway(
    settings: &Settings,
    node: Node,
    webhook_secret: Option<WebhookSecret>,
) -> anyhow::Result<Gateway> {
    let config = ghmesh_gateway::Config { webhook_secret, ..settings.gateway.config(&settings.admin) };
    Ok(Gateway::new(config, node, origins(settings)?, PolicyConfig { mode: settings.policy.mode }))
}

fn origins(settings: &Settings) -> anyhow::Result<Origins> {
    let origin = &settings.origin;
    Origins::new(&origin.hosts, origin.url.as_deref(), settings.gateway.names.clone()).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(problems.join("\n"))
    })
}
