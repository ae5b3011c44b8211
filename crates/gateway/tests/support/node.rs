//! A real node without a mesh: its own store in a directory, one origin.

use ghmesh_gateway::{Config, Gateway};
use ghmesh_node::{Clock, Node};
use ghmesh_origin::Origin;
use ghmesh_policy::{Freshness, Origins, PolicyConfig, Sharing};
use std::path::Path;

/// A gateway before a node that asks `url`.
pub(crate) fn gateway(config: Config, url: &str, directory: &Path, origin: ghmesh_origin::Config) -> Gateway {
    let clock = Clock::start();
    let bounds = ghmesh_store::Config {
        dir: directory.join("data"),
        max_bytes: 1 << 24,
        max_entries: 1000,
        memory_bytes: 1 << 22,
    };
    let store = ghmesh_store::open(bounds, clock.function()).unwrap();
    let origin = Origin::new(origin, clock.function()).unwrap();
    let origins = Origins::new(&[], Some(url), config.names.clone()).unwrap();
    let settings = ghmesh_node::Config {
        freshness: Freshness::default(),
        sharing: Sharing::Proof,
        mesh_enabled: false,
        origins: origins.clone(),
    };
    Gateway::new(config, Node::new(settings, clock, store, origin), origins, PolicyConfig::default())
}
