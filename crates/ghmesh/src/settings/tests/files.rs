//! Files: those that come with ghmesh, and those that not everybody may read.

use super::*;

fn examples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_file_in_configs_can_be_used() {
    // The files of secrets that they name are not on this machine: commands beside the daemon don't read them.
    let names: Vec<_> = examples().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["kubernetes.toml", "lan.toml", "runner-host.toml"]);
    for path in examples() {
        let mut machine = Machine::new();
        machine.inputs.role = Role::Client;
        machine.inputs.config = Some(path.clone());
        machine.load().unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
    }
}

/// `#key = value` is a setting that is turned off; it should still be one that works when it is turned on.
#[test]
fn what_the_files_in_configs_propose_can_be_used_too() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let proposed: Vec<&str> = text
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| rest.contains(" = ")).unwrap_or(line))
            .collect();
        assert_ne!(proposed.join("\n"), text.trim_end(), "{} proposes nothing", path.display());
        let mut machine = Machine::new().config(&proposed.join("\n"));
        machine.inputs.role = Role::Client;
        machine.load().unwrap_or_else(|problems| panic!("{}: {problems}", path.display()));
    }
}

#[test]
fn a_secret_in_a_file_for_everybody_is_noted() {
    let machine = Machine::new().config("mesh.secret = \"abc\"\nmesh.allow_weak_secret = true");
    assert_eq!(machine.load().unwrap().notes, []);
    let file = machine.path("config.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let notes = machine.load().unwrap().notes;
    assert_eq!(notes, [Note::SecretInReadableFile { path: "mesh.secret", file: file.clone() }]);
    let file = file.display();
    assert_eq!(
        notes[0].to_string(),
        format!("mesh.secret stands in {file}, which every user of this machine can read; chmod 600 {file}")
    );
}

/// Root reads everything, so the difference is made by the error alone.
#[test]
fn only_commands_go_on_without_a_file_that_they_may_not_read() {
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    assert!(is_other_users(&denied, Role::Client));
    assert!(!is_other_users(&denied, Role::Daemon));
    assert!(!is_other_users(&io::Error::from(io::ErrorKind::InvalidData), Role::Client));
}
