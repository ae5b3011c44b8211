//! Faults, latency and bodies of any size.

use std::time::{Duration, Instant};

use futures::StreamExt;
use ghmesh_github_sim::tokens::ALICE;
use ghmesh_github_sim::{Base, Config, Fault, filler};
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::json;
use tokio::time::timeout;

use crate::common::{Case, header};

const HELLO: &str = "/repos/octo/hello";

#[tokio::test]
async fn a_status_fault_has_no_effect_and_no_charge_and_ends() {
    let case = Case::new().await;
    case.sim.set_faults(vec![
        Fault { headers: vec![("retry-after".into(), "7".into())], ..Fault::status(502) }.on("/repos").times(2),
    ]);
    for _ in 0..2 {
        let (status, _) = case.send(Method::POST, "/repos/octo/hello/issues", ALICE, json!({"title": "Lost"})).await;
        assert_eq!(status, 502);
    }
    assert_eq!(case.get("/user", ALICE).await.status(), 200);
    assert_eq!(case.get("/repos/octo/hello/issues/163", ALICE).await.status(), 404, "none was created");
    assert_eq!((case.sim.counters().calls(), case.sim.counters().charged()), (4, 2));
}

#[tokio::test]
async fn a_dropped_connection_is_counted_and_no_answer_comes() {
    let case = Case::new().await;
    case.sim.set_faults(vec![Fault::dropped().times(1)]);
    assert!(
        case.ask(Method::POST, "/repos/octo/hello/issues", ALICE).body("{\"title\":\"Kept\"}").send().await.is_err()
    );
    assert_eq!(case.get("/repos/octo/hello/issues/163", ALICE).await.status(), 200, "it had its effect");
    assert_eq!(case.sim.counters().calls(), 2);
}

