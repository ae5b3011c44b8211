//! Whom a lookup asks: the owner of its key and the standbys, as far as they may be asked.

use super::Fleet;
use crate::rank::owners;
use crate::reputation::Standing;
use crate::{Subject, lease};
use ghmesh_model::{MemberId, Millis};

impl Fleet {
    pub(super) fn ranked(&self, subject: &Subject) -> Vec<MemberId> {
        owners(&subject.key, self.members.keys().copied().chain([self.me]))
    }

    /// Who would decide in the place of `lessor`, had that not joined lately: who does not see it yet turns there.
    pub(super) fn former_owner(&self, subject: &Subject, lessor: &MemberId, now: Millis) -> Option<MemberId> {
        let is_new = |since: &Millis| now.since(*since).is_none_or(|age| age < lease::LONGEST);
        let joined = self.members.get(lessor).filter(|since| is_new(since))?;
        let before = self.members.iter().filter(|(_, since)| *since < joined).map(|(member, _)| *member);
        owners(&subject.key, before.chain([self.me])).first().copied()
    }

    /// Who may be asked whether it has something, the best ranked first.
    pub(super) fn askable(&self, subject: &Subject, now: Millis) -> impl Iterator<Item = MemberId> + '_ {
        self.ranked(subject).into_iter().filter(move |member| self.is_askable(member, now))
    }

    pub(super) fn is_askable(&self, member: &MemberId, now: Millis) -> bool {
        self.reputation.standing(member, now) != Standing::Resting
    }

    /// Who may be asked to decide: who is used less only after all others.
    pub(super) fn deciders(&self, subject: &Subject, now: Millis) -> Vec<MemberId> {
        let mut deciders: Vec<_> = self.askable(subject, now).collect();
        deciders.sort_by_key(|member| self.reputation.standing(member, now));
        deciders
    }
}
