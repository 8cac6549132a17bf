//! Threads that work on blocks, and their results in the order of the blocks.
//!
//! Who gives the blocks needs a core as well. Workers that took every block at once would take its core from it, run out of
//! blocks together, and leave cores idle while it makes the next ones. So each worker leaves some blocks to those before it:
//! only as many work as it takes to keep up, unless the caller waits for them.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use crate::{block::Block, error::ZipError};

/// Blocks that a worker leaves to each of those before it: with two it is still busy when the caller was away for a while.
const LEFT: usize = 2;

/// A block and its place in the order.
type Job = (u64, Block);
type Outcome = Result<Job, ZipError>;

pub(crate) struct Pool {
    queue: Arc<dyn Submit>,
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
        // Room for every block and for every worker's last words: a worker never waits here, so ending never hangs.
        let (answers, outcomes) = sync_channel(capacity + threads);
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                jobs: VecDeque::with_capacity(capacity),
                in_order: Some(in_order),
                awaited: false,
                ended: false,
                workers: threads,
                idle: vec![false; threads],
            }),
            wakers: (0..threads).map(|_| Condvar::new()).collect(),
        });
        let mut pool = Self {
            queue: Arc::<Queue<I>>::clone(&queue),
            outcomes,
            pending: VecDeque::with_capacity(capacity),
            first: 0,
            workers: Vec::with_capacity(threads),
        };
        for number in 0..threads {
            let (queue, answers, work) = (Arc::clone(&queue), answers.clone(), worker());
            let handle = thread::Builder::new()
                .name(format!("deflate-{number}"))
                .spawn(move || {
                    run(number, &queue, &answers, work);
                    queue.leave();
                })
                .map_err(ZipError::Thread)?;
            pool.workers.push(handle);
        }
        Ok(pool)
    }

    pub(crate) fn submit(&mut self, block: Block) -> Result<(), ZipError> {
        let place = self.first + self.pending.len() as u64;
        if !self.queue.submit((place, block)) {
            // The last worker has said why it left, unless that was taken already.
            let cause = self.outcomes.try_iter().find_map(Result::err);
            return Err(cause.unwrap_or(ZipError::WorkerLost));
        }
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
            let outcome = if let Ok(outcome) = self.outcomes.try_recv() {
                outcome
            } else {
                self.queue.hurry();
                self.outcomes.recv().map_err(|_| ZipError::WorkerLost)?
            };
            let (place, block) = outcome?;
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
        self.queue.end();
        for worker in self.workers.drain(..) {
            // A panic was reported through the channel.
            drop(worker.join());
        }
    }
}

/// Blocks on their way to the workers.
struct Queue<I> {
    state: Mutex<State<I>>,
    /// One for each worker.
    wakers: Vec<Condvar>,
}

struct State<I> {
    jobs: VecDeque<Job>,
    /// Away while the block that was taken last is shown to it: the next one has to wait.
    in_order: Option<I>,
    /// Whether the caller waits for a block: nothing else needs its core.
    awaited: bool,
    /// Whether there will be no more blocks.
    ended: bool,
    /// Workers that still take blocks.
    workers: usize,
    /// Which of them wait.
    idle: Vec<bool>,
}

impl<I> State<I> {
    /// Whether a worker is to take a block.
    fn is_due(&self, worker: usize) -> bool {
        let left = if self.awaited { 0 } else { worker };
        self.jobs.len() > LEFT * left && self.in_order.is_some()
    }
}

/// The side of the queue that the caller sees.
trait Submit: Send + Sync {
    /// `false` when no worker is left to take it.
    fn submit(&self, job: Job) -> bool;
    /// The caller waits for a block, until it submits the next.
    fn hurry(&self);
    /// There are no more blocks, and those that nobody has taken yet are not wanted any more.
    fn end(&self);
}

impl<I> Queue<I> {
    fn state(&self) -> MutexGuard<'_, State<I>> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next block for a worker, and the function that must see it and be given back; `None` when there are no more.
    fn take(&self, worker: usize) -> Option<(Job, I)> {
        let mut state = self.state();
        while !state.ended {
            if state.is_due(worker) {
                let job = state.jobs.pop_front()?;
                return Some((job, state.in_order.take()?));
            }
            state.idle[worker] = true;
            state = self.wakers[worker]
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle[worker] = false;
        }
        None
    }

