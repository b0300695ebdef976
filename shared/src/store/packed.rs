//! Facts as they lie in an item: their texts, a line each, in one zlib stream. DynamoDB bills a write by the whole item, and facts
//! say the same names, ids and reasons again and again: this is a third of their size.
//!
//! Invariant: what was packed comes out byte for byte, so that hashes over it hold; what is cut short or too large is an
//! error, never a shorter list. The stream's own sum is weak (one flipped bit can pass it): the chain of hashes over the
//! facts is what tells damage.

use miniz_oxide::deflate::{CompressionLevel, compress_to_vec_zlib};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

/// Most that comes out of one item. Heads and archives are kept far below; DynamoDB's 400 KB could unfold to a thousand
/// times this much memory of a function.
const UNPACKED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Packs texts; none holds a line feed, as no JSON of ours does. An error says why not.
pub fn pack<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, &'static str> {
    let mut lines = String::new();
    for text in texts {
        if text.contains('\n') {
            return Err("a fact's text has more than one line");
        }
        lines.push_str(text);
        lines.push('\n');
    }
    Ok(compress_to_vec_zlib(lines.as_bytes(), CompressionLevel::DefaultLevel as u8))
}

/// The texts that were packed. An error says why not.
pub fn unpack(packed: &[u8]) -> Result<Vec<String>, &'static str> {
    let bytes = decompress_to_vec_zlib_with_limit(packed, UNPACKED_BYTES_MAX)
        .map_err(|_| "its packed facts are cut short, damaged or larger than any of ours")?;
    let text = String::from_utf8(bytes).map_err(|_| "its packed facts are no text")?;
    Ok(text.split_terminator('\n').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_out_byte_for_byte(texts in prop::collection::vec("[^\n]{0,80}", 0..20)) {
            let packed = pack(texts.iter().map(String::as_str)).unwrap();
            prop_assert_eq!(unpack(&packed).unwrap(), texts);
        }

        #[test]
        fn what_is_cut_short_is_an_error(
            texts in prop::collection::vec("[a-z]{1,80}", 1..20),
            at in any::<prop::sample::Index>(),
        ) {
            let packed = pack(texts.iter().map(String::as_str)).unwrap();
            prop_assert!(unpack(&packed[..at.index(packed.len())]).is_err());
        }
    }

    #[test]
    fn two_lines_are_no_fact() {
        assert!(pack(["{}", "{\n}"]).is_err());
    }

    #[test]
    fn an_item_that_unfolds_past_any_of_ours_is_refused() {
        let text = "0".repeat(1 << 20);
        let packed = pack(std::iter::repeat_n(text.as_str(), 9)).unwrap();
        assert!(packed.len() < 20_000, "{} bytes", packed.len());
        assert!(unpack(&packed).is_err());
    }
}
