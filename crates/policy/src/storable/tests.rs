use super::*;
use crate::fixtures::{Pair, headers, read};

const JSON: Pair<'_> = ("content-type", "application/json; charset=utf-8");
const TOKEN: [Pair<'_>; 1] = [("authorization", "token ghp_x")];

fn judge(status: StatusCode, pairs: &[Pair<'_>]) -> Result<Keep, NotStored> {
    storable(&read("/repos/o/r", &TOKEN), status, &headers(pairs))
}

#[test]
fn a_200_with_json_or_text_is_kept() {
    for content_type in [
        "application/json; charset=utf-8",
        "application/vnd.github.v3.diff; charset=utf-8",
        "application/scim+json",
        "text/html;charset=utf-8",
        "Text/Plain",
    ] {
        assert!(judge(StatusCode::OK, &[("content-type", content_type)]).is_ok(), "{content_type}");
    }
    for content_type in ["application/octet-stream", "application/zip", "image/png", "application/jsonx", ""] {
        assert_eq!(
            judge(StatusCode::OK, &[("content-type", content_type)]),
            Err(NotStored::ContentType),
            "{content_type}"
        );
    }
}

#[test]
fn trap_6_no_error_redirect_or_unfinished_answer_is_data() {
    for status in [201, 202, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 410, 422, 429, 500, 502, 503] {
        let status = StatusCode::from_u16(status).expect("a status");
        let friendly = [JSON, ("cache-control", "public, max-age=60"), ("etag", "\"a\"")];
        assert_eq!(judge(status, &friendly), Err(NotStored::Status(status)));
    }
}

#[test]
fn what_is_private_to_a_session_too_large_or_encoded_is_not_kept() {
    let large = (limits::MAX_BODY_BYTES + 1).to_string();
    for (pair, wanted) in [
        (("cache-control", "private, No-Store"), NotStored::NoStore),
        (("set-cookie", "a=1"), NotStored::SetCookie),
        (("content-encoding", "gzip"), NotStored::Encoded),
        (("content-length", large.as_str()), NotStored::TooLarge { length: limits::MAX_BODY_BYTES + 1 }),
        (("vary", "*"), NotStored::Headers { name: "vary" }),
    ] {
        assert_eq!(judge(StatusCode::OK, &[JSON, pair]), Err(wanted));
    }
    let long = "x".repeat(limits::MAX_HEADER_BYTES + 1);
    assert_eq!(judge(StatusCode::OK, &[JSON, ("link", &long)]), Err(NotStored::Headers { name: "link" }));
    let many = [("vary", "Accept"); limits::MAX_HEADERS + 1];
    assert_eq!(judge(StatusCode::OK, &[&[JSON][..], &many].concat()), Err(NotStored::Headers { name: "too many" }));
}

#[test]
fn trap_1_nothing_of_one_call_or_one_token_is_kept() {
    let kept = judge(
        StatusCode::OK,
        &[
            JSON,
            ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP"),
            ("vary", "Accept-Encoding, Accept, X-Requested-With"),
            ("link", "<https://api.github.com/x?page=2>; rel=\"next\""),
            ("etag", "W/\"a\""),
            ("date", "Tue, 15 Nov 1994 12:45:26 GMT"),
            ("x-ratelimit-remaining", "0"),
            ("x-oauth-scopes", "repo"),
            ("x-accepted-oauth-scopes", ""),
            ("github-authentication-token-expiration", "2026-01-01"),
            ("x-github-request-id", "1"),
            ("x-unknown", "1"),
        ],
    )
    .expect("kept");
    let names: Vec<&str> = kept.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "link", "vary", "vary"]);
}

#[test]
fn threat_6_only_generated_tokens_and_public_answers_leave_the_node() {
    let leaves = |request: &[Pair<'_>], response: &[Pair<'_>]| {
        let response = headers(&[&[JSON][..], response].concat());
        storable(&read("/repos/o/r", request), StatusCode::OK, &response).expect("kept").shareable_beyond_node
    };
    let public = ("cache-control", "public, max-age=60");
    assert!(leaves(&TOKEN, &[("cache-control", "private, max-age=60")]));
    assert!(!leaves(&[("authorization", "Basic eDp5")], &[public]));
    assert!(leaves(&[], &[public, ("vary", "Accept")]));
    assert!(!leaves(&[], &[public, ("vary", "Accept, Authorization")]));
    assert!(!leaves(&[], &[]));
}

#[test]
fn routes_that_give_out_secrets_are_never_kept() {
    for path in [
        "/app/installations/1/access_tokens",
        "/repos/o/r/actions/runners/registration-token",
        "/orgs/o/actions/runners/remove-token",
    ] {
        let mut read = read("/repos/o/r", &TOKEN);
        read.target = crate::fixtures::pass(&http::Method::POST, path, &[]).target;
        assert_eq!(storable(&read, StatusCode::OK, &headers(&[JSON])), Err(NotStored::Secret), "{path}");
    }
    assert!(judge(StatusCode::OK, &[JSON]).is_ok());
}

#[test]
fn a_peers_headers_are_accepted_only_as_this_node_would_have_kept_them() {
    let read = read("/repos/o/r/issues", &TOKEN);
    let accepts = |pairs: &[Pair<'_>]| {
        let kept: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        is_acceptable(&read, &kept)
    };
    assert!(accepts(&[JSON, ("link", "<https://api.github.com/repositories/1/issues?page=2>; rel=\"next\"")]));
    assert!(!accepts(&[JSON, ("link", "<https://evil.example/repos/o/r/issues?page=2>; rel=\"next\"")]));
    assert!(!accepts(&[("set-cookie", "a=1")]));
    assert!(!accepts(&[("x-ratelimit-remaining", "0")]));
    assert!(!accepts(&[("vary", "a\r\nset-cookie: b")]));
    assert!(!accepts(&[("vary", "Accept"); limits::MAX_HEADERS + 1]));
}

#[test]
fn dates_are_read() {
    assert_eq!(origin_date(&headers(&[("date", "Thu, 01 Jan 1970 00:01:00 GMT")])), Some(60));
    assert_eq!(origin_date(&headers(&[("date", "now")])), None);
    assert_eq!(origin_date(&headers(&[])), None);
}

#[test]
fn an_answer_that_is_a_token_is_never_kept_whatever_its_route() {
    let read = read("/repos/o/r/anything-new", &TOKEN);
    for body in [
        r#"{"token":"AABBCC","expires_at":"2026-01-01T00:00:00Z"}"#,
        r#" {"permissions":{"token":"write"},"token":"ghs_x"}"#,
    ] {
        assert_eq!(keepable(&read, body.as_bytes()), Err(NotStored::Token), "{body}");
    }
    for body in [r#"{"token":null}"#, r#"{"token":""}"#, r#"{"name":"token"}"#, r#"[{"token":"x"}]"#, "a \"token\"", ""]
    {
        assert_eq!(keepable(&read, body.as_bytes()), Ok(()), "{body}");
    }
}
