//! Credentials' rate limits between this node's ledger, which `origin` keeps, and the members.
//!
//! A member's word counts if its MAC is that of a holder of the credential. Where nobody has presented the credential here, it
//! waits until somebody does.

use crate::failure::Failure;
use crate::landed::Landed;
use crate::node::Inner;
use crate::origin_call::Kept;
use ghmesh_model::wire::{Bucket, Budget, Record, Request as Question, Shared, SignedRecord, Stamp};
use ghmesh_model::{Fingerprint, LocalFingerprint, MemberId, Millis, limits, time::millis};
use ghmesh_origin::{AccountView, Body, Collected, Safety, Users, chain, collect_limited, full};
use ghmesh_policy::budget::{self, Moment, Standing, Tidings, Told};
use ghmesh_policy::{Credential, CredentialKind, Pass, Read, freshness};
use ghmesh_seal::ValidationKey;
use http::{HeaderMap, Request, Response, StatusCode, header};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Credentials whose members' words can be checked. Beyond, one is forgotten: its words wait until it is presented again.
const MAX_HOLDERS: usize = 4096;

/// Credentials for which members' words wait. Beyond, those for one are dropped, which costs knowledge only.
const MAX_PARKED: usize = 1024;

/// Words that wait for one credential: of so many members, the latest of each for each host.
const MAX_PARKED_EACH: usize = 8;

/// How long a word waits: no window and no wait is longer.
const PARKED_FOR: Duration = Duration::from_secs(3600);

/// Largest body of `/rate_limit` that is looked at. GitHub's has 3 KiB.
const MAX_OVERVIEW_BYTES: usize = 64 * 1024;

/// Most records that a member that has just joined is told, and how many in one message.
const MAX_NEWS: usize = 64;
const NEWS_IN_ONE: usize = 16;

/// How long that member may take.
const NEWS_DEADLINE: Duration = Duration::from_secs(5);

/// A member's word, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) budget: Budget,
    pub(crate) stamp: Stamp,
    /// When it was sent, on this node's timeline.
    pub(crate) at: Millis,
}

/// Who holds which credential, and what waits for one.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    holders: BTreeMap<Fingerprint, Holder>,
    parked: BTreeMap<Fingerprint, Vec<Said>>,
    members: BTreeSet<MemberId>,
}

/// A credential that was presented here.
#[derive(Debug)]
struct Holder {
    account: LocalFingerprint,
    key: ValidationKey,
}

/// What is to be done with a member's word.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// It is about this account, and true as far as its author goes.
    Genuine(LocalFingerprint),
    /// Nobody here can tell.
    Parked,
    /// Its author does not hold the credential.
    Forged,
}

impl Said {
    fn told(&self, now: Millis) -> Told {
        let standing = |bucket: &Bucket| {
            let Bucket { limit, remaining, reset, .. } = *bucket;
            let as_of = self.at.before(Duration::from_millis(bucket.age_ms));
            (bucket.name.clone(), Standing { limit, remaining, reset, as_of })
        };
        let until = self.at.after(Duration::from_millis(self.budget.retry_after_ms));
        Told {
            from: self.stamp.author,
            at: self.at,
            standings: self.budget.buckets.iter().map(standing).collect(),
            stop: until.since(now).filter(|left| !left.is_zero()),
        }
    }

    fn is_genuine(&self, key: &ValidationKey) -> bool {
        key.verify(&self.budget.mac_input(&self.stamp), &self.budget.mac)
    }
}

impl Budgets {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A caller presents a credential. What waited for it and is genuine is given back.
    fn present(
        &self,
        fingerprint: Fingerprint,
        account: LocalFingerprint,
        key: impl FnOnce() -> ValidationKey,
    ) -> Vec<Said> {
        let mut table = self.lock();
        if table.holders.contains_key(&fingerprint) {
            return Vec::new();
        }
        if table.holders.len() >= MAX_HOLDERS {
            // Fingerprints are hashes: the first is as good as a random one.
            table.holders.pop_first();
        }
        let key = key();
        let mut waited = table.parked.remove(&fingerprint).unwrap_or_default();
        waited.retain(|said| said.is_genuine(&key));
        table.holders.insert(fingerprint, Holder { account, key });
        waited
    }

    /// The secrets have changed: credentials have other names, under which they are known once they are presented again.
    pub(crate) fn forget_holders(&self) {
        self.lock().holders.clear();
    }

    fn hear(&self, said: &Said) -> Heard {
        let mut table = self.lock();
        match table.holders.get(&said.budget.fingerprint) {
            Some(holder) if said.is_genuine(&holder.key) => Heard::Genuine(holder.account),
            Some(_) => Heard::Forged,
            None => {
                table.park(said.clone());
                Heard::Parked
            }
        }
    }

