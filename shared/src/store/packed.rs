//! Facts as they lie in an item: their texts, a line each, in one zlib stream. DynamoDB bills a write by the whole item, and facts
//! say the same names, ids and reasons again and again: this is a third of their size.
//!
//! Invariant: what was packed comes out byte for byte, so that hashes over it hold; what is cut short or too large is an
//! error, never a shorter list. The stream's own sum is weak (one flipped bit can pass it): the chain of hashes over the
//! facts is what tells damage.

use std::io::{Error, ErrorKind, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Most that comes out of one item. Heads and archives are kept far below; DynamoDB's 400 KB could unfold to a thousand
/// times this much memory of a function.
const UNPACKED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Packs texts; none holds a line feed, as no JSON of ours does.
pub fn pack<'a>(texts: impl IntoIterator<Item = &'a str>) -> std::io::Result<Vec<u8>> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    for text in texts {
        if text.contains('\n') {
            return Err(Error::new(ErrorKind::InvalidInput, "a fact's text has more than one line"));
        }
        packer.write_all(text.as_bytes())?;
        packer.write_all(b"\n")?;
    }
    packer.finish()
}

/// The texts that were packed.
pub fn unpack(packed: &[u8]) -> std::io::Result<Vec<String>> {
    let mut text = String::new();
    ZlibDecoder::new(packed).take(UNPACKED_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "its facts are larger than any item of ours"));
    }
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
