//! The origin: which version of a key is current, who may read it, what a call costs.

use crate::asked::Asked;
use crate::model::{BodyId, Item, Moment};
use crate::scenario::{Limits, Scenario};
use bytes::Bytes;
use ghmesh_policy::etag::{Hashed, Validators};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header::IF_NONE_MATCH};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

/// The origin's clock at the run's beginning, Unix seconds.
pub(crate) const START: u64 = 1_800_000_000;

const HOUR: Moment = 3_600_000_000;
const MINUTE: Moment = 60_000_000;

/// What a call brings.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// What a 200 carries, or a 304 names.
    pub(crate) body: Option<BodyId>,
}

/// One version of a key.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) version: usize,
    pub(crate) bytes: Bytes,
}

/// What one credential has used.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    hour: (Moment, u64),
    minute: (Moment, u64),
}

/// The limits of all credentials.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    limits: Option<Limits>,
    accounts: BTreeMap<u16, Account>,
}

/// How a limit refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Primary,
    Secondary,
}

/// The origin.
#[derive(Debug)]
pub(crate) struct GitHub {
    change_every: Option<Moment>,
    body_bytes: usize,
    /// When each key's versions 1, 2, … began.
    changes: Vec<Vec<Moment>>,
    next_change: Vec<Moment>,
    denied: BTreeSet<(u16, u16)>,
    bodies: Vec<Body>,
    current: BTreeMap<(u16, usize), BodyId>,
    /// When each body was last confirmed to whom: every proof that there is. With the moment of the call's sending.
    proofs: BTreeMap<(Item, BodyId), Moment>,
    accounts: Accounts,
}

impl GitHub {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let keys = scenario.targets().len();
        let change_every = scenario.origin.change_every_ms.map(|ms| ms * 1000);
        let denied = scenario.rights.denied.iter().map(|denied| (denied.credential, denied.key)).collect();
        GitHub {
            change_every,
            body_bytes: scenario.body_bytes,
            changes: vec![Vec::new(); keys],
            next_change: vec![change_every.unwrap_or(Moment::MAX); keys],
            denied,
            bodies: Vec::new(),
            current: BTreeMap::new(),
            proofs: BTreeMap::new(),
            accounts: Accounts::new(scenario.limits),
        }
    }

    /// The version of `key` at this moment. Moments come in order.
    pub(crate) fn version(&mut self, key: u16, now: Moment) -> usize {
        let index = usize::from(key);
        while let Some(every) = self.change_every.filter(|_| self.next_change[index] <= now) {
            self.changes[index].push(self.next_change[index]);
            self.next_change[index] += every;
        }
        self.changes[index].len()
    }

    /// A client changes `key`; the version that it makes.
    pub(crate) fn write(&mut self, key: u16, now: Moment) -> usize {
        self.version(key, now);
        self.changes[usize::from(key)].push(now);
        self.changes[usize::from(key)].len()
    }

    /// When a version ceased to be the current one, if it did.
    pub(crate) fn superseded_at(&self, key: u16, version: usize) -> Option<Moment> {
        self.changes[usize::from(key)].get(version).copied()
    }

    /// Changes what a credential may read.
    pub(crate) fn permit(&mut self, credential: u16, key: u16, may: bool) {
        let _ = if may { self.denied.remove(&(credential, key)) } else { self.denied.insert((credential, key)) };
    }

    pub(crate) fn body(&self, body: BodyId) -> Option<&Body> {
        self.bodies.get(body.0 as usize)
    }

    /// When the origin last confirmed this body to this credential.
    pub(crate) fn proof(&self, item: Item, body: BodyId) -> Option<Moment> {
        self.proofs.get(&(item, body)).copied()
    }

    /// Different answers that were given, over all keys.
    pub(crate) fn answers(&self) -> usize {
        self.bodies.len()
    }

    /// Answers a read that was sent at `sent_at`.
    pub(crate) fn answer(
        &mut self,
        item: Item,
        asked: &Asked,
        condition: Option<&HeaderValue>,
        sent_at: Moment,
        now: Moment,
    ) -> Answered {
        if let Some(refused) = self.accounts.refuse(item.credential, now) {
            return self.refusal(item, refused, now);
        }
        if self.denied.contains(&(item.credential, item.key)) {
            self.accounts.charge(item.credential, now);
            return Answered { status: StatusCode::NOT_FOUND, headers: self.head(item, now), body: None };
        }
        let body = self.current(item.key, now);
        let bytes = &self.bodies[body.0 as usize].bytes;
        let etag = format!("W/{}", Hashed::DOCUMENTED.etag(&asked.read.upstream, bytes));
        let mut conditions = HeaderMap::new();
        condition.into_iter().for_each(|condition| drop(conditions.insert(IF_NONE_MATCH, condition.clone())));
        let known = Validators::of(&conditions).is_some_and(|validators| validators.match_weakly(Some(&etag)));
        if !known {
            self.accounts.charge(item.credential, now);
        }
        self.proofs.insert((item, body), sent_at);
        let mut headers = self.head(item, now);
        insert(&mut headers, header::ETAG, &etag);
        if !known {
            insert(&mut headers, header::CONTENT_TYPE, "application/json; charset=utf-8");
        }
        let status = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        Answered { status, headers, body: Some(body) }
    }

    fn current(&mut self, key: u16, now: Moment) -> BodyId {
        let version = self.version(key, now);
        if let Some(body) = self.current.get(&(key, version)) {
            return *body;
        }
        let body = BodyId(u32::try_from(self.bodies.len()).unwrap_or(u32::MAX));
        let mut bytes = format!("{{\"key\":{key},\"version\":{version},\"text\":\"").into_bytes();
        bytes.resize(self.body_bytes.max(bytes.len() + 2) - 2, b'x');
        bytes.extend_from_slice(b"\"}");
        self.bodies.push(Body { version, bytes: bytes.into() });
        self.current.insert((key, version), body);
        body
    }

    fn refusal(&self, item: Item, refused: Refused, now: Moment) -> Answered {
        let mut headers = self.head(item, now);
        let status = match refused {
            Refused::Primary => StatusCode::FORBIDDEN,
            Refused::Secondary => {
                let wait =
                    self.accounts.limits.and_then(|limits| limits.minutely).map_or(60, |limit| limit.retry_after_s);
                insert(&mut headers, header::RETRY_AFTER, &wait.to_string());
                StatusCode::TOO_MANY_REQUESTS
            }
        };
        Answered { status, headers, body: None }
    }

    /// What GitHub sends with every answer to an authorised request.
    fn head(&self, item: Item, now: Moment) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let date = UNIX_EPOCH + Duration::from_secs(unix(now));
        insert(&mut headers, header::DATE, &httpdate::fmt_http_date(date));
        insert(&mut headers, header::CACHE_CONTROL, "private, max-age=60, s-maxage=60");
        insert(&mut headers, header::VARY, "Accept, Authorization, Cookie, X-GitHub-OTP");
        for (name, value) in self.accounts.told(item.credential, now) {
            insert(&mut headers, HeaderName::from_static(name), &value.to_string());
        }
        headers
    }
}

