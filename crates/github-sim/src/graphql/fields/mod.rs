//! What the things of the world are in GitHub's schema: their types and fields.

mod account;
mod connection;
mod git;
mod issue;
mod repository;
mod root;

use serde_json::{Value, json};

use super::change::Changed;
use super::parse::Field;
use super::select::Selecting;
use crate::world::{Account, Comment, Commit, Issue, Label, Release, Repository, Run, Status};
pub(crate) use connection::Connection;

/// An object of the schema.
#[derive(Debug, Clone)]
pub(crate) enum Thing<'a> {
    Query,
    /// What the mutations of a request came to.
    Mutation(&'a [(String, Changed)]),
    Payload(&'a Changed),
    Account(&'a Account),
    Repository(&'a Repository),
    Issue(&'a Repository, &'a Issue),
    Comment(&'a Repository, &'a Issue, &'a Comment),
    Label(&'a Repository, &'a Label),
    /// A branch or tag: full name and commit.
    Reference(&'a Repository, String, &'a str),
    Commit(&'a Repository, &'a Commit),
    /// A commit as part of a pull request.
    PullCommit(&'a Repository, &'a Commit),
    /// The checks of a commit together.
    Rollup(&'a Repository, &'a Commit),
    Release(&'a Repository, &'a Release),
    CheckRun(&'a Repository, &'a Run, u64),
    Status(&'a Status),
    Connection(Connection<'a>),
    /// A thing in a connection and its cursor.
    Edge(Box<Thing<'a>>, String),
    /// Anything small: its fields are the object's.
    Plain(Value),
}

/// What a field holds.
#[derive(Debug, Clone)]
pub(crate) enum Found<'a> {
    /// A scalar, an object or a list of objects.
    Value(Value),
    /// A list of scalars.
    Scalars(Value),
    Thing(Thing<'a>),
    Things(Vec<Thing<'a>>),
    /// Nothing, and an error with this message.
    Missing(String),
}

impl<'a> Found<'a> {
    /// `null` when there is nothing.
    pub(crate) fn maybe(thing: Option<Thing<'a>>) -> Self {
        thing.map_or(Self::Value(Value::Null), Self::Thing)
    }
}

impl<'a> Thing<'a> {
    pub(crate) fn type_name(&self) -> String {
        let name = match self {
            Self::Query => "Query",
            Self::Mutation(_) => "Mutation",
            Self::Payload(_) => "Payload",
            Self::Account(account) if account.organization => "Organization",
            Self::Account(_) => "User",
            Self::Repository(_) => "Repository",
            Self::Issue(_, issue) if issue.pull.is_some() => "PullRequest",
            Self::Issue(..) => "Issue",
            Self::Comment(..) => "IssueComment",
            Self::Label(..) => "Label",
            Self::Reference(..) => "Ref",
            Self::Commit(..) => "Commit",
            Self::PullCommit(..) => "PullRequestCommit",
            Self::Rollup(..) => "StatusCheckRollup",
            Self::Release(..) => "Release",
            Self::CheckRun(..) => "CheckRun",
            Self::Status(_) => "StatusContext",
            Self::Connection(_) => "Connection",
            Self::Edge(..) => "Edge",
            Self::Plain(value) => value["__typename"].as_str().unwrap_or("Object"),
        };
        name.to_owned()
    }

    /// Whether a fragment on this type applies: it is the type, or an interface or union that holds it.
    pub(crate) fn is_a(&self, on: &str) -> bool {
        match on {
            "Node" => !matches!(
                self,
                Self::Query | Self::Mutation(_) | Self::Payload(_) | Self::Connection(_) | Self::Edge(..)
            ),
            "Actor" | "RepositoryOwner" | "ProfileOwner" | "Assignee" | "RequestedReviewer" => {
                matches!(self, Self::Account(_))
            }
            "IssueOrPullRequest" | "Closable" | "Labelable" | "Assignable" => matches!(self, Self::Issue(..)),
            "Comment" => matches!(self, Self::Issue(..) | Self::Comment(..)),
            "StatusCheckRollupContext" => matches!(self, Self::CheckRun(..) | Self::Status(_)),
            "GitObject" => matches!(self, Self::Commit(..)),
            _ => self.type_name() == on,
        }
    }

    /// What the field holds, or `None` when the type has no such field.
    pub(crate) fn field(&self, selecting: &Selecting<'a>, field: &Field, arguments: &Value) -> Option<Found<'a>> {
        let view = selecting.view;
        let name = field.name.as_str();
        match self {
            Self::Query => root::query(selecting, name, arguments),
            Self::Mutation(changed) => {
                let done = changed.iter().find(|(key, _)| *key == field.key)?;
                Some(Found::Thing(Thing::Payload(&done.1)))
            }
            Self::Payload(changed) => root::payload(view, changed, name),
            Self::Account(account) => account::account(view, account, name, arguments),
            Self::Repository(repository) => repository::repository(view, repository, name, arguments),
            Self::Issue(repository, issue) => issue::issue(view, repository, issue, name, arguments),
            Self::Comment(repository, issue, comment) => issue::comment(view, (repository, issue, comment), name),
            Self::Label(repository, label) => issue::label(view, repository, label, name),
            Self::Reference(repository, full_name, sha) => git::reference(repository, full_name, sha, name),
            Self::Commit(repository, commit) => git::commit(view, repository, commit, name, arguments),
            Self::PullCommit(repository, commit) => {
                (name == "commit").then(|| Found::Thing(Thing::Commit(repository, commit)))
            }
            Self::Rollup(repository, commit) => git::rollup(repository, commit, name, arguments),
            Self::Release(repository, release) => git::release(view, repository, release, name),
            Self::CheckRun(repository, run, job) => git::check_run(repository, run, *job, name),
            Self::Status(status) => git::status(status, name),
            Self::Connection(connection) => connection.field(name),
            Self::Edge(thing, cursor) => match name {
                "node" => Some(Found::Thing((**thing).clone())),
                "cursor" => Some(Found::Value(cursor.clone().into())),
                _ => None,
            },
            Self::Plain(value) => value.get(name).cloned().map(|value| match &value {
                Value::Array(items) if !items.iter().all(Value::is_object) => Found::Scalars(value),
                _ => Found::Value(value),
            }),
        }
    }
}

/// Reaction groups without reactions.
fn no_reactions() -> Value {
    let kinds = ["THUMBS_UP", "THUMBS_DOWN", "LAUGH", "HOORAY", "CONFUSED", "HEART", "ROCKET", "EYES"];
    kinds.iter().map(|kind| json!({"content": kind, "users": {"totalCount": 0}})).collect()
}

/// A connection without anything in it.
fn nothing<'a>(arguments: &Value) -> Found<'a> {
    Found::Thing(Thing::Connection(Connection::new(Vec::new(), arguments)))
}

/// A connection to all of the things.
fn many<'a>(things: impl Iterator<Item = Thing<'a>>, arguments: &Value) -> Found<'a> {
    Found::Thing(Thing::Connection(Connection::new(things.collect(), arguments)))
}
