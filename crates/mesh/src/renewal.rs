//! A connection that stands is proved anew, when the secret under which it came into being was dropped.
//!
//! Closing it and letting the member come back through the gate would do as well, but for what is lost in between: gossip on its
//! way, questions that wait. So the node that has dropped a secret asks each member, under the secret that it still holds, for
//! the gate's proof over this connection's two ends. Who can't open the question can't answer it; who relays it proves
//! nothing, since both peer ids stand under the proof as the handshakes gave them.

use crate::letters;
use crate::rings::{RETIREMENT, Rings};
use crate::task::Command;
use ghmesh_model::wire::{Request, Response};
use ghmesh_seal::{KeyRing, Role, Transcript, Transport};
use libp2p::PeerId;
use tokio::sync::{mpsc, oneshot};

/// Questions to one member, as long as it gives no proof: one may be lost to a full queue. More would look like garbage to who can't
/// open them.
const TRIES: u32 = 2;

/// The proof that `answers` owes to `asks`.
fn transcript((asks, asked): (PeerId, [u8; 32]), (answers, answered): (PeerId, [u8; 32])) -> Transcript {
    Transcript {
        transport: Transport::Tcp,
        role: Role::Renewer,
        dialer_nonce: asked,
        listener_nonce: answered,
        dialer: asks.to_bytes(),
        listener: answers.to_bytes(),
    }
}

/// This node's answer to `peer`, that asked with `nonce` under `ring`.
pub(crate) fn answer(ring: &KeyRing, peer: PeerId, local: PeerId, nonce: [u8; 32]) -> Response {
    let mine = rand::random();
    let mac = ring.gate_proof(&transcript((peer, nonce), (local, mine)));
    Response::Proof { nonce: mine, mac }
}

/// Asks `peer` until it proves that it holds the current secret, or time is up. The outcome stands in [`Rings::is_proved`].
pub(crate) async fn renew(rings: Rings, local: PeerId, peer: PeerId, commands: mpsc::WeakSender<Command>) {
    for _ in 0..TRIES {
        let once = ask(&rings, local, peer, &commands);
        if tokio::time::timeout(RETIREMENT, once).await.ok().flatten().is_some() {
            return;
        }
        tokio::time::sleep(RETIREMENT / (2 * TRIES)).await;
    }
    tracing::debug!(%peer, "a member has not proved that it holds the secret");
}

async fn ask(rings: &Rings, local: PeerId, peer: PeerId, commands: &mpsc::WeakSender<Command>) -> Option<()> {
    let (ring, mine) = (rings.current(), rand::random());
    let (id, sealed) = letters::seal_request(&ring, Request::Renew { nonce: mine }).ok()?;
    let (answer, answered) = oneshot::channel();
    commands.upgrade()?.send(Command::Ask { peer, sealed, records: 0, answer }).await.ok()?;
    let sealed = answered.await.ok()?.ok()?;
    let Ok(Response::Proof { nonce, mac }) = letters::open_response(&ring, id, &sealed) else { return None };
    if !ring.verify_gate(&transcript((local, mine), (peer, nonce)), &mac) {
        return None;
    }
    rings.prove(peer, ring.label());
    Some(())
}
