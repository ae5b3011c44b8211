//! What is told about values that cannot be used: where, what, why, and what to write instead.

use super::*;

/// A setting as its variable has it, and the line that is told.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("MESH__ENABLED", "perhaps", "mesh.enabled = \"perhaps\" is not a yes or no; write true or false"),
    ("MESH__CLUSTER", " ", "mesh.cluster = \" \" is not a text; write it in quotes, or leave the setting out"),
    ("CACHE__MAX_ENTRIES", "0", "cache.max_entries = \"0\" is out of range; write 1 to 10000000"),
    ("CACHE__MAX_ENTRIES", "-3", "cache.max_entries = \"-3\" is not a number; write digits only, as in 1000"),
    (
        "MESH__LISTEN",
        "0.0.0.0:9000",
        "mesh.listen = \"0.0.0.0:9000\" is not an address that nodes can use: it is not a multiaddr; write /ip4/0.0.0.0/tcp/9000",
    ),
    (
        "MESH__LISTEN",
        "9000",
        "mesh.listen = \"9000\" is not an address that nodes can use: it is not a multiaddr; write it as in /ip4/10.0.0.5/tcp/9000",
    ),
    (
        "MESH__LISTEN",
        "/dns4/host/tcp/9000",
        "mesh.listen = \"/dns4/host/tcp/9000\" is not an address that nodes can use: it begins with /dns4; write one that begins with /ip4 or /ip6",
    ),
    (
        "MESH__LISTEN",
        "/ip4/0.0.0.0/udp/9000",
        "mesh.listen = \"/ip4/0.0.0.0/udp/9000\" is not an address that nodes can use: nodes speak TCP and QUIC; write /tcp/9000 after the host, or /udp/9000/quic-v1, with the port",
    ),
    (
        "MESH__LISTEN",
        "/ip4/0.0.0.0/udp/90000/quic-v1",
        "mesh.listen = \"/ip4/0.0.0.0/udp/90000/quic-v1\" is not an address that nodes can use: \"90000\" is not a port; write a number from 0 to 65535",
    ),
    (
        "MESH__LISTEN",
        "/ip4/0.0.0.0/tcp/70000",
        "mesh.listen = \"/ip4/0.0.0.0/tcp/70000\" is not an address that nodes can use: \"70000\" is not a port; write a number from 0 to 65535",
    ),
    (
        "MESH__LISTEN",
        "/ip4/0.0.0/tcp/1",
        "mesh.listen = \"/ip4/0.0.0/tcp/1\" is not an address that nodes can use: \"0.0.0\" is not what /ip4 takes",
    ),
    (
        "MESH__LISTEN",
        "/ip4/0.0.0.0/tcp/1/ws",
        "mesh.listen = \"/ip4/0.0.0.0/tcp/1/ws\" is not an address that nodes can use: /ws is too much; the address ends before it",
    ),
    (
        "MESH__BOOTSTRAP",
        "peer.example:9001",
        "mesh.bootstrap = \"peer.example:9001\" is not an address that nodes can use: it is not a multiaddr; write /dns4/peer.example/tcp/9001",
    ),
    (
        "MESH__BOOTSTRAP",
        "/ip4/10.0.0.1/tcp/0",
        "mesh.bootstrap = \"/ip4/10.0.0.1/tcp/0\" is not an address that nodes can use: \"0\" is not a port; write a number from 1 to 65535",
    ),
    (
        "MESH__BOOTSTRAP",
        "/dnsaddr/peer.example/tcp/9000",
        "mesh.bootstrap = \"/dnsaddr/peer.example/tcp/9000\" is not an address that nodes can use: /tcp/9000 is too much; the address ends before it",
    ),
    (
        "MESH__BOOTSTRAP",
        "/unix/peer",
        "mesh.bootstrap = \"/unix/peer\" is not an address that nodes can use: it begins with /unix; write one that begins with /ip4, /ip6, /dns4, /dns6 or /dnsaddr",
    ),
    (
        "MESH__BOOTSTRAP",
        "/ip4/10.0.0.1/tcp/1/p2p/me",
        "mesh.bootstrap = \"/ip4/10.0.0.1/tcp/1/p2p/me\" is not an address that nodes can use: \"me\" is not a peer id; `ghmesh id` on that node prints its whole addresses",
    ),
    (
        "GATEWAY__LISTEN",
        "localhost:9180",
        "gateway.listen = \"localhost:9180\" is not an address with a port; write an IP address and a port, as in 127.0.0.1:9180 or [::1]:9180",
    ),
    (
        "GATEWAY__SOCKET_MODE",
        "rw",
        "gateway.socket_mode = \"rw\" is not a file mode; write it in octal, as in \"0600\" or \"0660\"",
    ),
    (
        "GATEWAY__SOCKET_MODE",
        "+600",
        "gateway.socket_mode = \"+600\" is not a file mode; write it in octal, as in \"0600\" or \"0660\"",
    ),
    (
        "GATEWAY__SOCKET_MODE",
        "0060",
        "gateway.socket_mode 0060 is not usable: 0600 is for the owner, 0660 for a group too, 0666 for everybody here",
    ),
    (
        "GATEWAY__NAMES",
        "http://cache",
        "gateway.names: \"http://cache\" is not a host name; give it without scheme, port or path, as in cache.example.internal",
    ),
    (
        "ORIGIN__HOSTS",
        "https://api.github.com",
        "origin.hosts: \"https://api.github.com\" is not a host, or a host and a port: write api.github.com or ghe.example.com",
    ),
    ("ORIGIN__HOSTS", "github.com", "origin.hosts: github.com is the website; its API is api.github.com: write that"),
    (
        "ORIGIN__URL",
        "ftp://ghe.example",
        "origin.url: the scheme ftp is not spoken: use https (or http for an address that isn't public)",
    ),
    (
        "ORIGIN__URL",
        "https://ghe.example/?a",
        "origin.url: \"https://ghe.example/?a\" has a query or a fragment: remove it",
    ),
    ("ORIGIN__CONNECT_TIMEOUT", "0", "origin.connect_timeout = \"0\" is out of range; write 100ms to 5m"),
    ("ORIGIN__HEADER_TIMEOUT", "1h", "origin.header_timeout = \"1h\" is out of range; write 100ms to 10m"),
    (
        "ORIGIN__IDLE_TIMEOUT",
        "1.5",
        "origin.idle_timeout = \"1.5\" is not a time; write whole seconds or a time with units, as in 90, \"5m\" or \"1h 30m\"",
    ),
    (
        "CACHE__MAX_BYTES",
        "lots",
        "cache.max_bytes = \"lots\" is not a size; write bytes or a whole number with a unit, as in 1048576, \"512 MiB\" or \"1 GB\"",
    ),
    (
        "CACHE__MAX_BYTES",
        "1.5 GiB",
        "cache.max_bytes = \"1.5 GiB\" is not a size; write bytes or a whole number with a unit, as in 1048576, \"512 MiB\" or \"1 GB\"",
    ),
    (
        "CACHE__MAX_BYTES",
        "99999999999 TiB",
        "cache.max_bytes = \"99999999999 TiB\" is not a size; write bytes or a whole number with a unit, as in 1048576, \"512 MiB\" or \"1 GB\"",
    ),
    ("CACHE__MAX_BYTES", "10", "cache.max_bytes = \"10\" is out of range; write 64 KiB to 1 TiB"),
    ("CACHE__MEMORY_BYTES", "1 TiB", "cache.memory_bytes = \"1 TiB\" is out of range; write 64 KiB to 64 GiB"),
    ("CACHE__MAX_ENTRIES", "0", "cache.max_entries = \"0\" is out of range; write 1 to 10000000"),
    (
        "CACHE__DEFAULT_TTL",
        "-1",
        "cache.default_ttl = \"-1\" is not a time; write whole seconds or a time with units, as in 90, \"5m\" or \"1h 30m\"",
    ),
    ("CACHE__PROOF_TTL", "8d", "cache.proof_ttl = \"8d\" is out of range; write 0s to 7days"),
    (
        "CACHE__STALE_TTL",
        "soon",
        "cache.stale_ttl = \"soon\" is not a time; write whole seconds or a time with units, as in 90, \"5m\" or \"1h 30m\"",
    ),
    ("CACHE__SHARING", "all", "cache.sharing = \"all\" is not known; write \"proof\", \"credential\" or \"mesh\""),
    (
        "FRESHNESS__TARGET_STALENESS",
        "2",
        "freshness.target_staleness = \"2\" is not a fraction from 0.001 to 0.5; write one, as in 0.05",
    ),
    (
        "FRESHNESS__ROUTES",
        "/repos/{owner}/{repo}",
        "freshness.routes = \"/repos/{owner}/{repo}\" is not a route and its time; write both, as in \"/repos/{owner}/{repo}/actions/runs = 15s\"",
    ),
    (
        "FRESHNESS__ROUTES",
        "repos = 5m",
        "freshness.routes = \"repos\" is refused: \"repos\" is not a path such as /repos/{owner}/{repo}/contents/{+path}: it must start with a slash",
    ),
    (
        "FRESHNESS__ROUTES",
        "/api/v3/user = 5m",
        "freshness.routes = \"/api/v3/user\" is refused: \"/api/v3/user\" is not a path such as /repos/{owner}/{repo}/contents/{+path}: leave out /api/v3: routes are written as on api.github.com, for every server",
    ),
    (
        "FRESHNESS__ROUTES",
        "/user = 9d",
        "freshness.routes = \"/user\" is refused: \"777600s\" (for /user) is not a time of at most 7 days, such as 90, \"90s\" or \"5m\"",
    ),
    ("POLICY__MODE", "on", "policy.mode = \"on\" is not known; write \"cache\", \"pass\" or \"offline\""),
    (
        "LOG__LEVEL",
        "inof",
        "log.level = \"inof\" is not a log level; write error, warn, info, debug or trace, or with parts, as in info,ghmesh_mesh=debug",
    ),
    ("CACHE__DIR", "bad\u{fffd}", "cache.dir holds bytes that are not UTF-8; write it in UTF-8"),
];

