//! What is wrong with a scenario file is said with the file and the key.

use ghmesh_simulations::scenario::Scenario;
use std::path::Path;

fn error(change: impl Fn(&str) -> String) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/rights.toml");
    let text = std::fs::read_to_string(&path).expect("it is shipped");
    match Scenario::parse(&change(&text), Path::new("made-up.toml")) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_key_that_is_not_known_is_named() {
    for (known, unknown) in
        [("keys = 4", "keyz"), ("loss = 0.0", "losses"), ("until_ms", "til_ms"), ("on_connect", "on_join")]
    {
        let name = known.split(' ').next().unwrap_or(known);
        let said = error(|text| text.replacen(name, unknown, 1));
        assert!(said.contains("made-up.toml") && said.contains(&format!("unknown field `{unknown}`")), "{said}");
    }
    let said = error(|text| text.replacen("write = { key = 1 }", "wriet = { key = 1 }", 1));
    assert!(said.contains("unknown field `wriet`"), "{said}");
}

#[test]
fn what_makes_no_sense_is_named() {
    for (given, nonsense, named) in [
        ("loss = 0.0", "loss = 1.5", "network.loss"),
        ("latency_us = [100, 2000]", "latency_us = [2000, 100]", "network.latency_us"),
        ("nodes = 10", "nodes = 0", "nodes"),
        ("credentials = 4", "credentials = 2", "rights.credential"),
        ("write = { key = 1 }", "write = { key = 4 }", "events.write.key"),
        ("write = { key = 1 }", "write = { key = 1 }\nsplit = 2", "events"),
        ("every_ms = 150000\n", "every_ms = 0\n", "events.every_ms"),
    ] {
        let said = error(|text| text.replacen(given, nonsense, 1));
        assert!(said.starts_with("made-up.toml: ") && said.contains(named), "{nonsense}: {said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = Scenario::load("no-such").map(|_| ()).expect_err("there is none").to_string();
    assert!(said.contains("no-such.toml"), "{said}");
}
