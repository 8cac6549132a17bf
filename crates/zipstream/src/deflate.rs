//! Compresses one block: what a worker thread does, and nothing else.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::{
    block::{BLOCK, Block},
    error::ZipError,
};

/// Most bytes in one stored block of deflate: its length has 16 bits (RFC 1951, 3.2.4).
const STORED_MAX: usize = 0xFFFF;
/// Three bits of block header, filled up to a byte, and the length twice.
const STORED_HEADER: usize = 5;
/// Room for the worst that deflate does to a block: 9 bits a byte, as fixed codes have (RFC 1951, 3.2.6), headers and the flush.
///
/// The buffer must never be too small. zlib-rs 0.6 does not forget bytes that found no room when it is reset, and panics later.
const PACKED_MAX: usize = BLOCK + BLOCK / 8 + BLOCK / 64 + 64;

pub(crate) struct Deflater {
    /// `None` at level 0.
    state: Option<Compress>,
}

impl Deflater {
    pub(crate) fn new(level: u8) -> Self {
        Self {
            state: (level > 0).then(|| Compress::new(Compression::new(u32::from(level)), false)),
        }
    }

    /// Fills the block's packed side. The result depends on the block alone, not on blocks that were packed before.
    pub(crate) fn pack(&mut self, block: &mut Block) -> Result<(), ZipError> {
        let (dictionary, body, last, packed) = block.parts();
        // Its length never changes afterwards: how much room there is can change what deflate writes.
        packed.buffer.resize(PACKED_MAX, 0);
        let deflated = match &mut self.state {
            Some(state) => deflate(state, dictionary, body, last, &mut packed.buffer)?,
            None => usize::MAX,
        };
        packed.used = if deflated < stored_size(body) {
            deflated
        } else {
            store(body, last, &mut packed.buffer)
        };
        Ok(())
    }
}

/// Returns the bytes written.
fn deflate(
    state: &mut Compress,
    dictionary: &[u8],
    body: &[u8],
    last: bool,
    out: &mut [u8],
) -> Result<usize, ZipError> {
    state.reset();
    if !dictionary.is_empty() {
        state
            .set_dictionary(dictionary)
            .map_err(|_| ZipError::Deflate)?;
    }
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    let status = state
        .compress(body, out, flush)
        .map_err(|_| ZipError::Deflate)?;
    let used = usize::try_from(state.total_out()).map_err(|_| ZipError::Deflate)?;
    // A flush that used all the room may have had more to write.
    let flushed = used < out.len() && (status == Status::StreamEnd) == last;
    if flushed && state.total_in() == body.len() as u64 {
        Ok(used)
    } else {
        Err(ZipError::Deflate)
    }
}

fn stored_size(body: &[u8]) -> usize {
    body.len() + stored_blocks(body) * STORED_HEADER
}

/// An empty body takes a block as well, for there the stream may end.
fn stored_blocks(body: &[u8]) -> usize {
    body.len().div_ceil(STORED_MAX).max(1)
}

/// Writes `body` as stored blocks; returns the bytes written. Blocks begin and end on byte boundaries, which these keep.
fn store(body: &[u8], last: bool, out: &mut [u8]) -> usize {
    let pieces = stored_blocks(body);
    let mut at = 0;
    for piece in 0..pieces {
        let from = piece * STORED_MAX;
        let bytes = &body[from..body.len().min(from + STORED_MAX)];
        let [low, high] = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
        let is_final = u8::from(last && piece + 1 == pieces);
        out[at..at + STORED_HEADER].copy_from_slice(&[is_final, low, high, !low, !high]);
        at += STORED_HEADER;
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs `body` in one block and inflates it again.
    fn check(deflater: &mut Deflater, body: &[u8], last: bool) -> usize {
        let mut block = Block::default();
        block.begin(&[]);
        assert!(block.fill(body).is_empty());
        block.last = last;
        deflater.pack(&mut block).unwrap();
        let packed = block.packed();
        assert!(packed.len() <= stored_size(body));
        let mut inflated = Vec::with_capacity(body.len() + 1);
        let status = flate2::Decompress::new(false)
            .decompress_vec(packed, &mut inflated, flate2::FlushDecompress::Sync)
            .unwrap();
        assert_eq!(status == Status::StreamEnd, last);
        assert!(inflated == body);
        packed.len()
    }

    fn noise() -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..BLOCK).map(|_| next()).collect()
    }

    #[test]
    fn noise_is_stored_and_spoils_nothing_after_it() {
        let noise = noise();
        for level in 0..=9 {
            let mut deflater = Deflater::new(level);
            let zeros = vec![0; BLOCK];
            let expected = check(&mut deflater, &zeros, false);
            for _ in 0..3 {
                for last in [false, true] {
                    assert_eq!(check(&mut deflater, &noise, last), BLOCK + 5 * 5);
                }
                assert_eq!(check(&mut deflater, &zeros, false), expected);
            }
        }
    }

    #[test]
    fn lengths_around_a_stored_block_are_inflated_again() {
        let noise = noise();
        let mut deflater = Deflater::new(0);
        for length in [0, 1, 0xFFFE, 0xFFFF, 0x1_0000, 4 * 0xFFFF, BLOCK] {
            for last in [false, true] {
                check(&mut deflater, &noise[..length], last);
            }
        }
    }

    #[test]
    fn an_empty_last_block_is_the_shortest_stream() {
        assert_eq!(check(&mut Deflater::new(6), &[], true), 2);
    }
}
