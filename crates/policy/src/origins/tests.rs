#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::fixtures::{TCP, github, headers, origins, request, tcp};
use crate::{Refusal, Target, TargetKind};
use http::{Method, StatusCode};
use proptest::prelude::*;

fn never(_: &str) -> bool {
    false
}

fn route(origins: &Origins, listener: &Listener, uri: &str, host: &str) -> Result<Target, Refusal> {
    let pairs = if host.is_empty() { vec![] } else { vec![("host", host)] };
    origins.route(&request(&Method::GET, uri, &pairs), listener, &never)
}

/// Where requests end up: listener, target, `Host`, upstream URL, kind.
#[test]
fn requests_of_every_shape_find_their_origin() {
    use TargetKind::{Api, GraphQl, Other};
    let (unix, tcp) = (Listener::Unix, tcp());
    for (listener, uri, host, upstream, kind) in [
        // gh over the socket: the original Host.
        (unix, "/repos/o/r", "api.github.com", "https://api.github.com/repos/o/r", Api),
        (unix, "/graphql", "api.github.com", "https://api.github.com/graphql", GraphQl),
        (unix, "/login/device/code", "github.com", "https://github.com/login/device/code", Other),
        (unix, "/o/r/zip/main", "codeload.github.com", "https://codeload.github.com/o/r/zip/main", Other),
        (unix, "/x?se=1", "objects.githubusercontent.com", "https://objects.githubusercontent.com/x?se=1", Other),
        (unix, "/repos/o/r", "API.GitHub.com:443", "https://api.github.com/repos/o/r", Api),
        (unix, "/repos/o/r", "localhost", "https://api.github.com/repos/o/r", Api),
        // gh with GH_HOST=github.localhost, over the socket or as a proxy.
        (unix, "/user", "api.github.localhost", "https://api.github.com/user", Api),
        (tcp, "http://api.github.localhost/user", "api.github.localhost", "https://api.github.com/user", Api),
        (tcp, "http://github.localhost/login/device", "github.localhost", "https://github.com/login/device", Other),
        (tcp, "http://api.github.com/user?a=1", "api.github.com", "https://api.github.com/user?a=1", Api),
        // "MUST ignore the received Host header field" beside an absolute target (RFC 9112 §3.2.2).
        (tcp, "http://api.github.com/user", "127.0.0.1:9180", "https://api.github.com/user", Api),
        (tcp, "http://api.github.com/user", "", "https://api.github.com/user", Api),
        // A base URL: the listener's own address.
        (tcp, "/repos/o/r?per_page=1", TCP, "https://api.github.com/repos/o/r?per_page=1", Api),
        (tcp, "/graphql", "localhost:9180", "https://api.github.com/graphql", GraphQl),
        (tcp, "/repos/o/r", "[::1]:9180", "https://api.github.com/repos/o/r", Api),
        // Enterprise paths.
        (tcp, "/api/v3/repos/o/r", TCP, "https://api.github.com/repos/o/r", Api),
        (tcp, "/api/v3", TCP, "https://api.github.com/", Api),
        (tcp, "/api/v3x", TCP, "https://api.github.com/api/v3x", Api),
        (tcp, "/api/graphql", TCP, "https://api.github.com/graphql", GraphQl),
        (
            tcp,
            "/api/uploads/repos/o/r/releases/1/assets",
            TCP,
            "https://uploads.github.com/repos/o/r/releases/1/assets",
            Other,
        ),
        // On github.com itself such a path is only a path.
        (unix, "/api/v3/user", "api.github.com", "https://api.github.com/api/v3/user", Api),
    ] {
        let target = route(&github(), &listener, uri, host).unwrap_or_else(|refusal| panic!("{host} {uri}: {refusal}"));
        assert_eq!((target.upstream_uri().to_string().as_str(), target.kind), (upstream, kind), "{host} {uri}");
    }
}

