//! Every scenario with a few seeds, and that a seed replays.

use ghmesh_simulations::report::{Report, table};
use ghmesh_simulations::run;
use ghmesh_simulations::scenario::Scenario;

/// Seeds of each scenario; all of them are for `cargo run -p ghmesh-simulations --release`.
const SEEDS: u64 = 5;

/// A thousand nodes and more are run with one: some seconds.
const LARGE: u32 = 1000;

fn seeds(scenario: &Scenario) -> u64 {
    if scenario.nodes >= LARGE { 1 } else { SEEDS.min(scenario.seeds) }
}

fn load(name: &str) -> Scenario {
    Scenario::load(name).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_scenario_comes_out_as_expected() {
    let names = Scenario::names().expect("the scenarios are listed");
    assert!(names.len() >= 21, "{names:?}");
    let scenarios = names.into_iter().map(|name| (load(&name), name));
    let rows: Vec<(String, Vec<Report>)> = scenarios
        .map(|(scenario, name)| (name, (0..seeds(&scenario)).map(|seed| run(&scenario, seed, false)).collect()))
        .collect();
    let failed = rows.iter().flat_map(|(name, reports)| reports.iter().map(move |report| (name, report)));
    let failed: Vec<_> = failed
        .filter(|(_, report)| !report.violations.is_empty())
        .map(|(name, report)| format!("{name} --seed {}: {:?}", report.seed, report.violations))
        .collect();
    assert!(failed.is_empty(), "{}\n{failed:#?}", table(&rows));
}

#[test]
fn a_seed_replays_and_another_does_not() {
    for name in ["lossy", "churn", "byzantine", "partition"] {
        let scenario = load(name);
        let first = run(&scenario, 3, false);
        assert_eq!(first, run(&scenario, 3, false), "{name}");
        assert_ne!(first.digest, run(&scenario, 4, false).digest, "{name}");
    }
}

#[test]
fn nothing_is_charged_twice_for_another_credential() {
    let scenario = load("rights");
    let sharing = run(&scenario, 0, false);
    let mut lonely = scenario.clone();
    lonely.rights.credentials = 1;
    lonely.rights.denied.clear();
    lonely.events.retain(|event| event.rights.is_none());
    let one = run(&lonely, 0, false);
    let without_refusals = |report: &Report| report.charged - report.versions;
    assert_eq!(without_refusals(&one), 0, "one credential pays for changes alone");
    assert!(sharing.versions <= one.versions + 8, "{} and {}", sharing.versions, one.versions);
}

#[test]
fn who_is_left_with_the_old_secret_hears_nothing_of_the_others() {
    let mut scenario = load("left-behind");
    scenario.events.retain(|event| event.start.is_none());
    scenario.events.iter_mut().filter_map(|event| event.roll.as_mut()).for_each(|roll| roll.left_behind = 1);
    scenario.expect = Default::default();
    let report = run(&scenario, 0, false);
    assert_eq!((report.alone, report.violations.as_slice()), (1, [].as_slice()));
    assert!(report.traffic.incomplete > 0, "records after the last roll don't reach it");
}

#[test]
fn what_is_not_as_expected_is_said() {
    let mut scenario = load("herd");
    scenario.expect.calls = Some(ghmesh_simulations::scenario::Span(0, 5));
    scenario.network.loss = 1.0;
    let report = run(&scenario, 0, false);
    let said: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
    assert!(said.contains(&"30 calls, expected 0 to 5".to_owned()), "nobody hears of anybody: {said:?}");
}
