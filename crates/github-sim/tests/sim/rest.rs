//! The REST API over real connections: what GitHub's documentation and recordings say, seen from a client.

use crate::common::{Case, header, json};
use ghmesh_github_sim::tokens::{ACTIONS, ALICE, ALICE_SECOND, BOB, CAROL, EXPIRED, INSTALLATION, REVOKED};
use ghmesh_github_sim::{Base, Config, EtagStyle, Fault, Mutation, Secondary, Settings};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

const HELLO: &str = "/repos/octo/hello";
const SECRET: &str = "/repos/octo/secret";

fn sha256(text: &[u8]) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn with_settings(change: impl FnOnce(&mut Settings)) -> Case {
    let mut config = Config::default();
    change(&mut config.settings);
    Case::with(config).await
}

#[tokio::test]
async fn a_repository_looks_like_githubs() {
    let case = Case::new().await;
    let answer = case.get(HELLO, ALICE).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "cache-control"), "private, max-age=60, s-maxage=60");
    let vary: Vec<&str> = answer.headers().get_all("vary").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(vary, ["Accept, Authorization, Cookie, X-GitHub-OTP", "Accept-Encoding, Accept, X-Requested-With"]);
    assert_eq!(header(&answer, "x-ratelimit-limit"), "5000");
    assert_eq!(header(&answer, "x-ratelimit-remaining"), "4999");
    assert_eq!(header(&answer, "x-ratelimit-resource"), "core");
    for name in ["last-modified", "x-github-request-id", "x-github-media-type", "date", "x-oauth-scopes"] {
        assert_ne!(header(&answer, name), "", "{name}");
    }
    let body = json(answer).await;
    assert_eq!(body["full_name"], "octo/hello");
    assert_eq!(body["url"], "https://api.github.com/repos/octo/hello");
    assert_eq!(body["contents_url"], "https://api.github.com/repos/octo/hello/contents/{+path}");
    assert_eq!(body["owner"]["type"], "Organization");
    assert_eq!(body["permissions"]["admin"], true);
    let asked_by_bob = case.json(HELLO, BOB).await;
    assert_eq!(asked_by_bob["permissions"]["admin"], false);
}

#[tokio::test]
async fn an_entity_tag_is_the_hash_of_what_varies_and_the_body() {
    let case = Case::new().await;
    let answer = case.ask(Method::GET, HELLO, ALICE).header("accept", "application/json").send().await.unwrap();
    let tag = header(&answer, "etag").to_owned();
    let body = answer.bytes().await.unwrap();
    let hashed = [format!("application/json:token {ALICE}:").as_bytes(), &body].concat();
    assert_eq!(tag, format!("W/\"{}\"", sha256(&hashed)));

    let answer = case.ask(Method::GET, HELLO, "").header("accept", "application/json").send().await.unwrap();
    let tag = header(&answer, "etag").to_owned();
    let body = answer.bytes().await.unwrap();
    assert_eq!(tag, format!("W/\"{}\"", sha256(&[b"application/json:", &body[..]].concat())));
}

#[tokio::test]
async fn curl_gets_line_breaks_and_the_same_entity_tag() {
    let case = Case::new().await;
    let plain = case.get(HELLO, ALICE).await;
    let pretty = case.ask(Method::GET, HELLO, ALICE).header("user-agent", "curl/8").send().await.unwrap();
    assert_eq!(header(&plain, "etag"), header(&pretty, "etag"));
    let (plain, pretty) = (plain.text().await.unwrap(), pretty.text().await.unwrap());
    assert!(!plain.contains('\n') && pretty.starts_with("{\n  \"id\""));
}