impl Accounts {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        Accounts { limits, accounts: BTreeMap::new() }
    }

    /// Whether a call is refused. Every call counts for the secondary limit.
    pub(crate) fn refuse(&mut self, credential: u16, now: Moment) -> Option<Refused> {
        let limits = self.limits?;
        let account = self.account(credential, now);
        account.minute.1 += 1;
        if limits.minutely.is_some_and(|limit| account.minute.1 > limit.calls) {
            return Some(Refused::Secondary);
        }
        (account.hour.1 >= limits.hourly).then_some(Refused::Primary)
    }

    pub(crate) fn charge(&mut self, credential: u16, now: Moment) {
        if self.limits.is_some() {
            self.account(credential, now).hour.1 += 1;
        }
    }

    /// The account, in its present windows: an hour begins with its first call.
    fn account(&mut self, credential: u16, now: Moment) -> &mut Account {
        let account = self.accounts.entry(credential).or_insert(Account { hour: (now, 0), minute: (now, 0) });
        if now >= account.hour.0 + HOUR {
            account.hour = (now, 0);
        }
        if now >= account.minute.0 + MINUTE {
            account.minute = (now, 0);
        }
        account
    }

    fn told(&self, credential: u16, now: Moment) -> Vec<(&'static str, u64)> {
        let Some(limits) = self.limits else { return Vec::new() };
        let Account { hour: (began, used), .. } = self.accounts.get(&credential).copied().unwrap_or_default();
        let reset = unix(if now < began + HOUR { began + HOUR } else { now + HOUR });
        vec![
            ("x-ratelimit-limit", limits.hourly),
            ("x-ratelimit-remaining", limits.hourly.saturating_sub(used)),
            ("x-ratelimit-reset", reset),
        ]
    }
}

/// A moment by the origin's clock, Unix seconds.
pub(crate) fn unix(now: Moment) -> u64 {
    START + now / 1_000_000
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).expect("these are printable"));
}
