//! Every credential's limits at every host: what is known of them, and the places of its requests in flight.
//!
//! What it means is `policy`'s ([`ghmesh_policy::budget`]); here reads wait for their turn, and everything else is only counted.

use super::Hosts;
use crate::error::OriginError;
use crate::gate::{Gate, Place};
use ghmesh_model::{LocalFingerprint, Millis};
use ghmesh_policy::budget::share::{Pace, READ_POINTS, SETTLING, WRITE_POINTS, share};
use ghmesh_policy::budget::{ACTIVE_FOR, Heard, Ledger, Moment};
use ghmesh_policy::limits_headers::{self, LimitKind, Quota};
use http::{Method, response};
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Most (host, credential) pairs that are remembered. Beyond it the one not heard of for longest is forgotten, which costs
/// nothing but knowledge that its next answer brings back. Those with requests in flight stay.
const MAX_ACCOUNTS: usize = 1024;

/// How often a request that waits looks whether its node's share has changed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Who else may use a credential at the same time, as far as this node could know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Nobody that could be heard of.
    ThisNode,
    /// Members of the mesh, who tell each other.
    Mesh,
}

/// What is known of one credential at one host, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// The host.
    pub host: String,
    /// Whose it is.
    pub account: LocalFingerprint,
    /// What was heard.
    pub ledger: Ledger,
    /// This moment there.
    pub moment: Moment,
    /// Requests in flight.
    pub in_flight: u32,
}

#[derive(Debug, Default)]
struct Account {
    ledger: Ledger,
    pace: Pace,
    gate: Arc<Gate>,
    /// When this node began to use it, without a longer pause since.
    since: Millis,
    used: Option<Millis>,
    touched: Millis,
}

/// The accounts of every host.
#[derive(Debug, Default)]
pub(super) struct LimitBook {
    hosts: BTreeMap<String, BTreeMap<LocalFingerprint, Account>>,
    count: usize,
}

/// What a read that wants to go out is told.
enum Turn {
    Go(Place),
    /// GitHub asked to wait that long.
    Stop(Duration),
    /// The share of points is used up for that long.
    Spent(Duration),
    /// As many are in flight as the share allows.
    Full(Arc<Gate>, u32),
}

impl LimitBook {
    fn of(&self, host: &str, account: LocalFingerprint) -> Option<&Account> {
        self.hosts.get(host)?.get(&account)
    }

    /// The account's state, which is made on first use.
    fn entry(&mut self, host: &str, account: LocalFingerprint, now: Millis) -> &mut Account {
        if self.of(host, account).is_none() {
            self.make_room();
            self.count += 1;
        }
        let entry = self.hosts.entry(host.to_owned()).or_default().entry(account).or_default();
        entry.touched = now;
        entry
    }

    fn make_room(&mut self) {
        if self.count < MAX_ACCOUNTS {
            return;
        }
        let all =
            self.hosts.iter().flat_map(|(host, accounts)| accounts.iter().map(move |(name, one)| (host, name, one)));
        let idle = all.filter(|(_, _, account)| account.gate.in_flight() == 0);
        let stalest = idle.min_by_key(|(_, _, account)| account.touched).map(|(host, name, _)| (host.clone(), *name));
        let Some((host, name)) = stalest else { return };
        if let Some(accounts) = self.hosts.get_mut(&host) {
            accounts.remove(&name);
            self.count -= 1;
        }
    }
}

impl Account {
    fn note_use(&mut self, now: Millis) {
        let paused = self.used.is_none_or(|used| now.since(used).is_none_or(|pause| pause >= ACTIVE_FOR));
        if paused {
            self.since = now;
        }
        self.used = Some(now);
    }

    fn turn(&mut self, users: Users, members: u32, now: Millis) -> Turn {
        if let Some(left) = self.ledger.stop(now, rand::random()) {
            return Turn::Stop(left);
        }
        let share = share(self.users(users, members, now));
        // A server that speaks of no limit may have none.
        let wait = self.pace.wait(READ_POINTS, share.points, now).filter(|_| self.ledger.is_limited());
        if let Some(wait) = wait {
            return Turn::Spent(wait);
        }
        match self.gate.try_enter(share.in_flight) {
            Some(place) => {
                self.pace.spend(READ_POINTS, now);
                Turn::Go(place)
            }
            None => Turn::Full(self.gate.clone(), share.in_flight),
        }
    }

    fn users(&self, users: Users, members: u32, now: Millis) -> u32 {
        let active = self.ledger.active(now);
        match users {
            Users::ThisNode => 1,
            Users::Mesh if now.since(self.since).is_some_and(|used_for| used_for < SETTLING) => active.max(members),
            Users::Mesh => active,
        }
    }
}

