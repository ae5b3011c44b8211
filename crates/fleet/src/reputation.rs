//! Whom this node uses how much: what members did wrong, how late they answer, who does not answer at all.
//!
//! Five things are kept of a member, each with its own consequence, and each fades:
//!
//! | what | consequence | until |
//! |---|---|---|
//! | *misdeeds*: what no honest node does | used less; more of them and it is expelled | they halve every ten minutes; an expulsion lasts a minute, each further one twice as long, an hour at most |
//! | *lateness*: the share of its answers that came too late to be of use | used less | it answers in time, or a minute or so |
//! | *failures*: questions in a row that had no answer | it rests: it is not asked | one question after a pause tries it; an answer ends it, a failure doubles the pause |
//! | *a wait in vain*, to the end of this node's patience | its "somebody fetches" is not believed | a minute |
//! | *a wait in vain* for a fetch that it told everybody of | what it tells everybody of its fetches is not believed | a minute |
//!
//! An honest node that is merely slow, overloaded or far away is never expelled: only misdeeds lead there. What a member is
//! used for here changes nothing for it: its questions are answered, its records are taken if they can be verified.

use ghmesh_model::{MemberId, Millis, time::millis};
use std::collections::BTreeMap;
use std::time::Duration;

/// In how long misdeeds fade to half. What breaks a node by accident (a bad build, a bad disk) is noticed and cured in minutes,
/// and whoever goes on is caught by the next ones. A guess.
const HALF_LIFE: Duration = Duration::from_secs(600);

/// What counts of a member's misdeeds in one second: one. What one fault breaks it breaks many times over.
const ONE_FAULT: Duration = Duration::from_secs(1);

/// Points from which a member is used less: one misdeed that can be no accident of the network, for ten minutes.
const USED_LESS: u32 = 5_000;

/// Points from which it is expelled: three such misdeeds within about five minutes, or nine seconds of flooding.
const EXPELLED: u32 = 25_000;

/// The first expulsion, and the longest. A member that is let in again has its chance: who means harm makes a new identity, and
/// against that helps only another secret.
const EXPULSION: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// How long after an expulsion the next one is a repetition.
const REPEATS_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Lateness is a share in thousandths. From half on a member is used less: six late answers in a row, or half of the last many.
const LATE: u32 = 500;

/// How much one answer weighs in the share: one eighth, as in TCP's round trip estimate (RFC 6298, section 2.3).
const LATE_STEP: u32 = 8;

/// In how long lateness fades to half, for whoever is used less is not asked and can't show that it is quick again.
const LATE_HALF_LIFE: Duration = Duration::from_secs(60);

/// Questions in a row without an answer, after which a member rests.
const FAILURES: u32 = 3;

/// What counts of failures in so short a time: one. A stall of this node's own cuts off many questions at once.
const ONE_STALL: Duration = Duration::from_millis(150);

/// The first rest, and the longest: a member that hangs costs one lookup budget a minute.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long a member is not believed that made a lookup wait in vain. With the longest wait of ten seconds, one that always lies
/// costs a caller that wait once a minute; one that was merely unlucky loses no more than a minute of its keys to its standbys.
const DISBELIEF: Duration = Duration::from_secs(60);

/// Members of whom something is kept: four times the connections that a node has. When full, the one with the least against it
/// is forgotten.
const MAX_RECORDS: usize = 1024;

/// What a member did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// It sent a body that is not what its name says.
    WrongBody,
    /// It signed a confirmation from a time that has not come.
    WrongAge,
    /// It sent what no member writes: malformed, not signed by its author, or with a MAC that can't be right.
    Garbage,
    /// It sent more than it may.
    Flood,
    /// It answered too late to be of use. Honest nodes do, too.
    Late,
}

impl Offence {
    /// Points, in thousandths. `None` for what proves nothing.
    fn points(self) -> Option<u32> {
        match self {
            Offence::WrongBody | Offence::WrongAge | Offence::Garbage => Some(10_000),
            Offence::Flood => Some(3_000),
            Offence::Late => None,
        }
    }
}

