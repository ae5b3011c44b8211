//! Each rule is broken once, and the breach is reported: a check that can't fail proves nothing.

use ghmesh_simulations::report::{Report, Violation};
use ghmesh_simulations::scenario::{Expect, Scenario};
use ghmesh_simulations::{Options, Sabotage, run_with};

/// The scenario with this rule broken, held to what always holds alone.
fn broken(name: &str, sabotage: Sabotage) -> Report {
    let mut scenario = Scenario::load(name).unwrap_or_else(|error| panic!("{error}"));
    scenario.expect = Expect { single_flight: scenario.expect.single_flight, ..Expect::default() };
    let sound = run_with(&scenario, 0, Options::default());
    assert_eq!(sound.violations, [], "{name} holds as it is");
    run_with(&scenario, 0, Options { sabotage: Some(sabotage), ..Options::default() })
}

fn has(report: &Report, is_it: impl Fn(&Violation) -> bool) -> bool {
    report.violations.iter().any(is_it)
}

#[test]
fn an_answer_beyond_its_time_is_reported() {
    let report = broken("five-runners", Sabotage::ServeExpired);
    assert!(has(&report, |violation| matches!(violation, Violation::TooOld { .. })), "{:?}", report.violations);
}

#[test]
fn an_answer_without_proof_is_reported() {
    let report = broken("rights", Sabotage::ServeUnproven);
    assert!(has(&report, |violation| matches!(violation, Violation::NoProof { .. })), "{:?}", report.violations);
}

#[test]
fn a_body_that_comes_back_after_a_write_is_reported() {
    let report = broken("rights", Sabotage::ForgetWrites);
    assert!(has(&report, |violation| matches!(violation, Violation::Revived { .. })), "{:?}", report.violations);
}

#[test]
fn a_second_call_is_reported() {
    let report = broken("herd", Sabotage::GoAlone);
    assert!(has(&report, |violation| matches!(violation, Violation::SecondCall { .. })), "{:?}", report.violations);
}

#[test]
fn a_request_that_never_ends_is_reported() {
    let report = broken("herd", Sabotage::LoseRequests);
    assert!(has(&report, |violation| matches!(violation, Violation::Unended { .. })), "{:?}", report.violations);
}

#[test]
fn a_request_that_takes_too_long_is_reported() {
    let report = broken("herd", Sabotage::Dawdle);
    assert!(has(&report, |violation| matches!(violation, Violation::TooSlow { .. })), "{:?}", report.violations);
}

#[test]
fn what_is_left_when_all_is_quiet_is_reported() {
    let report = broken("herd", Sabotage::NeverEnd);
    assert!(has(&report, |violation| matches!(violation, Violation::Leftover { .. })), "{:?}", report.violations);
}

#[test]
fn a_full_queue_is_reported() {
    let report = broken("herd", Sabotage::Flood);
    assert!(has(&report, |violation| matches!(violation, Violation::Overfull { .. })), "{:?}", report.violations);
}

#[test]
fn state_that_nothing_accounts_for_is_reported() {
    let report = broken("herd", Sabotage::Hoard);
    assert!(has(&report, |violation| matches!(violation, Violation::Heavy { .. })), "{:?}", report.violations);
}
