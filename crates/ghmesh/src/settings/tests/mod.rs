//! Tests of the settings as their users see them: layers, aliases, bad values, the secret, the documentation.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_values;
mod dht;
mod documentation;
mod files;
mod layers;
mod places;
mod secrets;
mod webhook;

use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A machine with a home, a system file and a file for `--config`, none of which exist yet.
struct Machine {
    directory: TempDir,
    inputs: Inputs,
}

impl Machine {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let home = directory.path().join("home").to_str().unwrap().to_owned();
        let surroundings =
            Surroundings { environment: [("HOME".to_owned(), home)].into_iter().collect(), ..Surroundings::default() };
        let system_file = directory.path().join("system.toml");
        let inputs = Inputs { surroundings, system_file, config: None, flags: Vec::new(), role: Role::Daemon };
        Machine { directory, inputs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn system(self, text: &str) -> Self {
        self.write("system.toml", text);
        self
    }

    fn user(self, text: &str) -> Self {
        self.write("home/.config/ghmesh/config.toml", text);
        self
    }

    fn config(mut self, text: &str) -> Self {
        self.inputs.config = Some(self.write("config.toml", text));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs.surroundings.environment.extend([(name.to_owned(), value.to_owned())]);
        self
    }

    fn flag(mut self, name: &str, path: &'static str, value: &str) -> Self {
        self.inputs.flags.push(Flag { name: name.to_owned(), path, value: value.to_owned() });
        self
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&self.inputs)
    }

    fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|problems| panic!("{problems}")).settings
    }

    /// What is told, with this machine's directory as `DIR`.
    fn complaint(&self) -> String {
        let problems = self.load().expect_err("settings that cannot be used").to_string();
        problems.replace(self.directory.path().to_str().unwrap(), "DIR")
    }
}
