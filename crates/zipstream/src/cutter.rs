//! Cuts the bytes of entries into blocks and recycles the blocks; the part that archives and [`crate::deflate_alone`] share.

use crate::{
    Options,
    block::{Block, WINDOW},
    deflate::Deflater,
    error::ZipError,
    pool::Pool,
};

pub(crate) struct Cutter {
    pub(crate) pool: Pool,
    /// The block that takes the next bytes.
    filling: Option<Block>,
    /// The end of the block before, which is with the workers already.
    history: Vec<u8>,
    free: Vec<Block>,
    /// Blocks that may still be made.
    unmade: usize,
}

impl Cutter {
    /// `in_order` sees every block once, in order, on one of the workers.
    pub(crate) fn start(
        options: Options,
        in_order: impl FnMut(&mut Block) + Send + 'static,
    ) -> Result<Self, ZipError> {
        let level = options.level;
        if level > 9 {
            return Err(ZipError::Level { level });
        }
        let threads = options.threads.max(1);
        // Each worker has one block in hand and one waiting; one block is being filled and one being written.
        let blocks = 2 * threads + 2;
        let pool = Pool::start(threads, blocks, in_order, || {
            let mut deflater = Deflater::new(level);
            move |block: &mut Block| {
                if block.stored {
                    Ok(())
                } else {
                    deflater.pack(block)
                }
            }
        })?;
        Ok(Self {
            pool,
            filling: None,
            history: Vec::with_capacity(WINDOW),
            free: Vec::with_capacity(blocks),
            unmade: blocks,
        })
    }

    /// Whether [`Self::fill`] needs a block to be given back first.
    pub(crate) fn is_starved(&self) -> bool {
        self.filling.is_none() && self.free.is_empty() && self.unmade == 0
    }

    /// Takes bytes into the current block, or a fresh one; returns those that did not fit. Must not be starved.
    pub(crate) fn fill<'d>(&mut self, data: &'d [u8]) -> Result<&'d [u8], ZipError> {
        let mut block = self.current()?;
        let rest = block.fill(data);
        self.filling = Some(block);
        Ok(rest)
    }

    /// Whether the current block is full. It stays until more bytes come, because only then it is known not to be the last.
    pub(crate) fn is_full(&self) -> bool {
        self.filling.as_ref().is_some_and(Block::is_full)
    }

    /// Takes the current block out, to be handed on. Must not be starved, for an empty entry has a last block as well.
    pub(crate) fn cut(&mut self, last: bool) -> Result<Block, ZipError> {
        let mut block = self.current()?;
        block.last = last;
        self.history.clear();
        if !last {
            self.history.extend_from_slice(block.history());
        }
        Ok(block)
    }

    /// Takes back a block that has been written.
    pub(crate) fn recycle(&mut self, block: Block) {
        self.free.push(block);
    }

    /// The block that was being filled, or one that continues after it.
    fn current(&mut self) -> Result<Block, ZipError> {
        if let Some(block) = self.filling.take() {
            return Ok(block);
        }
        let mut block = match self.free.pop() {
            Some(block) => block,
            None if self.unmade > 0 => {
                self.unmade -= 1;
                Block::default()
            }
            None => return Err(ZipError::Failed),
        };
        block.begin(&self.history);
        Ok(block)
    }
}