impl Hosts {
    /// Waits until a read with this credential may go out: at most `longest` and the queue's own bound.
    pub(crate) async fn await_turn(
        &self,
        host: &str,
        account: LocalFingerprint,
        users: Users,
        longest: Duration,
    ) -> Result<Place, OriginError> {
        let (started, patience) = (Instant::now(), longest.min(self.queue_timeout));
        loop {
            let left = patience.saturating_sub(started.elapsed());
            let limited = |retry_in| OriginError::Limited { host: host.to_owned(), retry_in };
            match self.turn(host, account, users) {
                Turn::Go(place) => return Ok(place),
                Turn::Stop(retry_in) => return Err(limited(retry_in)),
                Turn::Spent(wait) if wait > left => return Err(limited(wait)),
                Turn::Spent(wait) => tokio::time::sleep(wait.min(LOOK_AGAIN)).await,
                Turn::Full(_, in_flight) if left.is_zero() => {
                    let in_flight = usize::try_from(in_flight).unwrap_or(usize::MAX);
                    return Err(OriginError::Busy { host: host.to_owned(), in_flight, waited: patience });
                }
                Turn::Full(gate, _) => drop(tokio::time::timeout(LOOK_AGAIN.min(left), gate.freed()).await),
            }
        }
    }

    fn turn(&self, host: &str, account: LocalFingerprint, users: Users) -> Turn {
        let now = (self.clock)();
        let members = self.members.load(std::sync::atomic::Ordering::Relaxed);
        let mut book = self.book();
        let account = book.entry(host, account, now);
        account.note_use(now);
        account.turn(users, members, now)
    }

    /// Counts a request that nothing holds back.
    pub(crate) fn pass(&self, host: &str, account: LocalFingerprint, method: &Method) -> Place {
        let now = (self.clock)();
        let harmless = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let mut book = self.book();
        let account = book.entry(host, account, now);
        account.note_use(now);
        account.pace.spend(if harmless { READ_POINTS } else { WRITE_POINTS }, now);
        account.gate.enter()
    }

    /// Takes in what the head of an answer to a request sent at `asked_at` tells of the credential's limits.
    /// `always_served`: the request is one that is answered also while others are limited.
    pub(super) fn note_limits(
        &self,
        host: &str,
        account: LocalFingerprint,
        head: &response::Parts,
        asked_at: Millis,
        always_served: bool,
    ) {
        let moment = self.moment(host);
        let limit = limits_headers::limit(head.status, &head.headers, moment.there);
        let heard = Heard {
            quota: limits_headers::quota(&head.headers),
            // A used-up bucket says itself when it is full again, and leaves the others alone.
            wait: limit.filter(|limit| limit.kind == LimitKind::Secondary).map(|limit| limit.wait),
            served: limit.is_none() && !head.status.is_server_error() && !always_served,
        };
        self.book().entry(host, account, moment.now).ledger.observe(&heard, asked_at, moment.now);
    }

    /// Takes in the quotas that an answer to a request sent at `asked_at` listed.
    pub(crate) fn note_overview(&self, host: &str, account: LocalFingerprint, quotas: Vec<Quota>, asked_at: Millis) {
        let now = (self.clock)();
        let mut book = self.book();
        let ledger = &mut book.entry(host, account, now).ledger;
        for quota in quotas {
            ledger.observe(&Heard { quota: Some(quota), wait: None, served: false }, asked_at, now);
        }
    }

    /// Looks at an account's ledger, if there is one.
    pub(crate) fn with_ledger<T>(
        &self,
        host: &str,
        account: LocalFingerprint,
        act: impl FnOnce(&mut Ledger, Moment) -> T,
    ) -> Option<T> {
        let moment = self.moment(host);
        let mut book = self.book();
        let ledger = &mut book.hosts.get_mut(host)?.get_mut(&account)?.ledger;
        Some(act(ledger, moment))
    }

    /// Changes an account's ledger, which is made on first use.
    pub(crate) fn change_ledger(&self, host: &str, account: LocalFingerprint, act: impl FnOnce(&mut Ledger, Moment)) {
        let moment = self.moment(host);
        act(&mut self.book().entry(host, account, moment.now).ledger, moment);
    }

    /// Everything that is known.
    pub(crate) fn accounts(&self) -> Vec<AccountView> {
        let names: Vec<_> = self.book().hosts.keys().cloned().collect();
        let moments: Vec<_> = names.into_iter().map(|host| (self.moment(&host), host)).collect();
        let book = self.book();
        let of = |(moment, host): &(Moment, String)| {
            let (moment, host) = (*moment, host.clone());
            let accounts = book.hosts.get(&host).into_iter().flatten();
            let view = accounts.map(move |(account, state)| AccountView {
                host: host.clone(),
                account: *account,
                ledger: state.ledger.clone(),
                moment,
                in_flight: state.gate.in_flight(),
            });
            view.collect::<Vec<_>>()
        };
        moments.iter().flat_map(of).collect()
    }