    /// Counts a member in or out; gives how many there are, this node included.
    fn count(&self, member: MemberId, present: bool) -> u32 {
        let mut table = self.lock();
        if present {
            table.members.insert(member);
        } else {
            table.members.remove(&member);
        }
        u32::try_from(table.members.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The fingerprint of each account that was presented here.
    fn names(&self) -> BTreeMap<LocalFingerprint, Fingerprint> {
        self.lock().holders.iter().map(|(fingerprint, holder)| (holder.account, *fingerprint)).collect()
    }

    fn mac(&self, fingerprint: &Fingerprint, input: &[u8]) -> Option<[u8; 32]> {
        self.lock().holders.get(fingerprint).map(|holder| holder.key.make(input))
    }
}

impl Table {
    fn park(&mut self, said: Said) {
        if self.parked.len() >= MAX_PARKED && !self.parked.contains_key(&said.budget.fingerprint) {
            self.parked.pop_first();
        }
        let parked = self.parked.entry(said.budget.fingerprint).or_default();
        let same = |other: &Said| (other.stamp.author, &other.budget.host) == (said.stamp.author, &said.budget.host);
        parked.retain(|other| !same(other) && said.at.since(other.at).is_none_or(|age| age < PARKED_FOR));
        if parked.len() >= MAX_PARKED_EACH {
            parked.remove(0);
        }
        parked.push(said);
    }
}

impl Inner {
    /// Sends a read when its turn has come, and tells members what it showed of the limits.
    pub(crate) async fn ask(&self, read: &Read, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let (host, account) = (&read.target.authority, self.fingerprint(read));
        let users = self.share_budget(host, &read.credential, account);
        let result = self.origin.read(request, account, users).await.map_err(Failure::from);
        self.share_budget(host, &read.credential, account);
        if let Err(Failure::Limited { .. }) = &result {
            self.counts.held_back.add();
        }
        result
    }

    /// Sends what passes through. GitHub's overview of all limits is looked at on its way.
    pub(crate) async fn pay(
        &self,
        pass: &Pass,
        mut request: Request<Body>,
        safety: Safety,
    ) -> Result<Response<Body>, Failure> {
        let value = pass.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let credential = Credential::new(value);
        let account = LocalFingerprint(self.store.data_key().local_fingerprint(value));
        let host = &pass.target.authority;
        let overview = pass.target.resource.as_ref().is_some_and(|resource| resource.path == "/rate_limit");
        if overview {
            request.headers_mut().remove(header::ACCEPT_ENCODING);
        }
        self.share_budget(host, &credential, account);
        let asked_at = self.clock.now();
        let mut response = self.origin.send(request, safety, account).await?;
        if overview && response.status() == StatusCode::OK {
            response = self.overviewed(host, account, response, asked_at).await?;
        }
        self.share_budget(host, &credential, account);
        Ok(response)
    }

    async fn overviewed(
        &self,
        host: &str,
        account: LocalFingerprint,
        response: Response<Body>,
        asked_at: Millis,
    ) -> Result<Response<Body>, Failure> {
        let (head, body) = response.into_parts();
        let body = match collect_limited(body, MAX_OVERVIEW_BYTES).await {
            Ok(Collected::Whole(body)) => {
                self.origin.observe_overview(host, account, budget::overview(&body), asked_at);
                full(body)
            }
            Ok(Collected::TooLong { read, rest }) => chain(read, rest),
            Err(error) => return Err(Failure::Interrupted { host: host.to_owned(), reason: error.to_string() }),
        };
        Ok(Response::from_parts(head, body))
    }

    /// An expired entry that is used because little is left of the limit that asking could cost.
    pub(crate) fn spared(&self, read: &Read, kept: Option<&Kept>) -> Option<Arc<Landed>> {
        let (entry, _) = kept?;
        let landed = self.stale(read, kept)?;
        let thrift = self.origin.thrift(&read.target.authority, self.fingerprint(read), bucket_of(read));
        let age = entry.age(self.clock.now())?;
        if !thrift.spares(age, freshness::lifetime(read, &self.config.freshness, entry)) {
            return None;
        }
        self.counts.spared.add();
        Some(landed)
    }

    /// Writes the freshest known state of the bucket that a call would have been charged to.
    pub(crate) fn write_limits(&self, read: &Read, headers: &mut HeaderMap) {
        let (host, account, bucket) = (&read.target.authority, self.fingerprint(read), bucket_of(read));
        let mut standing = self.origin.standing(host, account, bucket);
        if standing.is_none() && !self.origin.knows(host, account) {
            self.present(host, &read.credential, account);
            standing = self.origin.standing(host, account, bucket);
        }
        if let Some(standing) = standing {
            budget::write_headers(headers, bucket, &standing);
        }
    }

    /// A caller presents a credential: what members said of it counts from now on. Gives its fingerprint, where it may have one.
    fn present(&self, host: &str, credential: &Credential, account: LocalFingerprint) -> Option<Fingerprint> {
        self.origin.meet(host, account);
        let members = self.members.get().filter(|_| credential.kind() == CredentialKind::Token)?;
        let (rings, now) = (members.exchange.keys.held(), self.clock.now());
        let fingerprints = rings.iter().map(|ring| {
            let fingerprint = Fingerprint(ring.fingerprint(credential.as_bytes()));
            for said in self.budgets.present(fingerprint, account, || ring.validation_key(credential.as_bytes())) {
                self.origin.learn(&said.budget.host, account, &said.told(now));
            }
            fingerprint
        });
        // All are presented; the first is what members know it by.
        fingerprints.collect::<Vec<_>>().first().copied()
    }

    /// Tells members of a credential's limits, if that is due, and says whether they may use it too.
    fn share_budget(&self, host: &str, credential: &Credential, account: LocalFingerprint) -> Users {
        let shared = self.members.get().zip(self.present(host, credential, account));
        let Some((members, fingerprint)) = shared else { return Users::ThisNode };
        if let Some((tidings, moment)) = self.origin.due_tidings(host, account)
            && let Some(signed) = self.budget_record(host, fingerprint, &tidings, moment)
            && let Err(full) = members.exchange.mesh.publish(Shared { signed, age_ms: 0, body: None })
        {
            tracing::debug!(%full, "members were not told of a limit");
        }
        Users::Mesh
    }

    fn budget_record(
        &self,
        host: &str,
        fingerprint: Fingerprint,
        tidings: &Tidings,
        moment: Moment,
    ) -> Option<SignedRecord> {
        let author = &self.members.get()?.exchange.author;
        let bucket = |(name, standing): &(String, Standing)| Bucket {
            name: name.clone(),
            limit: standing.limit,
            remaining: standing.remaining,
            reset: standing.reset,
            age_ms: moment.now.since(standing.as_of).map_or(0, millis),
        };
        let buckets = tidings.standings.iter().take(limits::MAX_BUCKETS).map(bucket).collect();
        let retry_after_ms = tidings.stop.map_or(0, millis);
        let mut budget = Budget { host: host.to_owned(), fingerprint, buckets, retry_after_ms, mac: Vec::new() };
        let stamp = author.stamp();
        budget.mac = self.budgets.mac(&fingerprint, &budget.mac_input(&stamp))?.to_vec();
        Some(author.sign(stamp, &Record::Budget(budget)))
    }

    /// Takes in a member's word. Says whether it was genuine, as far as can be told.
    pub(crate) fn hear(&self, said: &Said) -> bool {
        if !self.config.origins.authorities().any(|authority| authority == said.budget.host) {
            return true;
        }
        match self.budgets.hear(said) {
            Heard::Genuine(account) => {
                self.origin.learn(&said.budget.host, account, &said.told(self.clock.now()));
                true
            }
            Heard::Parked => true,
            Heard::Forged => false,
        }
    }

    /// Counts a member that has joined or left: nodes that begin to use a credential share its limits with all.
    pub(crate) fn count_member(&self, member: MemberId, present: bool) {
        self.origin.set_members(self.budgets.count(member, present));
    }

    /// Tells a member that has just joined of limits that are in force.
    pub(crate) fn tell_budgets(&self, member: MemberId) {
        let Some(members) = self.members.get() else { return };
        let names = self.budgets.names();
        let record = |view: AccountView| {
            let tidings = view.ledger.tidings(view.moment);
            let known = !tidings.standings.is_empty() || tidings.stop.is_some();
            let fingerprint = names.get(&view.account).filter(|_| known)?;
            let signed = self.budget_record(&view.host, *fingerprint, &tidings, view.moment)?;
            Some(Shared { signed, age_ms: 0, body: None })
        };
        let records: Vec<_> = self.origin.accounts().into_iter().filter_map(record).take(MAX_NEWS).collect();
        let mesh = members.exchange.mesh.clone();
        tokio::spawn(async move {
            for records in records.chunks(NEWS_IN_ONE) {
                let news = Question::Deliver { records: records.to_vec() };
                if let Err(error) = mesh.ask(member, news, NEWS_DEADLINE).await {
                    tracing::debug!(%error, "a member could not be told of limits");
                }
            }
        });
    }

    /// What is known of every credential's limits, with the short name of each.
    pub(crate) fn budget_views(&self) -> Vec<(String, AccountView)> {
        let names = self.budgets.names();
        let named = |view: AccountView| {
            let full = names.get(&view.account).map_or_else(|| view.account.to_string(), Fingerprint::to_string);
            (full.chars().take(8).collect(), view)
        };
        self.origin.accounts().into_iter().map(named).collect()
    }
}

fn bucket_of(read: &Read) -> &'static str {
    if read.graphql.is_some() {
        return budget::bucket_of("/graphql");
    }
    read.target.resource.as_ref().map_or("core", |resource| budget::bucket_of(&resource.path))
}

#[cfg(test)]
mod tests;
