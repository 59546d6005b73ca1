//! The workers: one dataflow that stands while files come and go through it, an epoch each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use differential_dataflow::input::InputSession;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::operators::arrange::TraceAgent;
use differential_dataflow::trace::TraceReader;
use differential_dataflow::trace::cursor::{Cursor, cursor_list};
use differential_dataflow::trace::implementations::KeySpine;
use serde::{Deserialize, Serialize};
use timely::communication::WorkerGuards;
use timely::dataflow::operators::probe::Handle;
use timely::progress::frontier::AntichainRef;
use timely::worker::Worker;

use super::directory::changed_while_read;
use crate::Error;
use crate::input::{Input, Row, SplitQueue, miscut_files};
use crate::keys::{Key, PlaceHasher};
use crate::operators::Top;
use crate::report::AnswerHash;

/// A sum is kept in units of one part in so many: all values of the benchmark's adRevenue are whole numbers of them.
pub const UNITS: f64 = (1 << 24) as f64;
/// Sums up to this are exact as a float too.
const MOST_UNITS: u64 = 1 << 53;
/// The value of so many units.
const LARGEST: f32 = (1 << 29) as f32;
/// How long a worker may sleep before it looks whether another has failed.
const LOOK_UP: Duration = Duration::from_millis(20);

type Weight = (i64, i64);
type Groups<K> = HashMap<K, Weight, PlaceHasher>;
type Trace<K> = TraceAgent<KeySpine<K, u64, Weight>>;

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Rows.
    pub rows: i64,
    /// Their sum, in [`UNITS`].
    pub units: i64,
}

impl Total {
    /// The sum, exactly.
    pub fn sum(self) -> f64 {
        self.units as f64 / UNITS
    }
}

/// What a file has changed, and what there is now.
#[derive(Debug, Clone)]
pub struct Changes<K> {
    /// Rows of the file.
    pub rows: u64,
    /// Groups that were not there before.
    pub added: u64,
    /// Groups that were, and have another total now.
    pub changed: u64,
    /// The new totals of both.
    pub totals: Vec<(K, Total)>,
    /// Hash of all groups, each by its key and its sum as a 64-bit float.
    pub hash: AnswerHash,
    /// Sum over all groups, in [`UNITS`]: of groups as many as there are, each as large as may be.
    pub units: i128,
}

// By hand: a derived one would ask for `K: Default`.
impl<K> Default for Changes<K> {
    fn default() -> Self {
        Changes { rows: 0, added: 0, changed: 0, totals: Vec::new(), hash: AnswerHash::default(), units: 0 }
    }
}

/// Reads a part of a file and adds up its groups.
type ReadPart<K> = Box<dyn FnOnce(&mut Groups<K>) -> Result<Extents, Error> + Send>;

enum Command<K> {
    Load(Vec<(K, Total)>),
    Read(ReadPart<K>),
    Apply,
    Top(usize),
}

/// Rows read, and which bytes of which file they were.
type Extents = (u64, Vec<(usize, Range<u64>)>);

enum Reply<K: Ord> {
    Read(Result<Extents, Error>),
    Applied(Changes<K>),
    Top(Top<K>),
    Panicked,
}

/// A key of a kept total: plain bytes with an order, and text for the hash.
pub trait TotalKey: Key + Ord + Hash + AsRef<[u8]> + timely::ExchangeData {}
impl<K: Key + Ord + Hash + AsRef<[u8]> + timely::ExchangeData> TotalKey for K {}

/// Totals by key on some threads, ready for the next file. Dropping it ends them.
pub struct Running<K: TotalKey> {
    commands: Vec<Sender<Command<K>>>,
    replies: Receiver<Reply<K>>,
    /// Joined after the commands have ended: fields are dropped in order.
    _guards: WorkerGuards<()>,
    rows: u64,
    /// The file that was read last.
    file: PathBuf,
}

