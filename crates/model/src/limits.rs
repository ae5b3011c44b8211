//! Every bound that both ends of a protocol must agree on, in one place.

/// Largest answer that is cached, in bytes of body (32 MiB). A larger one streams through.
pub const MAX_BODY_BYTES: u64 = 32 * 1024 * 1024;

/// Bodies up to this size travel inside the record that announces them; larger ones are pulled by CID.
pub const MAX_INLINE_BODY_BYTES: usize = 16 * 1024;

/// Largest gossip message, sealed (24 KiB): an inline body and its record, with room for the envelope.
pub const MAX_GOSSIP_BYTES: usize = 24 * 1024;

/// Bytes in one chunk of a body that is pulled by CID (256 KiB): about 2 ms on a 1 Gbit/s link.
pub const CHUNK_BYTES: u32 = 256 * 1024;

/// Largest have-you-got request, sealed. A request may carry one pushed record with its inline body.
pub const MAX_REQUEST_BYTES: usize = 32 * 1024;

/// Largest have-you-got response, sealed: one chunk, with room for the envelope.
pub const MAX_RESPONSE_BYTES: usize = CHUNK_BYTES as usize + 8 * 1024;

/// Most representations of one key that are told of with a lease: a few hundred bytes each.
pub const MAX_KNOWN: usize = 4;

/// Most headers that one representation carries.
pub const MAX_HEADERS: usize = 16;

/// Longest name or value of one shared header, in bytes. GitHub's longest `Link` values stay under 2 KiB.
pub const MAX_HEADER_BYTES: usize = 4 * 1024;

/// Most scopes (path prefixes) that one entry or invalidation names.
pub const MAX_SCOPES: usize = 32;

/// Longest request target (path and query) that is cached, in bytes. A longer one passes through.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Longest name of a host, in bytes (RFC 1035 §2.3.4: 255 octets), with room for a port.
pub const MAX_HOST_BYTES: usize = 264;

/// Most buckets that one word on rate limits names. GitHub has about 15.
pub const MAX_BUCKETS: usize = 32;

/// Longest name of a bucket, in bytes. GitHub's longest has 30.
pub const MAX_BUCKET_NAME_BYTES: usize = 64;

/// Most buckets in which two members compare what they hold: 16 KiB of sums.
pub const MAX_SUMMARIES: usize = 2048;

/// Most items that one response lists (240 KiB), and so that members compare: of more, the newest.
pub const MAX_LISTED: usize = 10_240;

/// Most items that one request pulls. Their records are verified one after the other, about 50 µs each.
pub const MAX_PULLED: usize = 64;

/// Most addresses that one member tells of itself.
pub const MAX_PRESENCE_ADDRESSES: usize = 3;

/// Longest multiaddr of those, in bytes: a name of 255 with protocols and a peer id around it.
pub const MAX_ADDRESS_BYTES: usize = 384;
