//! Threads that work on blocks, and their results in the order of the blocks.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use crate::{block::Block, error::ZipError};

/// A block and its place in the order.
type Job = (u64, Block);
/// Where workers take jobs from. Whoever holds the lock has the next block of the order, and hands it to the function
/// before anybody can have the one after it.
type Queue<I> = Mutex<(Receiver<Job>, I)>;
type Outcome = Result<Job, ZipError>;

pub(crate) struct Pool {
    /// `None` only while dropping: its end is what the workers see.
    jobs: Option<SyncSender<Job>>,
    outcomes: Receiver<Outcome>,
    /// Blocks handed over and not taken back yet, oldest first; those that came back early wait here.
    pending: VecDeque<Option<Block>>,
    /// Place of the first of `pending`.
    first: u64,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads, each with a work function of its own. Before that, each block is shown to `in_order`, one
    /// after the other as they were submitted. At most `capacity` blocks may be pending at a time.
    pub(crate) fn start<I, F>(
        threads: usize,
        capacity: usize,
        in_order: I,
        mut worker: impl FnMut() -> F,
    ) -> Result<Self, ZipError>
    where
        I: FnMut(&mut Block) + Send + 'static,
        F: FnMut(&mut Block) -> Result<(), ZipError> + Send + 'static,
    {
        let (jobs, queue) = sync_channel(capacity);
        // Room for every block and for every worker's last words: a worker never waits here, so ending never hangs.
        let (answers, outcomes) = sync_channel(capacity + threads);
        let queue = Arc::new(Mutex::new((queue, in_order)));
        let mut pool = Self {
            jobs: Some(jobs),
            outcomes,
            pending: VecDeque::with_capacity(capacity),
            first: 0,
            workers: Vec::with_capacity(threads),
        };
        for number in 0..threads {
            let (queue, answers, work) = (Arc::clone(&queue), answers.clone(), worker());
            let handle = thread::Builder::new()
                .name(format!("deflate-{number}"))
                .spawn(move || run(&queue, &answers, work))
                .map_err(ZipError::Thread)?;
            pool.workers.push(handle);
        }
        Ok(pool)
    }

    pub(crate) fn submit(&mut self, block: Block) -> Result<(), ZipError> {
        let place = self.first + self.pending.len() as u64;
        let jobs = self.jobs.as_ref().ok_or(ZipError::WorkerLost)?;
        jobs.send((place, block))
            .map_err(|_| ZipError::WorkerLost)?;
        self.pending.push_back(None);
        Ok(())
    }

    /// The oldest block that was submitted, when its work is done; `None` when there is none.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, ZipError> {
        while let Some(oldest) = self.pending.front_mut() {
            if let Some(block) = oldest.take() {
                self.pending.pop_front();
                self.first += 1;
                return Ok(Some(block));
            }
            let (place, block) = self.outcomes.recv().map_err(|_| ZipError::WorkerLost)??;
            let slot = usize::try_from(place - self.first)
                .ok()
                .and_then(|index| self.pending.get_mut(index));
            *slot.ok_or(ZipError::WorkerLost)? = Some(block);
        }
        Ok(None)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A panic was reported through the channel.
            drop(worker.join());
        }
    }
}

fn run<I, F>(queue: &Queue<I>, answers: &SyncSender<Outcome>, mut work: F)
where
    I: FnMut(&mut Block),
    F: FnMut(&mut Block) -> Result<(), ZipError>,
{
    loop {
        // Without an answer the calling thread would wait for this block for ever. `work` is not used after a panic, and
        // neither is the queue, whose lock a panic leaves poisoned.
        let Ok(done) = catch_unwind(AssertUnwindSafe(|| {
            let (place, mut block) = next_in_order(queue)?;
            Some(work(&mut block).map(|()| (place, block)))
        })) else {
            let _ = answers.send(Err(ZipError::WorkerLost));
            return;
        };
        let Some(outcome) = done else { return };
        let failed = outcome.is_err();
        if answers.send(outcome).is_err() || failed {
            return;
        }
    }
}

