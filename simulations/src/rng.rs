//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): written out, so that a seed
//! replays the same run whatever version of a library is in use.

use crate::scenario::Span;

/// A seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.number().to_be_bytes()));
        bytes
    }

    /// A number within both ends.
    pub(crate) fn within(&mut self, Span(low, high): Span) -> u64 {
        low + self.number() % (high - low + 1)
    }

    /// True in `share` of the cases, 0 to 1.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        // 53 bits are what an f64 holds.
        ((self.number() >> 11) as f64 / (1_u64 << 53) as f64) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_splitmix64s() {
        // The first outputs for seed 1234567 of the algorithm's reference implementation (prng.di.unimi.it/splitmix64.c).
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.number(), rng.number()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn spans_and_chances_keep_their_bounds() {
        let mut rng = Rng::new(7);
        assert!((0..1000).all(|_| (3..=5).contains(&rng.within(Span(3, 5)))));
        assert!((0..1000).all(|_| !rng.chance(0.0) && rng.chance(1.0)));
    }
}
