use std::hash::{BuildHasher, Hasher, RandomState};

/// A keyed multiplicative hash for [`EventKey`](crate::event::EventKey)s, with secret random seeds.
///
/// The hash of the standard library would be a third of the cost of an event here. It also protects
/// against keys that an attacker chooses, which is not needed: event keys are hashes already, or
/// chosen by the host.
#[derive(Clone)]
pub(super) struct KeyHashBuilder {
    seed: u64,
    factor: u64,
}

impl KeyHashBuilder {
    pub(super) fn random() -> Self {
        let random = || RandomState::new().hash_one(());
        Self {
            seed: random(),
            factor: random() | 1,
        }
    }
}

impl BuildHasher for KeyHashBuilder {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            state: self.seed,
            factor: self.factor,
        }
    }
}

pub(super) struct KeyHasher {
    state: u64,
    factor: u64,
}

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.state = self.fold(self.state ^ word);
    }

    #[inline]
    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    /// Folds once more, because the hashes of consecutive numbers would still be evenly spaced.
    #[inline]
    fn finish(&self) -> u64 {
        self.fold(self.state)
    }
}

impl KeyHasher {
    #[inline]
    fn fold(&self, word: u64) -> u64 {
        let product = u128::from(word) * u128::from(self.factor);
        let [low, high] = [product as u64, (product >> 64) as u64];
        low ^ high
    }
}

// Two attributes: `scripts/mutants` skips these tests by the second one, exactly as it stands.
#[cfg(not(shuttle))]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKey;

    #[test]
    fn hashes_are_evenly_distributed_for_consecutive_keys() {
        const KEYS: u128 = 16_000;
        for shift in [0, 8, 32, 60, 64, 100, 112] {
            let hasher = KeyHashBuilder::random();
            // The upper bits of a hash select the shard, the lower bits the place in its table.
            let mut counts = [[0; 16]; 2];
            for number in 0..KEYS {
                let key = EventKey::from_bytes((number << shift).to_le_bytes());
                let hash = hasher.hash_one(key);
                counts[0][(hash >> 60) as usize] += 1;
                counts[1][(hash % 16) as usize] += 1;
            }
            let is_even = |count: &u32| (500..2000).contains(count);
            assert!(counts.iter().flatten().all(is_even), "{shift}: {counts:?}");
        }
    }
}
