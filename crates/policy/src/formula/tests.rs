use super::*;
use crate::fixtures::{Pair, headers, read};
use proptest::prelude::*;

const TOKEN: Pair<'_> = ("authorization", "token ghp_abc");
const AUTHENTICATED: Pair<'_> = ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP");
const ANONYMOUS: Pair<'_> = ("vary", "Accept, Accept-Encoding");
const RUNS: &str = "/repos/o/r/actions/runs";

/// A book that saw these answers to an authenticated read of runs.
fn book(observations: &[Observation]) -> FormulaBook {
    let mut book = FormulaBook::default();
    observations
        .iter()
        .for_each(|observation| book.saw(&read(RUNS, &[TOKEN]), &headers(&[AUTHENTICATED]), *observation));
    book
}

fn offers(book: &FormulaBook, path: &str) -> bool {
    book.offer(&read(path, &[TOKEN])).is_some()
}

fn computed(book: &FormulaBook, read: &Read, body: &[u8]) -> Option<String> {
    Some(book.hashed(read)?.etag(&read.upstream, body))
}

#[test]
fn two_mismatches_in_a_row_stop_a_family_and_eight_matches_resume_it() {
    use Observation::{Failed, Held, Missed, Untold};
    assert!(offers(&book(&[]), RUNS));
    assert!(offers(&book(&[Failed]), RUNS));
    assert!(offers(&book(&[Failed, Held, Failed, Held, Missed]), RUNS), "not in a row");
    assert!(!offers(&book(&[Failed, Untold, Missed]), RUNS));
    let stopped = [Failed, Failed];
    assert!(!offers(&book(&[&stopped[..], &[Held; 7]].concat()), RUNS));
    assert!(!offers(&book(&[&stopped[..], &[Held; 7], &[Failed], &[Held; 7]].concat()), RUNS), "not in a row");
    assert!(offers(&book(&[&stopped[..], &[Held; 8]].concat()), RUNS));
    assert!(offers(&book(&[&stopped[..], &[Held; 8], &[Failed]].concat()), RUNS), "as before the first mismatch");
}

#[test]
fn families_and_apis_are_judged_apart() {
    let stopped = book(&[Observation::Failed; 2]);
    assert!(!offers(&stopped, "/repos/other/repo/actions/runs/7"));
    assert!(offers(&stopped, "/repos/o/r/issues"));
    let rows: Vec<_> = stopped.rows().collect();
    let row = FormulaRow { authority: "api.github.com", family: Family::Runs, holds: false, vary: Some(DOCUMENTED) };
    assert_eq!(rows, [row]);
}

#[test]
fn threat_3_accept_and_the_credential_are_in_what_is_computed() {
    let read = read(RUNS, &[TOKEN]);
    let under = |lines: &[Pair<'_>]| {
        let mut book = FormulaBook::default();
        if !lines.is_empty() {
            book.saw(&read, &headers(lines), Observation::Held);
        }
        book.offer(&read).map(Vary::line)
    };
    assert_eq!(under(&[]), Some("Accept, Authorization, Cookie"), "as documented");
    assert_eq!(under(&[AUTHENTICATED, ("vary", "Accept-Encoding, Accept")]), Some("Accept, Authorization, Cookie"));
    assert_eq!(under(&[("vary", "Accept")]), Some("Accept, Cookie"), "seen here for a credential");
    for unsafe_vary in ["Authorization", "*", "Accept-Encoding", ""] {
        assert_eq!(under(&[("vary", unsafe_vary)]), None, "{unsafe_vary}");
    }
}

