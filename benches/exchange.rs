//! Records from worker to worker, over two processes on loopback: routed containers against timely's own `Exchange`.
//!
//! `cargo bench --bench exchange` starts itself once more as the second process. In turn, each way moves the same
//! 40 million records of 16 bytes: each process, with one worker, makes half of them and sends them to the worker that
//! a hash of the key names. First the keys are such that every record goes to the other process, which shows the
//! exchange alone, then any, so that half of the records stay, as in a query. Routed containers include what a
//! [`Router`] does, for as many partitions as `reduce_by_key` has. What arrived is added up and compared before a time
//! is printed. Below the times of the rounds are their medians, the processor time of the first process, which
//! other programs disturb less, and the bytes on the connection for each record that crossed, everything counted.
//!
//! `-- RECORDS ROUNDS` changes the sizes; `-- --smoke` moves few records once, to see that it works.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millrace::cluster::end_with_parent;
use millrace::exchange::{CONTAINER_RECORDS, Full, Routed, Router, Spare, routed};
use millrace::keys::{Pair, route_hash, scale};
use millrace::units::median;
use rustix::time::{ClockId, clock_gettime};
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::zero_copy::stream::Stream as Connection;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::{Input, Operator, Probe, probe::Handle};
use timely::dataflow::{Stream, StreamVec};
use timely::worker::Worker;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tells the second process where the first one listens.
const ADDRESS: &str = "MILLRACE_BENCH_ADDRESS";
/// Partitions of a worker, as `reduce_by_key` has.
const PARTITIONS: usize = 128;
/// Records of a round and rounds that may be under way, as a scan has.
const ROUND: u64 = 32_768;
const WINDOW: u64 = 8;
const RECORD_BYTES: u64 = 16;
/// Different keys; a power of two.
const KEYS: usize = 1 << 14;
/// Odd, with bits in no order: its multiples are keys in no order.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Routed,
    Tuples,
}

#[derive(Clone, Copy)]
enum Keys {
    /// All of the other worker.
    Other,
    /// Of any worker.
    Any,
}

/// One run: how, and with which records.
#[derive(Clone, Copy)]
struct Run {
    way: Way,
    keys: Keys,
    records: u64,
}

/// What a worker received.
#[derive(Clone, Copy, Default, PartialEq)]
struct Tally {
    records: u64,
    keys: u64,
    values: u64,
}

impl Tally {
    fn take(&mut self, key: u64, value: u64) {
        self.records += 1;
        self.keys = self.keys.wrapping_add(key);
        self.values = self.values.wrapping_add(value);
    }

    fn and(self, other: Tally) -> Tally {
        Tally {
            records: self.records + other.records,
            keys: self.keys.wrapping_add(other.keys),
            values: self.values.wrapping_add(other.values),
        }
    }
}

fn main() -> Outcome<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let mut numbers = words.iter().filter_map(|word| word.parse::<u64>().ok());
    let smoke = words.iter().any(|word| word == "--smoke");
    let records = numbers.next().unwrap_or(if smoke { 400_000 } else { 40_000_000 });
    let rounds = numbers.next().unwrap_or(if smoke { 1 } else { 7 });
    match std::env::var(ADDRESS) {
        Ok(address) => second_process(&address, records, rounds),
        Err(_) => first_process(records, rounds),
    }
}

/// The runs with some keys, in the order in which both processes make them: one way after the other, to meet the
/// same weather.
fn runs(keys: Keys, records: u64, rounds: u64) -> impl Iterator<Item = Run> {
    (0..rounds).flat_map(move |_| [Way::Routed, Way::Tuples].map(|way| Run { way, keys, records }))
}

