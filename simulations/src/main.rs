//! Runs scenarios and prints what came out; a seed that failed is named with how to replay it.

use anyhow::Context as _;
use clap::Parser;
use ghmesh_simulations::report::{Report, table};
use ghmesh_simulations::run;
use ghmesh_simulations::scenario::Scenario;
use std::process::ExitCode;

/// Failing seeds that are told of for each scenario.
const SHOWN: usize = 5;

#[derive(Parser)]
#[command(about = "Runs the real coordination of many nodes in virtual time")]
struct Arguments {
    /// Names in simulations/scenarios, or paths that end in .toml; none: all that are quick
    scenarios: Vec<String>,
    /// Run this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// Run so many seeds instead of what the scenario says
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// Write every event to stderr
    #[arg(long, requires = "seed")]
    trace: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let names = match arguments.scenarios.is_empty() {
        true => quick(Scenario::names().context("the scenarios could not be listed")?)?,
        false => arguments.scenarios.clone(),
    };
    let rows: Vec<_> = names.into_iter().map(|name| simulate(name, &arguments)).collect::<anyhow::Result<_>>()?;
    print!("{}", table(&rows));
    rows.iter().for_each(|(name, reports)| explain(name, reports));
    let failed = rows.iter().flat_map(|(_, reports)| reports).any(|report| !report.violations.is_empty());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Those that don't take minutes.
fn quick(names: Vec<String>) -> anyhow::Result<Vec<String>> {
    let mut quick = Vec::new();
    for name in names {
        if !Scenario::load(&name)?.slow {
            quick.push(name);
        }
    }
    Ok(quick)
}

fn simulate(name: String, arguments: &Arguments) -> anyhow::Result<(String, Vec<Report>)> {
    let scenario = Scenario::load(&name)?;
    let seeds = match arguments.seed {
        Some(seed) => seed..seed.saturating_add(1),
        None => 0..arguments.seeds.unwrap_or(scenario.seeds),
    };
    let reports = seeds.map(|seed| run(&scenario, seed, arguments.trace)).collect();
    Ok((name, reports))
}

fn explain(name: &str, reports: &[Report]) {
    for report in reports.iter().filter(|report| !report.violations.is_empty()).take(SHOWN) {
        let seed = report.seed;
        println!(
            "\n{name}, seed {seed}; replay: cargo run -p ghmesh-simulations --release -- {name} --seed {seed} --trace"
        );
        report.violations.iter().take(SHOWN).for_each(|violation| println!("  {violation}"));
    }
}
