//! The command line of `ghmesh api`: gh's own options, checked as gh checks them. Nothing here reads the environment or a file.

use std::time::Duration;

use super::duration;

/// Arguments of `ghmesh api`. They mean what `gh help api` says they mean; `--ttl` is the one gh lacks.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct Options {
    /// Path of a REST endpoint, the word "graphql", or a whole URL. "{owner}", "{repo}" and "{branch}" are filled in from
    /// GH_REPO or the repository of the current directory
    pub endpoint: String,

    /// The HTTP method [default: GET, or POST when there are fields or --input]
    #[arg(short = 'X', long, value_name = "METHOD", allow_hyphen_values = true)]
    pub method: Option<String>,

    /// Add a request header
    #[arg(short = 'H', long = "header", value_name = "KEY:VALUE", allow_hyphen_values = true)]
    pub headers: Vec<String>,

    /// Add a string parameter; `a[b]=v` nests, `a[]=v` appends to a list
    #[arg(short = 'f', long = "raw-field", value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub raw_fields: Vec<String>,

    /// Add a typed parameter: true, false, null and integers become JSON, placeholders are filled in, "@FILE" and "@-" are read
    #[arg(short = 'F', long = "field", value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub fields: Vec<String>,

    /// Send this file as the body ("-" is standard input); fields then go into the query string
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub input: Option<String>,

    /// Print what this jq filter selects from the answer
    #[arg(short = 'q', long, value_name = "FILTER", allow_hyphen_values = true)]
    pub jq: Option<String>,

    /// Print the answer through this Go template
    #[arg(short = 't', long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    pub template: Option<String>,

    /// GitHub API previews to ask for, without the "-preview" suffix
    #[arg(short = 'p', long = "preview", value_name = "NAMES", value_delimiter = ',')]
    pub previews: Vec<String>,

    /// Follow the answer's pages, to the last
    #[arg(long)]
    pub paginate: bool,

    /// With --paginate: print one array that holds every page
    #[arg(long)]
    pub slurp: bool,

    /// Print the status line and the headers of the answer as well
    #[arg(short = 'i', long)]
    pub include: bool,

    /// Accept a cached answer up to this age, e.g. "3600s", "60m", "1h"
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub cache: Option<Duration>,

    /// The same, in whole seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "cache")]
    pub ttl: Option<u64>,

    /// Print no body
    #[arg(long)]
    pub silent: bool,

    /// The GitHub host to ask [default: GH_HOST, or the only host gh knows, or github.com]
    #[arg(long, value_name = "HOST")]
    pub hostname: Option<String>,
}

/// Options that contradict each other or say nothing; the process ends with 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// The endpoint is the empty string.
    #[error("the endpoint is empty: give a path such as `repos/OWNER/REPO`, or `graphql`")]
    EmptyEndpoint,
    /// Only reads have pages (GraphQL queries apart).
    #[error("the `--paginate` option is not supported for non-GET requests")]
    PaginateNeedsGet,
    /// A body is sent once; its pages can't be asked for.
    #[error("the `--paginate` option is not supported with `--input`")]
    PaginateWithInput,
    /// There is nothing to wrap without pages.
    #[error("`--paginate` required when passing `--slurp`")]
    SlurpNeedsPaginate,
    /// Filters and templates run page by page.
    #[error("the `--slurp` option is not supported with `--jq` or `--template`")]
    SlurpWithFormat,
    /// Each of them decides what is printed.
    #[error("only one of `--template`, `--jq`, or `--silent` may be used")]
    SeveralOutputs,
    /// A host name with a scheme, a path or nothing in it.
    #[error("error parsing `--hostname`: invalid hostname")]
    Hostname,
}

impl Options {
    /// Checks what clap can't: combinations, and the host's form.
    ///
    /// # Errors
    /// The first contradiction, in gh's words.
    pub fn check(&self) -> Result<(), UsageError> {
        if self.endpoint.is_empty() {
            return Err(UsageError::EmptyEndpoint);
        }
        self.check_hostname()?;
        self.check_pages()?;
        self.check_output()
    }

    /// Whether the endpoint is GitHub's GraphQL endpoint, which is a word and not a path.
    pub(super) fn is_graphql(&self) -> bool {
        self.endpoint == "graphql"
    }

