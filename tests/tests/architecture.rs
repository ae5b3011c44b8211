//! Holds the workspace to the table of arrows in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The table: crate → crates that it may use. Names without the `ghmesh-` prefix.
fn allowed() -> Arrows {
    let document = std::fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md is there");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let arrows: Arrows = rows.map(row).collect();
    assert!(arrows.len() >= 12, "the table has a row for each crate; read {arrows:?}");
    arrows
}

fn row(line: &str) -> (String, BTreeSet<String>) {
    let cells: Vec<_> = line.split('|').map(str::trim).collect();
    (unquote(cells[1])[0].clone(), unquote(cells[3]).into_iter().collect())
}

fn unquote(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What `cargo metadata` says that each crate uses, development dependencies of tests aside.
fn found() -> Arrows {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages.iter().map(|package| (short(&package["name"]), uses(package))).collect()
}

fn uses(package: &serde_json::Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
    let ours = dependencies.iter().filter(|dependency| dependency["path"].is_string());
    ours.filter(|dependency| dependency["kind"].is_null()).map(|dependency| short(&dependency["name"])).collect()
}

fn short(name: &serde_json::Value) -> String {
    let name = name.as_str().expect("a name");
    name.strip_prefix("ghmesh-").unwrap_or(name).to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

#[test]
fn every_arrow_between_crates_stands_in_the_table() {
    let allowed = allowed();
    for (name, uses) in found() {
        let may_use =
            allowed.get(&name).unwrap_or_else(|| panic!("docs/architecture.md has no row for the crate {name}"));
        let extra: Vec<_> = uses.difference(may_use).collect();
        assert!(extra.is_empty(), "{name} uses {extra:?}, which the table in docs/architecture.md does not allow");
    }
}

#[test]
fn every_row_of_the_table_is_a_crate() {
    let found = found();
    for name in allowed().keys() {
        assert!(found.contains_key(name), "docs/architecture.md has a row for {name}, which is no crate");
    }
}

#[test]
fn pure_crates_use_nothing_that_touches_the_world() {
    let worldly = ["tokio", "rand", "redb", "libp2p", "hyper", "reqwest", "rustix", "socket2", "tracing"];
    for name in ["model", "seal", "policy", "fleet"] {
        let manifest = std::fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml"))).expect("a manifest");
        let dependencies = manifest.split("[dev-dependencies]").next().expect("at least one part");
        for dependency in worldly {
            let used = dependencies
                .lines()
                .any(|line| line.starts_with(&format!("{dependency}.")) || line.starts_with(&format!("{dependency} ")));
            assert!(!used, "the pure crate {name} uses {dependency}");
        }
    }
}
