//! A cable that takes time: two TAP devices, and between them frames that wait. (The kernel's own `netem` is not everywhere.)

use super::commands::ip;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// Frames under way in one direction. When full, the next ones are lost, as in any router.
const MAX_UNDER_WAY: usize = 4096;
/// The longest frame: an Ethernet header and the usual 1,500 bytes. Without offloads the kernel sends none longer.
const MAX_FRAME: usize = 1514;

/// How long a frame takes from one end to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The shortest time.
    pub least: Duration,
    /// Up to so much more, for each frame by itself: one that takes less overtakes one before it.
    pub jitter: Duration,
}

/// Lays a cable between a port of a switch and a host's device. It ends with either namespace.
pub(super) fn lay((switch, port): (&str, &str), (host, device, mac): (&str, &str, &str), delay: Delay) {
    let (outer, inner) = (tap(switch, port), tap(host, device));
    ip(&["-n", host, "link", "set", device, "address", mac]);
    carry(outer.clone(), inner.clone(), delay);
    carry(inner, outer, delay);
}

/// A TAP device of that name in that namespace.
fn tap(namespace: &str, device: &str) -> Arc<SyncDevice> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("gm{}t{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let tap = DeviceBuilder::new().name(&name).layer(Layer::L2).build_sync().expect("root may make TAP devices");
    ip(&["link", "set", &name, "netns", namespace, "name", device]);
    Arc::new(tap)
}

/// Carries frames one way until either device is gone. The threads end then by themselves.
fn carry(from: Arc<SyncDevice>, to: Arc<SyncDevice>, delay: Delay) {
    let (sender, receiver) = sync_channel(MAX_UNDER_WAY);
    std::thread::spawn(move || take_in(&from, &sender, delay));
    std::thread::spawn(move || give_out(&to, &receiver));
}

fn take_in(from: &SyncDevice, sender: &SyncSender<(Instant, Vec<u8>)>, delay: Delay) {
    let mut buffer = [0; MAX_FRAME];
    while let Ok(length) = from.recv(&mut buffer) {
        let due = Instant::now() + delay.least + delay.jitter.mul_f64(rand::random());
        if let Err(std::sync::mpsc::TrySendError::Disconnected(_)) = sender.try_send((due, buffer[..length].to_vec())) {
            return;
        }
    }
}

fn give_out(to: &SyncDevice, receiver: &Receiver<(Instant, Vec<u8>)>) {
    // By when it is due, and of those due at once by when it came.
    let mut under_way: BTreeMap<(Instant, u64), Vec<u8>> = BTreeMap::new();
    for number in 0.. {
        let now = Instant::now();
        while under_way.first_key_value().is_some_and(|((due, _), _)| *due <= now) {
            let (_, frame) = under_way.pop_first().expect("it was just seen");
            // A device that is down takes nothing: the frame is lost.
            let _ = to.send(&frame);
        }
        let wait = under_way.first_key_value().map_or(Duration::from_secs(1), |((due, _), _)| *due - now);
        match receiver.recv_timeout(wait) {
            Ok((due, frame)) => drop(under_way.insert((due, number), frame)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
