//! Pages of things (GraphQL Cursor Connections Specification).

use serde_json::{Value, json};

use super::{Found, Thing};
use crate::text::{base64, from_base64};

/// A page of a list.
#[derive(Debug, Clone)]
pub(crate) struct Connection<'a> {
    things: Vec<Thing<'a>>,
    /// Where the page begins in the whole list.
    start: usize,
    total: usize,
}

impl<'a> Connection<'a> {
    /// The page that `first`, `last`, `after` and `before` ask for.
    pub(crate) fn new(things: Vec<Thing<'a>>, arguments: &Value) -> Self {
        let number = |name: &str| arguments[name].as_u64().and_then(|number| usize::try_from(number).ok());
        let total = things.len();
        let mut start = cursor(&arguments["after"]).map_or(0, |after| (after + 1).min(total));
        let mut end = cursor(&arguments["before"]).map_or(total, |before| before.min(total)).max(start);
        end = number("first").map_or(end, |first| end.min(start.saturating_add(first)));
        start = number("last").map_or(start, |last| start.max(end.saturating_sub(last)));
        Self { things: things.into_iter().skip(start).take(end - start).collect(), start, total }
    }

    pub(crate) fn field(&self, name: &str) -> Option<Found<'a>> {
        Some(match name {
            "nodes" => Found::Things(self.things.clone()),
            "totalCount" | "issueCount" | "repositoryCount" | "userCount" => Found::Value(self.total.into()),
            "pageInfo" => Found::Value(self.page_info()),
            "edges" => Found::Things(self.edges()),
            _ => return None,
        })
    }

    fn edges(&self) -> Vec<Thing<'a>> {
        let edge = |(place, thing): (usize, &Thing<'a>)| {
            Thing::Edge(Box::new(thing.clone()), place_cursor(self.start + place))
        };
        self.things.iter().enumerate().map(edge).collect()
    }

    fn page_info(&self) -> Value {
        let end = self.start + self.things.len();
        let none = self.things.is_empty();
        json!({
            "hasNextPage": end < self.total,
            "hasPreviousPage": self.start > 0,
            "startCursor": (!none).then(|| place_cursor(self.start)),
            "endCursor": (!none).then(|| place_cursor(end - 1)),
        })
    }
}

fn place_cursor(place: usize) -> String {
    base64(format!("cursor:{place}").as_bytes())
}

fn cursor(value: &Value) -> Option<usize> {
    let text = String::from_utf8(from_base64(value.as_str()?)?).ok()?;
    text.strip_prefix("cursor:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_by_cursor() {
        let things = |count: usize| (0..count).map(|number| Thing::Plain(number.into())).collect::<Vec<_>>();
        let first = Connection::new(things(5), &json!({"first": 2}));
        assert_eq!((first.start, first.things.len(), first.page_info()["hasNextPage"].clone()), (0, 2, true.into()));
        let after = first.page_info()["endCursor"].clone();
        let second = Connection::new(things(5), &json!({"first": 10, "after": after}));
        assert_eq!(
            (second.start, second.things.len(), second.page_info()["hasNextPage"].clone()),
            (2, 3, false.into())
        );
        let last = Connection::new(things(5), &json!({"last": 1}));
        assert_eq!((last.start, last.things.len()), (4, 1));
        assert_eq!(Connection::new(things(0), &json!({"last": 1})).page_info()["endCursor"], Value::Null);
    }
}
