//! `ghmesh doctor`: whether this node finds the others, and if not, why and what to do.
//!
//! It reads what the running daemon says of itself and judges that; it asks nobody else.

use super::report::text;
use crate::commands::daemon::private_page;
use crate::exit::Exit;
use crate::settings::Loaded;
use serde_json::Value;

/// How a finding is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    /// As it should be.
    Fine,
    /// Worth knowing; nothing need be done.
    Note,
    /// Something should be done.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    grade: Grade,
    about: String,
    text: String,
}

impl Finding {
    fn new(grade: Grade, about: &str, text: impl Into<String>) -> Self {
        Finding { grade, about: about.to_owned(), text: text.into() }
    }

    fn line(&self) -> String {
        let grade = match self.grade {
            Grade::Fine => "ok",
            Grade::Note => "note",
            Grade::Wrong => "WRONG",
        };
        format!("{grade:<7}{:<14}{}\n", self.about, self.text)
    }
}

/// Prints what was found. Fails where something should be done; a node that is alone because nobody else is there is healthy.
pub(crate) async fn run(loaded: &Loaded) -> anyhow::Result<Exit> {
    let status = private_page(loaded, "/_ghmesh/status").await?;
    let findings = examine(&status);
    findings.iter().for_each(|finding| print!("{}", finding.line()));
    let wrong = findings.iter().any(|finding| finding.grade == Grade::Wrong);
    Ok(if wrong { Exit::Failure } else { Exit::Success })
}

