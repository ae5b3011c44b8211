//! `docs/configuration.md`, written from the same lists that the settings are read with.
//!
//! A test fails when the file differs from this; `UPDATE_DOCS=1 cargo test -p ghmesh configuration` writes it anew.

use super::aliases::{ALIASES, Alias, Meaning};
use super::key::{Fallback, Key, SECTIONS, Section};
use std::fmt::Write;

/// What stands before the tables.
const INTRODUCTION: &str = include_str!("documentation_head.md");

/// The whole text of `docs/configuration.md`.
pub fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    SECTIONS.iter().for_each(|section| write_section(&mut text, section));
    write_aliases(&mut text);
    text
}

fn write_section(text: &mut String, section: &Section) {
    let head =
        "| key | environment variable | default | values | what it does, and what a change does | why this default |";
    line(text, format_args!("\n## {}\n\n{}\n\n{head}\n|---|---|---|---|---|---|", section.name, section.about));
    section.keys.iter().for_each(|key| write_key(text, key));
}

fn write_key(text: &mut String, key: &Key) {
    let default = match key.default {
        Fallback::Text(text) => format!("`{}`", text.replace(',', ", ")),
        Fallback::EmptyList => "none".to_owned(),
        Fallback::Unset => "unset".to_owned(),
        Fallback::Rule(rule) => rule.to_owned(),
    };
    let secret = if key.secret { " Never shown." } else { "" };
    line(
        text,
        format_args!(
            "| `{}` | `{}` | {default} | {} | {}{secret} | {} |",
            key.path,
            key.variable(),
            key.values,
            key.meaning,
            key.because
        ),
    );
}

fn write_aliases(text: &mut String) {
    line(
        text,
        format_args!(
            "\n## The predecessor's variables\n\nThey come from the GitHub cache (`github_cli`) of the public project \
             ipfs_accelerate_py, and work as they are. They win over files;\nghmesh's own `GHMESH_…` variables win over \
             them. Where two names are given the first that is set counts.\n\n| variable | means |\n|---|---|"
        ),
    );
    ALIASES.iter().for_each(|alias| write_alias(text, alias));
    line(
        text,
        format_args!("| `CACHE_P2P_SHARED_SECRET` | a source of [the mesh secret](#the-mesh-secret), the third |"),
    );
    line(
        text,
        format_args!(
            "| `GITHUB_TOKEN`, `GH_TOKEN` | sources of [the mesh secret](#the-mesh-secret), the fourth and fifth |"
        ),
    );
}

fn write_alias(text: &mut String, alias: &Alias) {
    let names: Vec<String> = alias.names.iter().map(|name| format!("`{name}`")).collect();
    let meaning = match alias.meaning {
        Meaning::Same => format!("`{}`", alias.path),
        Meaning::Port => format!("`{}`, on this port of all interfaces", alias.path),
    };
    line(text, format_args!("| {} | {meaning} |", names.join(", ")));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}
