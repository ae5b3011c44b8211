//! The JSON object around a document: `query`, `operationName`, `variables`, and nothing else.

use super::NotRead;
use super::json::Json;
use serde_json::error::Category;
use std::collections::BTreeMap;

/// A request, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// `query`: the document as it came.
    pub(super) document: String,
    /// `operationName`.
    pub(super) operation: Option<String>,
    /// `variables`; absent and `null` are the same as none.
    pub(super) variables: BTreeMap<String, Json>,
}

impl Envelope {
    /// Reads a request's body.
    ///
    /// # Errors
    /// [`NotRead::Json`] for what isn't JSON; [`NotRead::Ambiguous`] for JSON that two readers may understand differently, or
    /// that isn't the object described above: a batch, an extension, a persisted query.
    pub(super) fn of(body: &[u8]) -> Result<Self, NotRead> {
        let json: Json = serde_json::from_slice(body).map_err(|error| match error.classify() {
            Category::Data => NotRead::Ambiguous,
            Category::Io | Category::Syntax | Category::Eof => NotRead::Json,
        })?;
        let Json::Object(mut members) = json else { return Err(NotRead::Ambiguous) };
        let envelope = Envelope {
            document: document(members.remove("query"))?,
            operation: operation(members.remove("operationName"))?,
            variables: variables(members.remove("variables"))?,
        };
        if members.is_empty() { Ok(envelope) } else { Err(NotRead::Ambiguous) }
    }
}

fn document(member: Option<Json>) -> Result<String, NotRead> {
    match member {
        Some(Json::Text(text)) => Ok(text),
        _ => Err(NotRead::Ambiguous),
    }
}

/// An empty name is none to some servers and an unknown one to others.
fn operation(member: Option<Json>) -> Result<Option<String>, NotRead> {
    match member {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(name)) if !name.is_empty() => Ok(Some(name)),
        Some(_) => Err(NotRead::Ambiguous),
    }
}

fn variables(member: Option<Json>) -> Result<BTreeMap<String, Json>, NotRead> {
    match member {
        None | Some(Json::Null) => Ok(BTreeMap::new()),
        Some(Json::Object(members)) => Ok(members),
        Some(_) => Err(NotRead::Ambiguous),
    }
}
