//! timely's queues between processes: past a threshold, what waits in them waits on disk.
//!
//! The window of the scans bounds what is under way (`operators/context.rs`), so this is a safety net: for a process
//! to which many others send at once, and for operators that no window holds back.

use std::sync::{Arc, Mutex, PoisonError};

use timely::bytes::arc::{Bytes, BytesMut};
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::spill::{
    BytesFetch, BytesSpill, PrefetchPolicy, SpillPolicy, Threshold,
};

use crate::error::FirstFailure;
use crate::memory::{Budget, Extent, Store};

/// A queue keeps this much in memory, however many there are: the buffers that timely reads into are as large.
const LEAST_QUEUE_BYTES: usize = 1 << 20;

/// What timely is given for `queues` queues that share what the budget has for them.
pub(super) fn hooks(budget: &Budget, queues: usize, failure: &FirstFailure) -> Hooks {
    let most = (budget.queue_bytes() / queues.max(1)).max(LEAST_QUEUE_BYTES);
    let (budget, failure) = (budget.clone(), failure.clone());
    let policies = move || {
        let mut writer = Threshold::new(Box::new(ToDisk {
            file: Arc::new(Mutex::new(QueueFile {
                store: Store::new(budget.directory().to_path_buf()),
                outstanding: 0,
            })),
            budget: budget.clone(),
            failure: failure.clone(),
        }));
        // Whoever reads the queue finds its front in memory.
        (writer.head_reserve_bytes, writer.threshold_bytes) = (most / 4, most - most / 4);
        let reader = PrefetchPolicy::new(most / 4);
        (Box::new(writer) as Box<dyn SpillPolicy>, Box::new(reader) as Box<dyn SpillPolicy>)
    };
    Hooks { spill: Some(Arc::new(policies)), ..Hooks::default() }
}

/// The disk side of one queue.
struct ToDisk {
    file: Arc<Mutex<QueueFile>>,
    budget: Budget,
    failure: FirstFailure,
}

struct QueueFile {
    store: Store,
    /// How many pieces are yet to be read; without any, the file starts anew.
    outstanding: usize,
}

/// A piece of a queue that waits on disk.
struct OnDisk {
    file: Arc<Mutex<QueueFile>>,
    extent: Extent,
    failure: FirstFailure,
}

impl BytesSpill for ToDisk {
    fn spill(&mut self, chunks: &mut Vec<Bytes>, handles: &mut Vec<Box<dyn BytesFetch>>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = 0;
        for chunk in &*chunks {
            match file.store.append(chunk) {
                Ok(extent) => {
                    file.outstanding += 1;
                    let (file, failure) = (Arc::clone(&self.file), self.failure.clone());
                    handles.push(Box::new(OnDisk { file, extent, failure }));
                    self.budget.queue_spilled(chunk.len() as u64);
                    written += 1;
                }
                Err(error) => {
                    self.failure.set(error);
                    break;
                }
            }
        }
        // What could not be written stays in memory; the job ends anyway.
        chunks.drain(..written);
    }
}

