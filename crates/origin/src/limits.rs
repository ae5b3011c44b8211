//! What is known about each credential's rate limits: the freshest word of each bucket, and waits that were asked for.
//!
//! It only remembers: `policy` reads the headers, and who waits for what is decided elsewhere.

use ghmesh_model::{LocalFingerprint, Millis};
use ghmesh_policy::limits_headers::Quota;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most (host, credential) pairs that are remembered. Beyond it the one not heard of for longest is forgotten, which costs
/// nothing but knowledge that its next answer brings back.
const MAX_ACCOUNTS: usize = 1024;

/// Most buckets of one credential. GitHub has about 15.
const MAX_BUCKETS: usize = 32;

/// Two resets this close belong to the same window: GitHub's answers of one window differ by a second now and then.
const SAME_WINDOW_SECONDS: u64 = 5;

/// After this time any new word replaces the old one, however odd the old one was. The longest window is an hour.
const BELIEVED_FOR: Duration = Duration::from_hours(1);

/// What a host has said about one credential's rate limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Each bucket heard of, by name, with the moment of the answer that told.
    pub buckets: BTreeMap<String, (Quota, Millis)>,
    /// Until then the host wants nothing of this credential, whatever the bucket (a secondary limit).
    pub retry_at: Option<Millis>,
}

/// The limits of every host and credential.
#[derive(Debug, Default)]
pub(crate) struct LimitBook {
    accounts: BTreeMap<(String, LocalFingerprint), (Limits, Millis)>,
}

impl LimitBook {
    /// Takes in what an answer said, whose head arrived at `now`.
    pub(crate) fn observe(
        &mut self,
        host: &str,
        account: LocalFingerprint,
        quota: Option<Quota>,
        wait: Option<Duration>,
        now: Millis,
    ) {
        if quota.is_none() && wait.is_none() {
            return;
        }
        let (limits, heard) = self.accounts.entry((host.to_owned(), account)).or_default();
        *heard = now;
        if let Some(wait) = wait {
            limits.retry_at = limits.retry_at.max(Some(now.after(wait)));
        }
        if let Some(quota) = quota {
            limits.observe(quota, now);
        }
        self.forget_beyond_bound();
    }

    /// What is known of `account` at `host`; nothing is the default.
    pub(crate) fn of(&self, host: &str, account: LocalFingerprint) -> Limits {
        self.accounts.get(&(host.to_owned(), account)).map(|(limits, _)| limits.clone()).unwrap_or_default()
    }

    fn forget_beyond_bound(&mut self) {
        if self.accounts.len() <= MAX_ACCOUNTS {
            return;
        }
        let stalest = self.accounts.iter().min_by_key(|(_, (_, heard))| *heard).map(|(key, _)| key.clone());
        if let Some(key) = stalest {
            self.accounts.remove(&key);
        }
    }
}

impl Limits {
    fn observe(&mut self, quota: Quota, now: Millis) {
        let room = self.buckets.len() < MAX_BUCKETS;
        match self.buckets.get_mut(&quota.resource) {
            Some((known, seen)) if replaces(&quota, known, now.since(*seen)) => {
                (*known, *seen) = (quota, now);
            }
            Some(_) => {}
            None if room => {
                self.buckets.insert(quota.resource.clone(), (quota, now));
            }
            None => {}
        }
    }
}

/// Whether `new` says more than `known`, heard `age` ago. Answers overtake each other: within a window the lower
/// `remaining` is the later one, and an answer of an earlier window is old news.
fn replaces(new: &Quota, known: &Quota, age: Option<Duration>) -> bool {
    let expired = age.is_none_or(|age| age >= BELIEVED_FOR);
    let later_window = new.reset > known.reset.saturating_add(SAME_WINDOW_SECONDS);
    let same_window = new.reset.abs_diff(known.reset) <= SAME_WINDOW_SECONDS;
    expired || later_window || (same_window && new.remaining <= known.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "api.github.com";

    fn account(number: u32) -> LocalFingerprint {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        LocalFingerprint(bytes)
    }

    fn core(remaining: u64, reset: u64) -> Option<Quota> {
        Some(Quota { resource: "core".into(), limit: 5000, remaining, reset })
    }

    fn remaining(book: &LimitBook) -> u64 {
        book.of(HOST, account(1)).buckets["core"].0.remaining
    }

    #[test]
    fn answers_that_overtake_each_other_leave_the_freshest_word() {
        let mut book = LimitBook::default();
        let hour = 10_000;
        let mut tell = |bucket| {
            book.observe(HOST, account(1), bucket, None, Millis(0));
            remaining(&book)
        };
        assert_eq!(tell(core(4990, hour)), 4990);
        assert_eq!(tell(core(4991, hour)), 4990, "an older answer of the same window");
        assert_eq!(tell(core(4980, hour + 1)), 4980, "the window's end wobbles by a second");
        assert_eq!(tell(core(4999, hour + 3600)), 4999, "the next window");
        assert_eq!(tell(core(4000, hour)), 4999, "an answer of the window before");
    }

    #[test]
    fn an_odd_word_is_not_believed_for_ever() {
        let mut book = LimitBook::default();
        book.observe(HOST, account(1), core(0, u64::MAX), None, Millis(0));
        book.observe(HOST, account(1), core(10, 20_000), None, Millis(3_599_999));
        assert_eq!(remaining(&book), 0);
        book.observe(HOST, account(1), core(10, 20_000), None, Millis(3_600_000));
        assert_eq!(remaining(&book), 10);
    }

    #[test]
    fn accounts_and_buckets_are_bounded() {
        let mut book = LimitBook::default();
        for number in 0..MAX_ACCOUNTS as u32 + 500 {
            book.observe(HOST, account(number), core(1, 1), None, Millis(u64::from(number)));
        }
        assert_eq!(book.accounts.len(), MAX_ACCOUNTS);
        assert_eq!(book.of(HOST, account(0)), Limits::default(), "the stalest went first");
        for number in 0..MAX_BUCKETS + 5 {
            let quota = Quota { resource: format!("r{number}"), limit: 1, remaining: 1, reset: 1 };
            book.observe(HOST, account(9999), Some(quota), None, Millis(9999));
        }
        assert_eq!(book.of(HOST, account(9999)).buckets.len(), MAX_BUCKETS);
    }

    #[test]
    fn the_longest_wait_that_was_asked_for_holds() {
        let mut book = LimitBook::default();
        book.observe(HOST, account(1), None, Some(Duration::from_secs(60)), Millis(0));
        book.observe(HOST, account(1), None, Some(Duration::from_secs(1)), Millis(10));
        assert_eq!(book.of(HOST, account(1)).retry_at, Some(Millis(60_000)));
        assert_eq!(book.of(HOST, account(2)), Limits::default());
        assert_eq!(book.of("ghe.example", account(1)), Limits::default());
    }
}
