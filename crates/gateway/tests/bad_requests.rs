//! What a client may send that it should not, byte by byte, and what it is told.

mod support;

use support::{Front, Reply};

/// What is wrong, the bytes (with [`expanded`]'s words), the status of the answer and words in its message.
type Case = (&'static str, &'static str, u16, &'static str);

/// Refused by the gateway or by policy.
const REFUSED: [Case; 21] = [
    ("two Hosts", "GET /user HTTP/1.1|{host}{host}|", 400, "more than one Host"),
    ("no Host", "GET /user HTTP/1.1||", 400, "no Host"),
    ("an empty Host", "GET /user HTTP/1.1|Host: ||", 400, "Host"),
    ("a malformed Host", "GET /user HTTP/1.1|Host: api.github.com/path||", 400, "is not a host"),
    ("a Host that is not allowed", "GET /user HTTP/1.1|Host: evil.example||", 421, "origin.hosts"),
    ("a rebound name on this port", "GET /user HTTP/1.1|Host: evil.example:9180||", 421, "gateway.names"),
    ("an absolute form for another host", "GET http://evil.example/ HTTP/1.1|{host}|", 421, "evil.example"),
    ("a user in the target", "GET http://a:b@api.github.com/ HTTP/1.1|{host}|", 400, "Authorization header"),
    ("a scheme of its own", "GET ftp://api.github.com/ HTTP/1.1|{host}|", 400, "http"),
    (
        "two Authorizations",
        "GET /user HTTP/1.1|{host}Authorization: token a|Authorization: token b||",
        400,
        "more than one Authorization",
    ),
    (
        "Connection names Authorization",
        "GET /user HTTP/1.1|{host}Connection: authorization||",
        400,
        "Connection header names authorization",
    ),
    ("CONNECT", "CONNECT api.github.com:443 HTTP/1.1|Host: api.github.com:443||", 405, "CONNECT is not served"),
    ("an asterisk", "OPTIONS * HTTP/1.1|{host}|", 400, "target"),
    ("a coding that would stay on", "{post}Transfer-Encoding: gzip, chunked||0||", 501, "chunked"),
    ("an Origin", "GET /user HTTP/1.1|{host}Origin: https://evil.example||", 403, "browser"),
    ("a null Origin", "GET /user HTTP/1.1|{host}Origin: null||", 403, "browser"),
    ("another site", "GET /user HTTP/1.1|{host}Sec-Fetch-Site: cross-site||", 403, "Sec-Fetch-Site"),
    ("a sister site", "GET /user HTTP/1.1|{host}Sec-Fetch-Site: same-site||", 403, "Sec-Fetch-Site"),
    (
        "another site, for the totals",
        "GET /_ghmesh/stats HTTP/1.1|Host: 127.0.0.1|Sec-Fetch-Site: cross-site||",
        403,
        "Sec-Fetch-Site",
    ),
    ("a rebound name, for the totals", "GET /_ghmesh/stats HTTP/1.1|Host: evil.example||", 421, "gateway.names"),
    ("another port of this machine", "GET /user HTTP/1.1|Host: 127.0.0.1:1||", 421, "gateway.names"),
];

/// Refused by the parser.
const MALFORMED: [Case; 14] = [
    ("an obsolete fold", "GET /user HTTP/1.1|{host}X-A: b| c||", 400, "well-formed"),
    ("a space before the colon", "GET /user HTTP/1.1|{host}X-A : b||", 400, "well-formed"),
    ("a carriage return in a value", "GET /user HTTP/1.1|{host}X-A: b\rc||", 400, "well-formed"),
    ("a NUL in a value", "GET /user HTTP/1.1|{host}X-A: b\0c||", 400, "well-formed"),
    ("two different lengths", "{post}Content-Length: 1|Content-Length: 2||ab", 400, "well-formed"),
    ("a negative length", "{post}Content-Length: -1||", 400, "well-formed"),
    ("a length with a sign", "{post}Content-Length: +1||a", 400, "well-formed"),
    ("chunked not last", "{post}Transfer-Encoding: chunked, gzip||0||", 400, "well-formed"),
    ("a chunked HTTP/1.0 request", "POST / HTTP/1.0|{host}Transfer-Encoding: chunked||0||", 400, "well-formed"),
    ("a huge header", "GET /user HTTP/1.1|{host}X-A: {70000}||", 431, "longer"),
    ("many headers", "GET /user HTTP/1.1|{host}{150 headers}|", 431, "more than 100 headers"),
    ("a huge target", "GET /{70000} HTTP/1.1|{host}|", 431, "longer"),
    ("a later HTTP", "GET / HTTP/3.0||", 400, "well-formed"),
    ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03||", 400, "http://"),
];

/// The bytes that a case stands for: `|` ends a line, the rest as it says.
fn expanded(bytes: &str) -> String {
    let headers: String = (0..150).map(|number| format!("X-{number}: 1|")).collect();
    bytes
        .replace("{post}", "POST /repos/o/r/issues HTTP/1.1|{host}")
        .replace("{host}", "Host: api.github.com|")
        .replace("{70000}", &"a".repeat(70_000))
        .replace("{150 headers}", &headers)
        .replace('|', "\r\n")
}

#[tokio::test]
async fn everything_malformed_or_refused_is_told_in_words_and_reaches_nobody() {
    let front = Front::start().await;
    let mut wrong = Vec::new();
    for (what, bytes, status, words) in REFUSED.into_iter().chain(MALFORMED) {
        let reply = front.raw(expanded(bytes).as_bytes()).await;
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