fn tells_only(machine: &Machine, line: &str) {
    assert_eq!(machine.complaint(), format!("a setting cannot be used:\n  {line}"));
}

#[test]
fn every_bad_value_is_told_with_what_to_write() {
    for (name, value, told) in BAD_VALUES {
        let name = format!("GHMESH_{name}");
        tells_only(&Machine::new().env(&name, value), &format!("{name}: {told}"));
    }
}

#[test]
fn other_machines_are_let_in_only_on_purpose() {
    let machine = Machine::new().env("GHMESH_GATEWAY__LISTEN", "0.0.0.0:9180");
    assert_eq!(
        machine.complaint(),
        "a setting cannot be used:\n  GHMESH_GATEWAY__LISTEN: gateway.listen 0.0.0.0:9180 can be reached from other machines, which \
         would send their credentials to it in clear text; use 127.0.0.1 or [::1], or say that it is meant with \
         gateway.allow_remote = true"
    );
    assert!(machine.env("GHMESH_GATEWAY__ALLOW_REMOTE", "true").load().is_ok());
}

#[test]
fn http_is_for_addresses_that_are_not_public() {
    for url in [
        "http://127.0.0.1:8080",
        "http://10.1.2.3",
        "http://[::1]:80/api/v3",
        "http://localhost:1",
        "https://ghe.example/api/v3",
    ] {
        assert!(Machine::new().env("GHMESH_ORIGIN__URL", url).load().is_ok(), "{url}");
    }
    for url in ["http://api.github.com", "http://140.82.121.6", "http://[2606:50c0::1]"] {
        let complaint = Machine::new().env("GHMESH_ORIGIN__URL", url).complaint();
        assert!(
            complaint.contains("GHMESH_ORIGIN__URL: origin.url: http to ") && complaint.contains("clear text"),
            "{complaint}"
        );
    }
}

