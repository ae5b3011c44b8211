//! The membership gate: a connection comes into being only between holders of one mesh secret.
//!
//! It stands after the transport's own handshake, before the swarm: the dialer opens the first substream, both sides send a
//! nonce, the dialer proves that it holds a key, then the listener. Each asks the swarm's task before it proves, so that no member
//! gets a second connection and none that is kept out gets one. Who fails is no connection: no behaviour sees it, so there
//! is no identify, no Kademlia insert, no gossip and no have-you-got for a stranger. The proofs are computed in
//! `ghmesh_seal`; `docs/protocol.md` has the exchange byte by byte. The gate knows no transport but by name, so every
//! transport can stand under it.

use crate::connections::{End, Pass};
use crate::identity::member_id;
use crate::rings::Rings;
use crate::status::OtherKind;
use futures::{AsyncReadExt, AsyncWriteExt};
use ghmesh_seal::{GATE_NONCE_BYTES, KeyRing, Role, Transcript, Transport};
use libp2p::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// For the whole exchange: two round trips, so even a satellite link makes it.
const LIMIT: Duration = Duration::from_secs(2);
/// Of that, for the other end to hang up once it was told that the connection is not wanted.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes of a proof.
const PROOF_BYTES: usize = 32;
/// In place of a proof: "another connection of ours is there or coming up". Says nothing of membership; no HMAC is zero.
const REDUNDANT: [u8; PROOF_BYTES] = [0; PROOF_BYTES];
/// In place of a listener's proof: "you are a member, and kept out for a while". Said only to who has proved membership.
const EXPELLED: [u8; PROOF_BYTES] = [0xff; PROOF_BYTES];

/// The gate asks the swarm's task whether `peer` may have a connection. Unanswered, it may not.
#[derive(Debug)]
pub(crate) struct Plea {
    pub(crate) peer: PeerId,
    pub(crate) end: End,
    pub(crate) answer: oneshot::Sender<Result<Pass, Denial>>,
}

/// Why the swarm's task does not want a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// There is another, or one is coming up.
    Redundant,
    /// The member is kept out.
    Expelled,
}

/// Why a connection did not come into being.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    /// It broke.
    #[error("it ended the membership proof: of another mesh, or not a node of ghmesh ({0})")]
    Broken(#[from] io::Error),
    /// Nothing, or too little, in time.
    #[error("no membership proof within {} s: not a node of ghmesh, or too slow", LIMIT.as_secs())]
    TimedOut,
    /// The proof is not one of this mesh.
    #[error("not a member of this mesh: it has another secret or cluster name")]
    Stranger,
    /// It took part until it had seen this node's proof.
    #[error("it refused the membership proof: of another mesh (another secret or cluster name), or too busy")]
    Refused,
    /// One connection is enough.
    #[error("{0} is connected already, or about to be")]
    Redundant(PeerId),
    /// This node keeps the member out.
    #[error("{0} is kept out here for a while, as it misbehaved")]
    Exile(PeerId),
    /// The member keeps this node out.
    #[error("it keeps this node out for a while, as this node misbehaved there")]
    Expelled,
    /// The peer's key is not Ed25519.
    #[error("its key is not Ed25519, so it is no node of ghmesh")]
    KeyType,
}

/// The leave to go on, and the keys of the secret that the peer has proved to hold.
type Proved = (Pass, KeyRing);

/// Who did not get in, or let nobody in, and why. The peer id is what the transport's handshake authenticated.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Refusal {
    pub(crate) peer: PeerId,
    pub(crate) error: GateError,
}

/// What both sides need for the exchange.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) local: PeerId,
    /// The current mesh secret's proves for a dialer; the others are accepted from dialers while secrets rotate.
    pub(crate) rings: Rings,
    pub(crate) transport: Transport,
    /// Who decides between several connections to one member.
    pub(crate) pleas: mpsc::Sender<Plea>,
}

impl Gate {
    /// Lets `peer`, which the handshake authenticated, in or not.
    pub(crate) async fn admit(
        self,
        (peer, mut muxer): (PeerId, StreamMuxerBox),
        endpoint: ConnectedPoint,
    ) -> Result<(PeerId, StreamMuxerBox), Refusal> {
        // Dialling oneself is no matter of membership: the swarm recognises and reports it.
        if peer == self.local {
            return Ok((peer, muxer));
        }
        let (pass, ring) =
            self.examine(peer, &mut muxer, endpoint.is_dialer()).await.map_err(|error| Refusal { peer, error })?;
        self.rings.prove(peer, ring.label());
        pass.use_up();
        Ok((peer, muxer))
    }

    async fn examine(&self, peer: PeerId, muxer: &mut StreamMuxerBox, dials: bool) -> Result<Proved, GateError> {
        member_id(&peer).ok_or(GateError::KeyType)?;
        let exchange = self.exchange(peer, muxer, dials);
        tokio::time::timeout(LIMIT, exchange).await.map_err(|_| GateError::TimedOut)?
    }

    async fn exchange(&self, peer: PeerId, muxer: &mut StreamMuxerBox, dials: bool) -> Result<Proved, GateError> {
        let stream = first_substream(muxer, dials).await?;
        if dials {
            let proved = AtomicBool::new(false);
            let outcome = drive(muxer, self.prove_first(peer, stream, &proved)).await;
            outcome.map_err(|error| if proved.into_inner() { error.after_our_proof() } else { error })
        } else {
            drive(muxer, self.prove_second(peer, stream)).await
        }
    }