    /// The age up to which a cached answer will do, if the caller said one.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let asked = self.cache.or(self.ttl.map(Duration::from_secs));
        asked.filter(|duration| !duration.is_zero())
    }

    /// The filter, if there is one: an empty one is none, as in gh.
    pub(super) fn filter(&self) -> Option<&str> {
        self.jq.as_deref().filter(|filter| !filter.is_empty())
    }

    /// The template, likewise.
    pub(super) fn go_template(&self) -> Option<&str> {
        self.template.as_deref().filter(|template| !template.is_empty())
    }

    /// The file of the body, likewise.
    pub(super) fn input_file(&self) -> Option<&str> {
        self.input.as_deref().filter(|input| !input.is_empty())
    }

    fn check_hostname(&self) -> Result<(), UsageError> {
        let Some(host) = &self.hostname else { return Ok(()) };
        let valid = !host.trim().is_empty() && !host.contains(['/', ':', '@', '?', '#', ' ', '\\']);
        if valid { Ok(()) } else { Err(UsageError::Hostname) }
    }

    fn check_pages(&self) -> Result<(), UsageError> {
        let reads = self.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case("GET"));
        if self.paginate && !reads && !self.is_graphql() {
            return Err(UsageError::PaginateNeedsGet);
        }
        if self.paginate && self.input_file().is_some() {
            return Err(UsageError::PaginateWithInput);
        }
        if self.slurp && !self.paginate {
            return Err(UsageError::SlurpNeedsPaginate);
        }
        Ok(())
    }

    fn check_output(&self) -> Result<(), UsageError> {
        let formats = [self.filter().is_some(), self.go_template().is_some()];
        if self.slurp && formats.contains(&true) {
            return Err(UsageError::SlurpWithFormat);
        }
        let outputs = formats.into_iter().chain([self.silent]);
        if outputs.filter(|chosen| *chosen).count() > 1 {
            return Err(UsageError::SeveralOutputs);
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let arguments = std::iter::once("api").chain(arguments.iter().copied());
        Command::try_parse_from(arguments).map(|command| command.options)
    }

    #[test]
    fn options_stand_before_or_after_the_endpoint() {
        let before = parse(&["-X", "PATCH", "-f", "a=1", "-f", "b=2", "-q", ".x", "user"]).unwrap();
        let after = parse(&["user", "-X", "PATCH", "-f", "a=1", "-f", "b=2", "-q", ".x"]).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
        assert_eq!(before.raw_fields, ["a=1", "b=2"]);
    }

    #[test]
    fn values_may_begin_with_a_hyphen_and_previews_are_split() {
        let options = parse(&["user", "-q", "-1", "-F", "-x=-3", "--preview", "a,b", "-p", "c"]).unwrap();
        assert_eq!(options.jq.as_deref(), Some("-1"));
        assert_eq!(options.fields, ["-x=-3"]);
        assert_eq!(options.previews, ["a", "b", "c"]);
    }

    #[test]
    fn a_lifetime_is_a_go_duration_or_seconds() {
        assert_eq!(parse(&["user", "--cache", "1h30m"]).unwrap().lifetime(), Some(Duration::from_secs(5400)));
        assert_eq!(parse(&["user", "--ttl", "90"]).unwrap().lifetime(), Some(Duration::from_secs(90)));
        assert_eq!(parse(&["user", "--ttl", "0"]).unwrap().lifetime(), None);
        assert!(parse(&["user", "--cache", "soon"]).is_err());
        assert!(parse(&["user", "--cache", "1h", "--ttl", "5"]).is_err());
    }

    #[test]
    fn contradictions_are_told() {
        let cases: &[(&[&str], UsageError)] = &[
            (&[""], UsageError::EmptyEndpoint),
            (&["x", "--paginate", "-X", "POST"], UsageError::PaginateNeedsGet),
            (&["x", "--paginate", "--input", "-"], UsageError::PaginateWithInput),
            (&["x", "--slurp"], UsageError::SlurpNeedsPaginate),
            (&["x", "--slurp", "--paginate", "-q", "."], UsageError::SlurpWithFormat),
            (&["x", "--slurp", "--paginate", "-t", "x"], UsageError::SlurpWithFormat),
            (&["x", "-q", ".", "-t", "x"], UsageError::SeveralOutputs),
            (&["x", "-q", ".", "--silent"], UsageError::SeveralOutputs),
            (&["x", "--hostname", "https://h/"], UsageError::Hostname),
            (&["x", "--hostname", ""], UsageError::Hostname),
        ];
        for (arguments, expected) in cases {
            assert_eq!(parse(arguments).unwrap().check(), Err(*expected), "{arguments:?}");
        }
        for fine in [
            &["x", "--paginate", "-X", "get"][..],
            &["graphql", "--paginate", "-X", "POST"],
            &["x", "-i"],
            &["x", "-q", "", "-t", ""],
        ] {
            assert_eq!(parse(fine).unwrap().check(), Ok(()), "{fine:?}");
        }
    }
}
