//! https: which certificates are trusted, HTTP/2, and the way through a proxy.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{Server, config, get, origin, text};
use ghmesh_origin::{Config, Origin, OriginError};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Larger than one stream's window, smaller than two.
const LARGE: usize = 768 * 1024;

/// An HTTP/2 server with a certificate of its own for `localhost`: `/large` answers [`LARGE`] bytes, all else the request's
/// version and target.
struct Https {
    address: SocketAddr,
    certificate: NamedTempFile,
    connections: Arc<Mutex<usize>>,
}

impl Https {
    async fn start() -> Https {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = NamedTempFile::new().unwrap();
        std::fs::write(&certificate, signed.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signed.key_pair.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_no_client_auth();
        let mut tls = builder.with_single_cert(vec![signed.cert.der().clone()], key).unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<Mutex<usize>>::default();
        let count = connections.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(acceptor.clone(), stream, count.clone()));
            }
        });
        Https { address, certificate, connections }
    }

    fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.address.port())
    }

    fn client(&self, config: Config) -> Origin {
        let extra_root_certificates = Some(self.certificate.path().to_owned());
        let second = Duration::from_secs(5);
        origin(Config {
            extra_root_certificates,
            connect_timeout: second,
            header_timeout: second,
            idle_timeout: second,
            ..config
        })
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, connections: Arc<Mutex<usize>>) {
    // A client that doesn't trust the certificate ends the handshake here.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    *connections.lock().unwrap() += 1;
    let service = service_fn(|request: Request<Incoming>| async move {
        let body = match request.uri().path() {
            "/large" => Bytes::from(vec![b'x'; LARGE]),
            path => Bytes::from(format!("{:?} {path} {:?}", request.version(), request.headers())),
        };
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // Ends with the client's connection, well or badly.
    let _ = served.serve_connection(TokioIo::new(stream), service).await;
}

#[tokio::test]
async fn https_speaks_http2_over_one_connection_with_no_added_headers() {
    let server = Https::start().await;
    let origin = server.client(config());
    for _ in 0..3 {
        assert_eq!(text(get(&origin, &server.url("/a")).await.unwrap()).await, "HTTP/2.0 /a {}");
    }
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_what_to_do() {
    let server = Https::start().await;
    let origin = origin(Config {
        connect_timeout: Duration::from_secs(5),
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        ..config()
    });
    let error = get(&origin, &server.url("/")).await.unwrap_err();
    assert!(matches!(error, OriginError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("origin.ca_file"), "{error}");
    assert_eq!(origin.attempts(), 1, "asking again doesn't help");
}

#[tokio::test]
async fn a_name_that_the_certificate_lacks_is_refused() {
    let server = Https::start().await;
    let origin = server.client(config());
    let error = get(&origin, &format!("https://{}/", server.address)).await.unwrap_err();
    assert!(matches!(error, OriginError::Untrusted { .. }), "{error}");
}

#[tokio::test]
async fn readers_that_stand_still_do_not_hold_up_the_others_on_their_connection() {
    let server = Https::start().await;
    let origin = server.client(Config { max_in_flight_per_host: 20, ..config() });
    let mut still = Vec::new();
    for _ in 0..19 {
        still.push(get(&origin, &server.url("/large")).await.unwrap());
    }
    let whole = get(&origin, &server.url("/large")).await.unwrap().into_body();
    assert_eq!(whole.collect().await.unwrap().to_bytes().len(), LARGE);
    assert_eq!(*server.connections.lock().unwrap(), 1);
    for response in still {
        assert_eq!(text(response).await.len(), LARGE);
    }
}

#[tokio::test]
async fn https_goes_through_the_configured_proxy_and_plain_http_does_not() {
    let https = Https::start().await;
    let port = https.address.port();
    let proxy = Server::start(move |mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let mut onward = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut connection.stream, &mut onward).await;
    })
    .await;
    let url = format!("http://me:p%40ss@{}", proxy.address).parse().unwrap();
    let origin = https.client(Config { proxy: Some(url), ..config() });
    get(&origin, &https.url("/")).await.unwrap();
    let plain = Server::start(|mut connection| async move {
        connection.request().await;
        connection.answer("200 OK", "").await;
    })
    .await;
    get(&origin, &plain.url("/")).await.unwrap();
    let heads = proxy.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(heads[0].starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{heads:?}");
    // base64("me:p@ss")
    assert!(heads[0].to_ascii_lowercase().contains("proxy-authorization: basic "), "{heads:?}");
    assert!(heads[0].contains("bWU6cEBzcw=="), "{heads:?}");
}

#[tokio::test]
async fn bad_certificate_files_are_told_apart() {
    let file = NamedTempFile::new().unwrap();
    let build = |path: &std::path::Path| {
        let config = Config { extra_root_certificates: Some(path.to_owned()), ..config() };
        Origin::new(config, Arc::new(common::now)).map(|_| ()).unwrap_err().to_string()
    };
    assert!(build("/no/such/file".as_ref()).contains("can't be read"));
    assert!(build(file.path()).contains("no usable PEM certificate"));
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(build(file.path()).contains("certificate 1 of"), "{}", build(file.path()));
}
