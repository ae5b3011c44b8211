//! A document of the GraphQL query language: which operation runs, what it reaches, and its one canonical text.
//!
//! The parser recurses by nesting, so nesting is measured before it runs, on the parser's own tokens. Everything else here walks
//! the tree without recursion, and fragments are looked at once each, however often they are spread. The parser gets the tokens
//! without what means nothing between them, as its look-ahead takes a comma for a token.

use super::NotRead;
use apollo_parser::cst::{CstNode, Definition, FragmentDefinition, FragmentSpread, OperationDefinition};
use apollo_parser::{Lexer, Parser, SyntaxNode, TokenKind};
use std::collections::{BTreeMap, BTreeSet};

/// Most tokens of a document, commas, spaces and comments among them. The largest of gh's own have some 2,000.
pub(super) const MAX_TOKENS: usize = 32 * 1024;
/// Deepest nesting of braces, brackets and parentheses together. GitHub's own explorer nests its introspection 16 deep.
pub(super) const MAX_DEPTH: usize = 64;

/// What kind of operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    Subscription,
}

/// The operation that runs and the fragments that it reaches.
pub(super) struct Document {
    /// The operation.
    pub(super) operation: OperationDefinition,
    /// Its name; empty where it has none.
    pub(super) name: String,
    /// Its kind.
    pub(super) kind: Kind,
    /// The fragments that it reaches, in the document's order.
    fragments: Vec<FragmentDefinition>,
}

/// All definitions of a document.
#[derive(Default)]
struct Definitions {
    operations: Vec<OperationDefinition>,
    fragments: BTreeMap<String, FragmentDefinition>,
}

impl Document {
    /// Reads a document and chooses the operation: the only one, or the one that is called `chosen`.
    ///
    /// # Errors
    /// [`NotRead`]: the document is too large or too deep, malformed, or doesn't say clearly what runs.
    pub(super) fn of(text: &str, chosen: Option<&str>) -> Result<Self, NotRead> {
        let tree = Parser::new(&bare(text)?).token_limit(2 * MAX_TOKENS).parse();
        if tree.errors().len() > 0 {
            return Err(NotRead::Syntax);
        }
        let definitions = Definitions::of(tree.document().definitions())?;
        let operation = definitions.operation(chosen)?;
        let fragments = definitions.reached_from(operation.syntax())?;
        Ok(Document { name: name_of(&operation), kind: kind_of(&operation), fragments, operation })
    }

    /// The canonical text: the operation and its fragments, in this order, without spaces, commas and comments that mean
    /// nothing. Equal for documents that differ in nothing else.
    pub(super) fn text(&self) -> String {
        self.roots().map(|root| root.text().to_string()).collect()
    }

    /// Every node of a kind in what runs.
    pub(super) fn all<N: CstNode + 'static>(&self) -> impl Iterator<Item = N> + '_ {
        self.roots().flat_map(|root| root.descendants().filter_map(N::cast))
    }

    fn roots(&self) -> impl Iterator<Item = &SyntaxNode> {
        [self.operation.syntax()].into_iter().chain(self.fragments.iter().map(CstNode::syntax))
    }
}

/// The document without what means nothing: spaces that part no tokens, commas, comments. Refuses what would cost too much to
/// parse, or more stack than there is.
fn bare(text: &str) -> Result<String, NotRead> {
    let mut bare = String::with_capacity(text.len());
    let mut depth = 0usize;
    for token in Lexer::new(text).with_limit(MAX_TOKENS) {
        let token = token.map_err(|error| if error.is_limit() { NotRead::TooManyTokens } else { NotRead::Syntax })?;
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof => continue,
            TokenKind::LCurly | TokenKind::LBracket | TokenKind::LParen => depth += 1,
            TokenKind::RCurly | TokenKind::RBracket | TokenKind::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(NotRead::TooDeep);
        }
        append(&mut bare, token.data());
    }
    Ok(bare)
}

impl Definitions {
    fn of(all: impl Iterator<Item = Definition>) -> Result<Self, NotRead> {
        let mut definitions = Definitions::default();
        for definition in all {
            match definition {
                Definition::OperationDefinition(operation) => definitions.operations.push(operation),
                Definition::FragmentDefinition(fragment) => definitions.add(fragment)?,
                // A schema's: not executable.
                _ => return Err(NotRead::Syntax),
            }
        }
        definitions.all_used()?;
        Ok(definitions)
    }

