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

    fn source(&self, source: Source) -> SourceStatus {
        self.book.source(source, &|_: &PeerId| false)
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
fn an_address_that_worked_is_tried_twice_a_second_and_later_every_two() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    scene.learn(1, Some(peer), Source::Remembered);
    assert_eq!(scene.dials().len(), 1);
    scene.book.succeeded(&address(1), peer, scene.now);
    scene.book.lost(&peer, SHORT_LIFE, 0.5, scene.now);
    scene.now += FIRST_PAUSE;
    assert_eq!(scene.pauses(6), [50, 100, 200, 400, 500, 500]);
    scene.now += LOST_FOR;
    assert_eq!(scene.pauses(2), [2000, 2000]);
    scene.now += PROVEN_FOR;
    assert_eq!(scene.pauses(5), [12_800, 25_600, 51_200, 60_000, 60_000], "after ten minutes it is as any other");
    assert_eq!(scene.pauses(1000).last(), Some(&60_000), "for a day");
    scene.now += FORGOTTEN_AFTER;
    assert_eq!(scene.dials().len(), 1);
    scene.fail(1);
    assert!(scene.book.entries.is_empty());
}

#[test]
fn strangers_on_the_lan_are_left_alone_and_then_forgotten() {
    let mut scene = Scene::new();
    scene.learn(1, Some(PeerId::random()), Source::Mdns);
    let pauses = scene.pauses(usize::try_from(MAX_FAILURES).unwrap() - 1);
    assert_eq!(pauses.last(), Some(&300_000));
    assert_eq!(scene.dials().len(), 1);
    scene.fail(1);
    assert_eq!(scene.source(Source::Mdns).addresses, 0);
}

#[test]
fn jitter_spreads_tries() {
    for (jitter, expected) in [(0.0, 50), (0.999, 150)] {
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
    let failure = Failure::Unreachable("refused".into());
    scene.book.failed(&dials[0].addresses[0], &failure, 0.5, scene.now);
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
    assert!(scene.book.sources(|_| false).iter().all(|source| source.last_error.is_none()));
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
    let error = scene.source(Source::Remembered).last_error.unwrap().1;
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
    scene.book.lost(&peer, SHORT_LIFE, 0.5, scene.now);
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

#[test]
fn the_health_of_a_source_is_that_of_its_latest_word_or_of_the_member_that_it_led_to() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    let health = |scene: &Scene| scene.source(Source::Static).health;
    assert_eq!(health(&scene), Health::Off);
    scene.learn(1, None, Source::Static);
    scene.learn(2, None, Source::Static);
    assert_eq!(health(&scene), Health::Quiet);
    scene.fail(1);
    assert_eq!(health(&scene), Health::Failing);
    scene.now += Duration::from_secs(1);
    scene.book.succeeded(&address(2), peer, scene.now);
    assert_eq!(health(&scene), Health::Good);
    scene.now += Duration::from_secs(1);
    scene.fail(1);
    assert_eq!(health(&scene), Health::Failing);
    let connected = |other: &PeerId| *other == peer;
    assert_eq!(scene.book.source(Source::Static, &connected).health, Health::Good, "one dead address is no matter");
    assert_eq!(scene.source(Source::Mdns).health, Health::Off);
}

#[test]
fn the_dead_addresses_of_one_source_delay_no_other_source() {
    let mut scene = Scene::new();
    (0..50).for_each(|n| scene.learn(n, None, Source::Static));
    (50..100).for_each(|n| scene.learn(n, Some(PeerId::random()), Source::Mdns));
    assert!(scene.dials().len() <= MAX_DIALS + 1, "nobody answers, and they take their time");
    for (n, source) in [(200, Source::Remembered), (201, Source::Dns), (202, Source::Kademlia)] {
        scene.learn(n, None, source);
        let dials = scene.dials();
        assert_eq!(dials, [Dial { peer: None, addresses: vec![address(n)] }], "{source:?}");
    }
    scene.learn(203, None, Source::Remembered);
    assert_eq!(scene.dials(), [], "one is enough while there is no room");
}

#[test]
fn an_address_that_vanished_from_its_name_is_forgotten_once_nobody_is_connected_there() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    (1..=3).for_each(|n| scene.learn(n, None, Source::Dns));
    scene.book.succeeded(&address(1), peer, scene.now);
    let vanish = |scene: &mut Scene, n| scene.book.vanish(&address(n), Source::Dns, |other| *other == peer);
    (1..=2).for_each(|n| vanish(&mut scene, n));
    assert_eq!(scene.source(Source::Dns).addresses, 2, "the member is still there");
    scene.book.lost(&peer, SHORT_LIFE, 0.5, scene.now);
    assert_eq!(scene.source(Source::Dns).addresses, 1);
    assert_eq!(scene.dials().len(), 1);
    vanish(&mut scene, 3);
    assert_eq!(scene.source(Source::Dns).addresses, 1, "it is being dialled");
    scene.fail(3);
    assert_eq!(scene.source(Source::Dns).addresses, 0);
    scene.learn(4, None, Source::Static);
    vanish(&mut scene, 4);
    assert_eq!(scene.source(Source::Static).addresses, 1, "the settings have it too");
}

