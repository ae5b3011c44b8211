//! The cache key: everything of the final upstream request that may change the answer, and nothing else.

use crate::id::CacheKey;
use sha2::{Digest, Sha256};

/// What a cache key is made of. Build it from the request as it will be sent upstream, never from the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyParts<'a> {
    /// Upstream host with its port where it is not the default, in lower case.
    pub host: &'a str,
    /// Path as sent.
    pub path: &'a str,
    /// Query as sent, its pairs sorted stably by name; empty where there is none.
    pub query: &'a str,
    /// The `Accept` that is sent.
    pub accept: &'a str,
    /// The `X-GitHub-Api-Version` that is sent; GitHub does not list it in `Vary`.
    pub api_version: &'a str,
    /// What a GraphQL request asks; `None` for REST.
    pub graphql: Option<GraphQlParts<'a>>,
}

/// What a GraphQL request has in its key beyond its URL and headers that REST has too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphQlParts<'a> {
    /// The document as sent: normalised, the operation that runs and the fragments that it uses.
    pub document: &'a str,
    /// The operation's name; empty where it has none.
    pub operation: &'a str,
    /// The variables as sent: canonical JSON.
    pub variables: &'a str,
    /// The `GraphQL-Features` that is sent: it changes the schema.
    pub features: &'a str,
    /// The `Time-Zone` that is sent: days begin and end by it.
    pub time_zone: &'a str,
}

impl<'a> GraphQlParts<'a> {
    fn all(&self) -> [&'a str; 5] {
        [self.document, self.operation, self.variables, self.features, self.time_zone]
    }
}

impl<'a> KeyParts<'a> {
    /// Hashes the parts, each with its length before it so that no two requests share a preimage. A label keeps GraphQL and
    /// REST apart.
    pub fn key(&self) -> CacheKey {
        let label: &[u8] = if self.graphql.is_some() { b"ghmesh/key/graphql/1\0" } else { b"ghmesh/key/1\0" };
        let mut hash = Sha256::new();
        hash.update(label);
        for part in self.common().into_iter().chain(self.graphql.iter().flat_map(GraphQlParts::all)) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        CacheKey(hash.finalize().into())
    }

    fn common(&self) -> [&'a str; 5] {
        [self.host, self.path, self.query, self.accept, self.api_version]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const REST: KeyParts<'_> =
        KeyParts { host: "h", path: "/p", query: "q", accept: "a", api_version: "v", graphql: None };
    const ASKED: GraphQlParts<'_> =
        GraphQlParts { document: "d", operation: "o", variables: "{}", features: "f", time_zone: "z" };

    fn graphql(asked: GraphQlParts<'_>) -> CacheKey {
        KeyParts { graphql: Some(asked), ..REST.clone() }.key()
    }

    #[test]
    fn every_part_changes_the_key() {
        let keys = BTreeSet::from([
            REST.key(),
            KeyParts { host: "h2", ..REST.clone() }.key(),
            KeyParts { path: "/p2", ..REST.clone() }.key(),
            KeyParts { query: "q2", ..REST.clone() }.key(),
            KeyParts { accept: "a2", ..REST.clone() }.key(),
            KeyParts { api_version: "v2", ..REST.clone() }.key(),
            graphql(ASKED.clone()),
            graphql(GraphQlParts { document: "d2", ..ASKED.clone() }),
            graphql(GraphQlParts { operation: "o2", ..ASKED.clone() }),
            graphql(GraphQlParts { variables: "{\"a\":1}", ..ASKED.clone() }),
            graphql(GraphQlParts { features: "f2", ..ASKED.clone() }),
            graphql(GraphQlParts { time_zone: "z2", ..ASKED.clone() }),
        ]);
        assert_eq!(keys.len(), 12);
    }

    #[test]
    fn a_byte_that_moves_between_parts_changes_the_key() {
        let one = KeyParts { path: "/ab", query: "c", ..REST.clone() };
        let two = KeyParts { path: "/a", query: "bc", ..REST.clone() };
        assert_ne!(one.key(), two.key());
    }

    #[test]
    fn keys_of_rest_requests_stay_what_they_were() {
        // Entries on disk and nodes of other versions know answers by these.
        assert_eq!(REST.key().to_string(), "419520b9ab3977442bacc0e0ddd72aa126fb5af92c91d36d48a50f7a9efbcbe9");
    }
}
