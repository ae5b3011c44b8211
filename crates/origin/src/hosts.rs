//! What is known of each host: its breaker, its requests in flight, its clock, its credentials' limits.
//!
//! The one owner of that state; requests hold guards that give back what they took, also when they are dropped.

use crate::breaker::{Admission, Breaker, BreakerConfig, BreakerState, Outcome, PROBE_WAIT};
use crate::config::Config;
use crate::date::HostClock;
use crate::error::OriginError;
use ghmesh_model::{LocalFingerprint, Millis};
use http::{Uri, header, response};
use limits::LimitBook;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError};

mod limits;

pub use limits::{AccountView, Users};

/// Tells the node's steady time.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Most hosts that are remembered; beyond it the one unused for longest goes, unless it has requests in flight.
const MAX_HOSTS: usize = 256;

/// Requests that may wait for a place, per host. Beyond it they are refused at once.
const MAX_QUEUED: usize = 1000;

/// What others may know of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostHealth {
    /// Host, with its port where that isn't the scheme's own.
    pub host: String,
    /// Whether requests go through.
    pub breaker: BreakerState,
    /// Requests in flight, until the end of their answers.
    pub in_flight: usize,
    /// Requests that wait for a place.
    pub queued: usize,
    /// Requests sent or tried since it is remembered, each retry counted.
    pub attempts: u64,
    /// When it last answered.
    pub last_answer: Option<Millis>,
    /// When it last could not be reached or kept silent, and how that showed.
    pub last_failure: Option<(Millis, String)>,
}

/// The state of every host.
pub(crate) struct Hosts {
    clock: Clock,
    breaker: BreakerConfig,
    queue_timeout: Duration,
    max_in_flight: usize,
    /// Members of the mesh, this node included.
    members: AtomicU32,
    table: Mutex<Table>,
    limits: Mutex<LimitBook>,
}

#[derive(Default)]
struct Table {
    hosts: BTreeMap<String, Host>,
    attempts: u64,
}

struct Host {
    breaker: Breaker,
    /// Wakes those who wait for a probe whenever the breaker has heard something.
    heard: Arc<Notify>,
    /// Places in flight. Requests hold a clone as long as they hold or want one: the last reference means idle.
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    clock: HostClock,
    attempts: u64,
    last_answer: Option<Millis>,
    last_failure: Option<(Millis, String)>,
    last_used: Millis,
}

/// Leave to send one request. Its outcome must be told; dropping it says that it isn't known.
pub(crate) struct Admitted<'h> {
    hosts: &'h Hosts,
    host: &'h str,
    admission: Admission,
    told: bool,
}

/// The name that a host's state is kept under: host, in lower case, with its port where that isn't the scheme's own.
pub(crate) fn name_of(uri: &Uri) -> Option<String> {
    let own_port = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
    Some(match uri.port_u16() {
        Some(port) if port != own_port => format!("{host}:{port}"),
        Some(_) | None => host,
    })
}

impl Hosts {
    pub(crate) fn new(config: &Config, clock: Clock) -> Self {
        Hosts {
            clock,
            breaker: config.breaker,
            queue_timeout: config.queue_timeout,
            max_in_flight: config.max_in_flight_per_host,
            members: AtomicU32::new(1),
            table: Mutex::default(),
            limits: Mutex::default(),
        }
    }

    /// Waits for a place among the host's requests in flight, at most `longest` and the queue's own bound.
    pub(crate) async fn slot(&self, host: &str, longest: Duration) -> Result<OwnedSemaphorePermit, OriginError> {
        let (slots, queue) = self.with(host, |host, _| (host.slots.clone(), host.queue.clone()));
        match slots.clone().try_acquire_owned() {
            Ok(slot) => return Ok(slot),
            Err(TryAcquireError::NoPermits) => {}
            Err(TryAcquireError::Closed) => unreachable!("a host's semaphore is never closed"),
        }
        let waited = longest.min(self.queue_timeout);
        let busy = |waited| OriginError::Busy { host: host.to_owned(), in_flight: self.max_in_flight, waited };
        let _queued = queue.try_acquire_owned().map_err(|_full| busy(Duration::ZERO))?;
        let slot = tokio::time::timeout(waited, slots.acquire_owned()).await.map_err(|_elapsed| busy(waited))?;
        Ok(slot.expect("a host's semaphore is never closed"))
    }

