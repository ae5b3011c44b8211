//! `-f` and `-F`: from `key=value` texts to the JSON object that becomes a body, a query string or GraphQL variables.
//!
//! The grammar is gh's: `a[b]=v` nests, `a[]=v` appends, `a[][b]=v` appends an object or continues the last one,
//! `a[]` alone is an empty list. A key that is set twice is an error, as in newer gh; gh 2.23 took the last.

use serde_json::{Map, Value};

/// A field that can't be understood, or two that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// No `=` and no brackets.
    #[error("invalid key: {field:?}; a field is `key=value`")]
    NoKey {
        /// The whole argument.
        field: String,
    },
    /// `a[b]` without `=`.
    #[error("field {field:?} requires a value separated by an '=' sign")]
    NoValue {
        /// The whole argument.
        field: String,
    },
    /// The same key again.
    #[error("unexpected override existing field under {key:?}")]
    Twice {
        /// The key within its object.
        key: String,
    },
    /// An earlier field made something else of the key.
    #[error("expected {expected} under {key:?}, got {found}")]
    Shape {
        /// The key within its object.
        key: String,
        /// What this field needs there.
        expected: &'static str,
        /// What an earlier field put there.
        found: &'static str,
    },
    /// More brackets than any API needs.
    #[error("the key of field {field:?} is nested deeper than {limit}")]
    TooDeep {
        /// The whole argument.
        field: String,
        /// The deepest allowed.
        limit: usize,
    },
}

/// How deep a key may nest; GitHub's deepest documented parameter has four levels.
const DEEPEST_KEY: usize = 64;

/// A field's key, taken apart, and its value if it has one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    keys: Vec<&'a str>,
    /// What stands behind the `=`; `None` only for `a[]`.
    pub(super) value: Option<&'a str>,
    /// What stands before it, for messages.
    pub(super) key: &'a str,
}

/// Takes a `key=value` argument apart.
pub(super) fn parse(field: &str) -> Result<Field<'_>, FieldError> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field, None),
    };
    let keys = split_key(key);
    if keys.len() > DEEPEST_KEY {
        return Err(FieldError::TooDeep { field: field.to_owned(), limit: DEEPEST_KEY });
    }
    match (value, keys.as_slice()) {
        (None, [] | [_]) => Err(FieldError::NoKey { field: field.to_owned() }),
        (None, [.., last]) if !last.is_empty() => Err(FieldError::NoValue { field: field.to_owned() }),
        _ => Ok(Field { keys, value, key }),
    }
}

/// `a[b][]` → `a`, `b`, ``. Text between brackets is ignored; an unclosed bracket is part of the name.
fn split_key(key: &str) -> Vec<&str> {
    let Some((name, mut rest)) = key.split_once('[') else { return vec![key] };
    let mut keys = vec![name];
    while let Some((inner, after)) = rest.split_once(']') {
        keys.push(inner);
        let Some((_, next)) = after.split_once('[') else { break };
        rest = next;
    }
    if keys.len() == 1 { vec![key] } else { keys }
}

/// Puts a field with its (typed) value into the object.
pub(super) fn insert(
    object: &mut Map<String, Value>,
    field: &Field<'_>,
    value: Option<Value>,
) -> Result<(), FieldError> {
    let mut target = object;
    let mut keys = field.keys.iter().peekable();
    let mut name = *keys.next().expect("a key has at least one part");
    let mut in_list = false;
    for key in keys {
        if key.is_empty() {
            in_list = true;
            continue;
        }
        target = if in_list { last_object(target, name, key)? } else { nested_object(target, name)? };
        (name, in_list) = (key, false);
    }
    if in_list { append(target, name, value) } else { set(target, name, value) }
}

fn set(target: &mut Map<String, Value>, key: &str, value: Option<Value>) -> Result<(), FieldError> {
    if target.contains_key(key) {
        return Err(FieldError::Twice { key: key.to_owned() });
    }
    target.insert(key.to_owned(), value.unwrap_or(Value::Null));
    Ok(())
}

fn append(target: &mut Map<String, Value>, key: &str, value: Option<Value>) -> Result<(), FieldError> {
    let list = list(target, key)?;
    match value {
        Some(value) => list.push(value),
        None => list.clear(),
    }
    Ok(())
}

fn list<'a>(target: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Vec<Value>, FieldError> {
    match target.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
        Value::Array(list) => Ok(list),
        other => Err(FieldError::Shape { key: key.to_owned(), expected: "a list", found: kind(other) }),
    }
}

fn nested_object<'a>(target: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Map<String, Value>, FieldError> {
    match target.entry(key).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(object) => Ok(object),
        other => Err(FieldError::Shape { key: key.to_owned(), expected: "an object", found: kind(other) }),
    }
}