#[tokio::test]
async fn a_stall_lasts_until_the_client_gives_up() {
    let case = Case::new().await;
    case.sim.set_faults(vec![Fault::stalled()]);
    let waiting = timeout(Duration::from_millis(300), case.get(HELLO, ALICE)).await;
    assert!(waiting.is_err());
    assert_eq!(case.sim.counters().calls(), 1);
    let deadline = Instant::now() + Duration::from_secs(5);
    while case.sim.counters().in_flight > 0 {
        assert!(Instant::now() < deadline, "the client's departure is noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn latency_comes_after_counting() {
    let case = Case::new().await;
    case.sim.set_faults(vec![Fault::latency(150)]);
    let started = Instant::now();
    let (first, second) = tokio::join!(case.get(HELLO, ALICE), case.get(HELLO, ALICE));
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(case.sim.counters().max_in_flight, 2);
    case.sim.set_faults(Vec::new());
    case.sim.configure(|settings| settings.latency_ms = 100);
    let started = Instant::now();
    case.get(HELLO, ALICE).await;
    assert!(started.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn bodies_can_break_off_lie_or_stall() {
    let case = Case::new().await;
    case.sim.set_faults(vec![Fault { truncate: Some(100), ..Fault::default() }]);
    let answer = case.get(HELLO, ALICE).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
    case.sim.set_faults(vec![Fault { content_length: Some(1_000_000), ..Fault::default() }]);
    assert!(case.get(HELLO, ALICE).await.bytes().await.is_err());
    case.sim.set_faults(vec![Fault { content_length: Some(10), ..Fault::default() }]);
    let cut = timeout(Duration::from_secs(5), case.get(HELLO, ALICE).await.bytes()).await.unwrap();
    assert!(cut.is_err() || cut.unwrap().len() == 10);
    case.sim.set_faults(vec![Fault { stall_body_after: Some(100), ..Fault::default() }]);
    let mut stalled = case.get(HELLO, ALICE).await;
    assert_eq!(stalled.chunk().await.unwrap().unwrap().len(), 100);
    assert!(timeout(Duration::from_millis(200), stalled.chunk()).await.is_err());
}

#[tokio::test]
async fn a_body_can_have_any_size() {
    let case = Case::new().await;
    for size in [1_000, 1024 * 1024, 5_000_000] {
        let body = case.get(&format!("/repos/octo/big/contents/body-{size}.json"), ALICE).await.bytes().await.unwrap();
        assert!((size..size + 2_000).contains(&body.len()), "{} for {size}", body.len());
    }
    let first = case.get("/repos/octo/big/contents/big.json", ALICE).await;
    let tag = header(&first, "etag").to_owned();
    assert!(first.bytes().await.unwrap().len() >= 1024 * 1024);
    case.sim.touch("/repos/octo/big").unwrap();
    let second = case
        .ask(Method::GET, "/repos/octo/big/contents/big.json", ALICE)
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(second.status(), 200);
    assert_eq!(case.get("/repos/octo/hello/contents/big.json", ALICE).await.status(), 404);
}

#[tokio::test]
async fn an_archive_is_elsewhere_and_streamed() {
    let mut config = Config::default();
    config.settings.assets = Base::Own;
    let case = Case::with(config).await;
    let size: u64 = 300 * 1024 * 1024;
    let redirect = case.get(&format!("/repos/octo/hello/tarball/size-{size}"), ALICE).await;
    assert_eq!(
        (redirect.status().as_u16(), header(&redirect, "cache-control"), header(&redirect, "etag")),
        (302, "", "")
    );
    let answer = case.client.get(header(&redirect, "location")).send().await.unwrap();
    assert_eq!(
        (header(&answer, "content-length"), header(&answer, "x-ratelimit-limit")),
        (size.to_string().as_str(), "")
    );
    let mut stream = answer.bytes_stream();
    let mut received = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.unwrap();
        assert_eq!(piece[0], filler::byte_at(received));
        received += piece.len() as u64;
    }
    assert_eq!(received, size);
    assert_eq!(case.sim.counters().charged(), 1, "storage hosts have no limits");
}

#[tokio::test]
async fn an_asset_is_described_or_redirected_to() {
    let case = Case::new().await;
    let asset = case.json("/repos/octo/hello/releases/latest", ALICE).await["assets"][0].clone();
    let path = asset["url"].as_str().unwrap().strip_prefix("https://api.github.com").unwrap();
    assert_eq!(case.json(path, ALICE).await["name"], asset["name"]);
    let redirect = case.ask(Method::GET, path, ALICE).header(ACCEPT, "application/octet-stream").send().await.unwrap();
    assert_eq!(redirect.status(), 302);
    let location = header(&redirect, "location");
    let storage = location.strip_prefix("https://objects.githubusercontent.com").unwrap();
    let request =
        case.client.get(format!("{}{storage}", case.sim.url())).header("host", "objects.githubusercontent.com");
    let answer = request.send().await.unwrap();
    assert_eq!(header(&answer, "content-length"), asset["size"].to_string());
}

#[tokio::test]
async fn gzip_is_for_those_who_accept_it() {
    let mut config = Config::default();
    config.settings.gzip = true;
    let case = Case::with(config).await;
    let plain = case.get(HELLO, ALICE).await;
    assert_eq!(header(&plain, "content-encoding"), "");
    let zipped = case.ask(Method::GET, HELLO, ALICE).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!((header(&zipped, "content-encoding"), header(&zipped, "etag")), ("gzip", header(&plain, "etag")));
    assert!(zipped.bytes().await.unwrap().starts_with(&[0x1f, 0x8b, 8]));
}

#[tokio::test]
async fn a_shutdown_frees_the_address() {
    let case = Case::new().await;
    case.sim.set_faults(vec![Fault::stalled()]);
    let (address, url) = (case.sim.address(), case.sim.url());
    let pending = tokio::spawn(case.client.get(format!("{url}/zen")).send());
    let deadline = Instant::now() + Duration::from_secs(5);
    while case.sim.counters().calls() == 0 {
        assert!(Instant::now() < deadline, "the request arrives");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    case.sim.shutdown().await;
    assert!(pending.await.unwrap().is_err(), "the connection is cut");
    let again = Case::with(Config { listen: address, ..Config::default() }).await;
    assert_eq!(again.get("/zen", "").await.status(), 200);
}
