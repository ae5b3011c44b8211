//! Where values come from, and which wins.

use super::*;
use ghmesh_policy::RouteOverrides;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_defaults_are_usable_and_are_those_of_the_documentation() {
    let settings = Machine::new().settings();
    assert!(settings.mesh.enabled && settings.mesh.discovery.mdns && !settings.mesh.allow_weak_secret);
    assert_eq!(settings.mesh.cluster, "default");
    let listen =
        ["/ip4/0.0.0.0/tcp/9000", "/ip6/::/tcp/9000", "/ip4/0.0.0.0/udp/9000/quic-v1", "/ip6/::/udp/9000/quic-v1"];
    assert_eq!(settings.mesh.listen, listen);
    assert_eq!((settings.mesh.secret, settings.mesh.secret_file), (None, None));
    assert!(settings.mesh.bootstrap.is_empty() && settings.mesh.accepted_secrets.is_empty());
    let ghmesh_mesh::InterfacePolicy { only, skip } = ghmesh_mesh::InterfacePolicy::default();
    assert_eq!((settings.mesh.discovery.interfaces, settings.mesh.discovery.skip_interfaces), (only, skip));
    assert_eq!(settings.gateway.listen, ["127.0.0.1:9180".parse().unwrap()]);
    assert_eq!((settings.gateway.socket_mode, settings.gateway.allow_remote), (0o600, false));
    assert_eq!((settings.origin.hosts, settings.origin.url), (vec!["api.github.com".to_owned()], None));
    assert_eq!((settings.cache.max_bytes, settings.cache.max_entries), (512 << 20, 100_000));
    assert_eq!((settings.cache.default_ttl, settings.cache.proof_ttl), (None, 60 * MINUTE));
    assert_eq!((settings.cache.sharing, settings.policy.mode), (Sharing::Proof, Mode::Cache));
    assert_eq!((settings.admin.token, settings.log.level.as_str()), (None, "info"));
}

#[test]
fn our_defaults_for_the_origin_are_its_own() {
    let (ours, its) = (Machine::new().settings().origin.config(), ghmesh_origin::Config::default());
    assert_eq!(format!("{ours:?}"), format!("{its:?}"));
}

#[test]
fn our_defaults_for_freshness_are_those_of_policy() {
    let (ours, its) = (Machine::new().settings().times(), ghmesh_policy::Freshness::default());
    assert_eq!((ours.default_ttl, ours.proof_ttl, ours.stale_ttl), (its.default_ttl, its.proof_ttl, its.stale_ttl));
}

/// Each layer names itself as the cluster, and all below it too.
#[test]
fn later_layers_win() {
    let cluster = |machine: &Machine| machine.settings().mesh.cluster;
    let toml = |name: &str| format!("[mesh]\ncluster = \"{name}\"\n");
    let machine = Machine::new();
    assert_eq!(cluster(&machine), "default");
    let machine = machine.system(&toml("system"));
    assert_eq!(cluster(&machine), "system");
    let machine = machine.user(&toml("user"));
    assert_eq!(cluster(&machine), "user");
    let machine = machine.config(&toml("config"));
    assert_eq!(cluster(&machine), "config");
    let machine = machine.env("GHMESH_MESH__CLUSTER", "variable");
    assert_eq!(cluster(&machine), "variable");
    let machine = machine.flag("--cluster", "mesh.cluster", "flag");
    assert_eq!(cluster(&machine), "flag");
}

#[test]
fn aliases_win_over_files_and_our_variables_over_aliases() {
    let machine = Machine::new().config("[cache]\ndefault_ttl = 10\n").env("CACHE_DEFAULT_TTL", "300");
    assert_eq!(machine.settings().cache.default_ttl, Some(5 * MINUTE));
    let machine = machine.env("GHMESH_CACHE__DEFAULT_TTL", "20");
    assert_eq!(machine.settings().cache.default_ttl, Some(Duration::from_secs(20)));
}

#[test]
fn layers_meet_setting_by_setting() {
    let machine = Machine::new().system("[mesh]\ncluster = \"a\"\n[mesh.discovery]\nmdns = false\n");
    let mesh = machine.env("GHMESH_MESH__ENABLED", "off").settings().mesh;
    assert_eq!((mesh.cluster.as_str(), mesh.discovery.mdns, mesh.enabled), ("a", false, false));
}

