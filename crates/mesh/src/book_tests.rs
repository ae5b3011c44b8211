//! The address book: whom it dials when, what it forgets, and how it counts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn address(n: u16) -> Multiaddr {
    format!("/ip4/10.0.{}.{}/tcp/9000", n / 250, n % 250).parse().unwrap()
}

struct Scene {
    book: Book,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Scene { book: Book::new(PeerId::random()), now: Instant::now() }
    }

    fn learn(&mut self, n: u16, peer: Option<PeerId>, source: Source) {
        self.book.learn(address(n), peer, source, self.now);
    }

    fn dials(&mut self) -> Vec<Dial> {
        let now = self.now;
        std::iter::from_fn(|| self.book.next_dial(|_| false, now)).collect()
    }

    fn fail(&mut self, n: u16) -> Option<PeerId> {
        self.book.failed(&address(n), &Failure::Unreachable("refused".into()), 0.5, self.now)
    }

    /// The pauses before each of the next `count` tries of the only address.
    fn pauses(&mut self, count: usize) -> Vec<u128> {
        (0..count)
            .map(|_| {
                assert_eq!(self.dials().len(), 1);
                self.fail(1);
                let due = self.book.next_due(|_| false, self.now).unwrap();
                let pause = due - self.now;
                self.now = due;
                pause.as_millis()
            })
            .collect()
    }
}

#[test]
fn pauses_double_to_ten_seconds_for_addresses_of_the_settings() {
    let mut scene = Scene::new();
    scene.learn(1, None, Source::Static);
    assert_eq!(scene.pauses(10), [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(scene.pauses(20).last(), Some(&10_000), "and it is never forgotten");
}

#[test]
fn an_address_that_worked_is_tried_every_two_seconds() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    scene.learn(1, Some(peer), Source::Remembered);
    assert_eq!(scene.dials().len(), 1);
    scene.book.succeeded(&address(1), peer, scene.now);
    scene.book.lost(&peer, scene.now);
    scene.now += FIRST_PAUSE;
    assert_eq!(scene.pauses(8), [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    scene.now += PROVEN_FOR;
    assert_eq!(scene.pauses(1), [10_000], "after ten minutes it is as any other");
}

#[test]
fn strangers_on_the_lan_are_left_alone_and_then_forgotten() {
    let mut scene = Scene::new();
    scene.learn(1, Some(PeerId::random()), Source::Mdns);
    let pauses = scene.pauses(usize::try_from(MAX_FAILURES).unwrap() - 1);
    assert_eq!(pauses.last(), Some(&300_000));
    assert_eq!(scene.dials().len(), 1);
    scene.fail(1);
    assert_eq!(scene.book.source(Source::Mdns).addresses, 0);
}

#[test]
fn jitter_spreads_tries() {
    for (jitter, expected) in [(0.0, 75), (0.999, 125)] {
        let mut scene = Scene::new();
        scene.learn(1, None, Source::Static);
        let failure = Failure::Unreachable(String::new());
        scene.book.failed(&address(1), &failure, jitter, scene.now);
        scene.book.failed(&address(1), &failure, jitter, scene.now);
        let pause = scene.book.next_due(|_| false, scene.now).unwrap() - scene.now;
        assert_eq!(pause.as_secs_f64().mul_add(1000.0, 0.5) as u64, expected);
    }
}

#[test]
fn all_addresses_of_a_peer_are_dialled_together_and_once() {
    let mut scene = Scene::new();
    let (one, two) = (PeerId::random(), PeerId::random());
    scene.learn(1, Some(one), Source::Remembered);
    scene.learn(2, Some(one), Source::Mdns);
    scene.learn(3, Some(two), Source::Remembered);
    let dials = scene.dials();
    assert_eq!(dials.len(), 2);
    assert!(dials.contains(&Dial { peer: Some(one), addresses: vec![address(1), address(2)] }));
    scene.learn(4, Some(one), Source::Kademlia);
    assert_eq!(scene.dials(), [], "it is being dialled");
    scene.book.succeeded(&address(2), one, scene.now);
    scene.book.spared(&address(1));
    assert_eq!(scene.book.next_dial(|peer| *peer == one, scene.now), None, "it is connected");
}

#[test]
fn dials_are_bounded_and_strangers_leave_room() {
    let mut scene = Scene::new();
    (0..20).for_each(|n| scene.learn(n, Some(PeerId::random()), Source::Mdns));
    assert_eq!(scene.dials().len(), MAX_DOUBTFUL_DIALS);
    (20..40).for_each(|n| scene.learn(n, None, Source::Static));
    let dials = scene.dials();
    assert_eq!(dials.len(), MAX_DIALS - MAX_DOUBTFUL_DIALS);
    assert_eq!(scene.book.next_due(|_| false, scene.now), None, "nothing to wake up for: the end of a dial makes room");
    scene.fail(20);
    assert_eq!(scene.dials().len(), 1);
}

#[test]
fn this_node_does_not_dial_itself() {
    let mut scene = Scene::new();
    let local = scene.book.local;
    scene.learn(1, Some(local), Source::Mdns);
    scene.learn(2, None, Source::Static);
    assert_eq!(scene.dials().len(), 1);
    scene.book.failed(&address(2), &Failure::Own, 0.5, scene.now);
    scene.now += Duration::from_secs(60);
    assert_eq!(scene.dials(), []);
    assert!(scene.book.sources().iter().all(|source| source.last_error.is_none()));
}

#[test]
fn another_peer_at_an_address_is_noted() {
    let mut scene = Scene::new();
    let (expected, found) = (PeerId::random(), PeerId::random());
    scene.learn(1, Some(expected), Source::Remembered);
    scene.dials();
    scene.book.failed(&address(1), &Failure::OtherPeer(found), 0.5, scene.now);
    scene.now += FIRST_PAUSE * 2;
    assert_eq!(scene.dials(), [Dial { peer: Some(found), addresses: vec![address(1)] }]);
    let error = scene.book.source(Source::Remembered).last_error.unwrap().1;
    assert!(error.contains(&found.to_string()), "{error}");
}

#[test]
fn who_is_out_of_reach_is_told_after_five_failures() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    scene.learn(1, Some(peer), Source::Kademlia);
    let told: Vec<Option<PeerId>> = (0..6).map(|_| scene.fail(1)).collect();
    assert_eq!(told, [None, None, None, None, Some(peer), Some(peer)]);
}

#[test]
fn a_flood_of_announcements_is_bounded_and_takes_no_good_address() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    scene.learn(1, Some(peer), Source::Remembered);
    scene.book.succeeded(&address(1), peer, scene.now);
    scene.learn(2, None, Source::Static);
    (3..3000).for_each(|n| scene.learn(n, Some(PeerId::random()), Source::Mdns));
    (3000..3100).for_each(|n| scene.learn(n, Some(peer), Source::Kademlia));
    assert!(scene.book.entries.len() <= MAX_ADDRESSES, "{}", scene.book.entries.len());
    assert!(scene.book.entries.contains_key(&address(1)) && scene.book.entries.contains_key(&address(2)));
    assert!(scene.book.entries.values().filter(|e| e.peer == Some(peer)).count() <= MAX_ADDRESSES_OF_PEER);
    assert_eq!(scene.book.proven(&peer), [address(1)]);
}

#[test]
fn what_a_source_takes_back_is_gone_unless_it_worked() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    scene.learn(1, Some(peer), Source::Mdns);
    scene.learn(2, Some(peer), Source::Mdns);
    scene.book.succeeded(&address(2), peer, scene.now);
    (1..=2).for_each(|n| scene.book.retract(&address(n), Source::Mdns));
    assert!(!scene.book.entries.contains_key(&address(1)) && scene.book.entries.contains_key(&address(2)));
}

