//! What a client is told when GitHub gives no answer; asked in process, as the command line does without a daemon.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use ghmesh_gateway::{Config, Gateway};
use ghmesh_policy::Listener;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::net::TcpListener;
use std::time::Duration;
use support::upstream::Upstream;

/// Answers nothing for longer than [`impatient`] waits.
const SILENT: &str = "/wait";

fn impatient() -> ghmesh_origin::Config {
    let wait = Duration::from_millis(200);
    ghmesh_origin::Config {
        connect_timeout: wait,
        header_timeout: wait,
        total_budget: wait,
        ..ghmesh_origin::Config::default()
    }
}

fn request(method: Method, path: &str, cache_control: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "api.github.com");
    request.header("cache-control", cache_control).body(Full::default()).unwrap()
}

async fn told(gateway: &Gateway, request: Request<Full<Bytes>>) -> (StatusCode, String, String) {
    let response: Response<_> = gateway.handle(request, &Listener::Unix).await;
    let (head, body) = response.into_parts();
    assert_eq!(head.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(head.headers["cache-control"], "no-store");
    let status = head.headers["cache-status"].to_str().unwrap().to_owned();
    let body: serde_json::Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    (head.status, status, body["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_origin_that_is_down_is_a_502() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let gateway = support::node::gateway(Config::default(), &format!("http://{nobody}"), directory.path(), impatient());
    for (method, forward) in [(Method::GET, "miss"), (Method::DELETE, "method")] {
        let (status, cache_status, message) = told(&gateway, request(method, "/repos/o/r", "")).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert_eq!(cache_status, format!("ghmesh; fwd={forward}; detail=unreachable"));
        assert!(message.starts_with(&format!("ghmesh: {nobody} ")), "{message}");
    }
}

#[tokio::test]
async fn a_failure_names_the_reason_for_going_forward_that_a_success_would() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let gateway = support::node::gateway(Config::default(), &format!("http://{nobody}"), directory.path(), impatient());
    for (request, forward) in [
        (request(Method::GET, "/repos/o/r", "no-store"), "request"),
        (request(Method::POST, "/graphql", ""), "method"),
        (request(Method::GET, "/rate_limit", ""), "bypass"),
    ] {
        let (_, cache_status, _) = told(&gateway, request).await;
        assert_eq!(cache_status, format!("ghmesh; fwd={forward}; detail=unreachable"));
    }
}

#[tokio::test]
async fn an_origin_that_is_silent_is_a_504() {
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let gateway = support::node::gateway(Config::default(), &upstream.url(), directory.path(), impatient());
    for (method, forward) in [(Method::GET, "miss"), (Method::POST, "method")] {
        let (status, cache_status, message) = told(&gateway, request(method, SILENT, "")).await;
        assert_eq!(
            (status, cache_status),
            (StatusCode::GATEWAY_TIMEOUT, format!("ghmesh; fwd={forward}; detail=timeout"))
        );
        assert!(message.contains("waited 0.2 s"), "{message}");
    }
}

#[tokio::test]
async fn what_must_come_from_the_cache_and_is_not_there_is_a_504() {
    let upstream = Upstream::start().await;
    let directory = tempfile::tempdir().unwrap();
    let gateway = support::node::gateway(Config::default(), &upstream.url(), directory.path(), impatient());
    let (status, cache_status, _) = told(&gateway, request(Method::GET, "/repos/o/r", "only-if-cached")).await;
    assert_eq!((status, cache_status.as_str()), (StatusCode::GATEWAY_TIMEOUT, "ghmesh; detail=not-cached"));
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn a_host_that_fails_again_and_again_is_left_alone_and_says_for_how_long() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let gateway = support::node::gateway(Config::default(), &format!("http://{nobody}"), directory.path(), impatient());
    for _ in 0..100 {
        let response = gateway.handle(request(Method::POST, "/repos/o/r/issues", ""), &Listener::Unix).await;
        if let Some(seconds) = response.headers().get("retry-after") {
            assert!(seconds.to_str().unwrap().parse::<u64>().unwrap() > 0);
            assert_eq!(response.headers()["cache-status"], "ghmesh; fwd=method; detail=breaker-open");
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
            return;
        }
    }
    panic!("the breaker never opened");
}