#[test]
fn every_alias_means_what_it_meant() {
    let settings = |name, value| Machine::new().env(name, value).settings();
    assert!(!settings("CACHE_ENABLE_P2P", "false").mesh.enabled);
    for name in ["CACHE_LISTEN_PORT", "P2P_LISTEN_PORT"] {
        let listen =
            ["/ip4/0.0.0.0/tcp/9100", "/ip4/0.0.0.0/udp/9100/quic-v1", "/ip6/::/tcp/9100", "/ip6/::/udp/9100/quic-v1"];
        assert_eq!(settings(name, "9100").mesh.listen, listen);
    }
    let peers = "/ip4/10.0.0.1/tcp/9000, /dns4/cache/tcp/9000/p2p/12D3KooWGRUfyBhkfYyGyLLJzuGcmBgH7VzZ1k1hCMR4m4hLXrpY";
    let expected: Vec<&str> = peers.split(", ").collect();
    assert_eq!(settings("CACHE_BOOTSTRAP_PEERS", peers).mesh.bootstrap, expected);
    assert_eq!(settings("CACHE_DEFAULT_TTL", "300").cache.default_ttl, Some(5 * MINUTE));
    for name in ["CACHE_DIR", "IPFS_ACCELERATE_CACHE_DIR"] {
        assert_eq!(settings(name, "/var/cache/gh").cache.dir, Path::new("/var/cache/gh"));
    }
    assert_eq!(settings("CACHE_MAX_SIZE", "1000").cache.max_entries, 1000);
}

#[test]
fn the_first_of_two_aliases_wins() {
    let machine = Machine::new().env("P2P_LISTEN_PORT", "9101").env("CACHE_LISTEN_PORT", "9100");
    assert_eq!(machine.settings().mesh.listen[0], "/ip4/0.0.0.0/tcp/9100");
}

#[test]
fn aliases_name_settings_that_there_are() {
    for alias in super::super::aliases::ALIASES {
        assert!(key::find(alias.path).is_some(), "{}", alias.path);
    }
}

#[test]
fn a_secret_of_digits_stays_a_text() {
    let machine =
        Machine::new().env("GHMESH_MESH__SECRET", "0123456789").env("GHMESH_MESH__ACCEPTED_SECRETS", "007,008");
    let mesh = machine.env("GHMESH_MESH__ALLOW_WEAK_SECRET", "true").settings().mesh;
    assert_eq!(mesh.secret, Some(SecretText::new("0123456789")));
    assert_eq!(mesh.accepted_secrets, [SecretText::new("007"), SecretText::new("008")]);
}

#[test]
fn an_empty_variable_is_unset() {
    let machine =
        Machine::new().config("[mesh]\ncluster = \"a\"\n").env("GHMESH_MESH__CLUSTER", "").env("CACHE_MAX_SIZE", "");
    let settings = machine.env("GHMESH_NO_SUCH", "").settings();
    assert_eq!((settings.mesh.cluster.as_str(), settings.cache.max_entries), ("a", 100_000));
}

#[test]
fn values_are_read_as_people_write_them() {
    for (text, seconds) in [("90", 90), ("5m", 300), ("1h 30m", 5400), ("0", 0), (" 7 ", 7)] {
        let machine = Machine::new().env("GHMESH_CACHE__PROOF_TTL", text);
        assert_eq!(machine.settings().cache.proof_ttl, Duration::from_secs(seconds), "{text}");
    }
    for (text, bytes) in
        [("1048576", 1 << 20), ("512 MiB", 512 << 20), ("2GB", 2_000_000_000), ("64k", 64 << 10), ("1 gib", 1 << 30)]
    {
        assert_eq!(Machine::new().env("GHMESH_CACHE__MAX_BYTES", text).settings().cache.max_bytes, bytes, "{text}");
    }
    for (text, value) in
        [("1", true), ("Yes", true), ("on", true), ("true", true), ("0", false), ("no", false), ("OFF", false)]
    {
        assert_eq!(
            Machine::new().env("GHMESH_MESH__DISCOVERY__MDNS", text).settings().mesh.discovery.mdns,
            value,
            "{text}"
        );
    }
    for (toml, mode) in [("\"0660\"", 0o660), ("0o640", 0o640), ("\"600\"", 0o600), ("\"0o666\"", 0o666)] {
        let machine = Machine::new().config(&format!("gateway.socket_mode = {toml}"));
        assert_eq!(machine.settings().gateway.socket_mode, mode, "{toml}");
    }
}