#[test]
fn a_peer_is_dialled_over_tcp_first_then_over_quic() {
    let (mut scene, peer) = (Scene::new(), PeerId::random());
    let quic: Multiaddr = "/ip4/10.0.0.1/udp/9000/quic-v1".parse().unwrap();
    scene.book.learn(quic.clone(), Some(peer), Source::Remembered, scene.now);
    scene.learn(1, Some(peer), Source::Remembered);
    let dial = |address: &Multiaddr| vec![Dial { peer: Some(peer), addresses: vec![address.clone()] }];
    assert_eq!(scene.dials(), dial(&address(1)));
    let due = scene.book.next_due(|_| false, scene.now);
    assert_eq!(due, Some(scene.now + crate::precedence::HEAD_START), "TCP may be silent");
    scene.fail(1);
    assert_eq!(scene.dials(), dial(&quic));
    scene.book.succeeded(&quic, peer, scene.now);
    scene.book.lost(&peer, scene.now);
    scene.now += FIRST_PAUSE;
    let both = Dial { peer: Some(peer), addresses: vec![address(1), quic] };
    assert_eq!(scene.dials(), [both], "only QUIC has worked so far");
}

#[test]
fn what_answers_over_one_transport_is_known_on_the_other() {
    let (mut scene, peer) = (Scene::new(), PeerId::random());
    let quic: Multiaddr = "/ip4/10.0.0.1/udp/9000/quic-v1".parse().unwrap();
    scene.book.learn(quic, None, Source::Static, scene.now);
    scene.learn(1, None, Source::Static);
    assert_eq!(scene.dials(), [Dial { peer: None, addresses: vec![address(1)] }]);
    scene.book.succeeded(&address(1), peer, scene.now);
    assert_eq!(scene.book.next_dial(|other| *other == peer, scene.now), None);
}
