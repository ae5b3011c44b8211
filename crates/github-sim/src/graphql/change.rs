//! Mutations: issues and comments.

use serde_json::Value;
use thiserror::Error;

use crate::routes::write::NewIssue;
use crate::shapes::View;
use crate::text::parse_node_id;
use crate::tokens::Caller;
use crate::world::{Permission, World};

/// What a mutation came to.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    pub(crate) repository: u64,
    pub(crate) number: u64,
    pub(crate) comment: Option<u64>,
    pub(crate) client_id: Value,
}

/// Why a mutation changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ChangeError {
    #[error("Field '{0}' doesn't exist on type 'Mutation'")]
    Unknown(String),
    #[error("Could not resolve to a node with the global id of '{0}'")]
    Missing(String),
    #[error("{0} does not have the correct permissions to execute the mutation")]
    Forbidden(String),
    #[error("{0} can't be blank")]
    Blank(&'static str),
}

impl ChangeError {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "undefinedField",
            Self::Missing(_) => "NOT_FOUND",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::Blank(_) => "UNPROCESSABLE",
        }
    }
}

/// Makes one change for the caller.
pub(crate) fn change(
    world: &mut World,
    caller: &Caller,
    api: &str,
    name: &str,
    input: &Value,
) -> Result<Changed, ChangeError> {
    let text = |name: &str| input[name].as_str().map(str::to_owned);
    let author = caller.login.clone().unwrap_or_else(|| "github-actions[bot]".into());
    let (repository, number, comment) = match name {
        "createIssue" => {
            let repository = reachable(world, caller, api, text("repositoryId"), Permission::Pull)?;
            let title = text("title").filter(|title| !title.is_empty()).ok_or(ChangeError::Blank("Title"))?;
            let labels = named(&input["labelIds"], |id| label_name(world, repository, id));
            let assignees =
                named(&input["assigneeIds"], |id| world.account_by_id(id).map(|account| account.login.clone()));
            let new = NewIssue { title, body: text("body").unwrap_or_default(), labels, assignees };
            (repository, world.open_issue(repository, &author, new), None)
        }
        "addComment" => {
            let (repository, number) = issue(world, caller, api, text("subjectId"), Permission::Pull)?;
            let body = text("body").filter(|body| !body.is_empty()).ok_or(ChangeError::Blank("Body"))?;
            (repository, number, world.add_comment(repository, number, &author, body))
        }
        "closeIssue" | "reopenIssue" | "closePullRequest" | "reopenPullRequest" | "updateIssue" => {
            let id = ["issueId", "pullRequestId", "id"].iter().find_map(|field| text(field));
            let (repository, number) = issue(world, caller, api, id, Permission::Triage)?;
            update(world, (repository, number), name, input);
            (repository, number, None)
        }
        _ => return Err(ChangeError::Unknown(name.to_owned())),
    };
    Ok(Changed { repository, number, comment, client_id: input["clientMutationId"].clone() })
}

fn update(world: &mut World, (repository, number): (u64, u64), name: &str, input: &Value) {
    let now = world.tick();
    let issue = world.repositories.get_mut(&repository).and_then(|repository| repository.issues.get_mut(&number));
    let Some(issue) = issue else { return };
    let reason = input["stateReason"].as_str().map(str::to_ascii_lowercase);
    match name {
        "closeIssue" | "closePullRequest" => issue.set_state("closed", reason, now),
        "reopenIssue" | "reopenPullRequest" => issue.set_state("open", None, now),
        _ => {
            issue.title = input["title"].as_str().unwrap_or(&issue.title).to_owned();
            issue.body = input["body"].as_str().unwrap_or(&issue.body).to_owned();
        }
    }
    issue.updated = now;
}

/// The repository of that node id, if the caller may do so much there.
fn reachable(
    world: &World,
    caller: &Caller,
    api: &str,
    id: Option<String>,
    needed: Permission,
) -> Result<u64, ChangeError> {
    let id = id.unwrap_or_default();
    let missing = || ChangeError::Missing(id.clone());
    let (_, number) = parse_node_id(&id).filter(|(prefix, _)| *prefix == "R").ok_or_else(missing)?;
    let repository = world.repositories.get(&number).ok_or_else(missing)?;
    let permission = View { world, caller, api }.permission(repository).ok_or_else(missing)?;
    if permission < needed {
        return Err(ChangeError::Forbidden(caller.label.clone()));
    }
    Ok(number)
}

/// The repository and number of the issue or pull request of that node id. Authors may change their own.
fn issue(
    world: &World,
    caller: &Caller,
    api: &str,
    id: Option<String>,
    needed: Permission,
) -> Result<(u64, u64), ChangeError> {
    let id = id.unwrap_or_default();
    let missing = || ChangeError::Missing(id.clone());
    let (_, number) = parse_node_id(&id).filter(|(prefix, _)| matches!(*prefix, "I" | "PR")).ok_or_else(missing)?;
    let mut all = world
        .repositories
        .values()
        .flat_map(|repository| repository.issues.values().map(move |issue| (repository, issue)));
    let (repository, issue) = all.find(|(_, issue)| issue.id == number).ok_or_else(missing)?;
    let permission = View { world, caller, api }.permission(repository).ok_or_else(missing)?;
    if permission < needed && caller.login.as_ref() != Some(&issue.author) {
        return Err(ChangeError::Forbidden(caller.label.clone()));
    }
    Ok((repository.id, issue.number))
}

fn named(ids: &Value, name: impl Fn(u64) -> Option<String>) -> Vec<String> {
    let ids = ids.as_array().into_iter().flatten().filter_map(Value::as_str);
    ids.filter_map(parse_node_id).filter_map(|(_, id)| name(id)).collect()
}

fn label_name(world: &World, repository: u64, id: u64) -> Option<String> {
    world.repositories.get(&repository)?.labels.values().find(|label| label.id == id).map(|label| label.name.clone())
}
