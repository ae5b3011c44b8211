//! When to compare, and with whom.

use ghmesh_model::{MemberId, Millis};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Between two rounds of one node, about: what gossip lost is then missed for a few minutes, and by few nodes. A round of equals costs
/// half a byte an item, 8 KiB where each holds 10,000.
const PERIOD: Duration = Duration::from_secs(180);

/// A period may be shorter or longer by one part of so many, so that nodes that started together don't compare together.
const JITTER: u32 = 4;

/// Members that have just joined and are compared with. One that brings nothing new costs a digest, and where many come at once (this
/// node is the newcomer, or a partition healed) they hold much the same. Further ones wait for their turn by chance.
const MAX_NEWCOMERS: usize = 3;

/// A node that has compared itself with somebody before waits up to this long before it does with a member that joins: else all would ask
/// the one newcomer in the same moment.
const JOIN_SPREAD: Duration = Duration::from_secs(5);

/// After a round that a member had no time for, and twice as long each time, up to a period.
const RETRY: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncInput {
    /// A member connected.
    Joined(MemberId),
    /// Its last connection ended.
    Left(MemberId),
    /// The round with this member ended.
    Ended(MemberId, RoundEnd),
    /// The round ended by a fault of this node's.
    Failed,
    /// The time of [`Schedule::next_deadline`] has come.
    Tick,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// This node now holds what the member had for it.
    Complete,
    /// The member had no time, was silent or left; or this node has better things to do.
    Postponed,
}

/// Start a round with this member, and report its end by [`SyncInput::Ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compare(pub MemberId);

/// Decides about rounds: one at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    members: BTreeSet<MemberId>,
    /// Newcomers, and when each is compared with.
    newcomers: VecDeque<(Millis, MemberId)>,
    /// When somebody is compared with, whoever.
    anybody_at: Option<Millis>,
    /// The round under way.
    with: Option<MemberId>,
    /// Whether a round was ever completed.
    warm: bool,
    /// Rounds in a row that were postponed.
    postponed: u32,
}

impl Schedule {
    /// Takes one input. `random` is any number, another one each time.
    pub fn handle(&mut self, input: SyncInput, now: Millis, random: u64, out: &mut Vec<Compare>) {
        match input {
            SyncInput::Joined(member) => self.joined(member, now, random),
            SyncInput::Left(member) => self.left(member),
            SyncInput::Ended(member, end) => self.ended(member, end, now, random),
            SyncInput::Failed => {
                if let Some(member) = self.with {
                    self.ended(member, RoundEnd::Postponed, now, random);
                }
            }
            SyncInput::Tick => {}
        }
        if self.with.is_none() {
            self.with = self.due(now, random);
            out.extend(self.with.map(Compare));
        }
    }

    /// When [`SyncInput::Tick`] is due; `None` while there is nobody to compare with, or a round goes on.
    pub fn next_deadline(&self) -> Option<Millis> {
        if self.with.is_some() {
            return None;
        }
        let newcomer = self.newcomers.iter().map(|(at, _)| *at).min();
        newcomer.into_iter().chain(self.anybody_at).min()
    }

    fn joined(&mut self, member: MemberId, now: Millis, random: u64) {
        if !self.members.insert(member) {
            return;
        }
        self.anybody_at.get_or_insert(now.after(period(random)));
        if self.newcomers.len() < MAX_NEWCOMERS {
            let spread = if self.warm { fraction(JOIN_SPREAD, random) } else { Duration::ZERO };
            self.newcomers.push_back((now.after(spread), member));
        }
    }

    fn left(&mut self, member: MemberId) {
        self.members.remove(&member);
        self.newcomers.retain(|(_, newcomer)| *newcomer != member);
        if self.members.is_empty() {
            self.anybody_at = None;
        }
    }

    fn ended(&mut self, member: MemberId, end: RoundEnd, now: Millis, random: u64) {
        if self.with.take() != Some(member) {
            return;
        }
        let next = match end {
            RoundEnd::Complete => {
                (self.warm, self.postponed) = (true, 0);
                period(random)
            }
            RoundEnd::Postponed => {
                self.postponed = self.postponed.saturating_add(1);
                let doubled = RETRY.saturating_mul(1_u32.checked_shl(self.postponed - 1).unwrap_or(u32::MAX));
                doubled.min(PERIOD) + fraction(RETRY, random)
            }
        };
        self.anybody_at = (!self.members.is_empty()).then(|| now.after(next));
    }

    /// With whom a round is to start now.
    fn due(&mut self, now: Millis, random: u64) -> Option<MemberId> {
        if let Some(place) = self.newcomers.iter().position(|(at, _)| *at <= now) {
            return self.newcomers.remove(place).map(|(_, member)| member);
        }
        self.anybody_at.filter(|at| *at <= now)?;
        let place = usize::try_from(random % (self.members.len().max(1) as u64)).unwrap_or(0);
        self.members.iter().nth(place).copied()
    }
}

/// A period with its jitter.
fn period(random: u64) -> Duration {
    PERIOD - PERIOD / JITTER + fraction(PERIOD / JITTER * 2, random)
}

/// A random part of `span`.
fn fraction(span: Duration, random: u64) -> Duration {
    Duration::from_millis(random % ghmesh_model::time::millis(span).max(1))
}

#[cfg(test)]
mod tests;
