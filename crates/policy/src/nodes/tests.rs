use super::*;
use proptest::prelude::*;
use serde_json::json;

const HOST: &str = "api.github.com";

#[test]
fn ids_are_told_from_other_texts() {
    for id in [
        "I_kwDOABCDEF5aBcDe",
        "PR_kwDOAQ-_s84Hn4KM",
        "U_kgDOAAaBcA",
        "PRRC_kwDOABCDEF5aBcDe",
        "MDQ6VXNlcjE=",
        "MDU6SXNzdWUx",
        "MDEwOlJlcG9zaXRvcnkxMjk2MjY5",
        "MDExOlB1bGxSZXF1ZXN0MQ==",
    ] {
        assert!(is_node_id(id), "{id}");
    }
    let long = format!("I_{}", "k".repeat(MAX_ID));
    for text in [
        "",
        "1",
        "I_",
        "I_abc",
        "i_kwDOABCDEF",
        "APPROVED",
        "CHANGES_REQUESTED!",
        "_kwDOABCDEF",
        "main",
        "MDQ6VXNlcjE",
        "deadbeef",
        "AAAA",
        "a b",
        &long,
    ] {
        assert!(!is_node_id(text), "{text}");
    }
}

#[test]
fn a_rest_answers_nodes_are_its_node_ids_outermost_first() {
    let body = json!([
        {"user": {"node_id": "MDQ6VXNlcjE="}, "node_id": "I_kwDOABCDEF1", "title": "I_kwDOABCDEF9"},
        {"user": {"node_id": "MDQ6VXNlcjE="}, "node_id": "I_kwDOABCDEF2", "id": 7},
    ]);
    let nodes = Nodes::of_rest(body.to_string().as_bytes());
    assert_eq!(nodes.ids(), ["I_kwDOABCDEF1", "I_kwDOABCDEF2", "MDQ6VXNlcjE="]);
}

#[test]
fn a_graphql_answers_nodes_are_whatever_looks_like_an_id() {
    let body = json!({"data": {"repository": {"key": "R_kgDOABCDEF", "issues": {"nodes": [{"id": "I_kwDOABCDEF1"}]}}}});
    assert_eq!(Nodes::of_graphql(body.to_string().as_bytes()).ids(), ["R_kgDOABCDEF", "I_kwDOABCDEF1"]);
    let variables = json!({"input": {"ids": ["I_kwDOABCDEF1", "I_kwDOABCDEF1"], "body": "hello"}});
    assert_eq!(Nodes::of_graphql(variables.to_string().as_bytes()).ids(), ["I_kwDOABCDEF1"]);
}

#[test]
fn a_rest_write_is_about_the_outermost_nodes_of_its_answer() {
    let body = json!({"user": {"node_id": "MDQ6VXNlcjE="}, "node_id": "I_kwDOABCDEF1"});
    assert_eq!(Nodes::written(body.to_string().as_bytes()).ids(), ["I_kwDOABCDEF1"]);
    let labels = json!([{"node_id": "LA_kwDOABCDEF1"}, {"node_id": "LA_kwDOABCDEF2"}]);
    assert_eq!(Nodes::written(labels.to_string().as_bytes()).ids(), ["LA_kwDOABCDEF1", "LA_kwDOABCDEF2"]);
    let file = json!({"content": {"sha": "1"}, "commit": {"node_id": "C_kwDOABCDEF1"}});
    assert_eq!(Nodes::written(file.to_string().as_bytes()).ids(), ["C_kwDOABCDEF1"]);
    assert!(!Nodes::written(b"{}").cut && Nodes::written(b"{").cut);
}

fn nodes(count: usize) -> Nodes {
    let ids: Vec<_> = (0..count).map(|n| json!({"node_id": format!("I_kwDOAB{n}")})).collect();
    Nodes::of_graphql(json!(ids).to_string().as_bytes())
}

fn meet(read: &Nodes, write: &Nodes) -> bool {
    let read = read.scopes_of_read(HOST, 8);
    assert!(read.len() <= 8);
    let host = crate::invalidation::host_scope(HOST);
    write.scopes_of_write(HOST, 32).iter().any(|scope| *scope == host || read.contains(scope))
}

#[test]
fn a_write_to_a_node_meets_every_answer_that_shows_it() {
    let third = Nodes { ids: vec!["I_kwDOAB2".to_owned()], cut: false, kind: Kind::Rest };
    let ninth = Nodes { ids: vec!["I_kwDOAB9".to_owned()], cut: false, kind: Kind::Rest };
    assert!(meet(&nodes(3), &third));
    assert!(!meet(&nodes(3), &ninth), "it doesn't show it");
    assert!(meet(&nodes(10), &ninth), "more nodes than scopes: any node's");
    assert!(meet(&nodes(3), &nodes(40)), "more nodes than a write names: the host");
    assert!(!meet(&nodes(3), &nodes(0)));
}

#[test]
fn what_is_not_read_to_its_end_may_show_any_node() {
    let long = format!("[\"{}\"]", "x".repeat(MAX_BYTES));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for body in ["[", "{\"node_id\":\"I_kwDOABCDEF1\"", "[]]", &long, &deep] {
        let nodes = Nodes::of_rest(body.as_bytes());
        assert!(nodes.cut);
        assert!(nodes.scopes_of_read(HOST, 8).contains(&any_node(HOST, Kind::Rest)));
        assert_eq!(nodes.scopes_of_write(HOST, 32), [crate::invalidation::host_scope(HOST)]);
    }
    let many = nodes(20_000);
    assert_eq!((many.ids().len(), many.cut), (MAX_NODES, true));
    assert!(!nodes(MAX_NODES).cut);
}

proptest! {
    #[test]
    fn any_write_to_a_shown_node_meets_the_answer(shown in 1_usize..300, written in 0_usize..300) {
        let id = format!("I_kwDOAB{}", written % shown);
        let write = Nodes { ids: vec![id], cut: false, kind: Kind::Rest };
        prop_assert!(meet(&nodes(shown), &write));
    }

    #[test]
    fn any_bytes_can_be_read(body in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,140}", room in 0_usize..40) {
        prop_assert!(Nodes::of_graphql(&body).scopes_of_read(HOST, room).len() <= room);
        prop_assert!(Nodes::of_graphql(&body).scopes_of_write(HOST, room).len() <= room.max(1));
        let _ = is_node_id(&text);
    }
}
