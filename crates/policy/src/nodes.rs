//! Which nodes of GitHub's object graph a body shows, by their global ids.
//!
//! REST calls them `node_id`, GraphQL `id` or whatever the query renames that to. A mutation names what it changes by them, so
//! they are what joins a mutation with the answers that it makes stale, REST's and GraphQL's.
//!
//! An answer that shows more nodes than it may have scopes, or that can't be read to its end, belongs to the scope of *any node*
//! of its host, which every write to a node names too: one scope for REST answers, which paths cover as well, and one for
//! GraphQL's. Scopes fold letter case, ids don't: two ids that differ in nothing else
//! count as one, which costs a free 304.

mod scan;

use crate::invalidation::{host_scope, node_scope};
use ghmesh_model::Scope;
use scan::Which;

/// Largest body that is looked into, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most nodes that are told of one body.
pub const MAX_NODES: usize = 256;
/// Longest text that may be an id, in bytes. GitHub's longest known have about 60.
const MAX_ID: usize = 128;

/// What kind of answer shows a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Paths tell which writes concern it, too.
    #[default]
    Rest,
    /// Nothing but its query and its nodes tells.
    GraphQl,
}

/// The nodes in a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Outermost first: what the body is about comes before what that mentions. At most [`MAX_NODES`].
    ids: Vec<String>,
    /// Whether these aren't all.
    cut: bool,
    kind: Kind,
}

impl Nodes {
    /// The nodes in a REST answer: every `node_id`.
    pub fn of_rest(body: &[u8]) -> Self {
        scan::nodes(body, Which::All, &is_rest_id)
    }

    /// The nodes that the answer to a REST write is about: every `node_id` that lies no deeper than another.
    pub fn written(body: &[u8]) -> Self {
        scan::nodes(body, Which::Outermost, &is_rest_id)
    }

    /// The nodes in a GraphQL answer, or in the variables of a request: every text that looks like an id, since a query may
    /// call it what it likes.
    pub fn of_graphql(body: &[u8]) -> Self {
        Nodes { kind: Kind::GraphQl, ..scan::nodes(body, Which::All, &|_, text| is_node_id(text)) }
    }

    /// Their ids.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The scopes that an answer with these nodes belongs to, at most `room` of them. `host` as in [`crate::target::Resource`].
    pub fn scopes_of_read(&self, host: &str, room: usize) -> Vec<Scope> {
        if !self.cut && self.ids.len() <= room {
            return self.ids.iter().map(|id| node_scope(host, id)).collect();
        }
        let named = self.ids.iter().take(room.saturating_sub(1)).map(|id| node_scope(host, id));
        named.chain([any_node(host, self.kind)]).take(room).collect()
    }

    /// The scopes that a REST write which answered these nodes may have changed, beyond those of its path. Everything of the
    /// host where they are too many for `room`, or aren't all. None where there are none.
    pub fn scopes_of_write(&self, host: &str, room: usize) -> Vec<Scope> {
        if self.cut || self.ids.len() >= room {
            return vec![host_scope(host)];
        }
        if self.ids.is_empty() {
            return Vec::new();
        }
        self.ids.iter().map(|id| node_scope(host, id)).chain([any_node(host, Kind::GraphQl)]).collect()
    }
}

/// The scope of answers that can't name all their nodes.
pub(crate) fn any_node(host: &str, kind: Kind) -> Scope {
    let name = match kind {
        Kind::Rest => "#nodes",
        Kind::GraphQl => "#graphql-nodes",
    };
    Scope::of(host, name)
}

fn is_rest_id(name: Option<&str>, text: &str) -> bool {
    name == Some("node_id") && (1..=MAX_ID).contains(&text.len())
}

/// Whether a text looks like a global node id: `I_kwDOABCDEF5aBcDe`, or as before 2021 `MDU6SXNzdWUx`, which is Base64 of
/// `05:Issue1`. Source: GitHub, "Migrating GraphQL global node IDs".
pub fn is_node_id(text: &str) -> bool {
    text.len() <= MAX_ID && (is_new_id(text) || is_old_id(text))
}

fn is_new_id(text: &str) -> bool {
    let Some((kind, rest)) = text.split_once('_') else { return false };
    let kind_fits = (1..=12).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_uppercase());
    kind_fits && rest.len() >= 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Base64 of two or three digits and a colon: the length of the kind's name, or more where there are several parts.
fn is_old_id(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let start = match text.get(..4).and_then(base64_quartet) {
        Some([b'0', b'0'..=b'9', b':']) => true,
        Some([b'0', b'0'..=b'9', b'0'..=b'9']) => {
            text.get(4..8).and_then(base64_quartet).is_some_and(|next| next[0] == b':')
        }
        Some(_) | None => false,
    };
    start && text.len().is_multiple_of(4) && text.bytes().all(is_base64)
}

/// The three bytes that four characters of Base64 stand for. Padding counts as zero bits.
fn base64_quartet(text: &str) -> Option<[u8; 3]> {
    let mut bits = 0_u32;
    for byte in text.bytes() {
        bits = bits << 6 | sextet(byte)?;
    }
    let [_, one, two, three] = bits.to_be_bytes();
    Some([one, two, three])
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        b'=' => 0,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests;