#[test]
fn threat_3_a_body_that_begins_with_the_prefix_is_never_offered_as_the_one_behind_it() {
    let (body, forged) = (b"[]".as_slice(), b"*/*:[]".as_slice());
    for (credential, vary) in [(&[TOKEN][..], AUTHENTICATED), (&[TOKEN], ANONYMOUS), (&[], ANONYMOUS)] {
        let read = read(RUNS, credential);
        let github = Hashed::under([vary.1]).etag(&read.upstream, body);
        for seen in [&[][..], &[vary], &[("vary", "Authorization")], &[("vary", "Cookie")]] {
            let mut book = FormulaBook::default();
            book.saw(&read, &headers(seen), Observation::Untold);
            let offered = computed(&book, &read, forged);
            assert_ne!(offered.as_deref(), Some(github.as_str()), "{credential:?} {seen:?}");
        }
        let mut book = FormulaBook::default();
        book.saw(&read, &headers(&[vary]), Observation::Untold);
        assert_eq!(computed(&book, &read, body), Some(github), "and the true one is");
    }
}

#[test]
fn threat_3_nothing_is_computed_for_the_anonymous_until_github_said_how_here() {
    let (anonymous, known) = (read(RUNS, &[]), read(RUNS, &[TOKEN]));
    let mut book = FormulaBook::default();
    book.saw(&known, &headers(&[AUTHENTICATED]), Observation::Held);
    assert_eq!(book.offer(&anonymous), None);
    book.saw(&anonymous, &headers(&[ANONYMOUS]), Observation::Held);
    assert_eq!(book.offer(&anonymous), Some(Vary { authorization: false }));
    assert_eq!(book.offer(&known), Some(Vary { authorization: true }), "each has its own");
}

#[test]
fn an_answer_without_vary_changes_nothing() {
    let mut book = FormulaBook::default();
    let anonymous = read(RUNS, &[]);
    book.saw(&anonymous, &headers(&[ANONYMOUS]), Observation::Held);
    book.saw(&anonymous, &HeaderMap::new(), Observation::Held);
    assert!(book.offer(&anonymous).is_some());
}

#[test]
fn an_answer_tells_by_its_own_etag_and_vary() {
    let read = read(RUNS, &[TOKEN]);
    let tag = Hashed::under([AUTHENTICATED.1]).etag(&read.upstream, b"{}");
    let with = |etag: &str| headers(&[AUTHENTICATED, ("etag", etag)]);
    assert_eq!(Observation::of(&read, &with(&format!("W/{tag}")), b"{}", false), Observation::Held);
    assert_eq!(Observation::of(&read, &with(&tag), b"{} ", false), Observation::Failed);
    assert_eq!(Observation::of(&read, &with(&tag), b"{}", true), Observation::Missed);
    assert_eq!(Observation::of(&read, &headers(&[AUTHENTICATED]), b"{}", false), Observation::Untold);
}

#[test]
fn the_book_has_an_end() {
    let mut book = FormulaBook::default();
    let mut read = read(RUNS, &[TOKEN]);
    for n in 0..2 * MAX_ROWS {
        read.target.authority = format!("ghe{n}.example");
        book.saw(&read, &headers(&[AUTHENTICATED]), Observation::Held);
    }
    assert_eq!(book.rows().count(), MAX_ROWS);
    assert_eq!(book.offer(&read), None, "what there is no room to judge isn't trusted");
    assert!(
        book.offer(&crate::Read {
            target: {
                let mut target = read.target.clone();
                target.authority = "ghe0.example".to_owned();
                target
            },
            ..read
        })
        .is_some()
    );
}

proptest! {
    #[test]
    fn whatever_was_seen_an_offer_lists_accept(lines in proptest::collection::vec("[a-zA-Z, *-]{0,40}", 0..4), authenticated in any::<bool>()) {
        let credential = if authenticated { &[TOKEN][..] } else { &[] };
        let read = read(RUNS, credential);
        let seen: Vec<Pair<'_>> = lines.iter().map(|line| ("vary", line.as_str())).collect();
        let mut book = FormulaBook::default();
        book.saw(&read, &headers(&seen), Observation::Untold);
        if let Some(vary) = book.offer(&read) {
            prop_assert!(vary.line().starts_with("Accept,"));
            prop_assert!(authenticated || !seen.is_empty());
        }
    }
}