#[test]
fn an_enterprise_server_is_reached_by_its_name_and_as_the_first_origin() {
    let origins = origins(&["ghe.example:8443", "api.octo.ghe.com"], None, &["cache.example", "other.example:81"]);
    for (uri, host, upstream, kind) in [
        ("/api/v3/user", "ghe.example:8443", "https://ghe.example:8443/api/v3/user", TargetKind::Api),
        ("/api/graphql", "ghe.example:8443", "https://ghe.example:8443/api/graphql", TargetKind::GraphQl),
        ("/login", "ghe.example:8443", "https://ghe.example:8443/login", TargetKind::Other),
        ("/user", TCP, "https://ghe.example:8443/api/v3/user", TargetKind::Api),
        ("/api/v3/user", "cache.example:7000", "https://ghe.example:8443/api/v3/user", TargetKind::Api),
        ("/api/uploads/x", "cache.example", "https://ghe.example:8443/api/uploads/x", TargetKind::Other),
        ("/graphql", "other.example:81", "https://ghe.example:8443/api/graphql", TargetKind::GraphQl),
        // Enterprise Cloud with data residency has the layout of github.com.
        ("/user", "api.octo.ghe.com", "https://api.octo.ghe.com/user", TargetKind::Api),
        (
            "/repos/o/r/releases/1/assets",
            "uploads.octo.ghe.com",
            "https://uploads.octo.ghe.com/repos/o/r/releases/1/assets",
            TargetKind::Other,
        ),
    ] {
        let target = route(&origins, &tcp(), uri, host).unwrap_or_else(|refusal| panic!("{host} {uri}: {refusal}"));
        assert_eq!((target.upstream_uri().to_string().as_str(), target.kind), (upstream, kind), "{host} {uri}");
    }
    for host in ["api.github.com", "ghe.example", "other.example:82", "other.example"] {
        assert!(matches!(route(&origins, &tcp(), "/user", host), Err(Refusal::HostNotAllowed { .. })), "{host}");
    }
}

#[test]
fn with_a_url_there_is_one_origin_and_github_is_another_name_for_it() {
    let sim = origins(&[], Some("http://127.0.0.1:4000/"), &[]);
    for host in ["api.github.com", "api.github.localhost", "127.0.0.1:4000", TCP] {
        let target = route(&sim, &tcp(), "/user", host).unwrap();
        assert_eq!(target.upstream_uri(), "http://127.0.0.1:4000/user", "{host}");
        assert_eq!(target.authority, "127.0.0.1:4000");
    }
    let ghe = origins(&["ghe.corp"], Some("https://10.0.0.9/api/v3/"), &[]);
    for (host, uri) in
        [("api.github.com", "/user"), ("ghe.corp", "/api/v3/user"), ("10.0.0.9", "/api/v3/user"), (TCP, "/user")]
    {
        assert_eq!(route(&ghe, &tcp(), uri, host).unwrap().upstream_uri(), "https://10.0.0.9/api/v3/user", "{host}");
    }
    let proxied = origins(&[], Some("https://proxy.corp/github"), &[]);
    assert_eq!(route(&proxied, &tcp(), "/graphql", TCP).unwrap().upstream_uri(), "https://proxy.corp/github/graphql");
    assert_eq!(
        route(&proxied, &tcp(), "/github/user", "proxy.corp").unwrap().upstream_uri(),
        "https://proxy.corp/github/user"
    );
    assert_eq!(proxied.first_url(), "https://proxy.corp/github");
}

#[test]
fn the_object_behind_an_enterprise_path_is_the_same() {
    let ghe = origins(&["ghe.example"], None, &[]);
    let target = route(&ghe, &tcp(), "/api/v3/repos/o/r", "ghe.example").unwrap();
    let resource = target.resource.unwrap();
    assert_eq!((resource.host.as_str(), resource.path.as_str()), ("ghe.example", "/repos/o/r"));
    let upload = route(&github(), &tcp(), "/repos/o/r/releases/1/assets", "uploads.github.com").unwrap();
    assert_eq!(upload.resource.unwrap().host, "api.github.com");
}

#[test]
fn threat_19_a_name_that_is_not_ours_is_refused_whatever_it_resolves_to() {
    for (uri, host) in [
        ("/user", "evil.example"),
        ("/user", "evil.example:9180"),
        ("/user", "api.github.com.evil.example"),
        ("/user", "127.0.0.1:9181"),
        ("/user", "127.0.0.1"),
        ("/user", "10.0.0.1:9180"),
        ("/user", "169.254.169.254"),
        ("/user", "githubusercontent.com"),
        ("/user", ".githubusercontent.com"),
        ("/user", "github.com:22"),
        ("http://169.254.169.254/latest/meta-data", ""),
    ] {
        let refusal = route(&github(), &tcp(), uri, host).unwrap_err();
        let expected = matches!(refusal, Refusal::HostNotAllowed { .. } | Refusal::HostMalformed { .. });
        assert!(expected, "{host}: {refusal:?}");
    }
    let refusal = route(&github(), &tcp(), "/user", "ghe.example").unwrap_err();
    assert_eq!(refusal.status(), StatusCode::MISDIRECTED_REQUEST);
    let message = refusal.to_string();
    assert!(
        message.contains("ghe.example") && message.contains("origin.hosts") && message.contains("gateway.names"),
        "{message}"
    );
}

