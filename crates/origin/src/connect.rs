//! How connections are made: directly or through a proxy's tunnel, with TLS for https, in bounded time.

use crate::body::BoxError;
use crate::config::{Config, Problem};
use base64::Engine;
use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

type Connecting<Stream> = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

/// TCP keep-alive: notices a peer that vanished without a word, between requests.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// The time for a connection is over.
#[derive(Debug, Error)]
#[error("no connection within {:.1} s", after.as_secs_f64())]
pub(crate) struct ConnectTimedOut {
    pub(crate) after: Duration,
}

/// Makes connections to origins.
#[derive(Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<Dial>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(config: &Config) -> Result<Self, Vec<Problem>> {
        let tls = tls(config.extra_root_certificates.as_deref())?;
        let dial = Dial::new(config);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        Ok(Connector { https: https.wrap_connector(dial), timeout: config.connect_timeout })
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, after) = (self.https.call(uri), self.timeout);
        Box::pin(
            async move { tokio::time::timeout(after, connecting).await.map_err(|_elapsed| ConnectTimedOut { after })? },
        )
    }
}

/// TCP to where the TLS or plain HTTP begins.
#[derive(Clone)]
struct Dial {
    direct: HttpConnector,
    tunnel: Option<Tunnel<HttpConnector>>,
}

impl Dial {
    fn new(config: &Config) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_keepalive(Some(TCP_KEEPALIVE));
        // Divided among a name's addresses, so that one that swallows packets leaves time for the next.
        direct.set_connect_timeout(Some(config.connect_timeout));
        let tunnel = config.proxy.as_ref().map(|proxy| tunnel(proxy, direct.clone()));
        Dial { direct, tunnel }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match &mut self.tunnel {
            Some(tunnel) if uri.scheme_str() == Some("https") => {
                let connecting = tunnel.call(uri);
                Box::pin(async move { Ok(connecting.await?) })
            }
            Some(_) | None => {
                let connecting = self.direct.call(uri);
                Box::pin(async move { Ok(connecting.await?) })
            }
        }
    }
}

/// The way through `proxy`, whose scheme and host the configuration has checked.
fn tunnel(proxy: &Url, connector: HttpConnector) -> Tunnel<HttpConnector> {
    let host = proxy.host_str().unwrap_or_default();
    let port = proxy.port_or_known_default().unwrap_or(80);
    let uri = format!("http://{host}:{port}").parse().expect("a URL's host and port make a URI");
    let tunnel = Tunnel::new(uri, connector);
    match proxy_authorization(proxy) {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

/// RFC 7617: Basic, user-id and password joined by a colon.
fn proxy_authorization(proxy: &Url) -> Option<HeaderValue> {
    if proxy.username().is_empty() && proxy.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(proxy.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(proxy.password().unwrap_or_default()));
    let value = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair));
    Some(HeaderValue::try_from(value).expect("base64 is a valid header value"))
}

/// TLS with the system's roots and those of `extra`. Session keys are never logged, whatever `SSLKEYLOGFILE` says.
fn tls(extra: Option<&Path>) -> Result<ClientConfig, Vec<Problem>> {
    let mut roots = system_roots();
    if let Some(path) = extra {
        add_roots(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's cipher suites cover TLS 1.2 and 1.3");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The system's roots (`SSL_CERT_FILE`, `SSL_CERT_DIR`, else the distribution's place). None at all is told, not refused: a
/// node whose origins are plain http needs none, and any other gets an error that says what isn't trusted.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system root certificate can't be read");
    }
    let (added, _unusable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("no system root certificates: install ca-certificates, else https origins can't be trusted");
    }
    roots
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), Vec<Problem>> {
    let path = path.to_owned();
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(vec![Problem::CertificatesUnreadable { path, source }]),
    };
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = match parsed {
        Ok(certificates) if !certificates.is_empty() => certificates,
        Ok(_) => return Err(vec![Problem::CertificatesUnusable { path, reason: pem::Error::NoItemsFound }]),
        Err(reason) => return Err(vec![Problem::CertificatesUnusable { path, reason }]),
    };
    let refused = |(index, certificate)| {
        let source = roots.add(certificate).err()?;
        Some(Problem::CertificateRefused { path: path.clone(), number: index + 1, source })
    };
    let problems: Vec<_> = certificates.into_iter().enumerate().filter_map(refused).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