    /// Asks the host's breaker. While a probe is under way, waits for what it finds, at most [`PROBE_WAIT`]: that holds for all
    /// who come meanwhile, and a host that is back refuses none of them.
    pub(crate) async fn admitted<'h>(&'h self, host: &'h str) -> Result<Admitted<'h>, OriginError> {
        let heard = self.with(host, |host, _| host.heard.clone());
        let mut heard = pin!(heard.notified());
        heard.as_mut().enable();
        match self.admit(host) {
            Err(_) if self.with(host, |host, now| host.breaker.state(now)) == BreakerState::HalfOpen => {
                // Whether it was heard or not, the breaker knows.
                let _ = tokio::time::timeout(PROBE_WAIT, heard).await;
                self.admit(host)
            }
            admitted => admitted,
        }
    }

    /// Asks the host's breaker.
    fn admit<'h>(&'h self, host: &'h str) -> Result<Admitted<'h>, OriginError> {
        match self.with(host, |host, now| host.breaker.admit(now)) {
            Admission::Refused { retry_in } => Err(OriginError::Breaker { host: host.to_owned(), retry_in }),
            admission @ (Admission::Go | Admission::Probe) => {
                let mut table = self.lock();
                table.attempts += 1;
                if let Some(host) = table.hosts.get_mut(host) {
                    host.attempts += 1;
                }
                Ok(Admitted { hosts: self, host, admission, told: false })
            }
        }
    }

    /// Whether the host's breaker is open now: not worth queueing for.
    pub(crate) fn refuses(&self, host: &str) -> Option<OriginError> {
        match self.with(host, |host, now| host.breaker.state(now)) {
            BreakerState::Open { retry_in } if !retry_in.is_zero() => {
                Some(OriginError::Breaker { host: host.to_owned(), retry_in })
            }
            BreakerState::Open { .. } | BreakerState::Closed { .. } | BreakerState::HalfOpen => None,
        }
    }

    /// Takes in what the head of an answer to a request sent at `asked_at` tells: the host's time and the credential's limits.
    pub(crate) fn observe(
        &self,
        host: &str,
        account: LocalFingerprint,
        head: &response::Parts,
        asked_at: Millis,
        always_served: bool,
    ) {
        let date = head.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        self.with(host, |host, now| {
            if let Some(date) = date {
                host.clock.observe(date, now);
            }
            host.last_answer = Some(now);
        });
        self.note_limits(host, account, head, asked_at, always_served);
    }

    /// How many members the mesh has, this node included.
    pub(crate) fn set_members(&self, members: u32) {
        self.members.store(members.max(1), Ordering::Relaxed);
    }

    /// The time on the node's timeline.
    pub(crate) fn now(&self) -> Millis {
        (self.clock)()
    }

    /// Keeps what a failure of the host's says, for people.
    pub(crate) fn note_failure(&self, host: &str, error: &OriginError) {
        self.with(host, |host, now| host.last_failure = Some((now, error.to_string())));
    }

    pub(crate) fn time(&self, host: &str, now: Millis) -> Option<Millis> {
        self.lock().hosts.get(host)?.clock.time(now)
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.lock().attempts
    }

    pub(crate) fn health(&self) -> Vec<HostHealth> {
        let now = (self.clock)();
        let health = |(name, host): (&String, &Host)| HostHealth {
            host: name.clone(),
            breaker: host.breaker.state(now),
            in_flight: self.max_in_flight - host.slots.available_permits(),
            queued: MAX_QUEUED - host.queue.available_permits(),
            attempts: host.attempts,
            last_answer: host.last_answer,
            last_failure: host.last_failure.clone(),
        };
        self.lock().hosts.iter().map(health).collect()
    }

