//! What others may see and say of credentials' limits.

use super::Origin;
use crate::hosts::AccountView;
use ghmesh_model::{LocalFingerprint, Millis};
use ghmesh_policy::budget::{Ledger, Moment, Standing, Thrift, Tidings, Told};
use ghmesh_policy::limits_headers::Quota;

impl Origin {
    /// The freshest known state of a bucket of `account`'s at `host`.
    pub fn standing(&self, host: &str, account: LocalFingerprint, bucket: &str) -> Option<Standing> {
        let look = |ledger: &mut Ledger, moment: Moment| ledger.standing(bucket, moment.there);
        self.inner.hosts.with_ledger(host, account, look).flatten()
    }

    /// Whether there is a ledger of `account`'s at `host`.
    pub fn knows(&self, host: &str, account: LocalFingerprint) -> bool {
        self.inner.hosts.with_ledger(host, account, |_, _| ()).is_some()
    }

    /// Begins one.
    pub fn meet(&self, host: &str, account: LocalFingerprint) {
        self.inner.hosts.change_ledger(host, account, |_, _| ());
    }

    /// How carefully to spend from it.
    pub fn thrift(&self, host: &str, account: LocalFingerprint, bucket: &str) -> Thrift {
        let look = |ledger: &mut Ledger, moment: Moment| ledger.thrift(bucket, moment, rand::random());
        self.inner.hosts.with_ledger(host, account, look).unwrap_or_default()
    }

    /// Takes in what a member says of `account` at `host`, told with moments of this node's timeline.
    pub fn learn(&self, host: &str, account: LocalFingerprint, told: &Told) {
        self.inner.hosts.change_ledger(host, account, |ledger, moment| ledger.learn(told, moment));
    }

    /// Takes in the quotas that an answer to a request sent at `asked_at` listed.
    pub fn observe_overview(&self, host: &str, account: LocalFingerprint, quotas: Vec<Quota>, asked_at: Millis) {
        self.inner.hosts.note_overview(host, account, quotas, asked_at);
    }

    /// What members should hear now of `account`, if anything; with the moment that its standings are to be dated by.
    pub fn due_tidings(&self, host: &str, account: LocalFingerprint) -> Option<(Tidings, Moment)> {
        let mut due = None;
        let look =
            |ledger: &mut Ledger, moment: Moment| due = ledger.due_tidings(moment).map(|tidings| (tidings, moment));
        self.inner.hosts.change_ledger(host, account, look);
        due
    }

    /// How many members use the mesh, this node included.
    pub fn set_members(&self, members: u32) {
        self.inner.hosts.set_members(members);
    }

    /// Everything that is known of credentials' limits.
    pub fn accounts(&self) -> Vec<AccountView> {
        self.inner.hosts.accounts()
    }
}
