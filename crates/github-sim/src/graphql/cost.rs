//! What a query is charged.
//!
//! "Add up the number of requests needed to fulfill each unique connection in the call. Assume every request will reach the first
//! or last argument limits. Divide the number by 100 and round the result to the nearest whole number." (GitHub, "Rate limits and
//! node limits for the GraphQL API"). At least 1.

use super::parse::{Document, Field, Fragment, Literal, Operation, Selection};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Requests that one point pays for.
const REQUESTS_A_POINT: u64 = 100;
/// As deep as selections are followed: fragments may spread each other.
const DEEPEST: usize = 64;

/// The cost of an operation in points, and how many nodes it may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) points: u64,
    pub(crate) nodes: u64,
}

impl Cost {
    pub(crate) fn of(document: &Document, operation: &Operation, variables: &Map<String, Value>) -> Self {
        let mut count = Counting { fragments: &document.fragments, variables, requests: 0, nodes: 0 };
        count.selections(&operation.selections, 1, 0);
        let points = (count.requests + REQUESTS_A_POINT / 2) / REQUESTS_A_POINT;
        Self { points: points.max(1), nodes: count.nodes }
    }
}

struct Counting<'a> {
    fragments: &'a BTreeMap<String, Fragment>,
    variables: &'a Map<String, Value>,
    requests: u64,
    nodes: u64,
}

impl Counting<'_> {
    /// `parents`: how many objects these are selected from.
    fn selections(&mut self, selections: &[Selection], parents: u64, depth: usize) {
        if depth >= DEEPEST {
            return;
        }
        for selection in selections {
            match selection {
                Selection::Field(field) => self.field(field, parents, depth),
                Selection::Inline(fragment, _) => self.selections(&fragment.selections, parents, depth + 1),
                Selection::Spread(name, _) => {
                    if let Some(fragment) = self.fragments.get(name) {
                        self.selections(&fragment.selections, parents, depth + 1);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &Field, parents: u64, depth: usize) {
        let size = field.arguments.iter().find(|(name, _)| name == "first" || name == "last");
        let children = match size.and_then(|(_, size)| self.number(size)) {
            Some(size) => {
                self.requests = self.requests.saturating_add(parents);
                let children = parents.saturating_mul(size);
                self.nodes = self.nodes.saturating_add(children);
                children
            }
            None => parents,
        };
        self.selections(&field.selections, children, depth + 1);
    }

    fn number(&self, literal: &Literal) -> Option<u64> {
        match literal {
            Literal::Value(value) => value.as_u64(),
            Literal::Variable(name) => self.variables.get(name)?.as_u64(),
            Literal::List(_) | Literal::Object(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(text: &str) -> (u64, u64) {
        let document = Document::parse(text).expect("it parses");
        let variables = serde_json::from_str(r#"{"size": 50}"#).expect("JSON");
        let Cost { points, nodes } = Cost::of(&document, &document.operations[0], &variables);
        (points, nodes)
    }

    #[test]
    fn a_call_without_connections_costs_one_point() {
        assert_eq!(cost("{ viewer { login } }"), (1, 0));
        assert_eq!(cost("{ viewer { repositories(first: 100) { nodes { name } } } }"), (1, 100));
    }

    /// GitHub's own example: 1 + 100 + 100 × 50 = 5,101 requests, so 51 points.
    #[test]
    fn githubs_example_costs_what_github_says() {
        let text = "query($size: Int) { viewer { repositories(first: 100) { edges { node { issues(first: $size) { edges { node {
            ...Labels } } } } } } } } fragment Labels on Issue { labels(last: 60) { edges { node { name } } } }";
        assert_eq!(cost(text), (51, 100 + 100 * 50 + 100 * 50 * 60));
    }
}
