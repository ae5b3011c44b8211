//! GitHub's secondary limits, divided among the nodes that use a credential, without anybody who divides.
//!
//! "No more than 100 concurrent requests are allowed. […] No more than 900 points per minute are allowed for REST API endpoints.
//! […] Most REST API GET, HEAD, and OPTIONS requests: 1. Most REST API POST, PATCH, PUT, or DELETE requests: 5. GraphQL requests
//! without mutations: 1. GraphQL requests with mutations: 5." (GitHub, "Rate limits for the REST API")
//!
//! Every node takes the same part, as it counts the others by what they say. For its first moments with a credential, in which
//! they can't have heard of each other, all members that are connected count as users ([`SETTLING`]).

use ghmesh_model::Millis;
use std::collections::VecDeque;
use std::time::Duration;

/// Requests in flight at once, per credential.
pub const MAX_IN_FLIGHT: u32 = 100;

/// Points in any minute, per credential.
pub const MAX_POINTS: u32 = 900;

/// What a request that changes nothing costs.
pub const READ_POINTS: u32 = 1;

/// What a request that may change something costs.
pub const WRITE_POINTS: u32 = 5;

/// How long a node that begins to use a credential counts every member as a user: gossip reaches a fleet within that time
/// (30 nodes: milliseconds; a lost message is repeated after a second's heartbeat).
pub const SETTLING: Duration = Duration::from_secs(1);

const MINUTE_SECONDS: u64 = 60;

/// One node's part of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Requests in flight.
    pub in_flight: u32,
    /// Points a minute.
    pub points: u32,
}

/// The part of one of `users` nodes. At least 1: a node that may send nothing would be of no use.
pub fn share(users: u32) -> Share {
    let part = |limit: u32| (limit / users.max(1)).max(1);
    Share { in_flight: part(MAX_IN_FLIGHT), points: part(MAX_POINTS) }
}

/// What one node spent with one credential, second by second of the last minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// At most [`MINUTE_SECONDS`] + 1 seconds, the oldest first.
    seconds: VecDeque<(u64, u32)>,
}

impl Pace {
    /// Notes a request.
    pub fn spend(&mut self, points: u32, now: Millis) {
        self.forget(now);
        let second = now.0 / 1000;
        match self.seconds.back_mut() {
            Some((last, spent)) if *last >= second => *spent = spent.saturating_add(points),
            Some(_) | None => self.seconds.push_back((second, points)),
        }
    }

    /// How long to wait until `points` more fit into the last minute; `None` where they do now. A request that costs more than
    /// the whole share fits into an empty minute.
    pub fn wait(&mut self, points: u32, share: u32, now: Millis) -> Option<Duration> {
        self.forget(now);
        let mut spent = self.seconds.iter().fold(0_u32, |sum, (_, spent)| sum.saturating_add(*spent));
        let fits = |spent: u32| spent == 0 || spent.saturating_add(points) <= share;
        let mut left = self.seconds.iter();
        let mut until = None;
        while !fits(spent) {
            let (second, gone) = left.next()?;
            spent -= gone;
            until = Some(Millis((second + MINUTE_SECONDS + 1) * 1000));
        }
        until?.since(now)
    }

    fn forget(&mut self, now: Millis) {
        let second = now.0 / 1000;
        while self.seconds.front().is_some_and(|(then, _)| then + MINUTE_SECONDS < second) {
            self.seconds.pop_front();
        }
    }
}
