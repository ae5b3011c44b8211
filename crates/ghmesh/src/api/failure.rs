//! What GitHub says went wrong, read from the body of an answer as gh reads it.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::json;

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    errors: Option<Value>,
}

/// The message of an error answer: its `message` with the status, or the messages of its `errors`. `None` when the body has
/// none, which for GraphQL means success.
///
/// It is shown on a terminal, so control characters are made inert.
pub(super) fn message(body: &[u8], status: StatusCode) -> Option<String> {
    told(body, status).map(json::without_controls)
}

fn told(body: &[u8], status: StatusCode) -> Option<String> {
    let body: ErrorBody = serde_json::from_slice(body).ok()?;
    let message = body.message.filter(|message| !message.is_empty());
    match (body.errors, message) {
        (Some(Value::String(error)), Some(message)) if !error.is_empty() => Some(format!("{error} ({message})")),
        (Some(Value::String(error)), None) if !error.is_empty() => Some(error),
        (_, Some(message)) => Some(format!("{message} (HTTP {})", status.as_u16())),
        (Some(Value::Array(errors)), None) => list(&errors),
        (_, None) => None,
    }
}

fn list(errors: &[Value]) -> Option<String> {
    let messages: Vec<_> = errors.iter().filter_map(one).collect();
    (!messages.is_empty()).then(|| messages.join("\n"))
}

fn one(error: &Value) -> Option<&str> {
    match error {
        Value::String(text) => Some(text),
        Value::Object(object) => Some(object.get("message").and_then(Value::as_str).unwrap_or_default()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_where_github_puts_them() {
        for (body, expected) in [
            (r#"{"message":"Not Found"}"#, Some("Not Found (HTTP 404)")),
            (r#"{"message":"Validation Failed","errors":[{"message":"a"}]}"#, Some("Validation Failed (HTTP 404)")),
            (r#"{"errors":[{"message":"a"},"b",7]}"#, Some("a\nb")),
            (r#"{"message":"m","errors":"es"}"#, Some("es (m)")),
            (r#"{"errors":"es"}"#, Some("es")),
            (r#"{"message":"\u001b[2J"}"#, Some("^[[2J (HTTP 404)")),
            (r#"{"message":""}"#, None),
            (r#"{"data":{}}"#, None),
            (r#"{"data":null,"errors":[]}"#, None),
            ("[1]", None),
            ("{oops", None),
        ] {
            assert_eq!(message(body.as_bytes(), StatusCode::NOT_FOUND).as_deref(), expected, "{body}");
        }
    }
}