    fn moment(&self, host: &str) -> Moment {
        let now = (self.clock)();
        Moment { now, there: self.time(host, now).unwrap_or(now).0 / 1000 }
    }

    fn book(&self) -> MutexGuard<'_, LimitBook> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::sync::atomic::{AtomicU64, Ordering};

    const HOST: &str = "api.github.com";

    fn account(number: u32) -> LocalFingerprint {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        LocalFingerprint(bytes)
    }

    /// Hosts whose clock the test moves.
    fn hosts() -> (Hosts, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(1_000_000));
        let clock = now.clone();
        let config = Config { queue_timeout: Duration::from_millis(50), ..Config::default() };
        (Hosts::new(&config, Arc::new(move || Millis(clock.load(Ordering::Relaxed)))), now)
    }

    async fn turn(hosts: &Hosts, users: Users) -> Result<Place, OriginError> {
        hosts.await_turn(HOST, account(1), users, Duration::MAX).await
    }

    fn heard(wait: Option<Duration>) -> Heard {
        let quota = Quota { resource: "core".into(), limit: 5000, remaining: 4000, reset: 2_000 };
        Heard { quota: Some(quota), wait, served: wait.is_none() }
    }

    #[test]
    fn accounts_are_bounded_and_the_stalest_idle_one_goes_first() {
        let mut book = LimitBook::default();
        let _busy = book.entry(HOST, account(0), Millis(0)).gate.enter();
        for number in 1..MAX_ACCOUNTS as u32 + 500 {
            book.entry(HOST, account(number), Millis(u64::from(number)));
        }
        assert_eq!(book.hosts[HOST].len(), MAX_ACCOUNTS);
        assert!(book.of(HOST, account(0)).is_some() && book.of(HOST, account(1)).is_none());
    }

    #[tokio::test]
    async fn a_node_that_begins_counts_all_members_and_then_those_it_has_heard_of() {
        let (hosts, now) = hosts();
        hosts.set_members(50);
        let places = [turn(&hosts, Users::Mesh).await, turn(&hosts, Users::Mesh).await];
        assert!(places.iter().all(Result::is_ok), "a fiftieth of 100");
        let full = turn(&hosts, Users::Mesh).await.unwrap_err();
        assert!(matches!(full, OriginError::Busy { in_flight: 2, .. }), "{full}");
        assert!(turn(&hosts, Users::ThisNode).await.is_ok(), "nobody else can have this credential");
        now.fetch_add(1000, Ordering::Relaxed);
        assert!(turn(&hosts, Users::Mesh).await.is_ok(), "nobody has said that it uses it");
    }

    #[tokio::test]
    async fn a_read_waits_for_a_place_that_becomes_free() {
        let (hosts, _) = hosts();
        hosts.set_members(100);
        let place = turn(&hosts, Users::Mesh).await.unwrap();
        let (next, ()) = tokio::join!(turn(&hosts, Users::Mesh), async {
            tokio::task::yield_now().await;
            drop(place);
        });
        assert!(next.is_ok());
    }

    #[tokio::test]
    async fn points_are_paced_only_where_limits_are_spoken_of_and_writes_never() {
        let (hosts, now) = hosts();
        for _ in 0..900 {
            assert!(turn(&hosts, Users::Mesh).await.is_ok());
        }
        assert!(turn(&hosts, Users::Mesh).await.is_ok(), "a server without limits");
        hosts.change_ledger(HOST, account(1), |ledger, moment| ledger.observe(&heard(None), moment.now, moment.now));
        let spent = turn(&hosts, Users::Mesh).await.unwrap_err();
        assert!(matches!(spent, OriginError::Limited { retry_in, .. } if retry_in.as_secs() == 61), "{spent}");
        drop(hosts.pass(HOST, account(1), &Method::POST));
        assert!(hosts.await_turn(HOST, account(2), Users::Mesh, Duration::MAX).await.is_ok(), "another's");
        now.fetch_add(61_000, Ordering::Relaxed);
        assert!(turn(&hosts, Users::Mesh).await.is_ok());
    }

    #[tokio::test]
    async fn a_wait_that_github_asks_for_holds_back_reads_only() {
        let (hosts, now) = hosts();
        let wait = Some(Duration::from_secs(30));
        hosts.change_ledger(HOST, account(1), |ledger, moment| ledger.observe(&heard(wait), moment.now, moment.now));
        let refused = turn(&hosts, Users::Mesh).await.unwrap_err();
        assert!(matches!(refused, OriginError::Limited { retry_in, .. } if retry_in.as_secs() == 30), "{refused}");
        drop(hosts.pass(HOST, account(1), &Method::POST));
        now.fetch_add(30_000, Ordering::Relaxed);
        assert!(turn(&hosts, Users::Mesh).await.is_ok());
    }
}
