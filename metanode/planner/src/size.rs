//! The largest size of the next block of an object.

use cairn_types::block::BLOCK_LENGTH_MAX;

/// The number of blocks of one size in an object before the size doubles. The largest object, of 48.8 TiB, has some
/// 205,000 blocks, one of 5 TiB 25,000, and one of 8 GiB 1,000 of the default size.
const BLOCKS_PER_SIZE: u64 = 1_000;

/// The largest length in bytes of a block that begins at `offset` of an object. `base` is the size that is configured
/// for the cluster or the bucket, `length` the object's length if it is known.
///
/// The result is a power of two times `base`, or [`BLOCK_LENGTH_MAX`].
pub fn block_size(base: u64, offset: u64, length: Option<u64>) -> u64 {
    // An object of known length has blocks of one size.
    let reach = offset.max(length.unwrap_or(0));
    let wanted = reach / BLOCKS_PER_SIZE;
    let mut size = base.clamp(1, BLOCK_LENGTH_MAX);
    while size < wanted && size < BLOCK_LENGTH_MAX {
        size = size.saturating_mul(2);
    }
    size.min(BLOCK_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn blocks_of(base: u64, length: u64, known: bool) -> u64 {
        let (mut offset, mut blocks) = (0, 0);
        while offset < length {
            offset += block_size(base, offset, known.then_some(length));
            blocks += 1;
        }
        blocks
    }

    #[test]
    fn an_object_of_5_tib_stays_in_tens_of_thousands_of_blocks() {
        let length = 5 << 40;
        assert!(blocks_of(8 * MIB, length, true) < 30_000);
        assert!(blocks_of(8 * MIB, length, false) < 30_000);
    }

    /// 48.8 TiB in 10,000 parts of 5 GiB, each of which begins where the one before it ends.
    #[test]
    fn the_largest_object_stays_in_hundreds_of_thousands_of_blocks() {
        let (part, count) = (5 << 30, 10_000);
        for base in [64 << 10, 8 * MIB, BLOCK_LENGTH_MAX] {
            let blocks: u64 = (0..count)
                .map(|number| {
                    let (mut offset, end) = (number * part, (number + 1) * part);
                    let mut blocks = 0;
                    while offset < end {
                        offset += block_size(base, offset, Some(end));
                        blocks += 1;
                    }
                    blocks
                })
                .sum();
            assert!(blocks < 210_000, "{base}: {blocks}");
        }
        assert!(blocks_of(8 * MIB, count * part, false) < 210_000);
    }

    #[test]
    fn objects_up_to_8_gib_have_blocks_of_the_base_size() {
        assert_eq!(block_size(8 * MIB, 0, None), 8 * MIB);
        assert_eq!(block_size(8 * MIB, 0, Some(8_000 * MIB)), 8 * MIB);
        assert_eq!(block_size(8 * MIB, 8_000 * MIB, None), 8 * MIB);
        assert_eq!(block_size(8 * MIB, 8_008 * MIB, None), 16 * MIB);
    }

    #[test]
    fn no_block_is_larger_than_a_datanode_takes() {
        assert_eq!(block_size(u64::MAX, u64::MAX, Some(u64::MAX)), BLOCK_LENGTH_MAX);
        assert_eq!(block_size(3, u64::MAX, None), BLOCK_LENGTH_MAX);
        assert_eq!(block_size(0, 0, None), 1);
    }
}
