//! The ring of keys that one mesh secret gives, and what is done with each.

use crate::derive::{Key, Root, equal, mac};
use crate::envelope::{self, NONCE_BYTES, OpenError, Packing};
use crate::gate::Transcript;
use crate::secret::Secret;
use std::fmt::{self, Write};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What scrypt costs, for us once a start and for a guesser once a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    log_n: u8,
    r: u32,
    p: u32,
}

impl Cost {
    /// N = 2^17, r = 8, p = 1: 128 MiB and about 0.4 s. Every mesh uses it; with another cost nodes don't find each other.
    pub const PRODUCTION: Cost = Cost { log_n: 17, r: 8, p: 1 };
    /// N = 2^4: for tests only, where unoptimised scrypt takes seconds.
    pub const TEST: Cost = Cost { log_n: 4, r: 8, p: 1 };
}

/// Derives the ring of `secret` for the cluster named `cluster`. Takes [`Cost`]'s time and memory: not for an async thread.
pub fn derive(secret: &Secret, cluster: &str, cost: Cost) -> KeyRing {
    let params = scrypt::Params::new(cost.log_n, cost.r, cost.p).expect("both costs are valid parameters");
    let salt = format!("ghmesh/1/{cluster}");
    let mut root = Zeroizing::new([0; 32]);
    scrypt::scrypt(secret.bytes(), salt.as_bytes(), &params, root.as_mut_slice())
        .expect("scrypt gives outputs of 32 bytes");
    KeyRing::from_root(&root)
}

/// What an envelope is for. Each purpose has its own key, and its number is in the associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A gossip message.
    Gossip,
    /// A have-you-got request.
    Request,
    /// The response to one.
    Response,
    /// Addresses of members, left where strangers keep them. Never compressed: its length must not tell what is in it.
    Rendezvous,
}

impl Purpose {
    fn number(self) -> u8 {
        match self {
            Purpose::Gossip => 1,
            Purpose::Request => 2,
            Purpose::Response => 3,
            Purpose::Rendezvous => 4,
        }
    }

    fn packing(self) -> Packing {
        match self {
            Purpose::Gossip | Purpose::Request | Purpose::Response => Packing::Smallest,
            Purpose::Rendezvous => Packing::Plain,
        }
    }
}

/// All keys of one mesh secret. A clone is another handle; the keys are zeroized with the last one. `Debug` shows the label.
#[derive(Clone)]
pub struct KeyRing(Arc<Keys>);

/// The key under which one credential's validations are made. Wiped when it is dropped; never printed.
pub struct ValidationKey(Key);

impl ValidationKey {
    /// [`KeyRing::validation_mac`] of `input` for this credential.
    pub fn make(&self, input: &[u8]) -> [u8; 32] {
        mac(&self.0, &[input])
    }

    /// Whether `claimed` is [`KeyRing::validation_mac`] of `input` for this credential, in constant time.
    pub fn verify(&self, input: &[u8], claimed: &[u8]) -> bool {
        equal(&mac(&self.0, &[input]), claimed)
    }
}

impl fmt::Debug for ValidationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValidationKey(…)")
    }
}

struct Keys {
    label: String,
    topic: String,
    gossip: Key,
    request: Key,
    response: Key,
    key_hash: Key,
    fingerprint_hash: Key,
    validation: Key,
    membership: Key,
    rendezvous: Key,
    rendezvous_names: Key,
}

