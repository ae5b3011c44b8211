//! What a client may send that it should not, byte by byte, and what it is told.

mod support;

use support::{Front, Reply};

struct Case {
    what: &'static str,
    bytes: Vec<u8>,
    status: u16,
    words: &'static str,
}

fn case(what: &'static str, bytes: impl Into<Vec<u8>>, status: u16, words: &'static str) -> Case {
    Case { what, bytes: bytes.into(), status, words }
}

fn cases() -> Vec<Case> {
    let host = "Host: api.github.com\r\n";
    let many = (0..150).map(|number| format!("X-{number}: 1\r\n")).collect::<String>();
    let ask = |rest: &str| format!("GET /repos/o/r HTTP/1.1\r\n{rest}\r\n");
    let post = |rest: &str| format!("POST /repos/o/r/issues HTTP/1.1\r\n{host}{rest}");
    vec![
        case("two Hosts", ask(&format!("{host}{host}")), 400, "more than one Host"),
        case("no Host", ask(""), 400, "no Host"),
        case("an empty Host", ask("Host: \r\n"), 400, "Host"),
        case("a malformed Host", ask("Host: api.github.com/path\r\n"), 400, "is not a host"),
        case("a Host that is not allowed", ask("Host: evil.example\r\n"), 421, "origin.hosts"),
        case("a rebound name on this port", ask("Host: evil.example:9180\r\n"), 421, "gateway.names"),
        case(
            "an absolute form for another host",
            format!("GET http://evil.example/ HTTP/1.1\r\n{host}\r\n"),
            421,
            "evil.example",
        ),
        case(
            "a user in the target",
            format!("GET http://a:b@api.github.com/ HTTP/1.1\r\n{host}\r\n"),
            400,
            "Authorization header",
        ),
        case("a scheme of its own", format!("GET ftp://api.github.com/ HTTP/1.1\r\n{host}\r\n"), 400, "http"),
        case(
            "two Authorizations",
            ask(&format!("{host}Authorization: token a\r\nAuthorization: token b\r\n")),
            400,
            "more than one Authorization",
        ),
        case(
            "Connection names Authorization",
            ask(&format!("{host}Connection: authorization\r\n")),
            400,
            "Connection header names authorization",
        ),
        case(
            "CONNECT",
            "CONNECT api.github.com:443 HTTP/1.1\r\nHost: api.github.com:443\r\n\r\n",
            405,
            "CONNECT is not served",
        ),
        case("an asterisk", format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"), 400, "target"),
        case("an obsolete fold", ask(&format!("{host}X-A: b\r\n c\r\n")), 400, "well-formed"),
        case("a space before the colon", ask(&format!("{host}X-A : b\r\n")), 400, "well-formed"),
        case("a carriage return in a value", ask(&format!("{host}X-A: b\rc\r\n")), 400, "well-formed"),
        case("a NUL in a value", ask(&format!("{host}X-A: b\0c\r\n")), 400, "well-formed"),
        case("two different lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 400, "well-formed"),
        case("a negative length", post("Content-Length: -1\r\n\r\n"), 400, "well-formed"),
        case("a length with a sign", post("Content-Length: +1\r\n\r\na"), 400, "well-formed"),
        case("chunked not last", post("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 400, "well-formed"),
        case("a coding that would stay on", post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501, "chunked"),
        case(
            "a chunked HTTP/1.0 request",
            format!("POST / HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
            "well-formed",
        ),
        case("a huge header", ask(&format!("{host}X-A: {}\r\n", "a".repeat(70_000))), 431, "longer"),
        case("many headers", ask(&format!("{host}{many}")), 431, "more than 100 headers"),
        case("a huge target", format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(70_000)), 431, "longer"),
        case("a later HTTP", "GET / HTTP/3.0\r\n\r\n", 400, "well-formed"),
        case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400, "http://"),
        case("an Origin", ask(&format!("{host}Origin: https://evil.example\r\n")), 403, "browser"),
        case("a null Origin", ask(&format!("{host}Origin: null\r\n")), 403, "browser"),
        case("another site", ask(&format!("{host}Sec-Fetch-Site: cross-site\r\n")), 403, "Sec-Fetch-Site"),
        case("a sister site", ask(&format!("{host}Sec-Fetch-Site: same-site\r\n")), 403, "Sec-Fetch-Site"),
        case(
            "another site, for the totals",
            "GET /_ghmesh/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n\r\n",
            403,
            "Sec-Fetch-Site",
        ),
        case(
            "a rebound name, for the totals",
            "GET /_ghmesh/stats HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            421,
            "gateway.names",
        ),
    ]
}

#[tokio::test]
async fn everything_malformed_or_refused_is_told_in_words_and_reaches_nobody() {
    let front = Front::start().await;
    let mut wrong = Vec::new();
    for Case { what, bytes, status, words } in cases() {
        let reply = front.raw(&bytes).await;
        let message = reply.message();
        if reply.status != status || !message.contains(words) {
            wrong.push(format!("{what}: {} {message:?}, wanted {status} {words:?}", reply.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(front.upstream_calls(), 0);
}

#[tokio::test]
async fn with_both_lengths_chunks_count_and_the_connection_ends() {
    // RFC 9112 §6.3: "Transfer-Encoding overrides the Content-Length", and the connection must be closed after it (§6.1), so
    // that what a proxy before us took for a second request is never read as one.
    let front = Front::start().await;
    for lengths in
        ["Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"]
    {
        let before = front.upstream_calls();
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: api.github.com\r\n\r\n";
        let bytes =
            format!("POST /echo HTTP/1.1\r\nHost: api.github.com\r\n{lengths}\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}");
        let Reply { status, body, rest, .. } = front.raw(bytes.as_bytes()).await;
        assert!(rest.is_empty(), "a second answer: {rest:?}");
        if status == 200 {
            assert_eq!((body.as_slice(), front.upstream_calls() - before), (&b"hello"[..], 1));
        } else {
            assert_eq!((status, front.upstream_calls() - before), (400, 0));
        }
    }
}

#[tokio::test]
async fn a_lone_line_feed_ends_a_line_and_smuggles_no_header() {
    // RFC 9112 §2.2 lets a recipient take a lone LF for a line's end. What goes upstream is written anew from the parsed headers.
    let front = Front::start().await;
    let reply = front.raw(b"GET /headers HTTP/1.1\nHost: api.github.com\nX-A: b\n\n").await;
    assert_eq!(reply.status, 200);
    let reply = front.raw(b"GET /headers HTTP/1.1\r\nHost: api.github.com\nHost: evil.example\r\n\r\n").await;
    assert_eq!(reply.status, 400, "{}", reply.message());
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let front = Front::with(|config| config.limits.head_timeout = std::time::Duration::from_millis(300)).await;
    let begun = std::time::Instant::now();
    let bytes = front.raw_bytes(b"GET / HTTP/1.1\r\nHost: api.github.com\r\nX-A:").await;
    assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
    assert!((250..5_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_http2_preface_gets_no_answer_and_does_no_harm() {
    let front = Front::start().await;
    assert!(front.raw_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.is_empty());
    assert_eq!(front.raw(b"GET /_ghmesh/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 200);
}