/// What a member is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Everything.
    #[default]
    Good,
    /// Its standbys are asked to decide in its place; it is still asked whether it has something.
    UsedLess,
    /// It is not asked: it does not answer, or it is expelled.
    Resting,
}

impl Standing {
    /// Its name: `good`, `used_less`, `resting`.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Good => "good",
            Standing::UsedLess => "used_less",
            Standing::Resting => "resting",
        }
    }
}

/// Something that fades to half in every span of a given length.
#[derive(Clone, Copy, Debug, Default)]
struct Fading {
    value: u32,
    at: Millis,
}

impl Fading {
    /// Between two halvings it falls in a straight line, so that every machine computes the same.
    fn now(self, half_life: Duration, now: Millis) -> u32 {
        let (age, half_life) = (millis(now.since(self.at).unwrap_or_default()), millis(half_life));
        let halvings = u32::try_from(age / half_life).unwrap_or(u32::MAX);
        let value = u64::from(self.value.checked_shr(halvings).unwrap_or(0));
        let fallen = value * (age % half_life) / half_life / 2;
        u32::try_from(value - fallen).unwrap_or(u32::MAX)
    }
}

/// What is kept of one member.
#[derive(Clone, Debug, Default)]
struct Record {
    misdeeds: Fading,
    lateness: Fading,
    failures: u32,
    failed_at: Option<Millis>,
    /// The present rest: its end and its length.
    rest: Option<(Millis, Duration)>,
    disbelieved_until: Millis,
    /// The same for what it tells everybody.
    doubted_until: Millis,
    expelled_until: Millis,
    expulsions: u32,
}

impl Record {
    fn standing(&self, now: Millis) -> Standing {
        if self.expelled_until > now || self.rest.is_some_and(|(until, _)| until > now) {
            return Standing::Resting;
        }
        let is_bad = self.misdeeds.now(HALF_LIFE, now) >= USED_LESS;
        let is_late = self.lateness.now(LATE_HALF_LIFE, now) >= LATE;
        if is_bad || is_late { Standing::UsedLess } else { Standing::Good }
    }

    /// How much is against it, for when somebody has to be forgotten.
    fn burden(&self, now: Millis) -> (bool, u32, u32, u32) {
        let (misdeeds, lateness) = (self.misdeeds.now(HALF_LIFE, now), self.lateness.now(LATE_HALF_LIFE, now));
        (self.expelled_until > now, self.repeats(now), misdeeds, lateness + self.failures)
    }

    fn repeats(&self, now: Millis) -> u32 {
        if self.expelled_until.after(REPEATS_WITHIN) > now { self.expulsions } else { 0 }
    }

    /// Notes a misdeed; gives the length of the expulsion that it leads to.
    fn offend(&mut self, points: u32, now: Millis) -> Option<Duration> {
        let again = self.misdeeds.value > 0 && now.since(self.misdeeds.at).is_none_or(|since| since < ONE_FAULT);
        if again || self.expelled_until > now {
            return None;
        }
        let value = self.misdeeds.now(HALF_LIFE, now).saturating_add(points);
        self.misdeeds = Fading { value, at: now };
        (value >= EXPELLED).then(|| self.expel(now))
    }

    fn expel(&mut self, now: Millis) -> Duration {
        let repeats = self.repeats(now);
        let span = EXPULSION.0.saturating_mul(1 << repeats.min(16)).min(EXPULSION.1);
        self.misdeeds = Fading::default();
        self.expulsions = repeats.saturating_add(1);
        self.expelled_until = now.after(span);
        span
    }

    /// Moves the share of late answers.
    fn weigh(&mut self, late: bool, now: Millis) {
        let share = self.lateness.now(LATE_HALF_LIFE, now).min(1000);
        let value = if late { share + (1000 - share) / LATE_STEP } else { share - share.div_ceil(LATE_STEP) };
        self.lateness = Fading { value, at: now };
    }

    /// It answers: no failure before counts any more.
    fn revive(&mut self) {
        (self.failures, self.failed_at, self.rest) = (0, None, None);
    }

