//! Path templates, and the segments of a path as templates see them.

use super::overrides::RouteProblem;

/// The segments of a path, empty ones left out.
pub(super) type Segments<'a> = Vec<&'a str>;

/// What a template demands of one segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Exactly this, in lower case.
    Literal(String),
    /// Anything.
    Any,
    /// Anything, once or more. Only at the end.
    Rest,
}

/// A path with places for names in it, such as `/repos/{owner}/{repo}/contents/{+path}`.
///
/// Ordered by how much it says: a literal comes before a name, a name before a rest, so that the first of several sorted
/// templates that match says most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template {
    parts: Vec<Part>,
}

/// Longest template, in segments.
const MAX_PARTS: usize = 32;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`RouteProblem::Path`], with what is wrong.
    pub fn parse(text: &str) -> Result<Self, RouteProblem> {
        let wrong = |reason: &'static str| RouteProblem::Path { path: text.to_owned(), reason };
        let path = text.strip_prefix('/').ok_or(wrong("it must start with a slash"))?;
        if path.contains(['?', '#']) {
            return Err(wrong("it must be a path, without a query"));
        }
        if path.starts_with("api/") {
            return Err(wrong("leave out /api/v3: routes are written as on api.github.com, for every server"));
        }
        let mut parts = Vec::new();
        for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
            if parts.last() == Some(&Part::Rest) {
                return Err(wrong("{+name} must come last"));
            }
            parts.push(part(segment).map_err(wrong)?);
        }
        if parts.len() > MAX_PARTS { Err(wrong("it has more than 32 segments")) } else { Ok(Template { parts }) }
    }

    /// Whether a path, in lower case, fits.
    pub(super) fn matches(&self, segments: &[&str]) -> bool {
        let fits = match self.parts.last() {
            Some(Part::Rest) => segments.len() >= self.parts.len(),
            Some(Part::Literal(_) | Part::Any) | None => segments.len() == self.parts.len(),
        };
        fits && self.parts.iter().zip(segments).all(|(part, segment)| match part {
            Part::Literal(literal) => literal == segment,
            Part::Any | Part::Rest => true,
        })
    }

    /// The first literal segment by which templates can be told apart: the area of a repository, or the first segment.
    pub(super) fn bucket(&self) -> &str {
        let literal = |index: usize| match self.parts.get(index) {
            Some(Part::Literal(literal)) => Some(literal.as_str()),
            Some(Part::Any | Part::Rest) | None => None,
        };
        match (literal(0), literal(3)) {
            (Some("repos"), Some(area)) => area,
            (first, _) => first.unwrap_or_default(),
        }
    }
}

fn part(segment: &str) -> Result<Part, &'static str> {
    let name = match segment.strip_prefix('{') {
        None if segment.is_empty() => return Err("it has an empty segment"),
        None if segment.contains(['{', '}']) => return Err("a name in braces must be a whole segment"),
        None => return Ok(Part::Literal(segment.to_ascii_lowercase())),
        Some(rest) => rest.strip_suffix('}').ok_or("a brace isn't closed, or doesn't end its segment")?,
    };
    let (part, name) = match name.strip_prefix('+') {
        Some(name) => (Part::Rest, name),
        None => (Part::Any, name),
    };
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(part).ok_or("a name in braces is made of letters, digits and underscores")
}

/// The segments of a folded path, the ids under which GitHub pages through things written as the names that they stand for.
pub(super) fn segments(path: &str) -> Segments<'_> {
    let mut segments: Segments<'_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        ["repositories", id, ..] if is_id(id) => drop(segments.splice(0..1, ["repos", "*"])),
        ["organizations", id, "team", team, ..] if is_id(id) && is_id(team) => {
            segments[0] = "orgs";
            segments[2] = "teams";
        }
        ["organizations", id, ..] if is_id(id) => segments[0] = "orgs",
        ["user", id, ..] if is_id(id) => segments[0] = "users",
        _ => {}
    }
    segments
}

fn is_id(segment: &str) -> bool {
    segment.bytes().all(|byte| byte.is_ascii_digit())
}

/// As [`Template::bucket`], of a path.
pub(super) fn bucket<'a>(segments: &[&'a str]) -> &'a str {
    match segments {
        ["repos", _, _, area, ..] => area,
        [first, ..] => first,
        [] => "",
    }
}