fn examine(status: &Value) -> Vec<Finding> {
    let mesh = mesh(status);
    if text(&status["mesh"]) != "running" {
        return vec![mesh];
    }
    let mut findings = vec![mesh];
    findings.extend(secrets(status));
    findings.extend([reachable(status), peers(status)]);
    findings.extend(list(&status["sources"]).map(|source| examine_source(source, status)));
    findings.extend(list(&status["others"]).map(other));
    findings
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn mesh(status: &Value) -> Finding {
    match text(&status["mesh"]) {
        "running" => Finding::new(
            Grade::Fine,
            "mesh",
            format!("runs with label {}; nodes with another label never meet this one", text(&status["mesh_label"])),
        ),
        "failed" => Finding::new(Grade::Wrong, "mesh", format!("could not start: {}", text(&status["mesh_failure"]))),
        "off" => Finding::new(
            Grade::Note,
            "mesh",
            "is off: mesh.enabled is false, or no secret was found (`ghmesh secret new` makes one, for all nodes)",
        ),
        other => Finding::new(Grade::Note, "mesh", format!("{other}: ask again in a moment")),
    }
}

/// Secrets that were to be changed and could not: when the others have changed theirs, this node is out.
fn secrets(status: &Value) -> Option<Finding> {
    let problem = status["secret_problem"].as_str()?;
    let text = format!("can't be changed: {problem}; those from before are used on, until the others drop them");
    Some(Finding::new(Grade::Wrong, "secrets", text))
}

fn reachable(status: &Value) -> Finding {
    let addresses: Vec<_> = list(&status["stats"]["listen_addrs"]).filter_map(Value::as_str).collect();
    let elsewhere = |address: &&str| !address.starts_with("/ip4/127.") && !address.starts_with("/ip6/::1/");
    match (addresses.is_empty(), addresses.iter().any(elsewhere)) {
        (true, _) => Finding::new(
            Grade::Note,
            "listening",
            "nowhere (mesh.listen is empty, or its addresses are not there): this node can dial and not be dialled",
        ),
        (_, false) => Finding::new(Grade::Note, "listening", "on loopback only: no other machine can dial this node"),
        (_, true) => Finding::new(Grade::Fine, "listening", format!("on {} addresses", addresses.len())),
    }
}

fn peers(status: &Value) -> Finding {
    let connected = status["stats"]["connected_peers"].as_u64().unwrap_or_default();
    let strangers = status["strangers"].as_u64().unwrap_or_default();
    let tried = list(&status["sources"]).any(|source| source["addresses"].as_u64().unwrap_or_default() > 0);
    match (connected, strangers, tried) {
        (1.., _, _) => Finding::new(Grade::Fine, "peers", format!("{connected} connected")),
        (0, 1.., _) => Finding::new(
            Grade::Wrong,
            "peers",
            format!(
                "none, and {strangers} connections turned away: compare the label above with that of the other nodes; \
                 where it differs, mesh.secret or mesh.cluster does"
            ),
        ),
        (0, 0, true) => Finding::new(
            Grade::Wrong,
            "peers",
            "none: addresses are known and nobody answers there; the port of mesh.listen (9000) must pass firewalls, UDP and TCP",
        ),
        (0, 0, false) => Finding::new(
            Grade::Note,
            "peers",
            "none, and no address is known: fine for a single node; else see below, or set mesh.bootstrap",
        ),
    }
}

/// What one way of finding members says, and what can be done for it. A failure matters while there are no peers.
fn examine_source(source: &Value, status: &Value) -> Finding {
    let name = text(&source["name"]);
    let alone = status["stats"]["connected_peers"].as_u64() == Some(0);
    let found = source["found"].as_u64().unwrap_or_default();
    match text(&source["health"]) {
        "off" => Finding::new(Grade::Note, name, format!("off: {}", how_to_use(name))),
        "good" => Finding::new(Grade::Fine, name, format!("has led to {found} connections")),
        "failing" => {
            let error = text(&source["last_error"]);
            let grade = if alone { Grade::Wrong } else { Grade::Note };
            Finding::new(grade, name, format!("{error}; {}", what_to_do(name)))
        }
        _ => Finding::new(Grade::Note, name, format!("has found nobody yet: {}", what_to_do(name))),
    }
}

fn how_to_use(source: &str) -> &'static str {
    match source {
        "static" => "write other nodes' addresses (`ghmesh id` there) into mesh.bootstrap",
        "dns" => "write a name that all nodes are behind into mesh.bootstrap, as in /dns4/NAME/tcp/9000",
        "dnsaddr" => "write /dnsaddr/NAME into mesh.bootstrap where _dnsaddr.NAME has TXT records",
        "mdns" => "mesh.discovery.mdns is false, or multicast can't be used here",
        "dht" => "mesh.discovery.dht.enabled is false; it is for nodes of different networks",
        "remembered" => "nobody was met in an earlier run",
        _ => "not in use",
    }
}

fn what_to_do(source: &str) -> &'static str {
    match source {
        "static" => "is a node running at the addresses in mesh.bootstrap, and may this machine reach their ports?",
        "dns" => "does the name in mesh.bootstrap resolve here (`getent hosts NAME`), and does a node run behind it?",
        "dnsaddr" => "does `dig TXT _dnsaddr.NAME` show `dnsaddr=/…` records, and does a node run there?",
        "mdns" => {
            "multicast (224.0.0.251, UDP 5353) must pass between the machines; pod networks, clouds and many wireless networks \
             drop it: then set mesh.bootstrap"
        }
        "dht" => {
            "may this machine reach the nodes in mesh.discovery.dht.bootstrap, and may others reach this node's port, or another's? \
             Where a NAT forwards one, write it into mesh.discovery.dht.announce"
        }
        "remembered" => "the nodes of the earlier run have gone or moved",
        "kademlia" | "identify" => "it begins once one member is connected",
        "inbound" => "nobody has dialled this node: may others reach the port of mesh.listen?",
        _ => "see its last error",
    }
}

