//! What a client sees: where an answer came from, its own conditionals and wishes, links that lead back to the daemon, bytes
//! exactly as GitHub sent them, however many.

use bytes::Bytes;
use futures::{StreamExt, stream};
use ghmesh_github_sim::{Base, Config, Fault, Sim, filler, tokens};
use ghmesh_tests::client::{self, BoxError, Endpoint};
use ghmesh_tests::{Answer, Daemon, DaemonBuilder, eventually};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const PATH: &str = "/repos/octo/hello";

/// Of a transfer that must go through memory of a fixed size.
const LARGE: u64 = 256 << 20;

/// What a node may need for that beyond what it needs anyway, in KiB.
const BOUNDED_KIB: u64 = 48 << 10;

async fn github() -> Sim {
    Sim::start(Config::default()).await.expect("the simulated GitHub starts")
}

fn how(github: &Sim) -> DaemonBuilder {
    DaemonBuilder::new(&github.url()).with("GHMESH_MESH__ENABLED", "false")
}

/// `GET path` as alice with more headers.
async fn get_with(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client::request(Method::GET, path, Some(tokens::ALICE));
    daemon.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)), "").await
}

/// What GitHub itself answers.
async fn direct(github: &Sim, path: &str) -> Answer {
    let request = client::request(Method::GET, path, Some(tokens::ALICE)).header("accept", "*/*");
    let request = request.body(Full::default()).expect("a request");
    client::send(&Endpoint::Tcp(github.address()), request).await.expect("GitHub answers")
}

