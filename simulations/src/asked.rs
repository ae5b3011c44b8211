//! What clients ask for, as the real policy reads it: one request for each key and credential.

use crate::model::Item;
use crate::scenario::{Freshness as Times, Scenario};
use ghmesh_model::{BodyCid, Entry, Millis, Representation, Scope, Source};
use ghmesh_policy::{Freshness, Listener, Origins, Plan, PolicyConfig, Read, classify};
use http::Request;
use http::request::Parts;
use std::time::Duration;

/// One key for one credential.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) read: Read,
    /// What a kept answer to it is, but for the moments.
    pub(crate) entry: Entry,
    /// What a write to this key makes stale.
    pub(crate) written: Vec<Scope>,
}

/// All that is asked for, and by which rules answers are kept.
#[derive(Debug)]
pub(crate) struct Catalogue {
    asked: Vec<Asked>,
    credentials: u16,
    pub(crate) rules: Freshness,
    /// The longest that an answer is fresh, where the scenario gives it.
    pub(crate) ttl: Option<Duration>,
}

impl Catalogue {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let credentials = scenario.rights.credentials + u16::try_from(scenario.byzantine.len()).unwrap_or(u16::MAX);
        let targets = scenario.targets();
        let each = targets.iter().flat_map(|target| (0..credentials).map(move |credential| (target, credential)));
        let asked = each.map(|(target, credential)| asked(target, credential, &scenario.freshness)).collect();
        let given = scenario.freshness.caller_ttl_ms.or(scenario.freshness.ttl_ms);
        let rules = rules(&scenario.freshness);
        Catalogue { asked, credentials, rules, ttl: given.map(Duration::from_millis) }
    }

    pub(crate) fn get(&self, item: Item) -> &Asked {
        &self.asked[self.index(item)]
    }

    /// What is asked for, and the rules: both for one verdict.
    pub(crate) fn judged(&mut self, item: Item) -> (&mut Asked, &Freshness) {
        let index = self.index(item);
        (&mut self.asked[index], &self.rules)
    }

    pub(crate) fn index(&self, item: Item) -> usize {
        usize::from(item.key) * usize::from(self.credentials) + usize::from(item.credential)
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = Item> + use<> {
        let credentials = self.credentials;
        let keys = u16::try_from(self.asked.len() / usize::from(credentials)).unwrap_or(u16::MAX);
        (0..keys).flat_map(move |key| (0..credentials).map(move |credential| Item { key, credential }))
    }

    pub(crate) fn credentials(&self) -> u16 {
        self.credentials
    }
}

fn rules(times: &Times) -> Freshness {
    let or = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_millis);
    let default = Freshness::default();
    Freshness {
        default_ttl: times.ttl_ms.map(Duration::from_millis),
        proof_ttl: or(times.proof_ttl_ms, default.proof_ttl),
        stale_ttl: or(times.stale_ttl_ms, default.stale_ttl),
        adaptive: times.adaptive,
        ..default
    }
}

fn asked(target: &str, credential: u16, times: &Times) -> Asked {
    let read = match plan("GET", target, credential, times) {
        Plan::Read(read) => *read,
        Plan::Pass(pass) => panic!("{target} is not kept: {:?}", pass.reason),
    };
    let written = match plan("PATCH", target, credential, times) {
        Plan::Pass(pass) => pass.invalidates,
        Plan::Read(_) => Vec::new(),
    };
    let representation = Representation { cid: BodyCid([0; 32]), length: 0, headers: Vec::new() };
    let entry = Entry {
        representation,
        etag: None,
        origin_date: 0,
        confirmed_at: Millis(0),
        scopes: read.scopes(),
        source: Source::Own,
        attestation: None,
        target: String::new(),
        facts: Default::default(),
        history: Default::default(),
    };
    Asked { read, entry, written }
}

fn plan(method: &str, target: &str, credential: u16, times: &Times) -> Plan {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9180));
    let origins = Origins::new(&[], None, Vec::new()).expect("GitHub's own hosts are valid");
    let listener = Listener::Tcp { address, loopback: true };
    let parts = request(method, target, credential, times, &address.to_string());
    classify(&parts, &origins, &listener, &|_| false, &PolicyConfig::default())
        .unwrap_or_else(|refusal| panic!("{method} {target}: {refusal:?}"))
}

fn request(method: &str, target: &str, credential: u16, times: &Times, host: &str) -> Parts {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", host)
        .header("accept", "application/vnd.github+json")
        .header("authorization", format!("token ghp_{credential}"));
    if let Some(ttl_ms) = times.caller_ttl_ms {
        request = request.header("x-gh-cache-ttl", format!("{ttl_ms}ms"));
    }
    request.body(()).expect("a scenario's paths are valid").into_parts().0
}