impl<K: TotalKey> Running<K> {
    /// Starts so many threads with these totals, which must have each key once, and says what there is.
    pub fn start(workers: usize, totals: &[(K, Total)]) -> Result<(Self, Changes<K>), Error> {
        let (reply, replies) = channel();
        let (commands, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
        let receivers =
            Arc::new(receivers.into_iter().map(|commands| Mutex::new(Some(commands))).collect::<Vec<_>>());
        let failed = Arc::new(AtomicBool::new(false));
        let guards = timely::execute(timely::Config::process(workers), move |worker| {
            let taken = receivers[worker.index()].lock().ok().and_then(|mut commands| commands.take());
            let Some(commands) = taken else { return };
            let last_words = LastWords { reply: reply.clone(), failed: Arc::clone(&failed) };
            serve(worker, &commands, &reply, &failed);
            drop(last_words);
        })
        .map_err(Error::Cluster)?;
        let mut running = Running { commands, replies, _guards: guards, rows: 0, file: PathBuf::new() };
        // What was known before is the first epoch, and changes nothing.
        let share = totals.len().div_ceil(workers).max(1);
        for (worker, share) in totals.chunks(share).enumerate() {
            running.send(worker, Command::Load(share.to_vec()));
        }
        let known = Changes { added: 0, totals: Vec::new(), ..running.apply()? };
        Ok((running, known))
    }

    /// Reads all of `input`, which is not yet counted: that is for [`apply`](Self::apply). `logic` makes a key and a value of each row.
    pub fn read_input<R: Row + 'static>(
        &mut self,
        input: &Input<R>,
        logic: impl Fn(R::Of<'_>) -> (K, f32) + Clone + Send + 'static,
    ) -> Result<(), Error> {
        self.file = input.files().first().map_or_else(PathBuf::new, |file| file.path.to_path_buf());
        let mut input = input.clone();
        loop {
            let queue = Arc::new(SplitQueue::largest_first(input.splits().to_vec()));
            let mut extents = self.read(|_| {
                let (input, queue, logic) = (input.clone(), Arc::clone(&queue), logic.clone());
                Box::new(move |groups| read_splits(&input, &queue, &logic, groups))
            })?;
            let miscut = miscut_files(&mut extents, input.files());
            if miscut.is_empty() {
                return Ok(());
            }
            // A line break inside quotes crossed a cut: once more, whole.
            let uncut = input.uncut(&miscut);
            if uncut.splits() == input.splits() {
                return Err(changed_while_read(&self.file));
            }
            input = uncut;
        }
    }

    fn read(
        &mut self,
        mut part: impl FnMut(usize) -> ReadPart<K>,
    ) -> Result<Vec<(usize, Range<u64>)>, Error> {
        let (mut all, mut failure) = (Vec::new(), None);
        self.rows = 0;
        for worker in 0..self.commands.len() {
            self.send(worker, Command::Read(part(worker)));
        }
        for _ in 0..self.commands.len() {
            match self.receive()? {
                Reply::Read(Ok((rows, mut extents))) => {
                    self.rows += rows;
                    all.append(&mut extents);
                }
                Reply::Read(Err(error)) => failure = failure.or(Some(error)),
                _ => return Err(lost()),
            }
        }
        failure.map_or(Ok(all), Err)
    }

    /// Adds what was read, as one epoch, and says what that changed.
    pub fn apply(&mut self) -> Result<Changes<K>, Error> {
        (0..self.commands.len()).for_each(|worker| self.send(worker, Command::Apply));
        let mut all = Changes { rows: self.rows, ..Changes::default() };
        for _ in 0..self.commands.len() {
            let Reply::Applied(mut part) = self.receive()? else { return Err(lost()) };
            all.added += part.added;
            all.changed += part.changed;
            all.units += part.units;
            all.hash.merge(part.hash);
            all.totals.append(&mut part.totals);
        }
        match all.totals.iter().find(|(_, total)| is_inexact(total.units)) {
            Some((key, _)) => Err(too_large(key, &self.file)),
            None => Ok(all),
        }
    }

    /// The groups with the highest sums.
    pub fn top(&mut self, limit: usize) -> Result<Top<K>, Error> {
        (0..self.commands.len()).for_each(|worker| self.send(worker, Command::Top(limit)));
        let mut all = Top::new(limit);
        for _ in 0..self.commands.len() {
            let Reply::Top(part) = self.receive()? else { return Err(lost()) };
            all.merge(part);
        }
        Ok(all)
    }

    fn send(&self, worker: usize, command: Command<K>) {
        // One that has gone is noticed where its reply is missing.
        let _ = self.commands[worker].send(command);
    }

    fn receive(&self) -> Result<Reply<K>, Error> {
        match self.replies.recv() {
            Ok(Reply::Panicked) | Err(_) => Err(lost()),
            Ok(reply) => Ok(reply),
        }
    }
}

#[cold]
fn lost() -> Error {
    Error::Panicked { thread: "a worker".into(), message: "see above".into() }
}

/// Whether a sum or a value is too large to be told apart from its neighbours as an `f64`.
fn is_inexact(units: i64) -> bool {
    units.unsigned_abs() > MOST_UNITS
}

#[cold]
fn too_large(key: &impl std::fmt::Debug, file: &Path) -> Error {
    Error::Data(format!(
        "{} brings the sum of group {key:?} beyond 2^29: it would not be exact any more\n  try: a full run",
        file.display()
    ))
}

/// Tells of a panic, for which the others would wait.
struct LastWords<K: Ord> {
    reply: Sender<Reply<K>>,
    failed: Arc<AtomicBool>,
}

impl<K: Ord> Drop for LastWords<K> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed.store(true, Ordering::Relaxed);
            let _ = self.reply.send(Reply::Panicked);
        }
    }
}

