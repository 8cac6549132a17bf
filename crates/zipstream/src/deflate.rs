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
/// A block takes at most the room of stored ones. One byte more, so that output that just fits is told from output that was cut.
const PACKED_MAX: usize = BLOCK + BLOCK.div_ceil(STORED_MAX) * STORED_HEADER + 1;

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
            None => None,
        };
        packed.used = deflated.unwrap_or_else(|| store(body, last, &mut packed.buffer));
        Ok(())
    }
}

/// Returns the bytes written, or `None` when storing takes less room.
fn deflate(
    state: &mut Compress,
    dictionary: &[u8],
    body: &[u8],
    last: bool,
    out: &mut [u8],
) -> Result<Option<usize>, ZipError> {
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
    if used == out.len() {
        return Ok(None);
    }
    let complete = state.total_in() == body.len() as u64 && (status == Status::StreamEnd) == last;
    if complete {
        Ok(Some(used))
    } else {
        Err(ZipError::Deflate)
    }
}

/// Writes `body` as stored blocks; returns the bytes written. Blocks begin and end on byte boundaries, which these keep.
fn store(body: &[u8], last: bool, out: &mut [u8]) -> usize {
    let pieces = body.len().div_ceil(STORED_MAX).max(1);
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
