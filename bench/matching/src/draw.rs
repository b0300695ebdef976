//! Numbers and ids drawn from a seed: splitmix64.

/// Draws one after the other.
pub(crate) struct Draw(u64);

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: i64) -> i64 {
        i64::try_from(self.bits() % n.unsigned_abs().max(1)).unwrap_or(0)
    }

    /// An id as Stripe makes them.
    pub(crate) fn id(&mut self, prefix: &str, letters: usize) -> String {
        let mut id = prefix.to_owned();
        for _ in 0..letters {
            let at = usize::try_from(self.bits() % 62).unwrap_or(0);
            id.push(char::from(LETTERS[at]));
        }
        id
    }
}
