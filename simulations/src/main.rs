//! Runs scenarios and prints what came out; a seed that failed is named with how to replay it.

use anyhow::Context as _;
use clap::Parser;
use ghmesh_simulations::report::{Report, table};
use ghmesh_simulations::scenario::Scenario;
use ghmesh_simulations::sweep::{Point, SIZES, sweep};
use ghmesh_simulations::{output, plot, run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Failing seeds that are told of for each scenario.
const SHOWN: usize = 5;

/// In place of a scenario's name: fleets of all sizes.
const SCALING: &str = "scaling";

/// What `scaling` runs, with other numbers of nodes.
const SCALED: &str = "fleet-10000";

#[derive(Parser)]
#[command(about = "Runs the real coordination of many nodes in virtual time")]
struct Arguments {
    /// Names in simulations/scenarios, or paths that end in .toml; none: all. `scaling`: one fleet after another, from
    /// 5 to 10,000 nodes
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
    /// Write one row for each run
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw plots into this directory (`scaling` alone; docs/scaling where none is given)
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    /// The largest fleet of `scaling`
    #[arg(long, value_name = "NODES", default_value_t = SIZES[SIZES.len() - 1])]
    largest: u32,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.scenarios == [SCALING] {
        return scale(&arguments);
    }
    let names = match arguments.scenarios.is_empty() {
        true => Scenario::names().context("the scenarios could not be listed")?,
        false => arguments.scenarios.clone(),
    };
    let rows: Vec<_> = names.into_iter().map(|name| simulate(name, &arguments)).collect::<anyhow::Result<_>>()?;
    tell(&rows, arguments.csv.as_deref())
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

/// The same polls by fleets of all sizes, as table, CSV and plots.
fn scale(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::load(SCALED)?;
    let directory = arguments.plot.clone().unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).join("docs/scaling")
    });
    std::fs::create_dir_all(&directory).with_context(|| format!("{} could not be made", directory.display()))?;
    let points = sweep(&scenario, arguments.seed.unwrap_or_default(), arguments.largest, |point| {
        eprintln!("{} nodes done", point.nodes);
    });
    plot::draw_all(&directory, &points)?;
    let bounds = points.iter().map(|Point { nodes, bound, .. }| format!("{nodes} nodes: {bound:.0} B/s"));
    println!("gossip that a node sends at most: {}\n", bounds.collect::<Vec<_>>().join(", "));
    let rows: Vec<_> = points.into_iter().map(|point| (format!("{} nodes", point.nodes), vec![point.report])).collect();
    tell(&rows, Some(&arguments.csv.clone().unwrap_or_else(|| directory.join("scaling.csv"))))
}

fn tell(rows: &[(String, Vec<Report>)], csv: Option<&Path>) -> anyhow::Result<ExitCode> {
    print!("{}", table(rows));
    rows.iter().for_each(|(name, reports)| explain(name, reports));
    if let Some(path) = csv {
        output::write_csv(path, rows).with_context(|| format!("{} could not be written", path.display()))?;
    }
    let failed = rows.iter().flat_map(|(_, reports)| reports).any(|report| !report.violations.is_empty());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
