//! What a document names by arguments: repositories, their owners, objects by node id. Literals and variables alike.

use super::document::Document;
use super::json::Json;
use apollo_parser::SyntaxNode;
use apollo_parser::cst::VariableDefinition;
use apollo_parser::cst::{Argument, CstNode, Field, Name, ObjectField, Selection, StringValue, Value, Variable};
use std::collections::{BTreeMap, BTreeSet};

/// What a document names, and what it may reach beyond that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Owner and name of repositories.
    pub(super) repositories: BTreeSet<(String, String)>,
    /// Users and organisations.
    pub(super) logins: BTreeSet<String>,
    /// Node ids.
    pub(super) node_ids: BTreeSet<String>,
    /// It may show repositories that it doesn't name: it starts elsewhere than at `repository(owner:, name:)`, or by names
    /// that can't be read here.
    pub(super) open: bool,
}

/// The arguments of one field that are texts.
struct Arguments(BTreeMap<String, Vec<String>>);

/// Reads arguments: the variables as sent, and the defaults of those that were not.
struct Reader<'a> {
    variables: &'a BTreeMap<String, Json>,
    defaults: BTreeMap<String, Value>,
}

impl Names {
    pub(super) fn of(document: &Document, variables: &BTreeMap<String, Json>) -> Self {
        let reader = Reader::new(document, variables);
        let open = !reader.starts_at_repositories(document);
        let mut names = Names { open, node_ids: reader.node_ids(document), ..Names::default() };
        for field in document.all::<Field>() {
            names.add(&reader, &field);
        }
        names
    }

    fn add(&mut self, reader: &Reader<'_>, field: &Field) {
        let arguments = reader.arguments(field);
        self.logins.extend(arguments.one("login").or_else(|| arguments.one("owner")).map(str::to_owned));
        if let Some(repository) = arguments.repository().or_else(|| reader.repository_below_login(field, &arguments)) {
            self.repositories.insert(repository);
        }
    }
}

impl<'a> Reader<'a> {
    fn new(document: &Document, variables: &'a BTreeMap<String, Json>) -> Self {
        let definitions = document.operation.variable_definitions();
        let definitions = definitions.iter().flat_map(|all| all.variable_definitions());
        Reader { variables, defaults: definitions.filter_map(default_of).collect() }
    }

    fn node_ids(&self, document: &Document) -> BTreeSet<String> {
        let arguments = document.all::<Argument>().map(|argument| (argument.name(), argument.value()));
        let members = document.all::<ObjectField>().map(|member| (member.name(), member.value()));
        let of_ids =
            arguments.chain(members).filter(|(name, _)| text_of(name.as_ref()).is_some_and(|name| is_node_id(&name)));
        let mut ids: BTreeSet<String> =
            of_ids.filter_map(|(_, value)| value).flat_map(|value| self.texts(&value)).collect();
        self.variables.iter().for_each(|(name, value)| collect_node_ids(name, value, &mut ids));
        ids
    }

    /// Whether every field of the root is a repository by its owner and name, or describes the schema.
    fn starts_at_repositories(&self, document: &Document) -> bool {
        let roots = document.operation.selection_set();
        roots.iter().flat_map(|set| set.selections()).all(|root| match root {
            Selection::Field(field) => {
                let name = name_of(&field);
                name.starts_with("__") || (name == "repository" && self.arguments(&field).repository().is_some())
            }
            Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
        })
    }

    /// `organization(login:) { repository(name:) }`.
    fn repository_below_login(&self, field: &Field, arguments: &Arguments) -> Option<(String, String)> {
        let name = arguments.one("name").filter(|_| name_of(field) == "repository")?;
        let above = field.syntax().ancestors().skip(1).filter_map(Field::cast);
        let login = above.filter_map(|field| self.arguments(&field).one("login").map(str::to_owned)).next()?;
        Some((login, name.to_owned()))
    }

    fn arguments(&self, field: &Field) -> Arguments {
        let all = field.arguments();
        let named = all.iter().flat_map(|all| all.arguments()).filter_map(|argument| self.argument(&argument));
        Arguments(named.collect())
    }

    fn argument(&self, argument: &Argument) -> Option<(String, Vec<String>)> {
        Some((text_of(argument.name().as_ref())?, self.texts(&argument.value()?)))
    }

    /// The texts of a value: one, or those of a list's items.
    fn texts(&self, value: &Value) -> Vec<String> {
        value.syntax().descendants().flat_map(|node| self.text(node)).collect()
    }

    fn text(&self, node: SyntaxNode) -> Vec<String> {
        match StringValue::cast(node.clone()) {
            Some(text) => vec![String::from(&text)],
            None => Variable::cast(node)
                .and_then(|named| text_of(named.name().as_ref()))
                .map_or_else(Vec::new, |name| self.variable(&name)),
        }
    }

    fn variable(&self, name: &str) -> Vec<String> {
        match (self.variables.get(name), self.defaults.get(name)) {
            (Some(Json::Text(text)), _) => vec![text.clone()],
            (Some(Json::List(items)), _) => items.iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
            (Some(_), _) | (None, None) => Vec::new(),
            (None, Some(default)) => literals(default),
        }
    }
}

impl Arguments {
    fn one(&self, name: &str) -> Option<&str> {
        match self.0.get(name)?.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    fn repository(&self) -> Option<(String, String)> {
        Some((self.one("owner")?.to_owned(), self.one("name")?.to_owned()))
    }
}

/// The texts in every place that is called like a node id, in the document and in the variables.
pub(super) fn node_ids(document: &Document, variables: &BTreeMap<String, Json>) -> BTreeSet<String> {
    Reader::new(document, variables).node_ids(document)
}

/// Whether a field of this name may be asked for, under whichever alias.
pub(super) fn asks_for(document: &Document, name: &str) -> bool {
    document.all::<Field>().any(|field| name_of(&field) == name)
}

/// Whether a member or argument of this name holds node ids: `id`, `ids`, `subjectId`, `labelIds`.
pub(super) fn is_node_id(name: &str) -> bool {
    (matches!(name, "id" | "ids") || name.ends_with("Id") || name.ends_with("Ids")) && name != "clientMutationId"
}

/// A field's own name, whatever its alias.
pub(super) fn name_of(field: &Field) -> String {
    text_of(field.name().as_ref()).unwrap_or_default()
}

fn text_of(name: Option<&Name>) -> Option<String> {
    name.map(|name| name.text().to_string())
}

/// Depth is bounded by the reader of the variables.
fn collect_node_ids(name: &str, value: &Json, ids: &mut BTreeSet<String>) {
    match value {
        Json::Text(text) if is_node_id(name) => drop(ids.insert(text.clone())),
        Json::List(items) => items.iter().for_each(|item| collect_node_ids(name, item, ids)),
        Json::Object(members) => members.iter().for_each(|(name, value)| collect_node_ids(name, value, ids)),
        Json::Text(_) | Json::Null | Json::Bool(_) | Json::Integer(_) | Json::Large(_) => {}
    }
}

fn default_of(definition: VariableDefinition) -> Option<(String, Value)> {
    Some((text_of(definition.variable()?.name().as_ref())?, definition.default_value()?.value()?))
}

fn literals(value: &Value) -> Vec<String> {
    value.syntax().descendants().filter_map(StringValue::cast).map(|text| String::from(&text)).collect()
}