#[tokio::test]
async fn a_304_is_free_with_a_token_and_charged_without() {
    let case = Case::new().await;
    for (token, charged) in [(ALICE, 1), ("", 2)] {
        case.sim.reset_counters();
        let tag = header(&case.get(HELLO, token).await, "etag").to_owned();
        let listed = format!("\"other\", {}", tag.trim_start_matches("W/"));
        let again = case.ask(Method::GET, HELLO, token).header("if-none-match", listed).send().await.unwrap();
        assert_eq!(again.status(), 304);
        assert_eq!(header(&again, "etag"), tag);
        assert_ne!(header(&again, "x-ratelimit-remaining"), "");
        assert_eq!(
            (header(&again, "content-type"), header(&again, "link"), header(&again, "x-oauth-scopes")),
            ("", "", "")
        );
        assert_eq!(case.sim.counters().charged(), charged);
        assert_eq!(case.sim.counters().path(HELLO).not_modified, 1);
    }
}

#[tokio::test]
async fn a_change_is_seen_by_conditional_requests() {
    let case = Case::new().await;
    for path in
        [HELLO, "/repos/octo/hello/issues/3", "/users/bob", "/orgs/octo", "/repos/octo/hello/contents/README.md"]
    {
        let first = case.get(path, ALICE).await;
        let (tag, modified) = (header(&first, "etag").to_owned(), header(&first, "last-modified").to_owned());
        let conditional =
            |name: &'static str, value: &str| case.ask(Method::GET, path, ALICE).header(name, value.to_owned()).send();
        assert_eq!(conditional("if-none-match", &tag).await.unwrap().status(), 304, "{path}");
        assert_eq!(conditional("if-modified-since", &modified).await.unwrap().status(), 304, "{path}");
        case.sim.touch(path).unwrap();
        assert_eq!(conditional("if-none-match", &tag).await.unwrap().status(), 200, "{path}");
        assert_eq!(conditional("if-modified-since", &modified).await.unwrap().status(), 200, "{path}");
    }
    assert!(case.sim.touch("/rate_limit").is_err());
}