    fn add(&mut self, fragment: FragmentDefinition) -> Result<(), NotRead> {
        let name = fragment.fragment_name().and_then(|name| name.name()).ok_or(NotRead::Syntax)?;
        match self.fragments.insert(name.text().to_string(), fragment) {
            None => Ok(()),
            Some(_) => Err(NotRead::Fragments),
        }
    }

    /// GitHub refuses a document with a fragment that is not used, which the canonical text would hide.
    fn all_used(&self) -> Result<(), NotRead> {
        let roots = self.operations.iter().map(CstNode::syntax).chain(self.fragments.values().map(CstNode::syntax));
        let used: BTreeSet<String> = roots.flat_map(spreads).collect();
        if self.fragments.keys().all(|name| used.contains(name)) { Ok(()) } else { Err(NotRead::Fragments) }
    }

    /// "If operationName is null: if document contains exactly one operation, return [it]; otherwise raise a request error"
    /// (GraphQL §6.1). Where there are several, each must have a name of its own, or GitHub refuses the document.
    fn operation(&self, chosen: Option<&str>) -> Result<OperationDefinition, NotRead> {
        let names: BTreeSet<String> = self.operations.iter().map(name_of).collect();
        let one_by_one = names.len() == self.operations.len() && !names.contains("");
        if self.operations.len() != 1 && !(one_by_one && chosen.is_some()) {
            return Err(NotRead::Operation);
        }
        let is_chosen = |operation: &&OperationDefinition| chosen.is_none_or(|name| name_of(operation) == name);
        self.operations.iter().find(is_chosen).cloned().ok_or(NotRead::Operation)
    }

    /// The fragments that `root` spreads, and those that they spread.
    fn reached_from(&self, root: &SyntaxNode) -> Result<Vec<FragmentDefinition>, NotRead> {
        let mut reached = BTreeMap::<String, BTreeSet<String>>::new();
        let mut waiting: Vec<String> = spreads(root).collect();
        while let Some(name) = waiting.pop() {
            if reached.contains_key(&name) {
                continue;
            }
            let fragment = self.fragments.get(&name).ok_or(NotRead::Fragments)?;
            let next: BTreeSet<String> = spreads(fragment.syntax()).collect();
            waiting.extend(next.iter().cloned());
            reached.insert(name, next);
        }
        let mut fragments: Vec<_> = reached.keys().filter_map(|name| self.fragments.get(name).cloned()).collect();
        fragments.sort_by_key(|fragment| fragment.syntax().text_range().start());
        if has_cycle(reached) { Err(NotRead::Fragments) } else { Ok(fragments) }
    }
}

/// Takes away what spreads nothing that is left, until nothing is left or only a cycle.
fn has_cycle(mut spreads: BTreeMap<String, BTreeSet<String>>) -> bool {
    let mut spread_by = BTreeMap::<String, Vec<String>>::new();
    for (name, spread) in spreads.iter().flat_map(|(name, all)| all.iter().map(move |spread| (name, spread))) {
        spread_by.entry(spread.clone()).or_default().push(name.clone());
    }
    let mut done: Vec<String> =
        spreads.iter().filter(|(_, all)| all.is_empty()).map(|(name, _)| name.clone()).collect();
    while let Some(name) = done.pop() {
        spreads.remove(&name);
        for user in spread_by.remove(&name).unwrap_or_default() {
            let left = spreads.get_mut(&user).map(|all| {
                all.remove(&name);
                all.len()
            });
            if left == Some(0) {
                done.push(user);
            }
        }
    }
    !spreads.is_empty()
}

/// The names of the fragments that are spread somewhere below `root`.
fn spreads(root: &SyntaxNode) -> impl Iterator<Item = String> + use<> {
    root.descendants()
        .filter_map(FragmentSpread::cast)
        .filter_map(|spread| Some(spread.fragment_name()?.name()?.text().to_string()))
}

fn name_of(operation: &OperationDefinition) -> String {
    operation.name().map(|name| name.text().to_string()).unwrap_or_default()
}

fn kind_of(operation: &OperationDefinition) -> Kind {
    match operation.operation_type() {
        Some(kind) if kind.mutation_token().is_some() => Kind::Mutation,
        Some(kind) if kind.subscription_token().is_some() => Kind::Subscription,
        Some(_) | None => Kind::Query,
    }
}

/// Adds a token, after a space where the two would else become one.
fn append(text: &mut String, token: &str) {
    let joins = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_\"-".contains(byte));
    if joins(text.as_bytes().last()) && joins(token.as_bytes().first()) {
        text.push(' ');
    }
    text.push_str(token);
}
