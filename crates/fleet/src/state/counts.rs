//! What others may know of the state machine: what it has counted, and what it holds.

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lookups that went to the origin because members did not answer in time or not usefully.
    pub fail_opens: u64,
    /// Leases granted to other members.
    pub leases_granted: u64,
    /// Lookups that waited for another node's fetch.
    pub waits: u64,
    /// Lookups that asked a standby because the owner was slow.
    pub hedges: u64,
    /// Lookups that waited for the body of another credential's fetch.
    pub follows: u64,
    /// Times that a member was expelled.
    pub expulsions: u64,
}

/// What is held at present. All zero where nothing is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Lookups under way.
    pub lookups: usize,
    /// Questions whose answers are awaited: a few for each lookup.
    pub asks: usize,
    /// Fetches, of this node's or of others, that this node tells of.
    pub leases: usize,
    /// Deadlines: at most three for each lookup and one for each lease.
    pub timers: usize,
}
