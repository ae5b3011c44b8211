//! The environment as data. The mesh secret, tokens and proxy passwords stand in it, so no value is shown or left behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use zeroize::Zeroizing;

/// The environment: names and values. Bytes that aren't UTF-8 are U+FFFD.
///
/// Values are zeroized when dropped and never shown. The block that the kernel gave to the process keeps its own copy, which
/// safe code cannot clear; nobody else may read that block or the memory of the daemon.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, Zeroizing<String>>);

impl Environment {
    /// A copy of this process's environment.
    pub(super) fn from_process() -> Self {
        let lossy = |text: OsString| text.to_string_lossy().into_owned();
        let text = |text: OsString| text.into_string().unwrap_or_else(lossy);
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }

    /// Leaves a variable out, and wipes its value.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Names and values, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Environment(variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }
}

impl Extend<(String, String)> for Environment {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, variables: I) {
        self.0.extend(variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value))));
    }
}

impl fmt::Debug for Environment {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