#[test]
fn lists_are_lists_or_texts_with_commas() {
    for toml in ["[\"127.0.0.1:1\", \"[::1]:2\"]", "\"127.0.0.1:1, [::1]:2,\""] {
        let listen = Machine::new().config(&format!("gateway.listen = {toml}")).settings().gateway.listen;
        assert_eq!(listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    }
    assert!(Machine::new().config("gateway.listen = []").settings().gateway.listen.is_empty());
    assert!(Machine::new().env("GHMESH_GATEWAY__LISTEN", "none").settings().gateway.listen.is_empty());
    // A secret in a file may hold commas.
    let machine = Machine::new().config("mesh.allow_weak_secret = true\nmesh.accepted_secrets = [\"a,b\"]");
    let accepted = machine.settings().mesh.accepted_secrets;
    assert_eq!(accepted, [SecretText::new("a,b")]);
}

#[test]
fn a_time_can_be_changed_alone() {
    let config = Machine::new().env("GHMESH_ORIGIN__HEADER_TIMEOUT", "2").settings().origin.config();
    assert_eq!(config.connect_timeout, Duration::from_secs(2));
    let config = Machine::new().env("GHMESH_ORIGIN__HEADER_TIMEOUT", "2m").settings().origin.config();
    assert_eq!(config.total_budget, 2 * MINUTE);
}

#[test]
fn it_is_known_where_a_value_was_set() {
    let machine = Machine::new().system("[log]\nlevel = \"debug\"\n").env("CACHE_MAX_SIZE", "5").flag(
        "--socket",
        "gateway.socket",
        "/s",
    );
    let loaded = machine.load().unwrap();
    assert_eq!(loaded.place("log.level"), Some(&Place::File(machine.path("system.toml"))));
    assert_eq!(loaded.place("cache.max_entries"), Some(&Place::Variable("CACHE_MAX_SIZE".to_owned())));
    assert_eq!(loaded.place("gateway.socket"), Some(&Place::Flag("--socket".to_owned())));
    assert_eq!(loaded.place("mesh.listen"), None);
}

#[test]
fn variables_of_kubernetes_services_are_left_alone() {
    let machine = Machine::new()
        .env("GHMESH_SERVICE_HOST", "10.96.0.7")
        .env("GHMESH_SERVICE_PORT", "9180")
        .env("GHMESH_SERVICE_PORT_HTTP", "9180")
        .env("GHMESH_PORT", "tcp://10.96.0.7:9180")
        .env("GHMESH_PORT_9180_TCP", "tcp://10.96.0.7:9180")
        .env("GHMESH_PORT_9180_TCP_ADDR", "10.96.0.7")
        .env("GHMESH_PORT_9180_TCP_PORT", "9180")
        .env("GHMESH_PORT_9180_TCP_PROTO", "tcp")
        .env("GHMESH_GATEWAY_PORT_53_UDP_ADDR", "10.96.0.7");
    assert_eq!(machine.settings(), Machine { inputs: plain(&machine), ..machine }.settings());
}

fn plain(machine: &Machine) -> Inputs {
    let mut inputs = machine.inputs.clone();
    let home = inputs.surroundings.environment.get("HOME").unwrap().to_owned();
    inputs.surroundings.environment = [("HOME".to_owned(), home)].into_iter().collect();
    inputs
}

#[test]
fn routes_have_times_of_their_own_from_a_file_and_from_a_variable() {
    let file = "[freshness]\nadaptive = false\ntarget_staleness = 0.25\nroutes = [\"/user = 5m\", \"/repos/{owner}/{repo} = 90\"]\n";
    let machine = Machine::new().config(file);
    let freshness = machine.settings().freshness;
    assert_eq!((freshness.adaptive, freshness.target_staleness), (false, 0.25));
    let wanted = RouteOverrides::new([("/user", 5 * MINUTE), ("/repos/{owner}/{repo}", Duration::from_secs(90))]);
    assert_eq!(freshness.routes, wanted.expect("two templates"));
    let machine = machine.env("GHMESH_FRESHNESS__ROUTES", "/user=0, /repos/{owner}/{repo}=90");
    let wanted = RouteOverrides::new([("/user", Duration::ZERO), ("/repos/{owner}/{repo}", Duration::from_secs(90))]);
    assert_eq!(machine.settings().freshness.routes, wanted.expect("two templates"));
}