#[test]
fn beyond_loopback_any_address_with_the_port_may_be_ours() {
    let address = "10.1.2.3:9180".parse().unwrap();
    let listener = Listener::Tcp { address, loopback: false };
    for host in ["10.1.2.3:9180", "10.96.0.1:9180", "[fd00::1]:9180", "localhost:9180"] {
        assert!(route(&github(), &listener, "/user", host).is_ok(), "{host}");
    }
    for (uri, host) in [("/user", "node7:9180"), ("/user", "10.1.2.3:80"), ("http://10.9.9.9:9180/user", "")] {
        assert!(route(&github(), &listener, uri, host).is_err(), "{host}{uri}");
    }
}

#[test]
fn over_the_unix_socket_only_the_daemons_own_address_is_the_daemon() {
    let listening = github().listening_on(vec!["127.0.0.1:9180".parse().unwrap(), "10.1.2.3:9181".parse().unwrap()]);
    for host in ["localhost", "127.0.0.1", "[::1]:80", "localhost:9180", "127.0.0.1:9180", "10.1.2.3:9181"] {
        let target =
            route(&listening, &Listener::Unix, "/user", host).unwrap_or_else(|refusal| panic!("{host}: {refusal}"));
        assert_eq!(target.upstream_uri(), "https://api.github.com/user");
    }
    for host in ["localhost:3000", "127.0.0.1:9181", "[::1]:22", "10.1.2.3:9180", "10.1.2.3", "127.0.0.1:443"] {
        let refusal = route(&listening, &Listener::Unix, "/user", host).unwrap_err();
        assert!(matches!(refusal, Refusal::HostNotAllowed { .. }), "{host}: {refusal:?}");
    }
}

#[test]
fn requests_that_say_two_things_or_nothing_are_refused() {
    let refused = |method: Method, uri: &str, pairs: &[(&str, &str)]| {
        let refusal = github().route(&request(&method, uri, pairs), &tcp(), &never).unwrap_err();
        (refusal.status().as_u16(), refusal)
    };
    let two = [("host", TCP), ("host", "api.github.com")];
    assert_eq!(refused(Method::GET, "/user", &two), (400, Refusal::HostRepeated));
    assert_eq!(refused(Method::GET, "http://api.github.com/user", &two), (400, Refusal::HostRepeated));
    assert_eq!(refused(Method::GET, "/user", &[]), (400, Refusal::HostMissing));
    assert_eq!(refused(Method::GET, "/user", &[("host", " ")]), (400, Refusal::HostMissing));
    assert_eq!(refused(Method::GET, "/user", &[("host", "u:p@api.github.com")]), (400, Refusal::UserInfo));
    assert_eq!(refused(Method::GET, "http://u:p@api.github.com/user", &[]), (400, Refusal::UserInfo));
    assert_eq!(refused(Method::GET, "ftp://api.github.com/user", &[]), (400, Refusal::Scheme { scheme: "ftp".into() }));
    assert_eq!(refused(Method::OPTIONS, "*", &[("host", TCP)]), (400, Refusal::TargetMalformed));
    assert_eq!(refused(Method::CONNECT, "api.github.com:443", &[]), (405, Refusal::Connect));
    for host in ["a b", "a,b", "host:port", "a/b", "api.github.com, evil.example", "[::1", "a:99999"] {
        assert_eq!(
            refused(Method::GET, "/user", &[("host", host)]),
            (400, Refusal::HostMalformed { host: host.into() })
        );
    }
}

