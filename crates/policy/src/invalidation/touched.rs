//! Collects the scopes of one change.

use super::routes::{self, Group};
use super::{graphql_of_host, graphql_of_repository, graphql_without_repository, node_scope, own_path};
use crate::nodes::{self, Kind};
use ghmesh_model::{Scope, limits};
use http::Method;
use std::collections::BTreeSet;

/// Scopes that may have changed, on one host.
pub(crate) struct Touched<'a> {
    host: &'a str,
    scopes: BTreeSet<Scope>,
}

impl<'a> Touched<'a> {
    pub(crate) fn new(host: &'a str) -> Self {
        Touched { host, scopes: BTreeSet::new() }
    }

    /// All of them; the whole host where they are too many to name.
    pub(crate) fn into_scopes(self) -> Vec<Scope> {
        if self.scopes.len() > limits::MAX_SCOPES {
            vec![Scope::of(self.host, "")]
        } else {
            self.scopes.into_iter().collect()
        }
    }

    pub(super) fn write(&mut self, method: &Method, segments: &[&str]) {
        match segments {
            ["repos", owner, name, rest @ ..] => self.in_repository(owner, name, rest),
            ["repositories", id, ..] => self.in_numbered_repository(id),
            ["orgs" | "organizations", organization, rest @ ..] => self.in_organization(organization, rest),
            ["user", rest @ ..] => self.of_user(rest),
            ["gists", ..] => self.below(&["gists", "users"]),
            ["teams", ..] => self.below(&["teams", "orgs", "organizations", "user"]),
            ["notifications", ..] => self.below(&["notifications"]),
            // Taking back a token or a grant takes back proofs of access to anything.
            ["applications" | "installation", ..] if method != Method::POST => self.below(&[""]),
            [first, second, ..] => self.subtree(&[first, second]),
            [only] => self.subtree(&[only]),
            [] => self.below(&[""]),
        }
        self.graphql_of_write(segments);
    }

    /// Everything of a repository, whatever shows it.
    pub(crate) fn all_of_repository(&mut self, owner: &str, name: &str) {
        self.repository(owner, name);
        self.lists_of_talk(owner);
        self.graphql_of(owner, name);
    }

    /// Whatever members, teams and installations of an account decide: who may read what of it.
    pub(crate) fn access_to_account(&mut self, login: &str) {
        self.in_organization(login, &[]);
        self.below(&["repositories", "installation"]);
        self.graphql_of_any();
    }

    /// Every GraphQL answer.
    pub(crate) fn graphql_of_any(&mut self) {
        self.scopes.insert(graphql_of_host(self.host));
    }

    /// The object with this node id.
    pub(crate) fn node(&mut self, id: &str) {
        self.scopes.insert(node_scope(self.host, id));
        self.scopes.extend([Kind::Rest, Kind::GraphQl].map(|kind| nodes::any_node(self.host, kind)));
    }

    fn graphql_of_write(&mut self, segments: &[&str]) {
        match segments {
            // GraphQL doesn't show them.
            ["repos", _, _, "actions", part, ..] | ["orgs" | "organizations", _, "actions", part, ..]
                if routes::is_self_contained_in_actions(part) => {}
            ["repos", owner, name, ..] => self.graphql_of(owner, name),
            [] | [_, ..] => self.graphql_of_any(),
        }
    }

    /// The GraphQL answers that may show a repository.
    pub(crate) fn graphql_of(&mut self, owner: &str, name: &str) {
        self.scopes.insert(graphql_of_repository(self.host, owner, name));
        self.scopes.insert(graphql_without_repository(self.host));
    }

    fn in_repository(&mut self, owner: &str, name: &str, rest: &[&str]) {
        match rest {
            [] => self.repository(owner, name),
            [area, ..] if routes::is_self_contained(area) => self.subtree(&["repos", owner, name, area]),
            ["actions", part, ..] if routes::is_self_contained_in_actions(part) => {
                self.subtree(&["repos", owner, name, "actions", part]);
            }
            [area, ..] => match Group::of_write(area) {
                Some(groups) => self.groups(owner, name, area, groups),
                None => self.repository(owner, name),
            },
        }
    }