/// The next block, after its turn in the order; `None` when there are no more.
fn next_in_order<I: FnMut(&mut Block)>(queue: &Queue<I>) -> Option<Job> {
    // Whoever waits holds the lock; the others wait for the lock instead.
    let mut queue = queue.lock().ok()?;
    let (jobs, in_order) = &mut *queue;
    let (place, mut block) = jobs.recv().ok()?;
    in_order(&mut block);
    Some((place, block))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: usize = 6;

    fn block(number: usize) -> Block {
        let mut block = Block::default();
        block.begin(&[]);
        block.fill(&vec![0; number]);
        block
    }

    #[test]
    fn blocks_come_back_in_order_however_long_each_takes() {
        for threads in [1, 2, 4] {
            let work = |block: &mut Block| {
                // The first of each four takes longest.
                for _ in 0..2000 * (3 - block.body().len() % 4) {
                    thread::yield_now();
                }
                Ok(())
            };
            let seen = Arc::new(Mutex::new(Vec::new()));
            let order = Arc::clone(&seen);
            let in_order = move |block: &mut Block| order.lock().unwrap().push(block.body().len());
            let mut pool = Pool::start(threads, CAPACITY, in_order, || work).unwrap();
            let mut returned = 0;
            for number in 0..40 {
                if number >= CAPACITY {
                    assert_eq!(pool.next().unwrap().unwrap().body().len(), returned);
                    returned += 1;
                }
                pool.submit(block(number)).unwrap();
            }
            while let Some(block) = pool.next().unwrap() {
                assert_eq!(block.body().len(), returned);
                returned += 1;
            }
            assert_eq!(returned, 40);
            assert_eq!(*seen.lock().unwrap(), (0..40).collect::<Vec<_>>());
        }
    }

    /// Submits blocks until one fails; whatever comes before it comes back.
    fn check_failure<F>(threads: usize, work: F) -> ZipError
    where
        F: FnMut(&mut Block) -> Result<(), ZipError> + Send + Clone + 'static,
    {
        let mut pool = Pool::start(threads, CAPACITY, |_| (), || work.clone()).unwrap();
        let failed = (0..CAPACITY).find_map(|number| pool.submit(block(number)).err());
        failed.unwrap_or_else(|| {
            loop {
                match pool.next() {
                    Ok(block) => assert!(block.is_some(), "the failure was lost"),
                    Err(error) => return error,
                }
            }
        })
    }

    #[test]
    fn a_panic_is_an_error() {
        for threads in [1, 2, 4] {
            let error = check_failure(threads, |block| {
                assert!(block.body().len() != 2, "this panic is part of the test");
                Ok(())
            });
            assert!(matches!(error, ZipError::WorkerLost));
        }
    }

    #[test]
    fn a_panic_in_the_order_is_an_error() {
        for threads in [1, 2, 4] {
            let in_order = |block: &mut Block| assert!(block.body().len() != 2, "part of the test");
            let mut pool =
                Pool::start(threads, CAPACITY, in_order, || |_: &mut Block| Ok(())).unwrap();
            let submitted = (0..CAPACITY).try_for_each(|number| pool.submit(block(number)));
            let error = submitted.err().unwrap_or_else(|| {
                loop {
                    if let Err(error) = pool.next() {
                        return error;
                    }
                }
            });
            assert!(matches!(error, ZipError::WorkerLost));
        }
    }

    #[test]
    fn a_block_that_cannot_be_packed_is_an_error() {
        let error = check_failure(1, |block| match block.body().len() {
            3 => Err(ZipError::Deflate),
            _ => Ok(()),
        });
        assert!(matches!(error, ZipError::Deflate));
    }

    #[test]
    fn without_living_workers_submitting_fails() {
        let fail = |_: &mut Block| Err(ZipError::Deflate);
        let mut pool = Pool::start(1, CAPACITY, |_| (), || fail).unwrap();
        pool.submit(block(1)).unwrap();
        assert!(matches!(pool.next(), Err(ZipError::Deflate)));
        pool.workers.pop().unwrap().join().unwrap();
        assert!(matches!(pool.submit(block(2)), Err(ZipError::WorkerLost)));
        assert!(matches!(pool.next(), Err(ZipError::WorkerLost)));
    }
}
