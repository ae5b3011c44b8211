//! Steering over HTTP, under `/_sim/`, for tests whose simulator is a process of its own. Nothing here is counted.
//!
//! | Request | Effect |
//! |---|---|
//! | `GET /_sim/counters` | [`crate::Counters`] in JSON |
//! | `GET /_sim/calls?path=PREFIX` | the newest calls, oldest first |
//! | `POST /_sim/reset` | counters to nothing; with `{"all": true}` also world, tokens, quotas and faults as at the start |
//! | `GET`, `POST`, `DELETE /_sim/faults` | the faults; set one [`crate::Fault`] or a list of them; none |
//! | `POST /_sim/mutate` | a [`crate::Mutation`] |
//! | `POST /_sim/tokens` | adds or replaces a [`crate::tokens::TokenSeed`] |
//! | `POST /_sim/quota` | `{"token": T or nothing for the caller's address, "resource": "core", "remaining", "used", "limit", "reset_in"}` |
//! | `GET`, `POST /_sim/settings` | [`crate::Settings`]; sets those that are given |
//! | `GET /_sim/healthz` | 200 |

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use crate::config::Settings;
use crate::fault::{Armed, Fault};
use crate::quota::{Change, Resource};
use crate::state::State;
use crate::tokens::TokenSeed;
use crate::world::{Mutation, MutationError};

/// Why a control request had no effect.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    #[error("{method} {path} is no control request; see the documentation of ghmesh-github-sim, module control")]
    Unknown { method: Method, path: String },
    #[error("the body can't be used: {0}")]
    Body(#[from] serde_json::Error),
    #[error(transparent)]
    Mutation(#[from] MutationError),
    #[error("there is no rate limit resource called {0:?}")]
    Resource(String),
    #[error("that token is not known")]
    Token,
}

impl ControlError {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Unknown { .. } => 404,
            Self::Body(_) | Self::Mutation(_) | Self::Resource(_) | Self::Token => 422,
        }
    }
}

/// One fault or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Faults {
    Several(Vec<Fault>),
    One(Box<Fault>),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Reset {
    all: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QuotaChange {
    pub(crate) token: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) remaining: Option<u64>,
    pub(crate) used: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) reset_in: Option<u64>,
}

/// Does what a control request asks and gives its answer in JSON.
pub(crate) fn control(
    state: &mut State,
    method: &Method,
    path: &str,
    query: Option<&str>,
    body: &Bytes,
    address: &str,
) -> Result<Value, ControlError> {
    let what = path.strip_prefix("/_sim/").unwrap_or_default();
    match (method.as_str(), what) {
        ("GET", "healthz") => Ok(json!({"ok": true})),
        ("GET", "counters") => Ok(serde_json::to_value(&state.counters)?),
        ("GET", "calls") => calls(state, query),
        ("POST", "reset") => {
            let reset: Reset = read(body)?;
            if reset.all {
                state.start_over()
            } else {
                state.counters.reset()
            }
            Ok(json!({}))
        }
        ("GET", "faults") => faults(state),
        ("POST", "faults") => {
            state.faults = match serde_json::from_slice(body)? {
                Faults::Several(faults) => faults.into_iter().map(Armed::from).collect(),
                Faults::One(fault) => vec![Armed::from(*fault)],
            };
            faults(state)
        }
        ("DELETE", "faults") => {
            state.faults.clear();
            Ok(json!([]))
        }
        ("POST", "mutate") => {
            let mutation: Mutation = serde_json::from_slice(body)?;
            state.world.mutate(&mutation)?;
            Ok(json!({}))
        }
        ("POST", "tokens") => {
            let token: TokenSeed = serde_json::from_slice(body)?;
            state.tokens.put(token);
            Ok(json!({}))
        }
        ("POST", "quota") => set_quota(state, read(body)?, address).map(|()| json!({})),
        ("GET", "settings") => Ok(serde_json::to_value(&state.settings)?),
        ("POST", "settings") => change_settings(state, body),
        _ => Err(ControlError::Unknown { method: method.clone(), path: path.to_owned() }),
    }
}

fn read<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, ControlError> {
    if body.is_empty() { Ok(T::default()) } else { Ok(serde_json::from_slice(body)?) }
}

fn faults(state: &State) -> Result<Value, ControlError> {
    let faults: Vec<&Fault> = state.faults.iter().map(|armed| &armed.fault).collect();
    Ok(serde_json::to_value(faults)?)
}

fn calls(state: &State, query: Option<&str>) -> Result<Value, ControlError> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or("").as_bytes());
    let prefix = pairs.into_iter().find(|(name, _)| name == "path").map(|(_, value)| value.into_owned());
    let prefix = prefix.unwrap_or_default();
    let found: Vec<_> = state.counters.log.iter().filter(|call| call.path.starts_with(&prefix)).collect();
    Ok(serde_json::to_value(found)?)
}

/// Sets one budget, of a token or of an address.
pub(crate) fn set_quota(state: &mut State, change: QuotaChange, address: &str) -> Result<(), ControlError> {
    let name = change.resource.unwrap_or_else(|| "core".into());
    let resource = Resource::parse(&name).ok_or(ControlError::Resource(name))?;
    let mut headers = HeaderMap::new();
    if let Some(token) = &change.token {
        let value = HeaderValue::from_str(&format!("token {token}")).map_err(|_| ControlError::Token)?;
        headers.insert(AUTHORIZATION, value);
    }
    let anonymous_limit = state.settings.anonymous_limit;
    let caller = state.tokens.identify(&headers, address, anonymous_limit).ok_or(ControlError::Token)?;
    let now = crate::text::now();
    let limit = change.limit.unwrap_or(state.quotas.standing(&caller, resource, now).limit);
    let used = change.remaining.map(|remaining| limit.saturating_sub(remaining)).or(change.used);
    state.quotas.set(&caller.bucket, resource, &Change { used, limit: change.limit, reset_in: change.reset_in }, now);
    Ok(())
}

fn change_settings(state: &mut State, body: &Bytes) -> Result<Value, ControlError> {
    let changes: serde_json::Map<String, Value> = serde_json::from_slice(body)?;
    let mut settings = serde_json::to_value(&state.settings)?;
    crate::shapes::extend(&mut settings, Value::Object(changes));
    state.settings = serde_json::from_value::<Settings>(settings.clone())?;
    Ok(settings)
}
