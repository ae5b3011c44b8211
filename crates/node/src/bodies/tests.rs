//! Members that hold a body, that lack it, that die, and that lie.

use super::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const CHUNK: usize = limits::CHUNK_BYTES as usize;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    Honest,
    Lacks,
    /// Gives so many chunks, then none.
    Dies(usize),
    /// Gives this chunk falsely, and no other.
    Alters(usize),
    /// Gives chunks that are too short.
    Short,
    /// Gives zeros once, and then what is true.
    AltersOnce,
}

/// Members that have been asked, and what they do.
struct Fleet {
    body: Vec<u8>,
    habits: BTreeMap<MemberId, Habit>,
    asked: Mutex<Vec<(MemberId, usize)>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

fn member(number: usize) -> MemberId {
    MemberId([u8::try_from(number).expect("few members"); 32])
}

impl Fleet {
    fn new(length: usize, habits: &[Habit]) -> Self {
        let body = (0..length).map(|at| (at / 7 % 251) as u8 + 1).collect();
        let habits = habits.iter().enumerate().map(|(number, habit)| (member(number), *habit)).collect();
        Fleet {
            body,
            habits,
            asked: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        }
    }

    async fn pull(&self) -> Pulled {
        let cid = BodyCid::of(&self.body);
        pull(self, cid, self.body.len() as u64, self.habits.keys().copied()).await
    }

    /// How often each was asked.
    fn asked(&self) -> Vec<usize> {
        let asked = self.asked.lock().expect("no test thread panicked");
        self.habits.keys().map(|of| asked.iter().filter(|(member, _)| member == of).count()).collect()
    }