fn other(other: &Value) -> Finding {
    let (kind, address, peer) = (text(&other["kind"]), text(&other["address"]), text(&other["peer_id"]));
    let (source, seconds) = (text(&other["source"]), &other["seen_seconds"]);
    let text = format!("seen at {address} ({source}, {seconds} s ago, {peer}); not joined");
    Finding::new(Grade::Note, kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(peers: u64, strangers: u64, sources: Value) -> Value {
        json!({
            "mesh": "running", "mesh_label": "680d", "strangers": strangers, "sources": sources, "others": [],
            "stats": {"connected_peers": peers, "listen_addrs": ["/ip4/10.0.0.1/tcp/9000/p2p/x"]}
        })
    }

    fn source(name: &str, health: &str, addresses: u64) -> Value {
        json!({"name": name, "health": health, "addresses": addresses, "found": 1, "last_error": "refused"})
    }

    fn grades(status: &Value) -> Vec<(String, Grade)> {
        examine(status).into_iter().map(|finding| (finding.about, finding.grade)).collect()
    }

    #[test]
    fn a_node_with_peers_is_well_whatever_else_fails() {
        let status = status(2, 3, json!([source("static", "failing", 1), source("mdns", "good", 2)]));
        assert!(grades(&status).iter().all(|(_, grade)| *grade != Grade::Wrong), "{:?}", grades(&status));
    }

    #[test]
    fn secrets_that_cannot_be_changed_are_wrong_though_there_are_peers() {
        let mut status = status(2, 0, json!([]));
        status["secret_problem"] = json!("mesh.secret_file /run/secret is empty");
        let wrong: Vec<Finding> = examine(&status).into_iter().filter(|f| f.grade == Grade::Wrong).collect();
        assert!(wrong.len() == 1 && wrong[0].text.contains("/run/secret is empty"), "{wrong:?}");
    }

    #[test]
    fn a_node_alone_with_nothing_to_look_for_is_well() {
        let status = status(0, 0, json!([source("static", "off", 0), source("mdns", "quiet", 0)]));
        assert!(grades(&status).iter().all(|(_, grade)| *grade != Grade::Wrong), "{:?}", grades(&status));
        let advice = examine(&status).into_iter().find(|finding| finding.about == "mdns").expect("a finding");
        assert!(advice.text.contains("multicast") && advice.text.contains("mesh.bootstrap"), "{}", advice.text);
    }

    #[test]
    fn why_there_are_no_peers_is_told_for_each_source() {
        let status = status(0, 0, json!([source("static", "failing", 1), source("dns", "failing", 0)]));
        let wrong: Vec<Finding> = examine(&status).into_iter().filter(|f| f.grade == Grade::Wrong).collect();
        let about: Vec<&str> = wrong.iter().map(|finding| finding.about.as_str()).collect();
        assert_eq!(about, ["peers", "static", "dns"]);
        assert!(wrong[1].text.contains("refused") && wrong[2].text.contains("getent hosts"), "{wrong:?}");
    }

    #[test]
    fn another_mesh_is_named_and_points_to_the_secret() {
        let mut status = status(0, 1, json!([]));
        status["others"] = json!([{"kind": "other mesh", "address": "/ip4/10.0.0.9/tcp/9000", "peer_id": "12D3",
            "source": "mdns", "seen_seconds": 4}]);
        let findings = examine(&status);
        let peers = findings.iter().find(|finding| finding.about == "peers").expect("a finding");
        assert!(peers.grade == Grade::Wrong && peers.text.contains("mesh.secret"), "{}", peers.text);
        let other = findings.last().expect("a finding").line();
        assert!(
            other.contains("other mesh") && other.contains("/ip4/10.0.0.9/tcp/9000 (mdns, 4 s ago, 12D3)"),
            "{other}"
        );
    }

    #[test]
    fn a_mesh_that_does_not_run_is_all_there_is_to_say() {
        let failed = json!({"mesh": "failed", "mesh_failure": "port taken"});
        assert_eq!(grades(&failed), [("mesh".to_owned(), Grade::Wrong)]);
        assert_eq!(grades(&json!({"mesh": "off"})), [("mesh".to_owned(), Grade::Note)]);
    }
}
