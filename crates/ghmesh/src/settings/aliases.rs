//! The predecessor's environment variables, so that its users can move over without changing theirs.
//!
//! Its secret and tokens are not here: they are sources of the mesh secret, in `choice`.

use super::Environment;
use super::key::{self, Key};
use super::layers::{Layer, variable};
use super::problem::{Fault, Place, Problem};

/// One setting of the predecessor.
pub(super) struct Alias {
    /// Its variables; the first that is set counts.
    pub(super) names: &'static [&'static str],
    /// Our setting.
    pub(super) path: &'static str,
    /// How its value becomes ours.
    pub(super) meaning: Meaning,
}

/// How the predecessor's value becomes ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// As it is.
    Same,
    /// A port, on all interfaces.
    Port,
}

/// All of them, in the order of the documentation.
pub(super) const ALIASES: [Alias; 6] = [
    Alias { names: &["CACHE_ENABLE_P2P"], path: "mesh.enabled", meaning: Meaning::Same },
    Alias { names: &["CACHE_LISTEN_PORT", "P2P_LISTEN_PORT"], path: "mesh.listen", meaning: Meaning::Port },
    Alias { names: &["CACHE_BOOTSTRAP_PEERS"], path: "mesh.bootstrap", meaning: Meaning::Same },
    Alias { names: &["CACHE_DEFAULT_TTL"], path: "cache.default_ttl", meaning: Meaning::Same },
    Alias { names: &["CACHE_DIR", "IPFS_ACCELERATE_CACHE_DIR"], path: "cache.dir", meaning: Meaning::Same },
    Alias { names: &["CACHE_MAX_SIZE"], path: "cache.max_entries", meaning: Meaning::Same },
];

/// One layer for each alias that is set.
pub(super) fn layers(environment: &Environment, problems: &mut Vec<Problem>) -> Vec<Layer> {
    ALIASES.iter().filter_map(|alias| alias.layer(environment, problems)).collect()
}

impl Alias {
    fn layer(&self, environment: &Environment, problems: &mut Vec<Problem>) -> Option<Layer> {
        let set = |name: &'static str| Some((name, environment.get(name).filter(|value| !value.is_empty())?));
        let (name, value) = self.names.iter().copied().find_map(set)?;
        let key = key::find(self.path).expect("aliases name settings that there are, see the test");
        match self.meaning {
            Meaning::Same => variable(name, key, value, problems),
            Meaning::Port => port_layer(name, key, value, problems),
        }
    }
}

fn port_layer(name: &str, key: &'static Key, value: &str, problems: &mut Vec<Problem>) -> Option<Layer> {
    let place = Place::Variable(name.to_owned());
    match value.trim().parse::<u16>() {
        Ok(port) => {
            let addresses = ["/ip4/0.0.0.0", "/ip6/::"].map(|ip| format!("{ip}/tcp/{port},{ip}/udp/{port}/quic-v1"));
            Some(Layer::one(place, key, &addresses.join(",")))
        }
        Err(_) => {
            let fault = Fault::Kind { kind: "a port", instead: "a number up to 65535, as in 9000" };
            problems.push(Problem { place, ..Problem::of_item(key, value, fault) });
            None
        }
    }
}