    /// Runs `act` on the state of `host`, which is made on first use.
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Host, Millis) -> T) -> T {
        let now = (self.clock)();
        let mut table = self.lock();
        if !table.hosts.contains_key(name) {
            table.make_room();
            table.hosts.insert(name.to_owned(), self.host(now));
        }
        let host = table.hosts.get_mut(name).expect("it was there or has just been inserted");
        host.last_used = now;
        act(host, now)
    }

    fn host(&self, now: Millis) -> Host {
        Host {
            breaker: Breaker::new(self.breaker),
            heard: Arc::default(),
            slots: Arc::new(Semaphore::new(self.max_in_flight)),
            queue: Arc::new(Semaphore::new(MAX_QUEUED)),
            clock: HostClock::default(),
            attempts: 0,
            last_answer: None,
            last_failure: None,
            last_used: now,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets the idle host unused for longest when the table is full. If none is idle it grows, by no more than there
    /// are requests in flight.
    fn make_room(&mut self) {
        if self.hosts.len() < MAX_HOSTS {
            return;
        }
        let idle = self.hosts.iter().filter(|(_, host)| Arc::strong_count(&host.slots) == 1);
        let stalest = idle.min_by_key(|(_, host)| host.last_used).map(|(name, _)| name.clone());
        if let Some(name) = stalest {
            self.hosts.remove(&name);
        }
    }
}

impl Admitted<'_> {
    /// Tells what became of the request.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        self.told = true;
        let random = rand::random();
        self.hosts.with(self.host, |host, now| {
            host.breaker.record(self.admission, outcome, now, random);
            host.heard.notify_waiters();
        });
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Outcome::Unknown);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn hosts(config: Config) -> Hosts {
        Hosts::new(&config, Arc::new(|| Millis(1)))
    }

    #[test]
    fn a_host_is_named_with_its_port_only_where_it_must() {
        let name = |uri: &str| name_of(&uri.parse().unwrap());
        assert_eq!(name("https://API.GitHub.com:443/user").as_deref(), Some("api.github.com"));
        assert_eq!(name("http://127.0.0.1:8080/").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(name("https://[::1]:80/").as_deref(), Some("[::1]:80"));
        for uri in ["/user", "api.github.com", "ftp://api.github.com/", "*"] {
            assert_eq!(name(uri), None, "{uri}");
        }
    }

    #[tokio::test]
    async fn a_full_host_makes_requests_wait_for_bounded_time() {
        let waited = Duration::from_millis(20);
        let hosts = hosts(Config { max_in_flight_per_host: 1, queue_timeout: waited, ..Config::default() });
        let first = hosts.slot("a", Duration::MAX).await.unwrap();
        let error = hosts.slot("a", Duration::MAX).await.unwrap_err();
        assert!(matches!(error, OriginError::Busy { waited: w, in_flight: 1, .. } if w == waited), "{error}");
        drop(hosts.slot("b", Duration::MAX).await.unwrap());
        drop(first);
        drop(hosts.slot("a", Duration::MAX).await.unwrap());
        assert_eq!(hosts.health()[0].in_flight, 0);
    }

    #[tokio::test]
    async fn hosts_are_bounded_and_busy_ones_stay() {
        let hosts = hosts(Config::default());
        let _busy = hosts.slot("busy", Duration::MAX).await.unwrap();
        for number in 0..MAX_HOSTS * 2 {
            drop(hosts.slot(&format!("h{number}"), Duration::MAX).await.unwrap());
        }
        let health = hosts.health();
        assert_eq!(health.len(), MAX_HOSTS);
        assert!(health.iter().any(|host| host.host == "busy" && host.in_flight == 1));
    }

    #[test]
    fn a_dropped_probe_gives_its_turn_to_the_next_request() {
        let breaker = BreakerConfig { failures: 1, open: Duration::from_millis(1), ..BreakerConfig::default() };
        let now = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let clock = now.clone();
        let clock: Clock = Arc::new(move || Millis(clock.load(std::sync::atomic::Ordering::Relaxed)));
        let hosts = Hosts::new(&Config { breaker, ..Config::default() }, clock);
        hosts.admit("a").unwrap().finish(Outcome::Failed);
        now.store(10, std::sync::atomic::Ordering::Relaxed);
        let probe = hosts.admit("a").unwrap();
        assert!(matches!(hosts.admit("a"), Err(OriginError::Breaker { .. })));
        drop(probe);
        hosts.admit("a").unwrap().finish(Outcome::Answered);
        hosts.admit("a").unwrap().finish(Outcome::Answered);
        assert_eq!(hosts.attempts(), 4);
    }
}
