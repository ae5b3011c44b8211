//! The documentation is what the program does.

use super::super::documentation;
use super::*;
use std::collections::BTreeSet;

#[test]
fn the_documentation_of_the_configuration_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, documentation::text()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == documentation::text(),
        "{} is not what the program does; run UPDATE_DOCS=1 cargo test -p ghmesh configuration",
        path.display()
    );
}

#[test]
fn every_key_is_listed_once_in_its_section_and_explained() {
    let paths: BTreeSet<&str> = key::all().map(|key| key.path).collect();
    assert_eq!(paths.len(), key::all().count());
    for section in &key::SECTIONS {
        for key in section.keys {
            assert!(key.path.starts_with(&format!("{}.", section.name)), "{}", key.path);
            assert!(!key.values.is_empty() && key.meaning.ends_with('.') && key.because.ends_with('.'), "{}", key.path);
        }
    }
}

/// A key that no section reads would be accepted and do nothing: each is set to something that no setting can be.
#[test]
fn every_key_is_read() {
    for key in key::all() {
        let machine = Machine::new().config(&format!("{} = {{ nonsense = 1 }}", key.path));
        let complaint = machine.complaint();
        assert!(complaint.contains(&format!("DIR/config.toml: {} ", key.path)), "{complaint}");
    }
}