    fn answer(&self, holder: MemberId, chunk: usize) -> Option<Vec<u8>> {
        let before = {
            let mut asked = self.asked.lock().expect("no test thread panicked");
            asked.push((holder, chunk));
            asked.iter().filter(|(member, _)| *member == holder).count() - 1
        };
        let genuine = self.body[chunk * CHUNK..self.body.len().min((chunk + 1) * CHUNK)].to_vec();
        match self.habits[&holder] {
            Habit::Honest => Some(genuine),
            Habit::Lacks => None,
            Habit::Dies(after) => (before < after).then_some(genuine),
            Habit::Alters(altered) => Some(if altered == chunk { vec![0; genuine.len()] } else { genuine }),
            Habit::Short => Some(genuine[1..].to_vec()),
            Habit::AltersOnce => Some(if before == 0 { vec![0; genuine.len()] } else { genuine }),
        }
    }
}

impl Holders for Fleet {
    async fn chunk(&self, holder: MemberId, _: BodyCid, _: u64, offset: u64) -> Option<Vec<u8>> {
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_under_way.fetch_max(now, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let answer = self.answer(holder, usize::try_from(offset).expect("a small body") / CHUNK);
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}

fn liars(numbers: &[usize]) -> BTreeSet<MemberId> {
    numbers.iter().copied().map(member).collect()
}

use Habit::{Alters, AltersOnce, Dies, Honest, Lacks, Short};

#[tokio::test]
async fn a_body_of_any_length_comes_whole() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * CHUNK + 5] {
        let fleet = Fleet::new(length, &[Honest, Honest]);
        let pulled = fleet.pull().await;
        assert!(pulled.body.is_some_and(|body| *body == fleet.body) && pulled.liars.is_empty(), "{length}");
    }
}

#[tokio::test]
async fn a_small_body_is_asked_of_one_and_a_large_one_of_three_at_once() {
    let small = Fleet::new(CHUNK, &[Honest; 5]);
    small.pull().await;
    assert_eq!(small.asked(), [1, 0, 0, 0, 0]);
    let large = Fleet::new(30 * CHUNK, &[Honest; 5]);
    large.pull().await;
    let asked = large.asked();
    assert_eq!((asked.iter().sum::<usize>(), &asked[3..]), (30, &[0, 0][..]), "each chunk once, of three members");
    assert!(asked[..3].iter().all(|count| *count >= 5), "{asked:?}");
    assert_eq!(large.most_under_way.load(Ordering::Relaxed), MEMBERS_AT_ONCE * CHUNKS_AT_ONCE);
}

#[tokio::test]
async fn what_has_arrived_stays_when_a_holder_dies_and_another_takes_its_place() {
    let fleet = Fleet::new(30 * CHUNK, &[Dies(5), Lacks, Dies(3), Honest]);
    let pulled = fleet.pull().await;
    assert!(pulled.body.is_some_and(|body| *body == fleet.body));
    assert_eq!(pulled.liars, liars(&[]), "who dies is no liar");
    let given: Vec<_> = fleet.asked.lock().expect("no test thread panicked").clone();
    let honest = given.iter().filter(|(of, _)| *of == member(3)).count();
    assert!(honest <= 30 - 5 - 3, "nothing that had arrived was asked for again: {honest}");
}

#[tokio::test]
async fn nobody_who_has_it_is_none_and_only_six_are_tried() {
    let fleet = Fleet::new(3 * CHUNK, &[Lacks; 9]);
    assert_eq!(fleet.pull().await, Pulled::default());
    let asked: Vec<bool> = fleet.asked().into_iter().map(|count| count > 0).collect();
    assert_eq!(asked, [true, true, true, true, true, true, false, false, false]);
    let all_die = Fleet::new(12 * CHUNK, &[Dies(2), Dies(2)]);
    assert_eq!(all_die.pull().await, Pulled::default());
    let short = Fleet::new(3 * CHUNK, &[Short, Honest]);
    let pulled = short.pull().await;
    assert!(pulled.body.is_some() && pulled.liars.is_empty(), "what does not fit is refused at once");
}

#[tokio::test]
async fn who_alone_gave_a_false_body_lied_and_the_next_is_asked() {
    let fleet = Fleet::new(CHUNK, &[Alters(0), Honest]);
    let pulled = fleet.pull().await;
    assert!(pulled.body.is_some_and(|body| *body == fleet.body));
    assert_eq!(pulled.liars, liars(&[0]));
    let alone = Fleet::new(CHUNK, &[Alters(0)]);
    assert_eq!(alone.pull().await, Pulled { body: None, liars: liars(&[0]) });
}

#[tokio::test]
async fn of_several_the_one_that_lied_is_found_and_the_body_comes_all_the_same() {
    for liar in 0..3 {
        // A chunk that it is asked for in the first round.
        let mut habits = [Honest; 3];
        habits[liar] = Alters(liar);
        let fleet = Fleet::new(12 * CHUNK, &habits);
        let pulled = fleet.pull().await;
        assert!(pulled.body.is_some_and(|body| *body == fleet.body), "{liar}");
        assert_eq!(pulled.liars, liars(&[liar]), "{liar}");
    }
}

#[tokio::test]
async fn who_lied_once_and_then_tells_the_truth_is_found_by_its_chunk() {
    let fleet = Fleet::new(12 * CHUNK, &[AltersOnce, Honest, Honest]);
    let pulled = fleet.pull().await;
    assert!(pulled.body.is_some_and(|body| *body == fleet.body));
    assert_eq!(pulled.liars, liars(&[0]));
}

#[tokio::test]
async fn where_all_lie_there_is_no_body() {
    let fleet = Fleet::new(12 * CHUNK, &[Alters(0), Alters(1), Alters(2)]);
    assert_eq!(fleet.pull().await, Pulled { body: None, liars: liars(&[0, 1, 2]) });
}

#[tokio::test]
async fn what_claims_to_be_too_long_is_not_asked_for() {
    let fleet = Fleet::new(1, &[Honest]);
    let holders = [member(0)].into_iter();
    assert_eq!(pull(&fleet, BodyCid::of(b""), limits::MAX_BODY_BYTES + 1, holders).await, Pulled::default());
    assert_eq!(fleet.asked(), [0]);
}