#[test]
fn unknown_names_are_told_with_the_nearest_known_one() {
    for (name, nearest) in [
        ("GHMESH_MESH__SECERT", "GHMESH_MESH__SECRET"),
        ("GHMESH_MESH_SECRET", "GHMESH_MESH__SECRET"),
        ("GHMESH_SECRET", "GHMESH_MESH__SECRET"),
        ("GHMESH_CACHE__DEFAULTTTL", "GHMESH_CACHE__DEFAULT_TTL"),
        ("GHMESH_MESH__MDNS", "GHMESH_MESH__DISCOVERY__MDNS"),
        ("GHMESH_PROOF_TTL", "GHMESH_CACHE__PROOF_TTL"),
    ] {
        tells_only(&Machine::new().env(name, "x"), &format!("{name} is not a setting; did you mean {nearest}?"));
    }
    let complaint = Machine::new().env("GHMESH_WEATHER__FORECAST", "x").complaint();
    assert!(
        complaint.ends_with("GHMESH_WEATHER__FORECAST is not a setting; docs/configuration.md lists them all"),
        "{complaint}"
    );
}

#[test]
fn names_in_files_are_told_with_the_nearest_known_one() {
    for (toml, told) in [
        ("[mesh]\nsecrt = \"hunter2\"", "mesh.secrt is not a setting; did you mean mesh.secret?"),
        ("[mehs]\nlisten = []", "mehs.listen is not a setting; did you mean mesh.listen?"),
        ("secret = \"hunter2\"", "secret is not a setting; did you mean mesh.secret?"),
        ("[mesh]\nmdns = true", "mesh.mdns is not a setting; did you mean mesh.discovery.mdns?"),
        (
            "mesh = 5",
            "mesh is not a value but a table of settings; write its settings below a line with its name in brackets",
        ),
        (
            "[mesh.listen]\nport = 1",
            "mesh.listen = a table is not a list; write [\"one\", \"two\"], or one text with commas",
        ),
    ] {
        tells_only(&Machine::new().config(toml), &format!("DIR/config.toml: {told}"));
    }
}

