//! `POST /graphql`: a small executor over the world, with GitHub's names for what `gh` and simple clients ask.
//!
//! Selections are walked as they stand: aliases, fragments, arguments and variables are honoured, and a field that the
//! simulator doesn't know is an error as on GitHub. Argument types are not checked.

mod change;
mod cost;
mod fields;
mod parse;
mod select;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::http::{Cache, Reply};
use crate::quota::Standing;
use crate::shapes::View;
use crate::text::iso;
use crate::tokens::Caller;
use crate::world::World;
use change::change;
pub(crate) use cost::Cost;
use fields::Thing;
use parse::{Document, Literal, Operation};
use select::Selecting;

/// The kind and name of the operation that a request's body asks for, such as `query RepositoryList`.
pub(crate) fn operation_name(body: &Bytes) -> Option<String> {
    let request = Request::read(body).ok()?;
    let document = Document::parse(&request.query).ok()?;
    let operation = document.operation(request.operation.as_deref())?;
    let name = operation.name.as_deref().unwrap_or("(unnamed)");
    Some(format!("{} {name}", operation.kind))
}

/// What a request's body costs, and whether it asks for changes; one point for what can't be read.
pub(crate) fn price(body: &Bytes) -> (Cost, bool) {
    let unread = (Cost { points: 1, nodes: 0 }, false);
    let Ok(request) = Request::read(body) else { return unread };
    let Ok(document) = Document::parse(&request.query) else { return unread };
    let Some(operation) = document.operation(request.operation.as_deref()) else { return unread };
    let variables = variables(operation, &request.variables);
    (Cost::of(&document, operation, &variables), operation.kind == "mutation")
}

/// Answers a request. GitHub answers 200 to whatever it could read, errors included.
pub(crate) fn answer(world: &mut World, caller: &Caller, api: &str, body: &Bytes, standing: &Standing) -> Reply {
    if caller.is_anonymous() {
        return Reply::error(401, "This endpoint requires you to be authenticated.");
    }
    let request = match Request::read(body) {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    let answer = match Document::parse(&request.query) {
        Ok(document) => run(world, caller, api, &document, &request, standing),
        Err(error) => failure("PARSE_ERROR", &error.to_string()),
    };
    Reply { cache: Cache::Uncached, ..Reply::json(answer).untagged() }
}

/// The body of a request.
struct Request {
    query: String,
    operation: Option<String>,
    variables: Map<String, Value>,
}

impl Request {
    fn read(body: &Bytes) -> Result<Self, Reply> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| Reply::error(400, "Problems parsing JSON"))?;
        let Some(query) = fields.get("query").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Reply::json(failure(
                "ARGUMENT_ERROR",
                "A query attribute must be specified and must be a string.",
            ))
            .untagged());
        };
        let operation = fields.get("operationName").and_then(Value::as_str).filter(|name| !name.is_empty());
        let operation = operation.map(str::to_owned);
        let variables = match fields.remove("variables") {
            Some(Value::Object(variables)) => variables,
            _ => Map::new(),
        };
        Ok(Self { query, operation, variables })
    }
}

fn failure(kind: &str, message: &str) -> Value {
    json!({"errors": [{"type": kind, "message": message}]})
}

fn run(
    world: &mut World,
    caller: &Caller,
    api: &str,
    document: &Document,
    request: &Request,
    standing: &Standing,
) -> Value {
    let Some(operation) = document.operation(request.operation.as_deref()) else {
        return failure("ARGUMENT_ERROR", "An operation name is required");
    };
    let variables = variables(operation, &request.variables);
    let root = match operation.kind.as_str() {
        "query" => Ok(Vec::new()),
        "mutation" => mutations(world, caller, api, operation, &variables),
        _ => return failure("ARGUMENT_ERROR", "Schema is not configured for subscriptions"),
    };
    let changed = match root {
        Ok(changed) => changed,
        Err(error) => return json!({"data": null, "errors": [error]}),
    };
    let view = View { world, caller, api };
    let thing = if operation.kind == "query" { Thing::Query } else { Thing::Mutation(&changed) };
    let mut selecting = Selecting::new(
        view,
        &document.fragments,
        &variables,
        rate_limit(standing, Cost::of(document, operation, &variables)),
    );
    let data = selecting.select(&thing, &operation.selections);
    match (selecting.invalid, selecting.errors.is_empty()) {
        (true, _) => json!({"errors": selecting.errors}),
        (false, true) => json!({"data": data}),
        (false, false) => json!({"data": data, "errors": selecting.errors}),
    }
}

/// Makes the changes that the operation's fields ask for, in order, and returns what each came to by the field's key.
fn mutations(
    world: &mut World,
    caller: &Caller,
    api: &str,
    operation: &Operation,
    variables: &Map<String, Value>,
) -> Result<Vec<(String, change::Changed)>, Value> {
    let mut changed = Vec::new();
    for selection in &operation.selections {
        let parse::Selection::Field(field) = selection else { continue };
        let arguments = arguments(&field.arguments, variables);
        let done = change(world, caller, api, &field.name, &arguments["input"])
            .map_err(|error| json!({"type": error.kind(), "path": [field.key], "message": error.to_string()}))?;
        changed.push((field.key.clone(), done));
    }
    Ok(changed)
}

fn variables(operation: &Operation, given: &Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, default) in &operation.variables {
        let value = given.get(name).cloned().or_else(|| default.as_ref().map(|default| resolved(default, &Map::new())));
        all.insert(name.clone(), value.unwrap_or(Value::Null));
    }
    all
}

/// Arguments with variables put in, as an object.
fn arguments(arguments: &[(String, Literal)], variables: &Map<String, Value>) -> Value {
    arguments.iter().map(|(name, literal)| (name.clone(), resolved(literal, variables))).collect::<Map<_, _>>().into()
}

fn resolved(literal: &Literal, variables: &Map<String, Value>) -> Value {
    match literal {
        Literal::Value(value) => value.clone(),
        Literal::Variable(name) => variables.get(name).cloned().unwrap_or(Value::Null),
        Literal::List(items) => items.iter().map(|item| resolved(item, variables)).collect(),
        Literal::Object(fields) => arguments(fields, variables),
    }
}

fn rate_limit(standing: &Standing, cost: Cost) -> Value {
    let remaining = standing.remaining().saturating_sub(cost.points);
    json!({
        "__typename": "RateLimit",
        "limit": standing.limit,
        "cost": cost.points,
        "remaining": remaining,
        "used": standing.limit.saturating_sub(remaining),
        "resetAt": iso(standing.reset),
        "nodeCount": cost.nodes,
    })
}
