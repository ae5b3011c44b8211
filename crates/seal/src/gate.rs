//! What the membership gate proves: that both ends of one connection hold the same mesh key.
//!
//! The proof is an HMAC over everything that makes the connection this one: version, transport, who speaks, both nonces, both
//! peer ids as the handshake gave them. So a proof can't be replayed on another connection, reflected to its author, or
//! relayed by somebody in between. `mesh` exchanges the messages; this computes them.

/// First byte under every proof: the gate's version.
const VERSION: u8 = 1;
/// Bytes of each side's nonce.
pub const NONCE_BYTES: usize = 32;

/// The transport under the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP with Noise and yamux.
    Tcp,
    /// QUIC with TLS.
    Quic,
}

/// Who proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that opened the connection; it proves first.
    Dialer,
    /// The end that accepted it.
    Listener,
    /// The end of a connection that stands, asked to prove itself anew after secrets were dropped. Who asks stands in the dialer's
    /// place, and TCP in the transport's, whatever the connection runs over.
    Renewer,
}

/// One connection, seen the same way from both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// What the connection runs over.
    pub transport: Transport,
    /// Whose proof this is.
    pub role: Role,
    /// The dialer's random nonce.
    pub dialer_nonce: [u8; NONCE_BYTES],
    /// The listener's random nonce.
    pub listener_nonce: [u8; NONCE_BYTES],
    /// The dialer's peer id (its bytes), from the handshake, never from a message.
    pub dialer: Vec<u8>,
    /// The listener's peer id (its bytes), from the handshake.
    pub listener: Vec<u8>,
}

impl Transcript {
    /// The bytes under the HMAC; what varies in length has its length (8 bytes, big-endian) before it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"ghmesh/gate\0".to_vec();
        bytes.push(VERSION);
        bytes.push(match self.transport {
            Transport::Tcp => 1,
            Transport::Quic => 2,
        });
        bytes.push(match self.role {
            Role::Dialer => 1,
            Role::Listener => 2,
            Role::Renewer => 3,
        });
        bytes.extend_from_slice(&self.dialer_nonce);
        bytes.extend_from_slice(&self.listener_nonce);
        for peer in [&self.dialer, &self.listener] {
            bytes.extend_from_slice(&(peer.len() as u64).to_be_bytes());
            bytes.extend_from_slice(peer);
        }
        bytes
    }
}
