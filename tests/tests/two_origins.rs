//! Two GitHubs at once, over https: each is asked for what is its own, and nothing of one is taken for the other's.

use bytes::Bytes;
use ghmesh_github_sim::{Config, Settings, Sim, tokens};
use ghmesh_tests::network::Lan;
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, client};
use http::{Method, Request};
use http_body_util::Full;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The names of the two servers. Both mean this machine, and they are two to everybody.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];
const GITHUB_COM: &str = "api.github.com";
const ENTERPRISE: &str = "github.example.com";
const PATH: &str = "/repos/octo/hello/issues";
/// Of an Enterprise Server's API.
const ROOT: &str = "/api/v3";

/// A simulator behind TLS.
struct Server {
    github: Sim,
    /// As callers name it, and as it is configured.
    authority: String,
    /// What stands before the paths of its API.
    root: &'static str,
}

impl Server {
    /// An Enterprise Server on a port of its own.
    async fn start(name: &str, address: &str, tls: &TlsAcceptor) -> Server {
        let settings = Settings { enterprise: true, ..Settings::default() };
        let github = Sim::start(Config { settings, ..Config::default() }).await.expect("the simulated GitHub starts");
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let authority = format!("{name}:{}", listener.local_addr().expect("bound").port());
        Server::behind(listener, tls, github, authority, ROOT)
    }

    /// github.com, on the port that https has.
    async fn github_com(address: &str, tls: &TlsAcceptor) -> Server {
        let github = Sim::start(Config::default()).await.expect("the simulated GitHub starts");
        let listener = TcpListener::bind((address, 443)).await.expect("port 443 of an address of this test's own");
        Server::behind(listener, tls, github, GITHUB_COM.to_owned(), "")
    }

    fn behind(listener: TcpListener, tls: &TlsAcceptor, github: Sim, authority: String, root: &'static str) -> Server {
        let behind: SocketAddr = github.url().trim_start_matches("http://").parse().expect("an address");
        tokio::spawn(unwrap_tls(listener, tls.clone(), behind));
        Server { github, authority, root }
    }

    fn calls(&self) -> u64 {
        self.github.counters().calls()
    }
}

/// Takes TLS off connections and hands them on.
async fn unwrap_tls(listener: TcpListener, tls: TlsAcceptor, behind: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let (Ok(mut outer), Ok(mut inner)) = (tls.accept(stream).await, TcpStream::connect(behind).await) else {
                return;
            };
            // Ends with either side, well or badly.
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}

/// One certificate for all names, and who accepts connections with it.
fn certificate() -> (String, TlsAcceptor) {
    let signed = rcgen::generate_simple_self_signed([NAMES[0], NAMES[1], GITHUB_COM, ENTERPRISE].map(str::to_owned))
        .expect("a certificate");
    let key = PrivateKeyDer::try_from(signed.key_pair.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("protocol versions").with_no_client_auth();
    let tls = builder.with_single_cert(vec![signed.cert.der().clone()], key).expect("a usable certificate");
    (signed.cert.pem(), TlsAcceptor::from(Arc::new(tls)))
}

/// A daemon, in the host if there is one, that knows both servers.
async fn between(servers: &[Server; 2], pem: &str, host: Option<&str>) -> Daemon {
    let hosts = format!("{},{}", servers[0].authority, servers[1].authority);
    let how = DaemonBuilder::new("").without("GHMESH_ORIGIN__URL").with("GHMESH_ORIGIN__HOSTS", &hosts);
    let file = how.path("ca.pem");
    std::fs::write(&file, pem).expect("the certificate is written");
    let how = how.with("GHMESH_ORIGIN__CA_FILE", &file.to_string_lossy()).with("GHMESH_MESH__ENABLED", "false");
    let how = host.into_iter().fold(how, DaemonBuilder::in_namespace);
    how.with("GHMESH_CACHE__DEFAULT_TTL", "1h").start().await
}

async fn stand() -> ([Server; 2], Daemon) {
    let (pem, tls) = certificate();
    let here = "127.0.0.1";
    let servers = [Server::start(NAMES[0], here, &tls).await, Server::start(NAMES[1], here, &tls).await];
    let daemon = between(&servers, &pem, None).await;
    (servers, daemon)
}

async fn send(daemon: &Daemon, server: &Server, method: Method, body: &'static str) -> Answer {
    let uri = format!("{}{PATH}", server.root);
    let request = Request::builder().method(method).uri(uri).header("host", &server.authority);
    daemon.send(request.header("authorization", format!("token {}", tokens::ALICE)), body).await
}

async fn get(daemon: &Daemon, server: &Server) -> Answer {
    send(daemon, server, Method::GET, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_origins_are_kept_apart() {
    let (servers, daemon) = stand().await;
    keeps_apart(servers, &daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, for a network namespace and port 443 on its bridge"]
async fn github_com_and_an_enterprise_server_are_kept_apart() {
    let mut lan = Lan::new();
    let (host, gateway) = (lan.add_host(), lan.gateway());
    lan.name_gateway(&host, &[GITHUB_COM, ENTERPRISE]);
    let (pem, tls) = certificate();
    let servers = [Server::github_com(&gateway, &tls).await, Server::start(ENTERPRISE, &gateway, &tls).await];
    let daemon = between(&servers, &pem, Some(&host)).await;
    keeps_apart(servers, &daemon).await;
}

async fn keeps_apart([one, two]: [Server; 2], daemon: &Daemon) {
    for server in [&one, &two] {
        let first = get(daemon, server).await;
        assert_eq!(first.status, 200, "{:?}; {}", first.body, daemon.log());
        assert!(!first.is_hit() && get(daemon, server).await.is_hit());
    }
    assert_eq!((one.calls(), two.calls()), (1, 1), "the same path and token, and each was asked once");
    assert_eq!(send(daemon, &one, Method::POST, r#"{"title":"on one"}"#).await.status, 201);
    let (of_one, of_two) = (get(daemon, &one).await, get(daemon, &two).await);
    assert_eq!((of_one.is_hit(), of_two.is_hit()), (false, true), "a write to one makes nothing of the other stale");
    assert_eq!(of_one.json()[0]["title"], "on one");
    assert_ne!(of_two.json()[0]["title"], "on one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_means_the_first_origin() {
    let ([one, two], daemon) = stand().await;
    let base = daemon.tcp().await;
    let request = Request::get(format!("{ROOT}{PATH}"))
        .header("host", base.to_string())
        .body(Full::new(Bytes::new()))
        .expect("a request");
    let answer = client::send(&client::Endpoint::Tcp(base), request).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), one.calls(), two.calls()), (200, 1, 0));
    assert!(!answer.header("x-github-enterprise-version").is_empty(), "what a server tells of itself is passed on");
}