#[test]
fn connections_that_end_soon_are_made_again_ever_more_slowly() {
    let mut scene = Scene::new();
    let peer = PeerId::random();
    scene.learn(1, Some(peer), Source::Static);
    let mut pause = |lived| {
        scene.book.succeeded(&address(1), peer, scene.now);
        scene.book.lost(&peer, lived, 0.5, scene.now);
        (scene.book.next_due(|_| false, scene.now).unwrap() - scene.now).as_millis()
    };
    assert_eq!([(); 4].map(|()| pause(Duration::ZERO)), [50, 100, 200, 400]);
    assert_eq!([(); 2].map(|()| pause(SHORT_LIFE)), [50, 50]);
}

#[test]
fn dead_members_make_room_for_new_ones_but_not_for_hearsay() {
    let mut scene = Scene::new();
    for n in 0..u16::try_from(MAX_ADDRESSES).unwrap() {
        let peer = PeerId::random();
        scene.learn(n, Some(peer), Source::Identify);
        scene.book.succeeded(&address(n), peer, scene.now);
        if n < 10 {
            scene.book.lost(&peer, SHORT_LIFE, 0.5, scene.now);
            scene.fail(n);
        }
        scene.now += Duration::from_millis(1);
    }
    scene.learn(2000, Some(PeerId::random()), Source::Mdns);
    assert!(!scene.book.entries.contains_key(&address(2000)));
    for n in 2000..2010 {
        let peer = PeerId::random();
        scene.learn(n, Some(peer), Source::Identify);
        scene.book.succeeded(&address(n), peer, scene.now);
    }
    assert!((10..1024).all(|n| scene.book.entries.contains_key(&address(n))), "those that work stay");
    assert!(!(0..10).any(|n| scene.book.entries.contains_key(&address(n))));
}

#[test]
fn who_is_back_after_long_and_a_hurry_bring_the_others_forward() {
    let mut scene = Scene::new();
    let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
    for (n, peer) in (0..4).zip(&peers) {
        scene.learn(n, Some(*peer), Source::Identify);
        assert!(!scene.book.succeeded(&address(n), *peer, scene.now));
        scene.book.lost(peer, SHORT_LIFE, 0.5, scene.now);
    }
    scene.learn(9, Some(PeerId::random()), Source::Mdns);
    scene.now += PROVEN_FOR;
    for n in (0..4).chain([9]) {
        (0..15).for_each(|_| assert!(scene.fail(n).is_none_or(|gone| gone != scene.book.local)));
    }
    assert_eq!(scene.dials(), []);
    assert!(scene.book.succeeded(&address(0), peers[0], scene.now), "it had been away");
    scene.book.hurry(Duration::from_secs(2), scene.now);
    scene.now += Duration::from_secs(2);
    assert_eq!(scene.dials().len(), 4, "all but hearsay");
}

#[test]
fn a_node_is_lonely_with_few_of_those_that_it_knows() {
    let mut scene = Scene::new();
    assert!(!scene.book.is_lonely(0), "it knows nobody");
    scene.learn(1, None, Source::Static);
    scene.learn(2, Some(PeerId::random()), Source::Mdns);
    assert_eq!([0, 1, 2].map(|neighbours| scene.book.is_lonely(neighbours)), [true, true, false]);
    (3..50).for_each(|n| scene.learn(n, Some(PeerId::random()), Source::Identify));
    assert_eq!([3, 4].map(|neighbours| scene.book.is_lonely(neighbours)), [true, false]);
}

#[test]
fn nodes_dial_in_orders_of_their_own() {
    let order = || -> Vec<Multiaddr> {
        let mut scene = Scene::new();
        (0..10).for_each(|n| scene.learn(n, None, Source::Static));
        scene.dials().into_iter().flat_map(|dial| dial.addresses).collect()
    };
    assert_ne!(order(), order());
}
