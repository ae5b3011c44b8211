//! What `ghmesh api` sees of the world around it: variables, directory, terminal and standard input, as data, so that tests can
//! give their own. Also what gh keeps outside: its hosts file and `gh auth token`.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read};
use std::path::PathBuf;

use super::host;

/// The surroundings of one invocation.
pub struct Environment {
    /// Environment variables. Those read: `GH_TOKEN`, `GITHUB_TOKEN`, `GH_ENTERPRISE_TOKEN`, `GITHUB_ENTERPRISE_TOKEN`, `GH_HOST`,
    /// `GH_REPO`, `GH_CONFIG_DIR`, `XDG_CONFIG_HOME`, `HOME`, `PATH`, `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `COLUMNS`; a jq filter
    /// can read all of them.
    pub variables: BTreeMap<String, String>,
    /// Where git is asked for the repository.
    pub directory: PathBuf,
    /// Whether colours and indentation are for somebody to look at.
    pub stdout_is_terminal: bool,
    /// Columns for `tablerow`; 80 without a terminal, as gh has it.
    pub terminal_width: usize,
    /// What `--input -` and `-F key=@-` read; taken by the first of them.
    pub stdin: Option<Box<dyn Read + Send>>,
}

/// gh's width when there is no terminal.
const DEFAULT_WIDTH: usize = 80;

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let variables: BTreeMap<_, _> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            terminal_width: width_of_terminal(&variables),
            stdin: Some(Box::new(std::io::stdin())),
            variables,
        }
    }

    /// A variable's value; empty counts as unset, as in gh.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// gh's rule (`gh help environment`): `NO_COLOR` and `CLICOLOR=0` say no, `CLICOLOR_FORCE` says yes, else the terminal decides.
    pub(super) fn colour(&self) -> bool {
        if self.variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
            return true;
        }
        let disabled = self.variables.contains_key("NO_COLOR") || self.variable("CLICOLOR") == Some("0");
        self.stdout_is_terminal && !disabled
    }

    /// A child process with this environment and directory, standard input closed.
    pub(super) fn command(&self, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        command.env_clear().envs(&self.variables).current_dir(&self.directory);
        command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        command
    }

    /// The host that is asked when no option says one.
    pub(super) fn default_host(&self) -> String {
        let named = self.variable("GH_HOST").map(str::to_owned);
        named.or_else(|| self.only_host_of_gh()).unwrap_or_else(|| "github.com".to_owned())
    }

    /// The token that gh itself would send to `host`: from a variable, or from gh's own store.
    pub(super) async fn token(&self, host: &str) -> Option<String> {
        let names = if host::is_enterprise(host) {
            ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"]
        } else {
            ["GH_TOKEN", "GITHUB_TOKEN"]
        };
        match names.iter().find_map(|name| self.variable(name)) {
            Some(token) => Some(token.trim().to_owned()),
            None => self.token_of_gh(host).await,
        }
    }

    /// `gh auth token`; nothing if gh is missing, knows no token, or takes too long (a locked keyring asks).
    async fn token_of_gh(&self, host: &str) -> Option<String> {
        let mut command = self.command("gh");
        command.args(["auth", "token", "--hostname", host]).stderr(std::process::Stdio::null());
        let output = tokio::time::timeout(TOKEN_WAIT, command.output()).await.ok()?.ok()?;
        let token = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !token.is_empty()).then_some(token)
    }

    /// The only host in gh's `hosts.yml`, if there is exactly one.
    fn only_host_of_gh(&self) -> Option<String> {
        let path = self.config_directory()?.join("hosts.yml");
        if std::fs::metadata(&path).ok()?.len() > HOSTS_FILE_BYTES {
            return None;
        }
        only_top_level_key(&std::fs::read_to_string(path).ok()?)
    }

    fn config_directory(&self) -> Option<PathBuf> {
        let named = |name, below: &str| self.variable(name).map(|directory| PathBuf::from(directory).join(below));
        named("GH_CONFIG_DIR", "").or_else(|| named("XDG_CONFIG_HOME", "gh")).or_else(|| named("HOME", ".config/gh"))
    }
}

/// How long `gh auth token` may take. A guess: it needs 50 ms, a keyring prompt needs a person.
const TOKEN_WAIT: std::time::Duration = std::time::Duration::from_secs(20);

/// A hosts file has some lines a host; this is thousands of them.
const HOSTS_FILE_BYTES: u64 = 1 << 20;

fn only_top_level_key(yaml: &str) -> Option<String> {
    let starts_key = |line: &&str| !line.starts_with([' ', '\t', '#', '-']) && line.trim_end().ends_with(':');
    let mut keys = yaml.lines().filter(starts_key);
    let key = keys.next()?.trim_end().trim_end_matches(':').trim_matches('"').to_owned();
    keys.next().is_none().then_some(key)
}

fn width_of_terminal(variables: &BTreeMap<String, String>) -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if columns > 0 {
        return columns;
    }
    variables
        .get("COLUMNS")
        .and_then(|columns| columns.parse().ok())
        .filter(|columns| *columns > 0)
        .unwrap_or(DEFAULT_WIDTH)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment {
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            directory: std::env::temp_dir(),
            stdout_is_terminal: true,
            terminal_width: 80,
            stdin: None,
        }
    }

    #[test]
    fn colour_follows_the_variables_and_the_terminal() {
        assert!(environment(&[]).colour());
        assert!(!environment(&[("NO_COLOR", "")]).colour());
        assert!(!environment(&[("CLICOLOR", "0")]).colour());
        assert!(environment(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).colour());
        let piped = Environment { stdout_is_terminal: false, ..environment(&[]) };
        assert!(!piped.colour());
    }

    #[tokio::test]
    async fn tokens_come_from_the_variables_of_their_kind_of_host() {
        let all = environment(&[
            ("GH_TOKEN", "a"),
            ("GITHUB_TOKEN", "b"),
            ("GITHUB_ENTERPRISE_TOKEN", "c"),
            ("PATH", "/nonexistent"),
        ]);
        assert_eq!(all.token("github.com").await.as_deref(), Some("a"));
        assert_eq!(all.token("ghe.example.com").await.as_deref(), Some("c"));
        let second = environment(&[("GH_TOKEN", ""), ("GITHUB_TOKEN", "b"), ("PATH", "/nonexistent")]);
        assert_eq!(second.token("github.com").await.as_deref(), Some("b"));
        assert_eq!(second.token("ghe.example.com").await, None);
    }

    #[test]
    fn one_host_in_ghs_file_is_the_default() {
        let one = "ghe.example.com:\n    oauth_token: x\n    user: y\n";
        assert_eq!(only_top_level_key(one).as_deref(), Some("ghe.example.com"));
        assert_eq!(only_top_level_key("a.com:\n  user: x\nb.com:\n  user: y\n"), None);
        assert_eq!(only_top_level_key(""), None);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("hosts.yml"), one).unwrap();
        let config = directory.path().to_str().unwrap();
        assert_eq!(environment(&[("GH_CONFIG_DIR", config)]).default_host(), "ghe.example.com");
        assert_eq!(environment(&[("GH_CONFIG_DIR", config), ("GH_HOST", "a.org")]).default_host(), "a.org");
        assert_eq!(environment(&[("GH_CONFIG_DIR", "/nonexistent")]).default_host(), "github.com");
    }
}
