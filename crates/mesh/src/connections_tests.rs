//! Who may connect, and which connections are dead.

use super::*;

/// Two ends of one mesh; the first has the smaller peer id.
struct Scene {
    ends: [(PeerId, Connections); 2],
    now: Instant,
    next: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Ruled {
    Granted,
    Redundant,
    After(usize),
}

impl Scene {
    fn new() -> Self {
        let mut ids = [PeerId::random(), PeerId::random()];
        ids.sort();
        Scene { ends: ids.map(|id| (id, Connections::new(id))), now: Instant::now(), next: 0 }
    }

    fn rule(&mut self, end: usize, role: End) -> (Ruled, Option<Pass>) {
        let peer = self.ends[1 - end].0;
        match self.ends[end].1.rule(peer, role, self.now) {
            Ruling::Granted(pass) => (Ruled::Granted, Some(pass)),
            Ruling::Redundant => (Ruled::Redundant, None),
            Ruling::After(close) => (Ruled::After(close.len()), None),
        }
    }

    fn establish(&mut self, end: usize) -> ConnectionId {
        self.next += 1;
        let id = ConnectionId::new_unchecked(self.next);
        let peer = self.ends[1 - end].0;
        let older = self.ends[end].1.established(peer, Connection::new(id, Multiaddr::empty(), self.now));
        assert_eq!(older, []);
        id
    }

    /// The dialer of a connection whose exchange began now has proved its membership.
    fn incoming(&mut self, end: usize) -> (Ruled, Option<Pass>) {
        self.rule(end, End::Listener { nonce_at: self.now })
    }

    fn closed(&mut self, end: usize, id: ConnectionId) -> bool {
        let peer = self.ends[1 - end].0;
        self.ends[end].1.closed(&peer, id)
    }

    /// Lets time pass with a patrol every half second, as the task does.
    fn pass(&mut self, span: Duration) -> Vec<ConnectionId> {
        let until = self.now + span;
        let mut dead = Vec::new();
        while self.now < until {
            dead.extend(self.ends[0].1.patrol(self.now));
            self.now += PATROL;
        }
        dead
    }
}

#[test]
fn of_two_dials_in_the_same_moment_the_smaller_id_admits_one() {
    // The smaller one's own dial reached its proof first: what comes in is refused.
    let mut scene = Scene::new();
    let (ruled, own) = scene.rule(0, End::Dialer);
    assert_eq!((ruled, scene.incoming(0).0), (Ruled::Granted, Ruled::Redundant));
    // The larger one follows, though its own dial is under way.
    let (ruled, _other) = scene.rule(1, End::Dialer);
    assert_eq!((ruled, scene.incoming(1).0), (Ruled::Granted, Ruled::Granted));
    drop(own);

    // The other's dial came first: the smaller one gives up its own.
    let mut scene = Scene::new();
    let (ruled, _incoming) = scene.incoming(0);
    assert_eq!((ruled, scene.rule(0, End::Dialer).0), (Ruled::Granted, Ruled::Redundant));
}

#[test]
fn a_dial_that_began_before_the_other_had_come_up_is_no_sign_of_its_death() {
    let mut scene = Scene::new();
    let nonce_at = scene.now;
    scene.now += Duration::from_millis(20);
    scene.establish(0);
    scene.now += Duration::from_millis(20);
    assert_eq!(scene.rule(0, End::Listener { nonce_at }).0, Ruled::Redundant);
    assert_eq!(scene.incoming(0).0, Ruled::After(1), "one that began later is");
}

#[test]
fn who_is_connected_does_not_dial_again() {
    let mut scene = Scene::new();
    scene.establish(0);
    assert_eq!(scene.rule(0, End::Dialer).0, Ruled::Redundant);
}

#[test]
fn a_member_that_dials_again_has_lost_the_connection() {
    for end in [0, 1] {
        let mut scene = Scene::new();
        let old = scene.establish(end);
        scene.now += Duration::from_millis(1);
        assert_eq!(scene.incoming(end).0, Ruled::After(1));
        assert_eq!(scene.incoming(end).0, Ruled::After(0), "it is being closed already");
        assert!(scene.closed(end, old));
        let (ruled, pass) = scene.incoming(end);
        assert_eq!(ruled, Ruled::Granted);
        pass.into_iter().for_each(Pass::use_up);
        scene.establish(end);
    }
}

#[test]
fn a_place_is_kept_until_it_is_taken_void_or_old() {
    let mut scene = Scene::new();
    let (_, pass) = scene.incoming(0);
    drop(pass);
    let (ruled, pass) = scene.incoming(0);
    assert_eq!(ruled, Ruled::Granted, "the first one failed");
    pass.into_iter().for_each(Pass::use_up);
    assert_eq!(scene.rule(0, End::Dialer).0, Ruled::Redundant, "it goes to the swarm");
    scene.now += RESERVED;
    assert_eq!(scene.rule(0, End::Dialer).0, Ruled::Granted, "the swarm refused it");
}

#[test]
fn the_last_end_is_a_leaving() {
    let mut scene = Scene::new();
    let peer = scene.ends[1].0;
    let one = scene.establish(0);
    assert!(scene.ends[0].1.contains(&peer) && scene.ends[0].1.len() == 1);
    assert!(scene.closed(0, one) && !scene.ends[0].1.contains(&peer));
    assert!(!scene.closed(0, one), "once");
}

#[test]
fn where_the_older_could_not_be_closed_before_it_is_closed_now() {
    let mut scene = Scene::new();
    let peer = scene.ends[1].0;
    let old = scene.establish(0);
    let new = Connection::new(ConnectionId::new_unchecked(9), Multiaddr::empty(), scene.now);
    assert_eq!(scene.ends[0].1.established(peer, new), [old]);
    assert!(!scene.closed(0, old), "the new one stays");
}

#[test]
fn two_missed_pings_are_the_end() {
    let mut scene = Scene::new();
    let peer = scene.ends[1].0;
    let one = scene.establish(0);
    assert_eq!(scene.pass(Duration::from_secs(6)), []);
    scene.ends[0].1.alive(&peer, one, scene.now);
    assert_eq!(scene.pass(Duration::from_secs(6)), []);
    assert_eq!(scene.pass(Duration::from_secs(2)), [one]);
    assert_eq!(scene.pass(Duration::from_secs(8)), [], "once");
}

#[test]
fn a_process_that_stood_still_blames_nobody() {
    let mut scene = Scene::new();
    let one = scene.establish(0);
    scene.pass(PATROL);
    scene.now += Duration::from_secs(3600);
    assert_eq!(scene.pass(PATROL), []);
    assert_eq!(scene.pass(Duration::from_secs(8)), [one], "silence counts again");
}