    fn fail(&mut self, now: Millis) {
        if self.failed_at.and_then(|at| now.since(at)).is_some_and(|since| since < ONE_STALL) {
            return;
        }
        self.failed_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            let span = self.rest.map_or(REST.0, |(_, span)| span.saturating_mul(2).min(REST.1));
            self.rest = Some((now.after(span), span));
        }
    }
}

/// Everybody's.
#[derive(Debug, Default)]
pub(crate) struct Reputation(BTreeMap<MemberId, Record>);

impl Reputation {
    pub(crate) fn standing(&self, member: &MemberId, now: Millis) -> Standing {
        self.0.get(member).map_or(Standing::Good, |record| record.standing(now))
    }

    /// Everybody of whom there is something to tell.
    pub(crate) fn standings(&self, now: Millis) -> impl Iterator<Item = (MemberId, Standing)> + '_ {
        let told = self.0.iter().map(move |(member, record)| (*member, record.standing(now)));
        told.filter(|(_, standing)| *standing != Standing::Good)
    }

    /// Whether to wait where this member says that somebody fetches.
    pub(crate) fn believes(&self, member: &MemberId, now: Millis) -> bool {
        self.0.get(member).is_none_or(|record| record.disbelieved_until <= now)
    }

    /// Whether to wait where this member tells everybody that it fetches.
    pub(crate) fn believes_hearsay(&self, member: &MemberId, now: Millis) -> bool {
        self.0.get(member).is_none_or(|record| record.doubted_until <= now)
    }

    /// Gives the span for which the member is to be expelled, where that is due.
    pub(crate) fn offended(&mut self, member: MemberId, offence: Offence, now: Millis) -> Option<Duration> {
        let record = self.record(member, now);
        match offence.points() {
            Some(points) => record.offend(points, now),
            None => {
                record.weigh(true, now);
                None
            }
        }
    }

    /// A question is put to it. While it rests it is asked once in a while; no second question follows the first.
    pub(crate) fn asked(&mut self, member: &MemberId, now: Millis) {
        let Some(record) = self.0.get_mut(member) else { return };
        if let Some((until, span)) = record.rest {
            record.rest = Some((until.max(now.after(span)), span));
        }
    }

    /// It answered a question.
    pub(crate) fn answered(&mut self, member: MemberId, late: bool, now: Millis) {
        if !late && !self.0.contains_key(&member) {
            return;
        }
        let record = self.record(member, now);
        record.revive();
        record.weigh(late, now);
    }

    /// It was turned away from before it answered.
    pub(crate) fn overdue(&mut self, member: MemberId, now: Millis) {
        self.record(member, now).weigh(true, now);
    }

    /// A question had no answer.
    pub(crate) fn failed(&mut self, member: MemberId, now: Millis) {
        self.record(member, now).fail(now);
    }

    /// It kept a lookup waiting to the end of this node's patience.
    pub(crate) fn misled(&mut self, member: MemberId, now: Millis) {
        self.record(member, now).disbelieved_until = now.after(DISBELIEF);
    }

    /// It kept a lookup waiting that had heard of its fetch as everybody did. It may have been slow only, so that nothing else is
    /// held against it.
    pub(crate) fn kept_waiting(&mut self, member: MemberId, now: Millis) {
        self.record(member, now).doubted_until = now.after(DISBELIEF);
    }

    /// It connected: what it did not answer before says nothing of it now.
    pub(crate) fn joined(&mut self, member: &MemberId) {
        self.0.get_mut(member).into_iter().for_each(Record::revive);
    }

    fn record(&mut self, member: MemberId, now: Millis) -> &mut Record {
        if self.0.len() >= MAX_RECORDS && !self.0.contains_key(&member) {
            let least = self.0.iter().min_by_key(|(_, record)| record.burden(now)).map(|(member, _)| *member);
            if let Some(least) = least {
                self.0.remove(&least);
            }
        }
        self.0.entry(member).or_default()
    }
}

#[cfg(test)]
#[path = "reputation_tests.rs"]
mod tests;
