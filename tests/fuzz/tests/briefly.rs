//! Every target on a stable toolchain, without libFuzzer: seeds, seeds with small damage, and random bytes.

use ghmesh_fuzz::TARGETS;
use proptest::prelude::*;
use proptest::sample::Index;

/// A seed, with bytes changed, taken out or put in, or parts of another.
fn damaged(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<Index>(), any::<u8>(), 0..4_u8);
    let edits = proptest::collection::vec(edit, 0..6);
    (proptest::sample::select(seeds), edits).prop_map(|(mut bytes, edits)| {
        for (at, byte, what) in edits {
            let place = at.index(bytes.len() + 1);
            match what {
                0 => bytes.insert(place, byte),
                1 => bytes.truncate(place),
                2 => bytes.extend_from_within(..place),
                _ => bytes.get_mut(place).into_iter().for_each(|old| *old = byte),
            }
        }
        bytes
    })
}

/// Runs one target by its name.
fn brief(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    let seeds = (target.seeds)();
    seeds.iter().for_each(|seed| (target.check)(seed));
    let random = proptest::collection::vec(any::<u8>(), 0..400);
    let inputs = prop_oneof![4 => damaged(seeds), 1 => random];
    proptest!(ProptestConfig::with_cases(1_500), |(input in inputs)| (target.check)(&input));
}

macro_rules! briefly {
    ($($name:ident)*) => {
        $(#[test] fn $name() { brief(stringify!($name)); })*

        #[test]
        fn no_target_is_forgotten() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

briefly! { address answer body envelope graphql headers message request webhook }