fn came_from(answer: &Answer) -> (&str, &str) {
    (answer.header("cache-status"), answer.header("x-from-cache"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_where_it_came_from_and_how_old_it_is() {
    let github = github().await;
    let daemon = how(&github).with("GHMESH_CACHE__DEFAULT_TTL", "2s").start().await;
    let first = daemon.get(PATH, tokens::ALICE).await;
    assert_eq!((came_from(&first), first.header("age")), (("ghmesh; fwd=miss; stored", ""), ""));
    let hit = daemon.get(PATH, tokens::ALICE).await;
    assert_eq!(came_from(&hit), ("ghmesh; hit", "1"));
    assert!(hit.header("age").parse::<u64>().expect("seconds") <= 2);
    assert_eq!(hit.header("date"), first.header("date"), "the date stays that of GitHub's answer");
    eventually("the hit is a second old", async || {
        let hit = daemon.get(PATH, tokens::ALICE).await;
        (hit.header("age") == "1").then_some(())
    })
    .await;
    daemon.expired(PATH, tokens::ALICE).await;
    let confirmed = daemon.get(PATH, tokens::ALICE).await;
    assert_eq!(came_from(&confirmed), ("ghmesh; fwd=stale; fwd-status=304; stored", ""));
    assert_eq!((confirmed.status, &confirmed.body), (StatusCode::OK, &first.body));
    let written =
        daemon.send(client::request(Method::POST, "/repos/octo/hello/issues", Some(tokens::ALICE)), "{}").await;
    assert_eq!(came_from(&written), ("ghmesh; fwd=method; fwd-status=422", ""));
    let missing = daemon.get("/repos/octo/none", tokens::ALICE).await;
    assert_eq!(came_from(&missing), ("ghmesh; fwd=miss; fwd-status=404", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_client_that_asked_gets_a_304() {
    let github = github().await;
    let daemon = how(&github).with("GHMESH_CACHE__DEFAULT_TTL", "1s").start().await;
    let first = daemon.get(PATH, tokens::ALICE).await;
    let (etag, modified) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
    assert!(!etag.is_empty() && !modified.is_empty());
    daemon.expired(PATH, tokens::ALICE).await;
    // GitHub answers the daemon with a 304 now; the client has not asked for one.
    assert_eq!(daemon.get(PATH, tokens::ALICE).await.status, 200);
    for (name, value, status) in [
        ("if-none-match", etag.as_str(), 304),
        ("if-modified-since", modified.as_str(), 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", "Thu, 01 Jan 1998 00:00:00 GMT", 200),
    ] {
        let answer = get_with(&daemon, PATH, &[(name, value)]).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
        assert_eq!(answer.body.is_empty(), status == 304);
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.headers.contains_key("content-type"), status == 200);
    }
    let disagreeing = [("if-none-match", "\"other\""), ("if-modified-since", modified.as_str())];
    assert_eq!(get_with(&daemon, PATH, &disagreeing).await.status, 200, "the ETag counts (RFC 9110, 13.1.3)");
    github.touch(PATH).expect("it is there");
    daemon.expired(PATH, tokens::ALICE).await;
    let changed = get_with(&daemon, PATH, &[("if-none-match", &etag)]).await;
    assert_eq!(changed.status, 200, "what the client has is old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_wishes_are_honoured() {
    let github = github().await;
    let daemon = how(&github).with("GHMESH_CACHE__DEFAULT_TTL", "1h").start().await;
    let nothing = get_with(&daemon, PATH, &[("cache-control", "only-if-cached")]).await;
    assert_eq!(nothing.status, 504);
    assert!(nothing.json()["message"].as_str().is_some_and(|message| message.contains("ghmesh")));
    assert_eq!(github.counters().calls(), 0);

    let no_store = get_with(&daemon, PATH, &[("cache-control", "no-store")]).await;
    assert_eq!(came_from(&no_store), ("ghmesh; fwd=request; fwd-status=200", ""));
    assert_eq!(daemon.count("entries").await, 0);

    daemon.get(PATH, tokens::ALICE).await;
    for (directive, hit) in [
        ("only-if-cached", true),
        ("max-age=600", true),
        ("no-cache", false),
        ("max-age=0", false),
        ("min-fresh=7200", false),
    ] {
        // With `max-age=0` the answer may be as old as it is within its first second.
        eventually("it has an age", async || {
            (directive != "max-age=0" || daemon.get(PATH, tokens::ALICE).await.header("age") != "0").then_some(())
        })
        .await;
        let answer = get_with(&daemon, PATH, &[("cache-control", directive)]).await;
        assert_eq!((answer.status, answer.is_hit()), (StatusCode::OK, hit), "{directive}");
    }
    let pragma = get_with(&daemon, PATH, &[("pragma", "no-cache")]).await;
    assert!(!pragma.is_hit());
    assert!(daemon.get(PATH, tokens::ALICE).await.is_hit());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ttl_that_gh_sends_is_how_long_an_answer_counts_as_fresh() {
    let github = github().await;
    let daemon = how(&github).with("GHMESH_CACHE__DEFAULT_TTL", "1s").start().await;
    daemon.get(PATH, tokens::ALICE).await;
    daemon.expired(PATH, tokens::ALICE).await;
    let calls = github.counters().calls();
    assert!(get_with(&daemon, PATH, &[("x-gh-cache-ttl", "1h0m0s")]).await.is_hit());
    assert_eq!(github.counters().calls(), calls);
    assert!(!get_with(&daemon, PATH, &[("x-gh-cache-ttl", "0s")]).await.is_hit());
    assert_eq!(github.counters().calls(), calls + 1);
}

/// Follows `rel="next"` from `path` on, and gives the number of pages and of items.
async fn pages(endpoint: &Endpoint, base: &str, path: &str) -> (usize, usize) {
    let (mut next, mut pages, mut items) = (Some(format!("{base}{path}")), 0, 0);
    while let Some(url) = next {
        let below = url.strip_prefix(base).unwrap_or_else(|| panic!("{url} does not lead back to {base}"));
        let (origin, prefix) = base.split_at(base.rfind("/api/v3").unwrap_or(base.len()));
        let request = Request::get(format!("{prefix}{below}"))
            .header("host", origin.split("://").nth(1).unwrap_or_default())
            .header("authorization", format!("token {}", tokens::ALICE));
        let request = request.body(Full::default()).expect("a request");
        let answer = client::send(endpoint, request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{url}");
        pages += 1;
        items += answer.json().as_array().map_or(0, Vec::len);
        next = relation(answer.header("link"), "next");
        assert!(pages < 50, "it ends");
    }
    (pages, items)
}

fn relation(link: &str, name: &str) -> Option<String> {
    let wanted = format!("rel=\"{name}\"");
    let found = link.split(", ").find(|part| part.ends_with(&wanted))?;
    Some(found.split('>').next()?.trim_start_matches('<').to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_back_to_where_the_client_came_from_until_the_end() {
    let github = github().await;
    let daemon = how(&github).start().await;
    let tcp = daemon.tcp().await;
    let path = "/repos/octo/hello/issues?state=all";
    let unix = pages(&daemon.endpoint(), "https://api.github.com", path).await;
    assert_eq!(unix, (6, 162), "130 open issues, 20 closed ones and 12 pull requests");
    let calls = github.counters().calls();
    for base in [format!("http://{tcp}"), format!("http://{tcp}/api/v3"), format!("http://localhost:{}", tcp.port())] {
        assert_eq!(pages(&Endpoint::Tcp(tcp), &base, path).await, unix, "{base}");
    }
    assert_eq!(github.counters().calls(), calls, "one cache behind all the names");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_githubs_bytes_whoever_asks_and_however() {
    let github = github().await;
    github.configure(|settings| settings.gzip = true);
    let daemon = how(&github).start().await;
    let tcp = Endpoint::Tcp(daemon.tcp().await);
    let readme = "/repos/octo/hello/contents/README.md";
    for path in [PATH, "/repos/octo/hello/issues?per_page=7", "/repos/octo/big/contents/body-300000.json", readme] {
        let github_says = direct(&github, path).await;
        for agent in ["curl/8.5.0", "Mozilla/5.0 Firefox/130.0", "go-github/v60"] {
            let compressed = [("user-agent", agent), ("accept-encoding", "gzip")];
            let answer = get_with(&daemon, path, &compressed).await;
            assert_eq!(answer.body, github_says.body, "{path} for {agent}");
            assert_eq!(answer.header("content-encoding"), "");
            assert_eq!(answer.header("etag"), github_says.header("etag"));
            assert_eq!(answer.header("content-type"), github_says.header("content-type"));
        }
        let request = client::request(Method::GET, path, Some(tokens::ALICE)).body(Full::default()).expect("a request");
        assert_eq!(client::send(&tcp, request).await.expect("an answer").body, github_says.body, "{path} over TCP");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_one_connection_end_at_it() {
    let github = github().await;
    let daemon = how(&github).start().await;
    let hop_by_hop = ["connection", "keep-alive", "proxy-authenticate", "trailer", "upgrade", "proxy-connection", "te"];
    let has_none = |headers: &HeaderMap| hop_by_hop.iter().all(|name| !headers.contains_key(*name));
    let sent = [
        ("connection", "keep-alive, x-mine"),
        ("keep-alive", "timeout=5"),
        ("x-mine", "of this hop"),
        ("te", "trailers"),
    ];
    for headers in [&sent[..], &[]] {
        let answer = get_with(&daemon, PATH, headers).await;
        assert_eq!(answer.status, 200);
        assert!(has_none(&answer.headers), "{:?}", answer.headers);
    }
    assert_eq!(github.counters().calls(), 1, "they are no reason to go around the cache");
    let smuggled = get_with(&daemon, PATH, &[("connection", "authorization")]).await;
    assert_eq!(smuggled.status, 400, "a header that the request depends on is no header of the connection");
}

/// Reads an answer to its end and compares each byte with what the simulated GitHub streams.
async fn drain(response: http::Response<hyper::body::Incoming>) -> u64 {
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.expect("the answer goes on").into_data().unwrap_or_default();
        for (place, byte) in (length..).zip(&data) {
            assert_eq!(*byte, filler::byte_at(place), "at {place}");
        }
        length += data.len() as u64;
    }
    length
}

/// Where GitHub keeps archives: a host of its own.
async fn with_storage() -> (Sim, Sim) {
    let (github, storage) = (github().await, github().await);
    let base = Base::Url(storage.url());
    github.configure(|settings| settings.assets = base);
    (github, storage)
}

fn location(answer: &Answer) -> (String, String) {
    let uri: http::Uri = answer.header("location").parse().expect("a URL");
    let host = uri.authority().expect("it is absolute").to_string();
    (host, uri.path_and_query().expect("it has a path").to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_a_redirect_of_githubs_named_may_be_called_and_streams_in_bounded_memory() {
    let (github, storage) = with_storage().await;
    let daemon = how(&github).start().await;
    // On the unix socket every loopback name means the daemon itself.
    let tcp = Endpoint::Tcp(daemon.tcp().await);
    let path = format!("/repos/octo/hello/tarball/size-{LARGE}");
    let to_storage =
        |(host, path): &(String, String)| Request::get(path).header("host", host).body(Full::<Bytes>::default());
    let elsewhere = (storage.address().to_string(), "/_codeload/anything?bytes=1&sig=x".to_owned());
    let request = to_storage(&elsewhere).expect("a request");
    let refused = client::send(&tcp, request).await.expect("an answer");
    assert!(refused.status.is_client_error(), "{}: nothing has named it yet", refused.status);
    assert!(
        refused.json()["message"].as_str().is_some_and(|message| message.contains(&elsewhere.0)),
        "{}",
        refused.json()
    );

    let redirect = daemon.get(&path, tokens::ALICE).await;
    assert_eq!(redirect.status, 302);
    let target = location(&redirect);
    assert_eq!(target.0, storage.address().to_string());
    let before = daemon.peak_memory();
    let request = to_storage(&target).expect("a request");
    let response = client::open(&tcp, request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], LARGE.to_string().as_str());
    assert_eq!(drain(response).await, LARGE);
    let grown = daemon.peak_memory() - before;
    assert!(grown < BOUNDED_KIB, "{grown} KiB for {LARGE} bytes down");
    assert_eq!(storage.counters().calls(), 1);
    assert_eq!(storage.counters().token("anonymous").calls, 1, "no credential is added");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_streams_in_bounded_memory() {
    let github = github().await;
    let daemon = how(&github).start().await;
    let releases = daemon.get("/repos/octo/hello/releases", tokens::ALICE).await.json();
    let path = format!("/repos/octo/hello/releases/{}/assets?name=large.bin", releases[0]["id"]);
    let before = daemon.peak_memory();
    let piece = Bytes::from(vec![7; 64 << 10]);
    let pieces = stream::repeat(piece).take((LARGE >> 16) as usize).map(|piece| Ok::<_, BoxError>(Frame::data(piece)));
    let request = Request::post(format!("/api/uploads{path}"))
        .header("host", "localhost")
        .header("authorization", format!("token {}", tokens::ALICE))
        .header("content-type", "application/octet-stream")
        .body(StreamBody::new(pieces))
        .expect("a request");
    let response = client::open(&daemon.endpoint(), request).await.expect("an answer");
    assert_eq!(response.status(), 201);
    let counters = github.counters();
    assert_eq!(counters.uploads.back().map(|upload| upload.bytes), Some(LARGE));
    let grown = daemon.peak_memory() - before;
    assert!(grown < BOUNDED_KIB, "{grown} KiB for {LARGE} bytes up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_the_transfer_up_and_not_the_memory() {
    let (github, _storage) = with_storage().await;
    let daemon = how(&github).start().await;
    let redirect = daemon.get(&format!("/repos/octo/hello/tarball/size-{LARGE}"), tokens::ALICE).await;
    let (host, path) = location(&redirect);
    let before = daemon.peak_memory();
    let mut unread = Vec::new();
    for _ in 0..4 {
        let request = Request::get(&path).header("host", &host).body(Full::<Bytes>::default()).expect("a request");
        unread.push(client::open(&daemon.endpoint(), request).await.expect("an answer"));
    }
    // Other callers are served meanwhile, and for long enough that an unbounded buffer would fill.
    let until = std::time::Instant::now() + Duration::from_secs(1);
    while std::time::Instant::now() < until {
        assert_eq!(daemon.get(PATH, tokens::ALICE).await.status, 200);
    }
    let grown = daemon.peak_memory() - before;
    assert!(grown < BOUNDED_KIB, "{grown} KiB for four readers that stand still");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_answer_that_is_not_kept_is_counted_as_what_its_answer_says() {
    let github = github().await;
    let daemon = how(&github).start().await;
    github.set_faults(vec![Fault::latency(1_000)]);
    let path = "/repos/octo/none";
    let answers = futures::future::join_all((0..5).map(|_| daemon.get(path, tokens::ALICE))).await;
    assert!(answers.iter().all(|answer| came_from(answer) == ("ghmesh; fwd=miss; fwd-status=404", "")));
    assert_eq!(github.counters().calls(), 1);
    let stats = daemon.stats().await;
    assert_eq!((stats["misses"].as_u64(), stats["hits"].as_u64()), (Some(5), Some(0)), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_breaks_off_its_upload_is_no_failure() {
    let github = github().await;
    let daemon = how(&github).start().await;
    let head = format!(
        "POST /repos/octo/hello/issues HTTP/1.1\r\nhost: api.github.com\r\nauthorization: token {}\r\n",
        tokens::ALICE
    );
    // One that is gone, one whose body makes no sense.
    let broken = ["content-length: 1000\r\n\r\nstart", "transfer-encoding: chunked\r\n\r\n5\r\nstart\r\nZZ\r\n\r\n"];
    for rest in broken {
        let mut stream = UnixStream::connect(daemon.socket()).await.expect("it listens");
        stream.write_all(format!("{head}{rest}").as_bytes()).await.expect("it reads");
        stream.shutdown().await.expect("it was open");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.expect("it ends");
    }
    eventually("both are counted", async || (daemon.count("passed").await == 2).then_some(())).await;
    assert_eq!((daemon.count("requests").await, daemon.count("failures").await), (2, 0));
    let log = daemon.log();
    // A slow disk is another matter, and told of.
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("WARN") && !line.contains("the disk takes long")).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_once() {
    let github = github().await;
    let daemon = how(&github).with("GHMESH_CACHE__DEFAULT_TTL", "1s").start().await;
    for number in [1, 2, 1, 2, 1] {
        daemon.get(&format!("/repos/octo/hello/issues/{number}"), tokens::ALICE).await;
    }
    daemon.expired("/repos/octo/hello/issues/1", tokens::ALICE).await;
    daemon.get("/repos/octo/hello/issues/1", tokens::ALICE).await;
    daemon.get("/repos/octo/none", tokens::ALICE).await;
    daemon
        .send(client::request(Method::POST, "/repos/octo/hello/issues", Some(tokens::ALICE)), r#"{"title":"x"}"#)
        .await;
    daemon.get("/rate_limit", tokens::ALICE).await;

    let stats = daemon.stats().await;
    let count = |name: &str| stats[name].as_u64().unwrap_or_else(|| panic!("{name} in {stats}"));
    let ends = ["local_hits", "peer_hits", "misses", "passed", "stale_served", "failures"].map(count);
    assert_eq!(count("requests"), ends.iter().sum::<u64>(), "{stats}");
    assert_eq!(count("hits"), count("local_hits") + count("peer_hits"));
    assert_eq!((count("misses"), count("revalidated"), count("passed")), (4, 1, 2), "{stats}");
    assert_eq!(count("api_calls_saved"), count("hits") + count("revalidated"));
    assert!(count("api_calls_saved") <= count("requests"));
    assert_eq!(count("api_calls_made"), github.counters().calls(), "{stats}");
    assert_eq!(count("api_calls_charged"), github.counters().charged(), "{stats}");
    let rate = count("hits") as f64 / (count("hits") + count("misses")) as f64;
    assert!((stats["hit_rate"].as_f64().expect("a rate") - rate).abs() < 1e-9);
    assert_eq!(count("max_entries"), 100_000);
}