impl BytesFetch for OnDisk {
    fn fetch(self: Box<Self>) -> Result<Vec<Bytes>, Box<dyn BytesFetch>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; self.extent.bytes];
        if let Err(error) = file.store.read(self.extent, &mut bytes) {
            drop(file);
            self.failure.set(error);
            return Err(self);
        }
        file.outstanding -= 1;
        if file.outstanding == 0 {
            file.store.clear();
        }
        Ok(vec![BytesMut::from(bytes).freeze()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::path::PathBuf;
    use std::time::Duration;

    use timely::communication::allocator::AllocatorBuilder;
    use timely::communication::allocator::ProcessBuilder;
    use timely::communication::allocator::zero_copy::bytes_exchange::{BytesPull, BytesPush, MergeQueue};
    use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
    use timely::container::CapacityContainerBuilder;
    use timely::dataflow::channels::pact::Exchange;
    use timely::dataflow::operators::Inspect;
    use timely::dataflow::operators::generic::operator::Operator;
    use timely::dataflow::operators::vec::ToStream;

    const WORDS: u64 = 4_000_000;

    fn budget(bytes: u64, directory: PathBuf) -> Budget {
        Budget::new(Some(bytes), directory, 1)
    }

    /// One of two processes, with a worker; process 0 sends words to process 1, which is slow to take them.
    fn process(index: usize, socket: TcpStream, budget: &Budget) -> u64 {
        let failure = FirstFailure::default();
        let hooks = hooks(budget, 2, &failure);
        let mut sockets = vec![None, None];
        sockets[1 - index] = Some(socket);
        let local = ProcessBuilder::new_typed_vector(1, hooks.refill.clone(), hooks.spill.clone());
        let (builders, guard) =
            initialize_networking_from_sockets(local, sockets, index, 1, hooks).expect("connected");
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        let guards = timely::execute::execute_from(
            builders,
            Box::new(guard),
            timely::WorkerConfig::default(),
            move |worker| {
                let sum = std::rc::Rc::new(std::cell::Cell::new(0u64));
                let total = std::rc::Rc::clone(&sum);
                worker.dataflow::<u64, _, _>(|scope| {
                    let words = if index == 0 { 0..WORDS } else { 0..0 };
                    words
                        .to_stream(scope)
                        .unary::<CapacityContainerBuilder<Vec<u64>>, _, _, _>(
                            Exchange::new(|_: &u64| 1),
                            "Pass",
                            |_, _| {
                                |input, output| {
                                    input.for_each(|time, words| output.session(&time).give_container(words));
                                }
                            },
                        )
                        .inspect(move |word| total.set(total.get() + word + 1));
                });
                if index == 1 {
                    // Its network thread goes on reading.
                    std::thread::sleep(Duration::from_secs(1));
                }
                while worker.step_or_park(None) {}
                sum.get()
            },
        )
        .expect("started");
        let sum = guards.join().into_iter().map(|outcome| outcome.expect("ended")).sum();
        assert_eq!(failure.message(), None);
        sum
    }

    #[test]
    fn a_slow_receiver_has_its_queue_on_disk() {
        let home = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let first = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (second, _) = listener.accept().expect("connected");
        let budgets = [(); 2].map(|()| budget(16_000_000, home.path().to_path_buf()));
        let sums = std::thread::scope(|scope| {
            let other = scope.spawn(|| process(1, second, &budgets[1]));
            [process(0, first, &budgets[0]), other.join().expect("ended")]
        });
        assert_eq!(sums, [0, WORDS * (WORDS + 1) / 2]);
        let spilled = budgets[1].queue_spilled_bytes();
        assert!(spilled > WORDS, "{spilled} bytes of {} waited on disk", WORDS * 8);
        assert_eq!(home.path().read_dir().expect("a directory").count(), 0);
    }

    /// A queue with these hooks, its policies of timely's own making, and what failed.
    fn queue(directory: PathBuf) -> (MergeQueue, MergeQueue, FirstFailure) {
        let failure = FirstFailure::default();
        let hooks = hooks(&budget(16_000_000, directory), 2, &failure);
        let (writer, reader) = hooks.spill.as_ref().expect("given")();
        let (writer, reader) = MergeQueue::new_pair(Default::default(), Some(writer), Some(reader));
        (writer, reader, failure)
    }

    #[test]
    fn a_directory_that_is_gone_fails_the_job_and_loses_nothing() {
        let home = tempfile::tempdir().expect("a directory");
        let (mut writer, mut reader, failure) = queue(home.path().to_path_buf());
        home.close().expect("removed");
        let piece = || Some(BytesMut::from(vec![1u8; 1 << 18]).freeze());
        (0..16).for_each(|_| writer.extend(piece()));
        let message = failure.message().expect("nowhere to write");
        assert!(message.starts_with("cannot write a spill file in "), "{message}");
        let mut read = Vec::new();
        reader.drain_into(&mut read);
        assert_eq!(read.iter().map(|bytes| bytes.len()).sum::<usize>(), 16 << 18);
    }
}
