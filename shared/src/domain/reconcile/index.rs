//! From the hash of a text to the rows that may have it: eight bytes for each, and no copy of the text.
//!
//! Invariant: every row that was put under a text is among those found under it. Others may be: whoever asks compares.

const SLOTS_MIN: usize = 1_024;

/// Open addressing over slots of hash (upper half) and row + 1 (lower half); 0 is free.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    slots: Vec<u64>,
    held: usize,
}

/// The upper half of a slot. Eight bytes at a time: a fifth of the matching would be the standard library's hash, which
/// resists those who choose ids to collide; here they would gain a slower report.
fn hash_of(text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let hash = words.chain([rest]).fold(text.len() as u64, |hash, word| {
        (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    // The best bits are the upper ones, and the lower ones of the upper half choose the slot.
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) & 0xffff_ffff_0000_0000
}

impl Index {
    pub(super) fn put(&mut self, text: &str, row: u32) {
        // At most seven eighths full, so that a search ends.
        if (self.held + 1) * 8 > self.slots.len() * 7 {
            let larger = vec![0; (self.slots.len() * 2).max(SLOTS_MIN)];
            for slot in std::mem::replace(&mut self.slots, larger).into_iter().filter(|slot| *slot != 0) {
                self.place(slot);
            }
        }
        self.place(hash_of(text) | (u64::from(row) + 1));
        self.held += 1;
    }

    fn place(&mut self, slot: u64) {
        let mut at = self.home(slot);
        while self.slots.get(at).is_some_and(|held| *held != 0) {
            at = (at + 1) & (self.slots.len() - 1);
        }
        if let Some(free) = self.slots.get_mut(at) {
            *free = slot;
        }
    }

    /// Where a search begins: their number is a power of two.
    fn home(&self, slot: u64) -> usize {
        usize::try_from(slot >> 32).unwrap_or_default() & self.slots.len().saturating_sub(1)
    }

    /// Rows that were put under this text, the first first, and perhaps others.
    pub(super) fn all(&self, text: &str) -> impl Iterator<Item = u32> {
        let hash = hash_of(text);
        let home = self.home(hash);
        let (before, after) = self.slots.split_at(home.min(self.slots.len()));
        after
            .iter()
            .chain(before)
            .take_while(|slot| **slot != 0)
            .filter(move |slot| **slot >> 32 == hash >> 32)
            .map(|slot| u32::try_from(slot & 0xffff_ffff).unwrap_or(1) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_through_every_growth() {
        let mut index = Index::default();
        assert_eq!(index.all("t0").count(), 0);
        for row in 0..20_000 {
            index.put(&format!("t{row}"), row);
            index.put("all", row);
        }
        assert!(index.slots.len().is_power_of_two() && index.held * 8 <= index.slots.len() * 7);
        for row in 0..20_000 {
            assert!(index.all(&format!("t{row}")).any(|found| found == row));
        }
        assert_eq!(index.all("all").filter(|row| *row < 20_000).count(), 20_000);
        // Keys that differ in one digit do not meet.
        let mut spread = Index::default();
        (0..20_000).for_each(|row| spread.put(&format!("demo#checkout#shop#{row}"), row));
        let found: usize =
            (0..20_000).map(|row| spread.all(&format!("demo#checkout#shop#{row}")).count()).sum();
        assert!(found < 20_010, "{found}: hashes of 32 bits meet too often");
        assert!((0..1_000).map(|n| index.all(&format!("none{n}")).count()).sum::<usize>() < 3);
    }
}
