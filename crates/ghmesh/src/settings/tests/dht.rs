//! The public DHT: off unless it is asked for, ready then, and particular about addresses.

use super::*;

const NODE: &str = "/ip4/10.0.0.5/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

#[test]
fn it_is_off_unless_it_is_asked_for_and_then_the_public_one() {
    assert_eq!(Machine::new().settings().mesh.discovery.dht.chosen(), None);
    let dht = Machine::new().env("GHMESH_MESH__DISCOVERY__DHT__ENABLED", "true").settings().mesh.discovery.dht.chosen();
    let dht = dht.unwrap();
    assert_eq!((dht.bootstrap.len(), dht.announce.len(), dht.protocol.as_str()), (5, 0, "/ipfs/kad/1.0.0"));
}

#[test]
fn an_own_one_is_named_in_a_table_of_its_own() {
    let file = format!(
        "[mesh.discovery.dht]\nenabled = true\nbootstrap = [\"{NODE}\"]\nannounce = [\"/ip4/192.0.2.7/tcp/9000\"]\n\
         protocol = \"/ipfs/lan/kad/1.0.0\"\n"
    );
    let dht = Machine::new().config(&file).settings().mesh.discovery.dht.chosen().unwrap();
    let expected = ghmesh_mesh::Dht {
        bootstrap: vec![NODE.to_owned()],
        announce: vec!["/ip4/192.0.2.7/tcp/9000".to_owned()],
        protocol: "/ipfs/lan/kad/1.0.0".to_owned(),
    };
    assert_eq!(dht, expected);
}

#[test]
fn what_cannot_be_used_is_told_at_once_with_what_to_write() {
    let file = "[mesh.discovery.dht]\nbootstrap = [\"10.0.0.5:4001\"]\nannounce = [\"/dns4/a.example/tcp/9\"]\nprotocol = \"kad\"\n";
    let complaint = Machine::new().config(file).complaint();
    assert!(complaint.starts_with("3 settings cannot be used:"), "{complaint}");
    for told in [
        "DIR/config.toml: mesh.discovery.dht.bootstrap = \"10.0.0.5:4001\" is not an address of a DHT's node; write /ip4/ADDRESS/tcp/PORT/p2p/PEER-ID",
        "DIR/config.toml: mesh.discovery.dht.announce = \"/dns4/a.example/tcp/9\" is not an address that other nodes can dial; write /ip4",
        "DIR/config.toml: mesh.discovery.dht.protocol = \"kad\" is not a protocol's name; it begins with a slash, as in /ipfs/kad/1.0.0",
    ] {
        assert!(complaint.contains(told), "{complaint}");
    }
}

#[test]
fn a_dht_without_nodes_is_told() {
    let complaint = Machine::new().config("[mesh.discovery.dht]\nbootstrap = []\n").complaint();
    assert!(complaint.contains("mesh.discovery.dht.bootstrap"), "{complaint}");
    assert!(complaint.contains("is empty; name a node of the DHT"), "{complaint}");
}