    async fn prove_first(
        &self,
        listener: PeerId,
        mut stream: SubstreamBox,
        proved: &AtomicBool,
    ) -> Result<Proved, GateError> {
        let mine: [u8; GATE_NONCE_BYTES] = rand::random();
        send(&mut stream, &mine).await?;
        let theirs = receive::<GATE_NONCE_BYTES>(&mut stream).await?;
        let transcript = self.transcript(Role::Dialer, (mine, self.local), (theirs, listener));
        let ring = self.rings.current();
        let pass = self.plead(listener, End::Dialer, &mut stream).await?;
        proved.store(true, Ordering::Relaxed);
        send(&mut stream, &ring.gate_proof(&transcript)).await?;
        let proof = receive_proof(listener, &mut stream).await?;
        if !ring.verify_gate(&Transcript { role: Role::Listener, ..transcript }, &proof) {
            return Err(GateError::Stranger);
        }
        stream.close().await?;
        Ok((pass, ring))
    }

    async fn prove_second(&self, dialer: PeerId, mut stream: SubstreamBox) -> Result<Proved, GateError> {
        let mine: [u8; GATE_NONCE_BYTES] = rand::random();
        let theirs = receive::<GATE_NONCE_BYTES>(&mut stream).await?;
        let nonce_at = Instant::now();
        send(&mut stream, &mine).await?;
        let proof = receive_proof(dialer, &mut stream).await?;
        let transcript = self.transcript(Role::Dialer, (theirs, dialer), (mine, self.local));
        let rings = self.rings.held();
        let ring = rings.iter().find(|ring| ring.verify_gate(&transcript, &proof)).ok_or(GateError::Stranger)?;
        let pass = self.plead(dialer, End::Listener { nonce_at }, &mut stream).await?;
        send(&mut stream, &ring.gate_proof(&Transcript { role: Role::Listener, ..transcript })).await?;
        // A dropped stream would be reset; a closed one still delivers the proof.
        stream.close().await?;
        Ok((pass, ring.clone()))
    }

    /// Asks whether the connection is wanted; tells the peer if it is not.
    async fn plead(&self, peer: PeerId, end: End, stream: &mut SubstreamBox) -> Result<Pass, GateError> {
        let (answer, answered) = oneshot::channel();
        // A task that is gone answers nothing, as one that refuses.
        let _ = self.pleas.send(Plea { peer, end, answer }).await;
        let (word, error) = match (answered.await.unwrap_or(Err(Denial::Redundant)), end) {
            (Ok(pass), _) => return Ok(pass),
            (Err(Denial::Redundant), _) => (REDUNDANT, GateError::Redundant(peer)),
            (Err(Denial::Expelled), End::Listener { .. }) => (EXPELLED, GateError::Exile(peer)),
            // Who is dialled has proved nothing yet, and is told nothing.
            (Err(Denial::Expelled), End::Dialer) => return Err(GateError::Exile(peer)),
        };
        send(stream, &word).await?;
        stream.close().await?;
        // Who has the word hangs up. Until then the connection must be driven, or the word would not leave.
        let _ = tokio::time::timeout(FAREWELL, stream.read(&mut [0])).await;
        Err(error)
    }

    fn transcript(&self, role: Role, dialer: ([u8; 32], PeerId), listener: ([u8; 32], PeerId)) -> Transcript {
        Transcript {
            transport: self.transport,
            role,
            dialer_nonce: dialer.0,
            listener_nonce: listener.0,
            dialer: dialer.1.to_bytes(),
            listener: listener.1.to_bytes(),
        }
    }
}

impl GateError {
    /// What it means that the exchange broke once the listener had our proof: it answers a good one.
    fn after_our_proof(self) -> Self {
        match self {
            GateError::Broken(_) => GateError::Refused,
            other => other,
        }
    }

    /// What the other end seems to be; none where it is a member.
    pub(crate) fn kind(&self) -> Option<OtherKind> {
        match self {
            GateError::Stranger | GateError::Refused => Some(OtherKind::OtherMesh),
            GateError::Broken(_) | GateError::TimedOut | GateError::KeyType => Some(OtherKind::Foreign),
            GateError::Redundant(_) | GateError::Exile(_) | GateError::Expelled => None,
        }
    }
}

async fn first_substream(muxer: &mut StreamMuxerBox, dials: bool) -> io::Result<SubstreamBox> {
    poll_fn(|cx| {
        let stream = if dials { muxer.poll_outbound_unpin(cx) } else { muxer.poll_inbound_unpin(cx) };
        match stream {
            Poll::Ready(stream) => Poll::Ready(stream),
            Poll::Pending => poll_connection(muxer, cx).map(Err),
        }
    })
    .await
}

/// Runs `exchange` while the connection under its substream moves on.
async fn drive<T>(
    muxer: &mut StreamMuxerBox,
    exchange: impl Future<Output = Result<T, GateError>>,
) -> Result<T, GateError> {
    let mut exchange = pin!(exchange);
    poll_fn(|cx| match exchange.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome),
        Poll::Pending => poll_connection(muxer, cx).map(|error| match exchange.as_mut().poll(cx) {
            // It has just ended, as the other end hung up.
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Err(error.into()),
        }),
    })
    .await
}

/// Ready only with the error that ended the connection.
fn poll_connection(muxer: &mut StreamMuxerBox, cx: &mut Context<'_>) -> Poll<io::Error> {
    loop {
        match muxer.poll_unpin(cx) {
            Poll::Ready(Ok(_address_change)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending => return Poll::Pending,
        }
    }
}

async fn send(stream: &mut SubstreamBox, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn receive_proof(from: PeerId, stream: &mut SubstreamBox) -> Result<[u8; PROOF_BYTES], GateError> {
    let proof = receive(stream).await?;
    match proof {
        REDUNDANT => Err(GateError::Redundant(from)),
        EXPELLED => Err(GateError::Expelled),
        proof => Ok(proof),
    }
}

async fn receive<const N: usize>(stream: &mut SubstreamBox) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