fn second_process(address: &str, records: u64, rounds: u64) -> Outcome<()> {
    end_with_parent();
    for run in [Keys::Other, Keys::Any].into_iter().flat_map(|keys| runs(keys, records, rounds)) {
        let (tally, _) = run.make(1, connect(address)?, &Arc::default())?;
        println!("{} {} {}", tally.records, tally.keys, tally.values);
    }
    Ok(())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    // Until the first process is there too.
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

fn first_process(records: u64, rounds: u64) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([records.to_string(), rounds.to_string()])
        .env(ADDRESS, listener.local_addr()?.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut told = BufReader::new(child.stdout.take().ok_or("the second process has no stdout")?).lines();
    println!("{records} records of {RECORD_BYTES} bytes, two processes of one worker, {rounds} rounds");
    for (keys, title) in [(Keys::Other, "all records cross"), (Keys::Any, "half of the records cross")] {
        println!("\n{title}; seconds\n{:>8}{:>8}", "routed", "tuples");
        compare(runs(keys, records, rounds), &listener, &mut told)?;
    }
    if !child.wait()?.success() {
        return Err("the second process failed".into());
    }
    Ok(())
}

/// Makes runs of both ways, and prints times and figures.
fn compare(
    runs: impl Iterator<Item = Run>,
    listener: &TcpListener,
    told: &mut impl Iterator<Item = io::Result<String>>,
) -> Outcome<()> {
    let (mut times, mut worked) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let (mut wire, mut records) = ([0.0; 2], 0);
    for (number, run) in runs.enumerate() {
        let (expected, crossing) = run.expected();
        let written = Arc::new(AtomicU64::new(0));
        let (mut stream, _) = listener.accept()?;
        stream.write_all(&[0])?;
        let before = processor_time();
        let (tally, time) = run.make(0, stream, &written)?;
        worked[run.way as usize].push(processor_time().saturating_sub(before));
        let line = told.next().ok_or("the second process has ended")??;
        let [count, keys, values] = line
            .split(' ')
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()?
            .try_into()
            .map_err(|_| format!("the second process told {line}"))?;
        if tally.and(Tally { records: count, keys, values }) != expected {
            return Err("what arrived is not what was sent".into());
        }
        times[run.way as usize].push(time);
        wire[run.way as usize] = written.load(Ordering::Relaxed) as f64 / crossing as f64;
        records = run.records;
        print!("{:8.3}{}", time.as_secs_f64(), if number % 2 == 1 { "\n" } else { "" });
        io::stdout().flush()?;
    }
    let medians = |times: Vec<Duration>| median(times.iter().map(Duration::as_secs_f64)).unwrap_or(0.0);
    let [routed, tuples] = times.map(medians);
    let speed = |seconds: f64| records as f64 / seconds / 1e6;
    println!(
        "{routed:8.3}{tuples:8.3}  medians: routed containers have {:.2} times the throughput",
        tuples / routed
    );
    println!("{:8.1}{:8.1}  million records/s", speed(routed), speed(tuples));
    let [routed, tuples] = worked.map(medians);
    println!(
        "{routed:8.3}{tuples:8.3}  processor seconds of one process, medians: {:.2} times",
        tuples / routed
    );
    println!("{:8.2}{:8.2}  bytes on the wire for each record that crossed", wire[0], wire[1]);
    let most = RECORD_BYTES as f64 * 1.05;
    if wire[0] > most {
        return Err(format!("more than {most} bytes on the wire for each record").into());
    }
    Ok(())
}

/// What all threads of this process have worked.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The records that one of two workers makes: a few thousand keys over and over, each record with another value.
fn own_records(run: Run, index: u64) -> impl Iterator<Item = (u64, u64)> {
    let fits = move |key: &u64| match run.keys {
        Keys::Other => target(*key, 2) as u64 != index,
        Keys::Any => true,
    };
    let keys: Vec<_> = (1u64..).map(|number| number.wrapping_mul(SPREAD)).filter(fits).take(KEYS).collect();
    let values = index * run.records / 2..(index + 1) * run.records / 2;
    values.map(move |value| (keys[value as usize % KEYS], value))
}

/// The worker of a key: that of its partition.
fn target(key: u64, peers: usize) -> usize {
    scale(route_hash(key), peers)
}

impl Run {
    /// What both workers together receive, and how many records go from the first to the second.
    fn expected(self) -> (Tally, u64) {
        let (mut expected, mut crossing) = (Tally::default(), 0);
        for index in 0..2 {
            for (key, value) in own_records(self, index) {
                expected.take(key, value);
                crossing += u64::from(index == 0 && target(key, 2) == 1);
            }
        }
        (expected, crossing)
    }

    /// Moves all records once, as process `index`.
    fn make(self, index: usize, stream: TcpStream, written: &Arc<AtomicU64>) -> Outcome<(Tally, Duration)> {
        stream.set_nodelay(true)?;
        let mut sockets = vec![None, None];
        sockets[1 - index] = Some(Counting { stream, written: Arc::clone(written) });
        let hooks = Hooks::default();
        let local = ProcessBuilder::new_typed_vector(1, hooks.refill.clone(), hooks.spill.clone());
        let (builders, guard) = initialize_networking_from_sockets(local, sockets, index, 1, hooks)?;
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        let config = timely::WorkerConfig::default();
        let guards = timely::execute::execute_from(builders, Box::new(guard), config, move |worker| {
            let started = Instant::now();
            (work(self, worker), started.elapsed())
        })?;
        let outcome = guards.join().into_iter().next().ok_or("there is no worker")?;
        Ok(outcome?)
    }
}

fn work(run: Run, worker: &mut Worker) -> Tally {
    let (index, tally) = (worker.index() as u64, Rc::new(Cell::new(Tally::default())));
    let probe = Handle::new();
    let mut input = worker.dataflow::<u64, _, _>(|scope| {
        let (input, stream) = scope.new_input::<Vec<(u64, u64)>>();
        match run.way {
            Way::Routed => routed_containers(stream, &tally).probe_with(&probe),
            Way::Tuples => tuples(stream, &tally).probe_with(&probe),
        };
        input
    });
    let mut own = own_records(run, index).peekable();
    let mut batch = Vec::new();
    for round in 1.. {
        for _ in 0..ROUND / 512 {
            batch.extend(own.by_ref().take(512));
            input.send_batch(&mut batch);
        }
        if own.peek().is_none() {
            break;
        }
        input.advance_to(round);
        worker.step();
        while probe.less_than(&round.saturating_sub(WINDOW)) {
            worker.step_or_park(None);
        }
    }
    input.close();
    while worker.has_dataflows() {
        worker.step_or_park(None);
    }
    tally.get()
}

/// What `reduce_by_key` does between its combiner and its tables.
fn routed_containers<'scope>(
    stream: StreamVec<'scope, u64, (u64, u64)>,
    tally: &Rc<Cell<Tally>>,
) -> Stream<'scope, u64, Vec<()>> {
    let spare = Spare::default();
    let mut router = Router::new(stream.scope().peers(), PARTITIONS, CONTAINER_RECORDS, Rc::clone(&spare));
    let received = Rc::clone(tally);
    stream
        .unary_frontier::<NoopBuilder<_>, _, _, _>(Pipeline, "Route", move |first, _| {
            let mut held = Some(first);
            move |(input, frontier), output| {
                let Some(capability) = &mut held else { return };
                let mut session = output.session_with_builder(&*capability);
                let mut send = |router: &Router<_>, full: Full<_>| {
                    let mut container = Routed::new(full.worker, full.partition, full.records);
                    session.give_container(&mut container);
                    router.reuse(container);
                };
                input.for_each(|_, batch| {
                    for (key, value) in batch.drain(..) {
                        if let Some(full) = router.push(route_hash(key), Pair { key, value }) {
                            send(&router, full);
                        }
                    }
                });
                let oldest = frontier.frontier().first().copied();
                if oldest.is_none() {
                    for target in 0..router.targets() {
                        if let Some(last) = router.take(target) {
                            send(&router, last);
                        }
                    }
                }
                drop(session);
                match oldest {
                    Some(oldest) => capability.downgrade(&oldest),
                    None => held = None,
                }
            }
        })
        .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(routed(), "Receive", move |_, _| {
            move |input, _| {
                input.for_each(|_, container| {
                    let container = std::mem::take(container);
                    let mut sum = received.get();
                    container.records().iter().for_each(|record| sum.take(record.key, record.value));
                    received.set(sum);
                    spare.borrow_mut().extend(container.into_buffer());
                });
            }
        })
}

/// The plain way to do it with timely: the same hash, and of it what decides between so many workers.
fn tuples<'scope>(
    stream: StreamVec<'scope, u64, (u64, u64)>,
    tally: &Rc<Cell<Tally>>,
) -> Stream<'scope, u64, Vec<()>> {
    let (peers, received) = (stream.scope().peers(), Rc::clone(tally));
    let pact = Exchange::new(move |&(key, _): &(u64, u64)| target(key, peers) as u64);
    stream.unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(pact, "Receive", move |_, _| {
        move |input, _| {
            input.for_each(|_, batch| {
                let mut sum = received.get();
                batch.drain(..).for_each(|(key, value)| sum.take(key, value));
                received.set(sum);
            });
        }
    })
}

/// A connection that counts what is written to it.
struct Counting {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Connection for Counting {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Counting { stream: self.stream.try_clone()?, written: Arc::clone(&self.written) })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }
}
