//! Which of two connections is kept, and which are dead.

use super::*;

const HERE: u64 = 0;
const THERE: u64 = 1;

struct Scene {
    /// The smaller and the larger peer id, each with its view.
    ends: [(PeerId, Connections); 2],
    now: Instant,
    next: usize,
}

impl Scene {
    fn new() -> Self {
        let mut ids = [PeerId::random(), PeerId::random()];
        ids.sort();
        Scene { ends: ids.map(|id| (id, Connections::new(id))), now: Instant::now(), next: 0 }
    }

    fn id(&mut self) -> ConnectionId {
        self.next += 1;
        ConnectionId::new_unchecked(self.next)
    }

    fn establish(&mut self, end: usize, id: ConnectionId, dialler: usize, instance: Option<Instance>) -> Established {
        let peer = self.ends[1 - end].0;
        let connection = Connection::new(id, dialler == end, Multiaddr::empty(), instance, self.now);
        self.ends[end].1.established(peer, connection, self.now)
    }

    fn patrol(&mut self, end: usize) -> Vec<ConnectionId> {
        self.ends[end].1.patrol(self.now)
    }

    /// Lets time pass with a patrol every half second, as the task does.
    fn pass(&mut self, end: usize, span: Duration) -> Vec<ConnectionId> {
        let until = self.now + span;
        let mut dead = Vec::new();
        while self.now < until {
            dead.extend(self.patrol(end));
            self.now += PATROL;
        }
        dead
    }
}

fn instance(of: u64) -> Option<Instance> {
    // Two different processes.
    static INSTANCES: std::sync::LazyLock<[Instance; 2]> =
        std::sync::LazyLock::new(|| [Instance::random(), Instance::random()]);
    INSTANCES.get(usize::try_from(of).unwrap_or(0)).copied()
}

fn kept(close: Vec<ConnectionId>) -> Established {
    Established { joined: false, close }
}

#[test]
fn both_ends_of_simultaneous_dials_keep_the_same_connection() {
    // Each end may see the two in either order.
    for orders in [[[0, 1], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, 1]], [[1, 0], [1, 0]]] {
        let mut scene = Scene::new();
        let ids = [scene.id(), scene.id()];
        let mut closed = Vec::new();
        for end in [0, 1] {
            for dialler in orders[end] {
                let established = scene.establish(end, ids[dialler], dialler, None);
                closed.extend(established.close);
            }
        }
        assert_eq!(closed, [ids[1], ids[1]], "the one that the larger id dialled, at both ends");
    }
}

#[test]
fn the_first_connection_is_a_joining_and_the_last_end_a_leaving() {
    let mut scene = Scene::new();
    let peer = scene.ends[1].0;
    let (one, two) = (scene.id(), scene.id());
    assert_eq!(scene.establish(0, one, 0, None), Established { joined: true, close: vec![] });
    scene.now += Duration::from_secs(5);
    assert!(!scene.establish(0, two, 1, None).joined);
    assert!(!scene.ends[0].1.closed(&peer, one) && scene.ends[0].1.contains(&peer));
    assert!(scene.ends[0].1.closed(&peer, two) && !scene.ends[0].1.contains(&peer));
    assert!(!scene.ends[0].1.closed(&peer, two), "once");
}

#[test]
fn a_restarted_member_is_met_anew() {
    let mut scene = Scene::new();
    let (old, new, fresh) = (scene.id(), scene.id(), scene.id());
    scene.establish(0, old, 0, instance(HERE));
    // Even in the moment in which it could have been a simultaneous dial.
    assert_eq!(scene.establish(0, new, 1, instance(THERE)), kept(vec![old, new]));
    assert_eq!(
        scene.establish(0, fresh, 1, instance(THERE)),
        kept(vec![]),
        "the next one stays, though the others still close"
    );
    assert_eq!(scene.patrol(0), vec![]);
}

#[test]
fn who_dials_twice_closes_the_second_and_the_other_end_waits_for_that() {
    let mut scene = Scene::new();
    let (one, two) = (scene.id(), scene.id());
    (0..2).for_each(|end| drop(scene.establish(end, one, 0, instance(HERE))));
    scene.now += Duration::from_secs(60);
    (0..2usize).for_each(|end| scene.ends[end].1.alive(&scene.ends[1 - end].0.clone(), one, scene.now));
    assert_eq!(scene.establish(0, two, 0, instance(HERE)), kept(vec![two]));
    assert_eq!(scene.establish(1, two, 0, instance(HERE)), kept(vec![]));
    let dialler = scene.ends[0].0;
    scene.ends[1].1.closed(&dialler, two);
    assert_eq!(scene.pass(1, Duration::from_secs(2)), vec![], "all is well");
}

#[test]
fn a_second_connection_that_stays_means_that_the_first_is_dead() {
    let mut scene = Scene::new();
    let (one, two) = (scene.id(), scene.id());
    scene.establish(1, one, 0, instance(HERE));
    scene.now += Duration::from_secs(60);
    let dialler = scene.ends[0].0;
    scene.ends[1].1.alive(&dialler, one, scene.now);
    // The member lost the first one and dialled again.
    assert_eq!(scene.establish(1, two, 0, instance(HERE)), kept(vec![]));
    assert_eq!(scene.patrol(1), vec![]);
    scene.now += GRACE;
    assert_eq!(scene.patrol(1), vec![one, two]);
    assert_eq!(scene.patrol(1), vec![], "once");
}

#[test]
fn two_missed_pings_are_the_end() {
    let mut scene = Scene::new();
    let one = scene.id();
    let peer = scene.ends[1].0;
    scene.establish(0, one, 0, None);
    assert_eq!(scene.pass(0, Duration::from_secs(6)), vec![]);
    scene.ends[0].1.alive(&peer, one, scene.now);
    assert_eq!(scene.pass(0, Duration::from_secs(6)), vec![]);
    assert_eq!(scene.pass(0, Duration::from_secs(2)), vec![one]);
}

#[test]
fn a_process_that_stood_still_blames_nobody() {
    let mut scene = Scene::new();
    let one = scene.id();
    scene.establish(0, one, 0, None);
    scene.patrol(0);
    scene.now += Duration::from_secs(3600);
    assert_eq!(scene.patrol(0), vec![]);
    assert_eq!(scene.pass(0, Duration::from_secs(8)), vec![one], "silence counts again");
}
