//! Pages of a list and the `Link` header between them.

use serde_json::{Value, json};

use super::Ask;
use crate::http::Reply;
use crate::world::{Found, World};

/// GitHub's defaults ("Using pagination in the REST API").
const PER_PAGE: usize = 30;
const MOST_PER_PAGE: usize = 100;

/// Where a list is cut.
struct Cut {
    page: usize,
    per_page: usize,
    last: usize,
}

impl Cut {
    fn of(ask: &Ask<'_>, total: usize) -> Self {
        let number =
            |name: &str| ask.query(name).and_then(|text| text.parse::<usize>().ok()).filter(|number| *number > 0);
        let per_page = number("per_page").unwrap_or(PER_PAGE).min(MOST_PER_PAGE);
        Self { page: number("page").unwrap_or(1), per_page, last: total.div_ceil(per_page).max(1) }
    }

    fn take<T>(&self, items: Vec<T>) -> impl Iterator<Item = T> {
        items.into_iter().skip((self.page - 1).saturating_mul(self.per_page)).take(self.per_page)
    }

    fn link(&self, ask: &Ask<'_>, path: &str) -> Option<String> {
        let to =
            |page: usize, rel: &str| format!("<{}{path}?{}>; rel=\"{rel}\"", ask.bases.links, with_page(ask, page));
        let mut links = Vec::new();
        if self.page > 1 {
            links.push(to((self.page - 1).min(self.last), "prev"));
        }
        if self.page < self.last {
            links.extend([to(self.page + 1, "next"), to(self.last, "last")]);
        }
        if self.page > 1 {
            links.push(to(1, "first"));
        }
        (!links.is_empty()).then(|| links.join(", "))
    }
}

/// One page of the items as a JSON list.
pub(crate) fn list<T>(world: &World, ask: &Ask<'_>, items: Vec<T>, render: impl Fn(T) -> Value) -> Reply {
    let cut = Cut::of(ask, items.len());
    let page: Vec<Value> = cut.take(items).map(render).collect();
    linked(Reply::json(page.into()), &cut, world, ask)
}

/// One page of the items under a name, with their total.
pub(crate) fn counted<T>(
    world: &World,
    ask: &Ask<'_>,
    name: &str,
    items: Vec<T>,
    render: impl Fn(T) -> Value,
) -> Reply {
    let cut = Cut::of(ask, items.len());
    let mut body = json!({"total_count": items.len()});
    body[name] = cut.take(items).map(render).collect::<Vec<Value>>().into();
    linked(Reply::json(body), &cut, world, ask)
}

fn linked(reply: Reply, cut: &Cut, world: &World, ask: &Ask<'_>) -> Reply {
    match cut.link(ask, &link_path(world, ask)) {
        Some(link) => reply.header("link", link),
        None => reply,
    }
}

/// GitHub's `Link` names repositories and accounts by id: `/repositories/ID/issues` for `/repos/O/R/issues`.
fn link_path(world: &World, ask: &Ask<'_>) -> String {
    let segments: Vec<&str> = ask.segments.iter().map(String::as_str).collect();
    let (kind, id, rest) = match segments.as_slice() {
        ["repos", owner, name, rest @ ..] => {
            let found = world.find(owner, name).map(|(Found::Here(id) | Found::Moved(id))| id);
            ("repositories", found, rest)
        }
        ["orgs", login, rest @ ..] => ("organizations", world.account(login).map(|account| account.id), rest),
        ["users", login, rest @ ..] => ("user", world.account(login).map(|account| account.id), rest),
        _ => ("", None, [].as_slice()),
    };
    match id.filter(|_| ask.bases.numeric_links) {
        Some(id) => format!("/{kind}/{id}/{}", rest.join("/")),
        None => ask.path.to_owned(),
    }
}

fn with_page(ask: &Ask<'_>, page: usize) -> String {
    let others = ask.query.iter().filter(|(name, _)| name != "page");
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(others)
        .append_pair("page", &page.to_string())
        .finish()
}