    /// Everything of a repository: settings, access, its end. It shows in every list of repositories.
    fn repository(&mut self, owner: &str, name: &str) {
        self.subtree(&["repos", owner, name]);
        self.below(&["repositories", "search", "installation"]);
        self.lists_of(owner);
        self.alone(&["orgs", owner]);
        self.alone(&["users", owner]);
        self.alone(&["repos", owner, name, "forks"]);
    }

    fn groups(&mut self, owner: &str, name: &str, area: &str, groups: &[Group]) {
        self.subtree(&["repos", owner, name, area]);
        for group in groups {
            self.add(&group.path("/repositories/*"));
        }
        self.groups_of_named(owner, name, groups);
    }

    /// What changes together in a repository, under its name, and the lists that show it.
    pub(crate) fn groups_of_named(&mut self, owner: &str, name: &str, groups: &[Group]) {
        for group in groups {
            self.add(&group.path(&format!("/repos/{owner}/{name}")));
        }
        if groups != [Group::Checks] {
            self.alone(&["repos", owner, name]);
            self.lists_of(owner);
            self.below(&["search"]);
        }
        if groups.contains(&Group::Talk) {
            self.lists_of_talk(owner);
        }
    }

    fn lists_of_talk(&mut self, owner: &str) {
        self.alone(&["issues"]);
        self.alone(&["user", "issues"]);
        self.alone(&["orgs", owner, "issues"]);
    }

    /// By its id nobody knows which name it has: every name.
    fn in_numbered_repository(&mut self, id: &str) {
        self.subtree(&["repositories", id]);
        self.below(&["repos", "search", "issues"]);
    }

    fn in_organization(&mut self, organization: &str, rest: &[&str]) {
        match rest {
            [area, ..] if routes::is_self_contained(area) => self.subtree(&["orgs", organization, area]),
            ["actions", part, ..] if routes::is_self_contained_in_actions(part) => {
                self.subtree(&["orgs", organization, "actions", part]);
            }
            ["repos"] => {
                self.lists_of(organization);
                self.alone(&["orgs", organization]);
                self.below(&["search", "installation"]);
            }
            // Members, teams and the rest decide who may read what.
            [] | [_, ..] => {
                self.below(&["organizations", "teams", "user", "users", "search"]);
                self.subtree(&["orgs", organization]);
                self.subtree(&["repos", organization]);
            }
        }
    }

    fn of_user(&mut self, rest: &[&str]) {
        self.below(&["user", "users", "search"]);
        match rest {
            ["starred" | "subscriptions", owner, name] => {
                self.alone(&["repos", owner, name]);
                for list in ["stargazers", "subscribers", "subscription"] {
                    self.subtree(&["repos", owner, name, list]);
                }
            }
            ["installations" | "repository_invitations" | "memberships", ..] => self.below(&["orgs", "installation"]),
            [] | [_, ..] => {}
        }
    }

    /// Lists that show a repository's own object.
    pub(crate) fn lists_of(&mut self, owner: &str) {
        self.alone(&["orgs", owner, "repos"]);
        self.alone(&["users", owner, "repos"]);
        self.alone(&["user", "repos"]);
        self.alone(&["installation", "repositories"]);
        self.add("/organizations/*#repos");
        self.add("/user/*#repos");
    }

    fn below(&mut self, roots: &[&str]) {
        for root in roots {
            self.subtree(&[root]);
        }
    }

    pub(crate) fn subtree(&mut self, segments: &[&str]) {
        self.add(&path_of(segments));
    }

    pub(crate) fn alone(&mut self, segments: &[&str]) {
        self.add(&own_path(&path_of(segments)));
    }

    fn add(&mut self, path: &str) {
        self.scopes.insert(Scope::of(self.host, path));
    }
}

fn path_of(segments: &[&str]) -> String {
    segments.iter().filter(|segment| !segment.is_empty()).map(|segment| format!("/{segment}")).collect()
}
