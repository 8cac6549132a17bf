//! Deflate and nothing else: what the machine could do at best, to measure archives and exports against.

use std::io::{ErrorKind, Read};

use crate::{Options, cutter::Cutter, error::ZipError};

/// Bytes read at a time; the calling thread should touch them while they are in its cache.
const READ: usize = 64 * 1024;

/// Sums of [`deflate_alone`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeflateTotals {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes they were packed into.
    pub compressed_bytes: u64,
}

/// Compresses `input` on the same blocks and threads as [`ZipStream`](crate::ZipStream) compresses one entry, and only counts what
/// comes out: no digest, no container, no output.
///
/// Divide the time of an export by the time of this over the same bytes to see what everything else costs.
pub fn deflate_alone(mut input: impl Read, options: Options) -> Result<DeflateTotals, ZipError> {
    let mut cutter = Cutter::start(options, |_| ())?;
    let mut totals = DeflateTotals::default();
    let mut buffer = vec![0; READ];
    loop {
        let length = match input.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(ZipError::Input(error)),
        };
        totals.bytes += length as u64;
        let mut data = &buffer[..length];
        while !data.is_empty() {
            if cutter.is_full() {
                let block = cutter.cut(false)?;
                cutter.pool.submit(block)?;
            }
            free_a_block(&mut cutter, &mut totals)?;
            data = cutter.fill(data)?;
        }
        if length == 0 {
            break;
        }
    }
    free_a_block(&mut cutter, &mut totals)?;
    let block = cutter.cut(true)?;
    cutter.pool.submit(block)?;
    while take_back(&mut cutter, &mut totals)? {}
    Ok(totals)
}

fn free_a_block(cutter: &mut Cutter, totals: &mut DeflateTotals) -> Result<(), ZipError> {
    while cutter.is_starved() && take_back(cutter, totals)? {}
    Ok(())
}

fn take_back(cutter: &mut Cutter, totals: &mut DeflateTotals) -> Result<bool, ZipError> {
    let Some(block) = cutter.pool.next()? else {
        return Ok(false);
    };
    totals.compressed_bytes += block.packed().len() as u64;
    cutter.recycle(block);
    Ok(true)
}