#[test]
fn what_toml_cannot_mean_is_told() {
    for (toml, told) in [
        ("mesh.secret = 123456", "mesh.secret is a number, and numbers lose their leading zeros; put it in quotes"),
        (
            "gateway.socket_mode = 600",
            "gateway.socket_mode = 600 is not a file mode; write it in octal, as in \"0600\" or \"0660\"",
        ),
        ("mesh.cluster = true", "mesh.cluster = true is not a text; write it in quotes, or leave the setting out"),
        ("cache.max_entries = 1.5", "cache.max_entries = 1.5 is not a number; write digits only, as in 1000"),
        (
            "cache.proof_ttl = [1]",
            "cache.proof_ttl = [1] is not a time; write whole seconds or a time with units, as in 90, \"5m\" or \"1h 30m\"",
        ),
        (
            "cache.proof_ttl = 1979-05-27",
            "cache.proof_ttl = a table is not a time; write whole seconds or a time with units, as in 90, \"5m\" or \"1h 30m\"",
        ),
    ] {
        tells_only(&Machine::new().config(toml), &format!("DIR/config.toml: {told}"));
    }
}

#[test]
fn a_bad_alias_is_told_by_its_own_name() {
    for (name, value, told) in [
        ("CACHE_ENABLE_P2P", "p2p", "mesh.enabled = \"p2p\" is not a yes or no; write true or false"),
        ("CACHE_LISTEN_PORT", "high", "mesh.listen = \"high\" is not a port; write a number up to 65535, as in 9000"),
        ("P2P_LISTEN_PORT", "99999", "mesh.listen = \"99999\" is not a port; write a number up to 65535, as in 9000"),
        ("CACHE_MAX_SIZE", "ten", "cache.max_entries = \"ten\" is not a number; write digits only, as in 1000"),
    ] {
        tells_only(&Machine::new().env(name, value), &format!("{name}: {told}"));
    }
}

