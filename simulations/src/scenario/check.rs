//! What the types of a scenario can't say.

use super::{Scenario, Span};

impl Scenario {
    /// The first key that makes no sense.
    pub(super) fn senseless(&self) -> Option<String> {
        let span = self.spans().into_iter().find(|(_, Span(low, high))| low > high || high - low == u64::MAX);
        let share = self.shares().into_iter().find(|(_, share)| !(0.0..=1.0).contains(share));
        let count = self.counts().into_iter().find(|(_, count)| *count == 0);
        let beyond = self.indexes().into_iter().find(|(_, index, count)| index >= count);
        let event = self.events.iter().any(|event| event.what().is_none());
        let owned = |what: &str| what.to_owned();
        span.map(|(what, _)| what)
            .or_else(|| share.map(|(what, _)| owned(what)))
            .or_else(|| count.map(|(what, _)| owned(what)))
            .or_else(|| beyond.map(|(what, _, _)| owned(what)))
            .or_else(|| event.then(|| owned("events: an event that is not exactly one thing")))
    }

    fn spans(&self) -> Vec<(String, Span)> {
        let network = &self.network;
        let expect = &self.expect;
        let mut spans = vec![
            ("network.latency_us", network.latency_us),
            ("network.relay_us", network.relay_us),
            ("network.handover_us", network.handover_us),
            ("network.join_ms", network.join_ms),
            ("network.detect_ms", network.detect_ms),
            ("origin.latency_ms", self.origin.latency_ms),
            ("polls.spread_ms", self.polls.spread_ms),
        ];
        spans.extend(
            self.churn
                .iter()
                .flat_map(|churn| [("churn.start_every_ms", churn.start_every_ms), ("churn.life_ms", churn.life_ms)]),
        );
        spans.extend(self.events.iter().map(|event| ("events.at_ms", event.at_ms)));
        let expected = [
            ("expect.calls", expect.calls),
            ("expect.charged", expect.charged),
            ("expect.overcharged", expect.overcharged),
            ("expect.doubled", expect.doubled),
            ("expect.saved_percent", expect.saved_percent),
            ("expect.saved_charges_percent", expect.saved_charges_percent),
            ("expect.failures", expect.failures),
            ("expect.failures_without", expect.failures_without),
            ("expect.outdated_permille", expect.outdated_permille),
            ("expect.expulsions", expect.expulsions),
            ("expect.alone", expect.alone),
        ];
        spans.extend(expected.into_iter().filter_map(|(what, span)| Some((what, span?))));
        spans.into_iter().map(|(what, span)| (what.to_owned(), span)).collect()
    }

    fn shares(&self) -> Vec<(&'static str, f64)> {
        let killed = self.churn.map_or(0.0, |churn| churn.killed);
        vec![("network.loss", self.network.loss), ("origin.failures", self.origin.failures), ("churn.killed", killed)]
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let first = |span: Span| span.0;
        vec![
            ("nodes", u64::from(self.nodes)),
            ("keys", self.targets().len() as u64),
            ("polls.every_ms", self.polls.every_ms),
            ("network.degree", u64::from(self.network.degree.unwrap_or(1))),
            ("origin.change_every_ms", self.origin.change_every_ms.unwrap_or(1)),
            ("rights.credentials", u64::from(self.rights.credentials)),
            ("rights.each", u64::from(self.rights.each)),
            ("churn.start_every_ms", self.churn.map_or(1, |churn| first(churn.start_every_ms))),
            ("events.every_ms", self.events.iter().filter_map(|event| event.every_ms).min().unwrap_or(1)),
            ("events.split", self.events.iter().filter_map(|event| event.split).map(u64::from).min().unwrap_or(1)),
        ]
    }

    /// What numbers a key or a credential, and how many there are.
    fn indexes(&self) -> Vec<(&'static str, u64, u64)> {
        let keys = self.targets().len() as u64;
        let credentials = u64::from(self.rights.credentials);
        let rights = self.rights.denied.iter().chain(self.events.iter().filter_map(|event| event.rights.as_ref()));
        let mut indexes: Vec<_> = rights
            .flat_map(|change| {
                [
                    ("rights.key", u64::from(change.key), keys),
                    ("rights.credential", u64::from(change.credential), credentials),
                ]
            })
            .collect();
        let writes = self.events.iter().filter_map(|event| event.write);
        indexes.extend(writes.map(|write| ("events.write.key", u64::from(write.key), keys)));
        let byzantine: u32 = self.byzantine.iter().map(|byzantine| byzantine.nodes).sum();
        indexes.push(("byzantine.nodes", u64::from(byzantine), u64::from(self.nodes)));
        indexes
    }
}