impl KeyRing {
    fn from_root(root: &[u8; 32]) -> Self {
        let root = Root::new(root);
        // Half of the bytes: a label need only differ from other meshes' labels.
        let namespace = root.key("ghmesh/1/namespace");
        let label = namespace.0[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        });
        KeyRing(Arc::new(Keys {
            topic: format!("ghmesh/1/{label}"),
            label,
            gossip: root.key("ghmesh/1/seal/gossip"),
            request: root.key("ghmesh/1/seal/request"),
            response: root.key("ghmesh/1/seal/response"),
            key_hash: root.key("ghmesh/1/hash/key"),
            fingerprint_hash: root.key("ghmesh/1/hash/fingerprint"),
            validation: root.key("ghmesh/1/validation"),
            membership: root.key("ghmesh/1/membership"),
            rendezvous: root.key("ghmesh/1/rendezvous/seal"),
            rendezvous_names: root.key("ghmesh/1/rendezvous/name"),
        }))
    }

    /// The mesh's label: 32 hexadecimal digits. Not secret (identify tells it to anyone) and no access control.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// The gossipsub topic: `ghmesh/1/<label>`.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// W: a cache key as it travels.
    pub fn wire_key(&self, key: &[u8; 32]) -> [u8; 32] {
        mac(&self.0.key_hash, &[key])
    }

    /// F: a credential (the whole `Authorization` value) as it travels. It confirms guesses to every member, so callers must
    /// send it only for token formats that can't be guessed.
    pub fn fingerprint(&self, credential: &[u8]) -> [u8; 32] {
        mac(&self.0.fingerprint_hash, &[credential])
    }

    /// What makes and checks the validations of one credential, without the credential itself.
    pub fn validation_key(&self, credential: &[u8]) -> ValidationKey {
        ValidationKey(Root::salted(&self.0.validation, credential).key("ghmesh/1/validation/credential"))
    }

    /// The MAC of a validation over `input`, keyed from the credential and the mesh. Only who holds both can make or check it.
    pub fn validation_mac(&self, credential: &[u8], input: &[u8]) -> [u8; 32] {
        self.validation_key(credential).make(input)
    }

    /// Whether `mac` is [`KeyRing::validation_mac`] of the same, in constant time.
    pub fn verify_validation(&self, credential: &[u8], input: &[u8], mac: &[u8]) -> bool {
        self.validation_key(credential).verify(input, mac)
    }

    /// Seals a message to every member. `nonce` must be random: it is never checked for repetition.
    pub fn seal(&self, purpose: Purpose, nonce: [u8; NONCE_BYTES], plaintext: &[u8]) -> Vec<u8> {
        envelope::seal(self.key_for(purpose), &self.aad(purpose), nonce, plaintext, purpose.packing())
    }

    /// Opens what a member sealed for `purpose`. `limit` bounds the message in bytes, decompressed.
    ///
    /// # Errors
    /// [`OpenError`]; each is a reason to distrust the sender, none says more than that.
    pub fn open(&self, purpose: Purpose, envelope: &[u8], limit: usize) -> Result<Vec<u8>, OpenError> {
        envelope::open(self.key_for(purpose), &self.aad(purpose), envelope, limit)
    }

    /// The membership proof for one side of a connection.
    pub fn gate_proof(&self, transcript: &Transcript) -> [u8; 32] {
        mac(&self.0.membership, &[&transcript.bytes()])
    }

    /// Whether `proof` is [`KeyRing::gate_proof`] of the same, in constant time.
    pub fn verify_gate(&self, transcript: &Transcript, proof: &[u8; 32]) -> bool {
        equal(&self.gate_proof(transcript), proof)
    }

    /// The seed of the Ed25519 key that names the place where members meet in this `slot` of time, one of several (`shard`).
    /// Without the ring neither the place can be found, nor can two places be told to belong together.
    pub fn rendezvous_seed(&self, slot: u64, shard: u8) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(mac(&self.0.rendezvous_names, &[&slot.to_be_bytes(), &[shard]]))
    }

    fn key_for(&self, purpose: Purpose) -> &Key {
        match purpose {
            Purpose::Gossip => &self.0.gossip,
            Purpose::Request => &self.0.request,
            Purpose::Response => &self.0.response,
            Purpose::Rendezvous => &self.0.rendezvous,
        }
    }

    /// Version, purpose, label.
    fn aad(&self, purpose: Purpose) -> Vec<u8> {
        [&[envelope::VERSION, purpose.number()], self.0.label.as_bytes()].concat()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("label", &self.0.label).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