#[test]
fn all_problems_of_all_sources_are_told_at_once() {
    let machine = Machine::new()
        .system("[mesh]\nlisten = [\"9000\", \"/ip4/0.0.0.0/tcp/9000\"]\nsecrte = \"hunter2\"\n[cache]\nmax_bytes = \"lots\"\nsharing = \"all\"\n")
        .config("[policy\nmode = \"cache\"\n")
        .env("GHMESH_ADMIN__TOKEN", "hunter2")
        .env("GHMESH_CACHE__TTL", "5")
        .flag("--listen", "gateway.listen", "example.com:80");
    let complaint = machine.complaint();
    assert!(!complaint.contains("hunter2"), "{complaint}");
    assert_eq!(
        complaint,
        "8 settings cannot be used:\
         \n  DIR/system.toml: mesh.secrte is not a setting; did you mean mesh.secret?\
         \n  DIR/config.toml line 1, column 8 is not TOML: invalid table header, expected `.`, `]`\
         \n  GHMESH_CACHE__TTL is not a setting; did you mean GHMESH_CACHE__DEFAULT_TTL?\
         \n  DIR/system.toml: cache.max_bytes = \"lots\" is not a size; write bytes or a whole number with a unit, as in 1048576, \
         \"512 MiB\" or \"1 GB\"\
         \n  DIR/system.toml: cache.sharing = \"all\" is not known; write \"proof\", \"credential\" or \"mesh\"\
         \n  --listen: gateway.listen = \"example.com:80\" is not an address with a port; write an IP address and a port, as in \
         127.0.0.1:9180 or [::1]:9180\
         \n  DIR/system.toml: mesh.listen = \"9000\" is not an address that nodes can use: it is not a multiaddr; write it as in \
         /ip4/10.0.0.5/tcp/9000\
         \n  GHMESH_ADMIN__TOKEN: admin.token has 7 characters; 16 random ones are the least that cannot be guessed"
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let machine = Machine::new()
        .env("GHMESH_MESH__ALLOW_WEAK_SECRET", "true")
        .env("GHMESH_MESH__SECRET", "hunter2")
        .env("GHMESH_MESH__ACCEPTED_SECRETS", "hunter2")
        .env("GHMESH_ADMIN__TOKEN", "hunter2hunter2hunter2")
        .env("GHMESH_ORIGIN__PROXY", "http://me:hunter2@proxy:3128");
    let loaded = machine.load().unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert_eq!(loaded.settings.origin.proxy.unwrap().expose().password(), Some("hunter2"));
    for (name, value) in [
        ("GHMESH_ORIGIN__PROXY", "socks5://me:hunter2@proxy"),
        ("GHMESH_ORIGIN__PROXY", "me:hunter2@proxy"),
        ("GHMESH_ORIGIN__URL", "https://me:hunter2@ghe.example"),
        ("GHMESH_ADMIN__TOKEN", "hunter2 hunter2 hunter2"),
        ("GHMESH_MESH__LISTEN", "http://me:hunter2@host"),
        ("GHMESH_MESH__SECRET", "hunter2"),
        ("GHMESH_MESH__ACCEPTED_SECRETS", "hunter2"),
    ] {
        let machine = Machine::new().env(name, value);
        let complaint = machine.complaint();
        assert!(!complaint.contains("hunter2") && complaint.contains(name), "{complaint}");
        assert!(!format!("{:?}", machine.load().unwrap_err()).contains("hunter2"), "{name}");
    }
}

#[test]
fn long_and_strange_values_are_cut_and_escaped() {
    let complaint = Machine::new().env("GHMESH_POLICY__MODE", &format!("\u{1b}[31m{}", "x".repeat(500))).complaint();
    assert!(
        complaint.contains("\\u{1b}[31mxxx") && complaint.contains("x…\" is not known") && complaint.len() < 250,
        "{complaint}"
    );
}

#[test]
fn a_wrong_file_is_not_told_line_by_line() {
    let strange = format!("\"\\u001b[31m{}\" = 1\n", "x".repeat(500));
    let complaint = Machine::new().config(&strange).complaint();
    assert!(complaint.contains("DIR/config.toml: \\u{1b}[31mxxx") && complaint.len() < 250, "{complaint}");
    let many: String = (0..1000).map(|number| format!("line{number} = 1\n")).collect();
    let complaint = Machine::new().config(&many).complaint();
    assert!(complaint.starts_with("1000 settings") && complaint.ends_with("\n  and 950 more"), "{complaint}");
}

#[test]
fn a_flag_for_no_setting_is_told() {
    let complaint = Machine::new().flag("--ttl", "cache.ttl", "5").complaint();
    assert_eq!(
        complaint,
        "a setting cannot be used:\n  --ttl: cache.ttl is not a setting; did you mean cache.default_ttl?"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let mut machine = Machine::new();
    machine.inputs.config = Some(machine.path("missing.toml"));
    assert_eq!(
        machine.complaint(),
        "a setting cannot be used:\n  DIR/missing.toml cannot be read: there is no such file; write it, or name another with \
         --config or GHMESH_CONFIG"
    );
    machine.inputs.config = Some(machine.path(""));
    assert!(machine.complaint().contains("cannot be read: Is a directory"), "{}", machine.complaint());
    let machine = Machine::new().config(&"#".repeat(1024 * 1024 + 1));
    assert!(machine.complaint().ends_with("DIR/config.toml has more than 1048576 bytes; is it the right file?"));
}

#[test]
fn a_broken_file_is_told_by_its_place_and_without_its_secret() {
    let complaint = Machine::new().config("# one\n[mesh]\nsecret = hunter2\n").complaint();
    assert!(
        complaint.starts_with("a setting cannot be used:\n  DIR/config.toml line 3, column 10 is not TOML: "),
        "{complaint}"
    );
    assert!(!complaint.contains("hunter2"), "{complaint}");
}

#[test]
fn the_variable_for_the_file_counts_where_the_flag_is_missing() {
    let machine = Machine::new();
    let path = machine.write("other.toml", "[mesh]\ncluster = \"other\"\n");
    let machine = machine.env("GHMESH_CONFIG", path.to_str().unwrap());
    assert_eq!(machine.settings().mesh.cluster, "other");
    assert_eq!(machine.config("[mesh]\ncluster = \"flag\"\n").settings().mesh.cluster, "flag");
}