/// Sums up the splits that this worker comes to take.
fn read_splits<R: Row, K: TotalKey>(
    input: &Input<R>,
    queue: &SplitQueue,
    logic: &impl Fn(R::Of<'_>) -> (K, f32),
    groups: &mut Groups<K>,
) -> Result<Extents, Error> {
    // A reading that failed or went wrong before leaves nothing.
    groups.clear();
    let (mut rows, mut extents, mut unfit, mut overflown) = (0, Vec::new(), None, None);
    let mut last = Path::new("");
    while let Some(split) = queue.take() {
        let mut reader = input.open_split(split)?;
        let path = &input.files()[split.file].path;
        last = path;
        while let Some(block) = reader.next_block(|row| {
            let (key, value) = logic(row);
            // What does not fit a whole number is another one afterwards.
            let units = (f64::from(value) * UNITS) as i64;
            if units as f64 / UNITS - f64::from(value) != 0.0 || is_inexact(units) {
                unfit.get_or_insert(value);
            }
            let group = groups.entry(key).or_default();
            // A thousand of the largest values may leave the type, and come back to what looks like a sum.
            let sum = group.1.checked_add(units);
            if sum.is_none() {
                overflown.get_or_insert(key);
            }
            *group = (group.0 + 1, sum.unwrap_or_default());
        })? {
            rows += block.rows;
            if let Some(key) = overflown {
                return Err(too_large(&key, path));
            }
            if let Some(value) = unfit {
                let why = if value.abs() > LARGEST { "beyond 2^29" } else { "no multiple of 2^-24" };
                return Err(Error::Data(format!(
                    "{} has the value {value}, which is {why}: sums that are kept up to date must be exact\n  try: a full run",
                    path.display()
                )));
            }
        }
        extents.push((split.file, reader.extent()));
    }
    match groups.iter().find(|(_, (_, units))| is_inexact(*units)) {
        Some((key, _)) => Err(too_large(key, last)),
        None => Ok((rows, extents)),
    }
}

/// One worker, until nobody has commands for it any more.
fn serve<K: TotalKey>(
    worker: &mut Worker,
    commands: &Receiver<Command<K>>,
    reply: &Sender<Reply<K>>,
    failed: &AtomicBool,
) {
    let state = Rc::new(RefCell::new(Changes::<K>::default()));
    let (mut input, mut trace, probe) = build(worker, &state);
    let mut groups = Groups::default();
    while let Ok(command) = commands.recv() {
        let answer = match command {
            Command::Load(totals) => {
                totals.into_iter().for_each(|(key, total)| input.update(key, (total.rows, total.units)));
                continue;
            }
            Command::Read(read) => Reply::Read(read(&mut groups)),
            Command::Apply => {
                let mut sorted: Vec<_> = groups.drain().collect();
                // In the order of the arrangement, which then has less to sort.
                sorted.sort_unstable_by_key(|(key, _)| *key);
                sorted.into_iter().for_each(|(key, weight)| input.update(key, weight));
                let next = input.time() + 1;
                input.advance_to(next);
                input.flush();
                trace.set_logical_compaction(AntichainRef::new(&[next]));
                trace.set_physical_compaction(AntichainRef::new(&[next]));
                while probe.less_than(&next) && !failed.load(Ordering::Relaxed) {
                    worker.step_or_park(Some(LOOK_UP));
                }
                let mut state = state.borrow_mut();
                let rest = Changes { hash: state.hash, units: state.units, ..Changes::default() };
                let applied = std::mem::replace(&mut *state, rest);
                Reply::Applied(Changes { added: applied.totals.len() as u64 - applied.changed, ..applied })
            }
            Command::Top(limit) => Reply::Top(top_of(&mut trace, *input.time(), limit)),
        };
        if reply.send(answer).is_err() {
            return;
        }
    }
}

/// The dataflow of a worker; what it changes is noted in `state`, whose hash and sum are those of all groups of the worker.
fn build<K: TotalKey>(
    worker: &mut Worker,
    state: &Rc<RefCell<Changes<K>>>,
) -> (InputSession<u64, K, Weight>, Trace<K>, Handle<u64>) {
    let state = Rc::clone(state);
    worker.dataflow(|scope| {
        let mut input = InputSession::<u64, K, Weight>::new();
        let arranged = input.to_collection(scope).arrange_by_self();
        let trace = arranged.trace.clone();
        let probe = Handle::new();
        arranged
            .count_total()
            .inspect(move |((key, (rows, units)), _, change)| {
                let mut state = state.borrow_mut();
                let total = Total { rows: *rows, units: *units };
                let columns: [&[u8]; 2] = [key.as_ref(), &total.sum().to_le_bytes()];
                if *change > 0 {
                    state.units += i128::from(*units);
                    state.hash.add(&columns);
                    state.totals.push((*key, total));
                } else {
                    // Its new total comes, too.
                    state.changed += 1;
                    state.units -= i128::from(*units);
                    state.hash.remove(&columns);
                }
            })
            .probe_with(&probe);
        (input, trace, probe)
    })
}

/// The highest sums among the groups of a worker.
fn top_of<K: TotalKey>(trace: &mut Trace<K>, until: u64, limit: usize) -> Top<K> {
    let mut top = Top::new(limit);
    let Some(batches) = trace.batches_through(AntichainRef::new(&[until])) else { return top };
    let (mut cursor, storage) = cursor_list(batches);
    while let Some(key) = cursor.get_key(&storage) {
        let mut total = Total { rows: 0, units: 0 };
        cursor.map_times(&storage, |_, weight| total.units += weight.1);
        top.push(total.sum(), *key);
        cursor.step_key(&storage);
    }
    top
}