#[test]
fn a_redirect_of_githubs_opens_the_host_that_it_names() {
    let origins = github();
    let target = route(&origins, &tcp(), "/repos/o/r/zipball", TCP).unwrap();
    let named =
        |target: &Target, status, location| origins.granted_by(target, status, &headers(&[("location", location)]));
    let found = StatusCode::FOUND;
    let store = "https://Store.blob.core.windows.net/logs?sig=x";
    assert_eq!(named(&target, found, store).as_deref(), Some("store.blob.core.windows.net"));
    assert_eq!(named(&target, StatusCode::OK, store), None, "no redirect");
    assert_eq!(named(&target, found, "/relative"), None);
    for inside in ["http://127.0.0.1:22/", "https://10.0.0.1/", "https://localhost/", "https://[fd00::1]/"] {
        assert_eq!(named(&target, found, inside), None, "{inside}");
    }

    let open = |authority: &str| authority == "store.blob.core.windows.net";
    let granted = origins
        .route(&request(&Method::GET, "/logs?sig=x", &[("host", "store.blob.core.windows.net")]), &tcp(), &open)
        .unwrap();
    assert_eq!(granted.upstream_uri(), "https://store.blob.core.windows.net/logs?sig=x");
    assert_eq!(granted.kind, TargetKind::Other);
    assert_eq!(named(&granted, found, "https://third.example/"), None, "a granted host grants nothing");
}

#[test]
fn beside_an_origin_in_clear_text_a_redirect_to_a_local_address_is_in_clear_text_too() {
    let sim = origins(&[], Some("http://127.0.0.1:4000"), &[]);
    let target = route(&sim, &tcp(), "/repos/o/r/zipball", TCP).unwrap();
    let location = headers(&[("location", "http://127.0.0.1:4001/archive")]);
    assert_eq!(sim.granted_by(&target, StatusCode::FOUND, &location).as_deref(), Some("127.0.0.1:4001"));
    let archive =
        sim.route(&request(&Method::GET, "/archive", &[("host", "127.0.0.1:4001")]), &tcp(), &|_| true).unwrap();
    assert_eq!(archive.upstream_uri(), "http://127.0.0.1:4001/archive");
}

#[test]
fn every_problem_is_told_at_once_and_names_its_setting() {
    let hosts = ["https://ghe.example".to_owned(), "github.com".into(), "a".into(), "A".into()];
    let names = vec!["bad name".to_owned()];
    let problems = Origins::new(&hosts, Some("http://github.example"), names).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 5, "{told:#?}");
    for (message, part) in told.iter().zip([
        "origin.hosts",
        "api.github.com",
        "twice",
        "gateway.names",
        "origin.url: http to github.example",
    ]) {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_url_is_accepted_only_where_it_keeps_credentials_safe() {
    let new = |url: &str| Origins::new(&[], Some(url), Vec::new());
    for url in [
        "https://api.github.com",
        "https://8.8.8.8:8443/api/v3",
        "http://localhost:4000",
        "http://sim.localhost",
        "http://127.9.9.9:1",
        "http://10.0.0.1",
        "http://172.31.0.1",
        "http://192.168.1.1",
        "http://169.254.1.1",
        "http://100.64.0.1",
        "http://[::1]:4000",
        "http://[fd00::1]",
        "http://[fe80::1]",
        "http://[::ffff:10.0.0.1]",
    ] {
        assert!(new(url).is_ok(), "{url}");
    }
    for url in [
        "http://8.8.8.8",
        "http://github.com",
        "http://172.32.0.1",
        "http://100.128.0.1",
        "http://[2001:db8::1]",
        "http://localhost.example",
    ] {
        assert!(matches!(new(url).unwrap_err()[..], [OriginsProblem::UrlInClear { .. }]), "{url}");
    }
    assert!(matches!(new("ftp://x").unwrap_err()[..], [OriginsProblem::UrlScheme { .. }]));
    assert!(matches!(new("api.github.com").unwrap_err()[..], [OriginsProblem::UrlMalformed { .. }]));
    assert!(matches!(new("https://x/?q").unwrap_err()[..], [OriginsProblem::UrlQuery { .. }]));
    let secret = new("https://user:hunter2@ghe.example").unwrap_err();
    assert_eq!(secret, [OriginsProblem::UrlCredentials]);
    let malformed = new("user:hunter2@ghe.example:x").unwrap_err();
    assert!(!format!("{malformed:?} {}", malformed[0]).contains("hunter2"), "{malformed:?}");
}

proptest! {
    #[test]
    fn what_is_surely_a_host_is_one_to_url_parsers(host in "[a-zA-Z0-9._-]{0,12}|([0-9]{1,3}\\.){3}[0-9]{1,3}|xn--[a-z]{0,6}\\.[a-z]{0,3}") {
        prop_assert!(!is_surely_host(&host) || is_host_to_url_parsers(&host), "{host}");
    }
}