#[tokio::test]
async fn pages_are_linked_by_the_repositorys_id() {
    let case = Case::new().await;
    let id = case.json(HELLO, ALICE).await["id"].clone();
    let answer = case.get("/repos/octo/hello/issues?per_page=100&state=all", ALICE).await;
    let url = format!("https://api.github.com/repositories/{id}/issues?per_page=100&state=all&page=2");
    assert_eq!(header(&answer, "link"), format!("<{url}>; rel=\"next\", <{url}>; rel=\"last\""));
    assert_eq!(json(answer).await.as_array().unwrap().len(), 100);
    let second = case.get(url.strip_prefix("https://api.github.com").unwrap(), ALICE).await;
    assert!(header(&second, "link").contains("rel=\"prev\"") && header(&second, "link").contains("rel=\"first\""));
    assert_eq!(json(second).await.as_array().unwrap().len(), 62);
    assert_eq!(case.json("/repos/octo/hello/issues", ALICE).await.as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn links_can_name_the_simulator_and_the_path_as_asked() {
    let case = with_settings(|settings| (settings.links, settings.numeric_links) = (Base::Own, false)).await;
    let answer = case.get("/repos/octo/hello/issues?per_page=50", ALICE).await;
    let expected = format!("<{}/repos/octo/hello/issues?per_page=50&page=2>; rel=\"next\"", case.sim.url());
    assert!(header(&answer, "link").starts_with(&expected), "{}", header(&answer, "link"));
}

#[tokio::test]
async fn private_repositories_exist_only_for_those_who_may_see_them() {
    let case = Case::new().await;
    for (token, status) in [(ALICE, 200), (CAROL, 200), (INSTALLATION, 200), (BOB, 404), (ACTIONS, 404), ("", 404)] {
        assert_eq!(case.get(SECRET, token).await.status(), status, "{token}");
    }
    assert_eq!(case.get("/repos/octo/ops", CAROL).await.status(), 404, "her token lists another");
    let names = |value: serde_json::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|repository| repository["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(case.json("/orgs/octo/repos", ALICE).await), ["hello", "secret", "ops", "big"]);
    assert_eq!(names(case.json("/orgs/octo/repos", BOB).await), ["hello", "big"]);
    let taken = Mutation::Visibility { repository: "octo/hello".into(), private: true };
    case.sim.mutate(&taken).unwrap();
    assert_eq!(case.get(HELLO, BOB).await.status(), 404);
}

#[tokio::test]
async fn bad_credentials_are_refused_at_the_addresss_expense() {
    let case = Case::new().await;
    for token in ["ghp_nobody", REVOKED, EXPIRED] {
        let answer = case.get(HELLO, token).await;
        assert_eq!(answer.status(), 401);
        assert_eq!(header(&answer, "x-ratelimit-limit"), "60");
        assert_eq!(json(answer).await["message"], "Bad credentials");
    }
    assert_eq!(case.sim.counters().charged(), 3);
    assert_eq!(case.sim.counters().token("unknown").calls, 1);
}

#[tokio::test]
async fn an_expired_token_is_charged_for_its_304() {
    let case = Case::new().await;
    let probe = case.ask(Method::GET, "/users/alice", EXPIRED).header("if-none-match", "*").send().await.unwrap();
    assert_eq!(probe.status(), 304);
    let secret = case.ask(Method::GET, SECRET, EXPIRED).header("if-none-match", "*").send().await.unwrap();
    assert_eq!(secret.status(), 401);
    assert_eq!(case.sim.counters().charged(), 2);
}

#[tokio::test]
async fn the_scheme_of_a_token_does_not_matter_to_rights_but_to_entity_tags() {
    let case = Case::new().await;
    let tag = |value: String| {
        let request = case.client.get(format!("{}{SECRET}", case.sim.url())).header("authorization", value);
        async move { header(&request.send().await.unwrap(), "etag").to_owned() }
    };
    let (token, bearer) = (tag(format!("token {ALICE}")).await, tag(format!("Bearer {ALICE}")).await);
    assert!(!token.is_empty() && !bearer.is_empty() && token != bearer);
    let basic = case.ask(Method::GET, SECRET, "").basic_auth("alice", Some(ALICE)).send().await.unwrap();
    assert_eq!(basic.status(), 200);
}

#[tokio::test]
async fn the_tokens_of_a_user_share_one_budget() {
    let case = Case::new().await;
    case.get(HELLO, ALICE).await;
    let second = case.get(HELLO, ALICE_SECOND).await;
    assert_eq!(header(&second, "x-ratelimit-remaining"), "4998");
    let other = case.get(HELLO, INSTALLATION).await;
    assert_eq!(header(&other, "x-ratelimit-remaining"), "4999");
    assert_eq!(header(&case.get(HELLO, ACTIONS).await, "x-ratelimit-limit"), "1000");
}

#[tokio::test]
async fn beyond_the_primary_limit_everything_is_refused_but_rate_limit() {
    let case = Case::new().await;
    let tag = header(&case.get(HELLO, ALICE).await, "etag").to_owned();
    case.sim.set_remaining(ALICE, "core", 0).unwrap();
    let refused = case.ask(Method::GET, HELLO, ALICE).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(header(&refused, "x-ratelimit-remaining"), "0");
    assert_ne!(header(&refused, "x-ratelimit-reset"), "");
    assert!(json(refused).await["message"].as_str().unwrap().starts_with("API rate limit exceeded"));
    let overview = case.json("/rate_limit", ALICE).await;
    assert_eq!(overview["resources"]["core"]["remaining"], 0);
    assert_eq!(overview["resources"]["search"]["remaining"], 30);
    assert_eq!(case.get(HELLO, BOB).await.status(), 200, "another user's budget");
    case.sim.configure(|settings| settings.limited_status = 429);
    assert_eq!(case.get(HELLO, ALICE).await.status(), 429);
    assert_eq!(case.sim.counters().token("alice").charged, 1);
}

#[tokio::test]
async fn sixty_anonymous_requests_are_allowed() {
    let case = Case::new().await;
    for _ in 0..60 {
        assert_eq!(case.get("/zen", "").await.status(), 200);
    }
    assert_eq!(case.get("/zen", "").await.status(), 403);
}

#[tokio::test]
async fn secondary_limits_name_the_time_to_wait() {
    let case =
        with_settings(|settings| settings.secondary = Some(Secondary { points: 6, ..Secondary::default() })).await;
    let (status, _) = case.send(Method::POST, "/repos/octo/hello/issues", ALICE, json!({"title": "5 points"})).await;
    assert_eq!(status, 201);
    // A new minute may begin at any time; 20 more within one second are over it in one of the two.
    let mut refused = None;
    for _ in 0..20 {
        let answer = case.get(HELLO, ALICE).await;
        if answer.status() == 403 {
            refused = Some(header(&answer, "retry-after").to_owned());
        }
    }
    assert_eq!(refused.as_deref(), Some("60"));
}

#[tokio::test]
async fn more_at_once_than_allowed_are_refused() {
    let secondary = Secondary { in_flight: 3, ..Secondary::default() };
    let case = with_settings(|settings| settings.secondary = Some(secondary)).await;
    case.sim.set_faults(vec![Fault::latency(300)]);
    let answers = futures::future::join_all((0..6).map(|_| case.get(HELLO, ALICE))).await;
    let served = answers.iter().filter(|answer| answer.status() == 200).count();
    let refused = answers.iter().filter(|answer| header(answer, "retry-after") == "60").count();
    assert_eq!((served, refused), (3, 3));
    assert_eq!(case.sim.counters().charged(), 3, "what is refused is free");
}

#[tokio::test]
async fn assets_are_elsewhere_under_signed_urls() {
    let case = with_settings(|settings| settings.assets = Base::Own).await;
    let moved = case.get("/repos/octo/hello/tarball/size-5000", ALICE).await;
    assert_eq!((moved.status().as_u16(), header(&moved, "etag"), header(&moved, "cache-control")), (302, "", ""));
    let signed = header(&moved, "location").strip_prefix(&case.sim.url()).unwrap().to_owned();
    let given = case.get(&signed, "").await;
    assert_eq!((given.status().as_u16(), header(&given, "content-length")), (200, "5000"));
    assert_eq!(header(&given, "x-ratelimit-limit"), "", "a storage host has no such limits");
    for forged in [
        signed.replace("bytes=5000", "bytes=5001"),
        signed.replace("expires=", "expires=9"),
        signed.replace("sig=", "sig=0"),
    ] {
        assert_eq!(case.get(&forged, "").await.status(), 403, "{forged}");
    }
    let github = Case::new().await;
    let moved = github.get("/repos/octo/hello/tarball", ALICE).await;
    assert!(header(&moved, "location").starts_with("https://codeload.github.com/"));
}

#[tokio::test]
async fn scopes_are_told_to_classic_tokens_and_permissions_to_others() {
    let case = Case::new().await;
    let of = async |token| {
        let answer = case.get(HELLO, token).await;
        ["x-oauth-scopes", "x-accepted-github-permissions"].map(|name| header(&answer, name).to_owned())
    };
    assert_eq!(of(ALICE).await, ["gist, read:org, repo, workflow", ""]);
    assert_eq!(of(INSTALLATION).await, ["", "metadata=read"]);
    assert_eq!(of("").await, ["", ""]);
}

#[tokio::test]
async fn a_renamed_repository_is_found_by_its_id() {
    let case = Case::new().await;
    let moved = case.get("/repos/octo/old-hello/issues", BOB).await;
    assert_eq!(moved.status(), 301);
    let location = header(&moved, "location").to_owned();
    assert!(location.starts_with("https://api.github.com/repositories/"));
    let path = location.strip_prefix("https://api.github.com").unwrap();
    assert_eq!(case.get(path, BOB).await.status(), 200);
    case.sim.mutate(&Mutation::Rename { repository: "octo/secret".into(), name: "hidden".into() }).unwrap();
    assert_eq!(case.get(SECRET, BOB).await.status(), 404, "a name says nothing to those who may not know");
    assert_eq!(case.get(SECRET, ALICE).await.status(), 301);
}

#[tokio::test]
async fn media_types_change_the_body_and_the_entity_tag() {
    let case = Case::new().await;
    let readme = "/repos/octo/hello/contents/README.md";
    let get = |path: &str, accept: &'static str| case.ask(Method::GET, path, ALICE).header("accept", accept).send();
    let raw = get(readme, "application/vnd.github.raw+json").await.unwrap();
    assert!(header(&raw, "etag").starts_with('"'), "a strong tag");
    assert!(raw.text().await.unwrap().starts_with("# hello"));
    let sha = case.json("/repos/octo/hello/branches/main", ALICE).await["commit"]["sha"].as_str().unwrap().to_owned();
    let commit = format!("/repos/octo/hello/commits/{sha}");
    let diff = get(&commit, "application/vnd.github.diff").await.unwrap().text().await.unwrap();
    assert!(diff.starts_with("diff --git"), "{diff}");
    let patch = get(&commit, "application/vnd.github.v3.patch").await.unwrap().text().await.unwrap();
    assert!(patch.starts_with("From "), "{patch}");
    assert_eq!(get(&commit, "application/vnd.github.sha").await.unwrap().text().await.unwrap(), sha);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let case = Case::new().await;
    let get = case.get(HELLO, ALICE).await;
    let head = case.ask(Method::HEAD, HELLO, ALICE).send().await.unwrap();
    for name in ["etag", "content-length", "content-type", "last-modified"] {
        assert_eq!(header(&head, name), header(&get, name), "{name}");
    }
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn every_reading_route_answers() {
    let case = Case::new().await;
    let sha =
        case.json("/repos/octo/hello/git/ref/heads/main", ALICE).await["object"]["sha"].as_str().unwrap().to_owned();
    let first = |value: &serde_json::Value, list: &str| value[list][0]["id"].to_string();
    let run = first(&case.json("/repos/octo/hello/actions/runs", ALICE).await, "workflow_runs");
    let job = first(&case.json(&format!("{HELLO}/actions/runs/{run}/jobs"), ALICE).await, "jobs");
    let runner = first(&case.json("/repos/octo/hello/actions/runners", ALICE).await, "runners");
    let release = case.json("/repos/octo/hello/releases/latest", ALICE).await["id"].to_string();
    let pull = case.json("/repos/octo/hello/pulls", ALICE).await[0]["number"].to_string();
    let paths = [
        "/",
        "/meta",
        "/zen",
        "/user",
        "/user/repos",
        "/user/orgs",
        "/users/bob",
        "/users/bob/repos",
        "/orgs/octo",
        "/orgs/octo/members",
        "/orgs/octo/actions/runners",
        "/repositories",
        "/issues",
        "/notifications",
        "/repos/octo/hello/branches",
        "/repos/octo/hello/branches/feature/colours",
        "/repos/octo/hello/tags",
        "/repos/octo/hello/commits?sha=develop",
        "/repos/octo/hello/contents/",
        "/repos/octo/hello/contents/src",
        "/repos/octo/hello/readme?ref=v1.0.0",
        "/repos/octo/hello/git/matching-refs/tags/v1",
        "/repos/octo/hello/compare/main...develop",
        "/repos/octo/hello/git/trees/main?recursive=1",
        "/repos/octo/hello/labels",
        "/repos/octo/hello/labels/bug",
        "/repos/octo/hello/issues/4/comments",
        "/repos/octo/hello/releases",
        "/repos/octo/hello/releases/tags/v1.0.0",
        "/repos/octo/hello/languages",
        "/repos/octo/hello/actions/workflows/ci.yml/runs",
        "/repos/octo/hello/contributors",
        "/search/issues?q=repo:octo/hello+is:pr",
        "/search/repositories?q=hello",
    ];
    let built = [
        format!("{HELLO}/commits/{sha}/check-runs"),
        format!("{HELLO}/commits/{sha}/status"),
        format!("{HELLO}/git/commits/{sha}"),
        format!("{HELLO}/contents/README.md?ref={sha}"),
        format!("{HELLO}/actions/runs/{run}"),
        format!("{HELLO}/actions/runs/{run}/attempts/1/jobs"),
        format!("{HELLO}/actions/jobs/{job}"),
        format!("{HELLO}/actions/runners/{runner}"),
        format!("{HELLO}/releases/{release}/assets"),
        format!("{HELLO}/pulls/{pull}"),
        format!("{HELLO}/pulls/{pull}/files"),
    ];
    for path in paths.iter().map(|path| (*path).to_owned()).chain(built) {
        assert_eq!(case.get(&path, ALICE).await.status(), 200, "{path}");
    }
    assert_eq!(case.get("/repos/octo/hello/stats/contributors", ALICE).await.status(), 202);
}

#[tokio::test]
async fn what_is_not_there_is_a_404() {
    let case = Case::new().await;
    for path in [
        "/nothing",
        "/repos/octo/nothing",
        "/repos/octo/hello/issues/9999",
        "/users/nobody",
        "/repos/octo/hello/contents/x",
    ] {
        assert_eq!(case.get(path, ALICE).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn search_has_no_entity_tag_and_its_own_budget() {
    let case = Case::new().await;
    let answer = case.get("/search/issues?q=repo:octo/hello+is:issue+is:open&per_page=5", ALICE).await;
    assert_eq!((header(&answer, "etag"), header(&answer, "x-ratelimit-limit")), ("", "30"));
    let body = json(answer).await;
    assert_eq!(body["total_count"], 130);
    assert_eq!(body["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_tag_style_can_be_other_than_githubs() {
    let case = with_settings(|settings| settings.etags = EtagStyle::Opaque).await;
    let answer = case.get("/zen", ALICE).await;
    assert_eq!(header(&answer, "etag"), "", "untagged stays untagged");
    let tag = header(&case.get(HELLO, ALICE).await, "etag").to_owned();
    case.sim.configure(|settings| settings.etags = EtagStyle::Flipping);
    let flips: Vec<bool> = [case.get(HELLO, ALICE).await, case.get(HELLO, ALICE).await]
        .iter()
        .map(|answer| header(answer, "etag").starts_with("W/"))
        .collect();
    assert_ne!(flips[0], flips[1]);
    assert!(!header(&case.get(HELLO, ALICE).await, "etag").contains(tag.trim_start_matches("W/")));
    case.sim.configure(|settings| settings.etags = EtagStyle::AbsentOn304);
    let tag = header(&case.get(HELLO, ALICE).await, "etag").to_owned();
    let again = case.ask(Method::GET, HELLO, ALICE).header("if-none-match", tag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, ""));
}

#[tokio::test]
async fn enterprise_paths_lead_to_the_same() {
    let case = with_settings(|settings| settings.enterprise = true).await;
    let answer = case.get("/api/v3/repos/octo/hello", ALICE).await;
    assert_ne!(header(&answer, "x-github-enterprise-version"), "");
    assert_eq!(json(answer).await["full_name"], "octo/hello");
    assert_eq!(case.sim.counters().path(HELLO).calls, 1);
}

#[tokio::test]
async fn an_installation_token_is_given_publicly_and_works() {
    let case = Case::new().await;
    let request = case.client.post(format!("{}/app/installations/7/access_tokens", case.sim.url()));
    let answer = request.header("authorization", "Bearer eyJhbGciOi.eyJpc3MiOi.c2ln").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (201, "public, max-age=60, s-maxage=60"));
    let token = json(answer).await["token"].as_str().unwrap().to_owned();
    assert_eq!((token.len(), case.get(SECRET, &token).await.status().as_u16()), (40, 200));
    assert_eq!(case.json("/installation/repositories", &token).await["total_count"], 4);
}
