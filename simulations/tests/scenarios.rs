//! Every scenario with a few seeds, and that a seed replays.

use ghmesh_simulations::report::table;
use ghmesh_simulations::run;
use ghmesh_simulations::scenario::Scenario;

/// Seeds of each scenario; all of them are for `cargo run -p ghmesh-simulations --release`.
const SEEDS: u64 = 5;

#[test]
fn every_scenario_comes_out_as_expected() {
    let names = Scenario::names().expect("the scenarios are listed");
    assert!(names.len() >= 7, "{names:?}");
    let rows: Vec<_> = names
        .into_iter()
        .map(|name| {
            let scenario = Scenario::load(&name).expect("a scenario");
            let reports: Vec<_> = (0..SEEDS.min(scenario.seeds)).map(|seed| run(&scenario, seed, false)).collect();
            (name, reports)
        })
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
    let scenario = Scenario::load("lossy").expect("a scenario");
    let first = run(&scenario, 3, false);
    assert_eq!(first, run(&scenario, 3, false));
    assert_ne!(first.digest, run(&scenario, 4, false).digest);
}

#[test]
fn what_is_not_as_expected_is_said() {
    let mut scenario = Scenario::load("herd").expect("a scenario");
    scenario.expect.calls.0 = 0;
    scenario.expect.calls.1 = 5;
    scenario.network.loss = 1.0;
    let report = run(&scenario, 0, false);
    let said: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
    assert!(said.contains(&"30 calls, expected 0 to 5".to_owned()), "nobody hears of anybody: {said:?}");
}