    fn give_back(&self, in_order: I) {
        let mut state = self.state();
        state.in_order = Some(in_order);
        self.wake(&mut state);
    }

    /// Wakes the first worker that is to take a block: who is woken takes one, and then the next is due.
    fn wake(&self, state: &mut State<I>) {
        let due = (0..self.wakers.len()).find(|&worker| state.idle[worker]);
        if let Some(worker) = due.filter(|&worker| state.is_due(worker)) {
            // It need not be woken twice.
            state.idle[worker] = false;
            self.wakers[worker].notify_one();
        }
    }

    /// Nobody is to take blocks any more.
    fn close(&self, state: &mut State<I>) {
        state.ended = true;
        for waker in &self.wakers {
            waker.notify_one();
        }
    }

    /// A worker takes no more blocks. What it leaves undone is an error, after which nobody needs the others.
    fn leave(&self) {
        let mut state = self.state();
        state.workers -= 1;
        self.close(&mut state);
    }
}

impl<I: Send> Submit for Queue<I> {
    fn submit(&self, job: Job) -> bool {
        let mut state = self.state();
        if state.workers == 0 {
            return false;
        }
        state.jobs.push_back(job);
        state.awaited = false;
        self.wake(&mut state);
        true
    }

    fn hurry(&self) {
        let mut state = self.state();
        state.awaited = true;
        self.wake(&mut state);
    }

    fn end(&self) {
        let mut state = self.state();
        state.jobs.clear();
        self.close(&mut state);
    }
}

fn run<I, F>(worker: usize, queue: &Queue<I>, answers: &SyncSender<Outcome>, mut work: F)
where
    I: FnMut(&mut Block),
    F: FnMut(&mut Block) -> Result<(), ZipError>,
{
    while let Some(((place, mut block), mut in_order)) = queue.take(worker) {
        // Without an answer the calling thread would wait for this block for ever. `work` is not used after a panic, and
        // neither is what sees the blocks in order, which is gone with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            in_order(&mut block);
            queue.give_back(in_order);
            work(&mut block).map(|()| (place, block))
        }))
        .unwrap_or(Err(ZipError::WorkerLost));
        let failed = outcome.is_err();
        if answers.send(outcome).is_err() || failed {
            return;
        }
    }
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

    #[test]
    fn a_worker_leaves_blocks_to_those_before_it_until_the_caller_waits() {
        let (tell, started) = sync_channel(CAPACITY);
        let gates: Vec<_> = (0..LEFT + 2).map(|_| sync_channel(1)).collect();
        let (open, gates): (Vec<_>, Vec<_>) = gates.into_iter().unzip();
        let gates = Arc::new(Mutex::new(gates.into_iter().map(Some).collect::<Vec<_>>()));
        // Says who has which block, and works on it until its gate opens.
        let work = move |block: &mut Block| {
            let number = block.body().len();
            let gate = gates.lock().unwrap()[number].take().unwrap();
            let worker = thread::current().name().map(ToOwned::to_owned);
            tell.send((worker.unwrap(), number)).unwrap();
            gate.recv().unwrap();
            Ok(())
        };
        let mut pool = Pool::start(2, CAPACITY, |_| (), || work.clone()).unwrap();
        let next = || started.recv().unwrap();
        pool.submit(block(0)).unwrap();
        assert_eq!(next(), ("deflate-0".to_owned(), 0));
        for number in 1..=LEFT + 1 {
            pool.submit(block(number)).unwrap();
        }
        assert_eq!(next(), ("deflate-1".to_owned(), 1));
        open[1].send(()).unwrap();
        // It waits in the channel: nobody waits for it yet.
        let done = pool.outcomes.recv().unwrap().unwrap();
        pool.pending[1] = Some(done.1);
        open[0].send(()).unwrap();
        assert_eq!(next(), ("deflate-0".to_owned(), 2));
        for gate in &open[2..] {
            gate.send(()).unwrap();
        }
        for number in 0..LEFT + 2 {
            assert_eq!(pool.next().unwrap().unwrap().body().len(), number);
        }
        assert!(pool.next().unwrap().is_none());
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