/// The object of the list that gets `next`: the last one while it lacks that key (or has a list there), else a new one.
fn last_object<'a>(
    target: &'a mut Map<String, Value>,
    key: &str,
    next: &str,
) -> Result<&'a mut Map<String, Value>, FieldError> {
    let list = list(target, key)?;
    let continues = matches!(list.last(), Some(Value::Object(object)) if object.get(next).is_none_or(Value::is_array));
    if !continues {
        list.push(Value::Object(Map::new()));
    }
    let last = list.last_mut().and_then(Value::as_object_mut);
    Ok(last.expect("the last element was just found or made an object"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The type that `-F` gives a text which is neither a file nor a placeholder.
pub(super) fn typed(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => text.parse::<i64>().ok().map(Value::from),
    }
}

/// The fields as a query string: sorted by name, lists as `name[]`, spaces as `+`. Empty without fields.
pub(super) fn query(fields: &Map<String, Value>) -> String {
    let mut pairs = Vec::new();
    for (name, value) in fields {
        collect_pairs(name, value, &mut pairs);
    }
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", query_escaped(name), query_escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Go's `url.QueryEscape`.
pub(super) fn query_escaped(text: &str) -> String {
    const ESCAPED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');
    percent_encoding::utf8_percent_encode(text, ESCAPED).to_string().replace(' ', "+")
}

fn collect_pairs(name: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Null => pairs.push((name.to_owned(), String::new())),
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => pairs.push((name.to_owned(), value.to_string())),
        Value::Array(list) => list.iter().for_each(|item| collect_pairs(&format!("{name}[]"), item, pairs)),
        Value::Object(object) => {
            object.iter().for_each(|(key, item)| collect_pairs(&format!("{name}[{key}]"), item, pairs));
        }
    }
}

/// GraphQL's body: `query` and `operationName` stay on top, every other field is a variable.
pub(super) fn graphql(fields: Map<String, Value>) -> Map<String, Value> {
    let (mut top, variables): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(key, _)| matches!(key.as_str(), "query" | "operationName"));
    if !variables.is_empty() {
        top.insert("variables".to_owned(), Value::Object(variables));
    }
    top
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn object(fields: &[&str]) -> Result<Map<String, Value>, FieldError> {
        let mut object = Map::new();
        for field in fields {
            let field = parse(field)?;
            let value = field.value.map(|text| typed(text).unwrap_or_else(|| Value::from(text)));
            insert(&mut object, &field, value)?;
        }
        Ok(object)
    }

    #[test]
    fn fields_become_the_json_gh_makes_of_them() {
        let cases: &[(&[&str], &str)] = &[
            (&["a=x"], r#"{"a":"x"}"#),
            (&["a=b=c"], r#"{"a":"b=c"}"#),
            (&["a="], r#"{"a":""}"#),
            (&["a=1", "b=-3", "c=007", "d=1.5"], r#"{"a":1,"b":-3,"c":7,"d":"1.5"}"#),
            (&["a=true", "b=false", "c=null", "d=True"], r#"{"a":true,"b":false,"c":null,"d":"True"}"#),
            (&["a[b][c]=1", "a[d]=2"], r#"{"a":{"b":{"c":1},"d":2}}"#),
            (&["l[]=1", "l[]=x"], r#"{"l":[1,"x"]}"#),
            (&["e[]"], r#"{"e":[]}"#),
            (&["o[][n]=1", "o[][m]=2", "o[][n]=3"], r#"{"o":[{"n":1,"m":2},{"n":3}]}"#),
            (&["o[][l][]=1", "o[][l][]=2", "o[][x]=3"], r#"{"o":[{"l":[1,2],"x":3}]}"#),
            (&["a[b][]=1", "a[b][]=2"], r#"{"a":{"b":[1,2]}}"#),
            (&["files[my.txt][content]=hi"], r#"{"files":{"my.txt":{"content":"hi"}}}"#),
            (&["a[=1"], r#"{"a[":1}"#),
        ];
        for (fields, json) in cases {
            assert_eq!(Value::Object(object(fields).unwrap()).to_string(), *json, "{fields:?}");
        }
    }

    #[test]
    fn contradictory_fields_are_refused() {
        for fields in
            [&["a=1", "a=2"][..], &["a=1", "a[b]=2"], &["a[]=1", "a[b]=2"], &["a[b]=1", "a[]=2"], &["a"], &["a[b]"]]
        {
            assert!(object(fields).is_err(), "{fields:?}");
        }
        let deep = format!("a{}=1", "[b]".repeat(DEEPEST_KEY));
        assert!(matches!(object(&[&deep]), Err(FieldError::TooDeep { .. })));
    }

    #[test]
    fn a_query_is_sorted_and_encoded() {
        let fields = object(&["z=1", "q=a b&c/é~*", "n=null", "t=true", "l[]=1", "l[]=2", "o[k]=v"]).unwrap();
        assert_eq!(query(&fields), "l%5B%5D=1&l%5B%5D=2&n=&o%5Bk%5D=v&q=a+b%26c%2F%C3%A9~%2A&t=true&z=1");
        assert_eq!(query(&Map::new()), "");
    }

    #[test]
    fn graphql_variables_are_grouped() {
        let body = graphql(object(&["query=q", "n=1", "operationName=op"]).unwrap());
        assert_eq!(Value::Object(body).to_string(), r#"{"query":"q","operationName":"op","variables":{"n":1}}"#);
        assert_eq!(Value::Object(graphql(object(&["query=q"]).unwrap())).to_string(), r#"{"query":"q"}"#);
    }
}
