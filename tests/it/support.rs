//! What the tests of a query share: a data directory, a judge, and a runner whose failure shows the command, its
//! directory, exit code, stdout, stderr and files.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millrace::memory::Budget;
use millrace::operators::{Gathered, ProcessShared, Round, WorkerContext};
use rustix::process::{Pid, Signal, kill_process};
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::dataflow::operators::vec::ToStream;
use timely::dataflow::{Scope, StreamVec};

/// No run of these tests takes this long, unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// This worker's share of the records, as a scan would give it.
pub(crate) fn share<'scope, D: Clone + 'static>(
    scope: Scope<'scope, Round>,
    records: &[D],
) -> StreamVec<'scope, Round, D> {
    let own: Vec<_> = records.iter().skip(scope.index()).step_by(scope.peers()).cloned().collect();
    own.to_stream(scope)
}

/// Runs a dataflow on so many workers of a process with so much memory; what was gathered, and the bytes spilled.
pub(crate) fn run_workers<A, F>(workers: usize, limit: Option<u64>, build: F) -> (Vec<A>, u64)
where
    A: Send + 'static,
    F: Fn(Scope<'_, Round>) -> Gathered<A> + Send + Sync + 'static,
{
    let home = tempfile::tempdir().unwrap();
    let memory = Budget::new(limit, home.path().to_path_buf(), workers);
    let process = ProcessShared::new(Default::default(), memory);
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let context = WorkerContext::install(process.clone(), workers, 0, BTreeMap::new());
        let gathered = worker.dataflow(&build);
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        assert_eq!(process.failure.message(), None);
        (gathered.take(), context.counters.spilled_bytes.get())
    });
    let ended: Vec<_> = guards.unwrap().join().into_iter().map(Result::unwrap).collect();
    let spilled = ended.iter().map(|worker| worker.1).sum();
    assert_eq!(home.path().read_dir().unwrap().count(), 0, "a spill file is left behind");
    (ended.into_iter().filter_map(|worker| worker.0).flatten().collect(), spilled)
}

/// The same on several processes with so many workers each: threads of this one, that speak over real sockets and share nothing else.
pub(crate) fn run_processes<A, F>(processes: usize, workers: usize, build: F) -> Vec<A>
where
    A: Send + 'static,
    F: Fn(Scope<'_, Round>) -> Gathered<A> + Clone + Send + Sync + 'static,
{
    let mut sockets: Vec<Vec<Option<TcpStream>>> =
        (0..processes).map(|_| (0..processes).map(|_| None).collect()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (one, other) in (0..processes).flat_map(|one| (one + 1..processes).map(move |other| (one, other))) {
        sockets[one][other] = Some(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        sockets[other][one] = Some(listener.accept().unwrap().0);
    }
    let run = |(index, sockets): (usize, Vec<Option<TcpStream>>)| {
        let build = build.clone();
        std::thread::spawn(move || {
            let process = ProcessShared::default();
            let hooks = Hooks::default();
            let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
            let (builders, guard) =
                initialize_networking_from_sockets(local, sockets, index, workers, hooks).unwrap();
            let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
            let config = timely::WorkerConfig::default();
            let guards = timely::execute::execute_from(builders, Box::new(guard), config, move |worker| {
                WorkerContext::install(process.clone(), workers, 0, BTreeMap::new());
                let gathered = worker.dataflow(&build);
                while worker.has_dataflows() {
                    worker.step_or_park(None);
                }
                assert_eq!(process.failure.message(), None);
                gathered.take()
            });
            guards.unwrap().join().into_iter().map(Result::unwrap).collect::<Vec<_>>()
        })
    };
    let running: Vec<_> = sockets.into_iter().enumerate().map(run).collect();
    let gathered = running.into_iter().flat_map(|process| process.join().unwrap());
    gathered.flatten().flatten().collect()
}

/// Runs a dataflow on two workers that may hold next to nothing and have nowhere to spill the rest: each must say so.
pub(crate) fn fails_without_a_disk<F>(build: F)
where
    F: Fn(Scope<'_, Round>) + Send + Sync + 'static,
{
    let failures = timely::execute(timely::Config::process(2), move |worker| {
        let memory = Budget::new(Some(50_000), "/nowhere".into(), 2);
        let process = ProcessShared::new(Default::default(), memory);
        WorkerContext::install(process.clone(), 2, 0, BTreeMap::new());
        worker.dataflow(&build);
        while !process.failure.is_set() && worker.has_dataflows() {
            worker.step();
        }
        let dataflows = worker.installed_dataflows();
        dataflows.into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
        process.failure.message()
    });
    for failure in failures.unwrap().join() {
        let message = failure.unwrap().expect("it failed");
        assert!(message.contains("cannot write a spill file in /nowhere: No such file"), "{message}");
    }
}

/// A directory in which a query runs: its data is in `data/csv/t/uservisits`.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        // A space, because paths have them.
        let home = Home(tempfile::Builder::new().prefix("mill race ").tempdir().unwrap());
        fs::create_dir_all(home.table()).unwrap();
        home
    }

    pub(crate) fn with(files: &[(String, Vec<u8>)]) -> Self {
        let home = Home::new();
        for (name, bytes) in files {
            fs::write(home.table().join(name), bytes).unwrap();
        }
        home
    }

    /// A table that takes many seconds to read and no disk: one small file under very many names.
    pub(crate) fn with_endless_table() -> Self {
        let home = Home::new();
        fs::write(home.path().join("rows"), rows(1, 10_000).concat()).unwrap();
        for index in 0..20_000 {
            let link = home.table().join(format!("part-{index:05}"));
            std::os::unix::fs::symlink(home.path().join("rows"), link).unwrap();
        }
        home
    }

    /// A file `hosts` of so many processes on loopback.
    pub(crate) fn write_hosts(&self, processes: usize) {
        let addresses = free_addresses(Ipv4Addr::LOCALHOST.into(), processes);
        let mut lines = "# all of them here\n\n".to_owned();
        addresses.iter().for_each(|address| writeln!(lines, "{address} # was free").unwrap());
        fs::write(self.path().join("hosts"), lines).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn table(&self) -> PathBuf {
        self.path().join("data/csv/t/uservisits")
    }

    /// `query2` on this home's data; `words` are further arguments.
    pub(crate) fn query(&self, words: &str) -> Runner {
        let mut command = Command::new(env!("CARGO_BIN_EXE_query2"));
        command.args(words.split_whitespace()).args(["--data", "data"]);
        if !words.contains("--set") {
            command.args(["--set", "t"]);
        }
        self.runner(command)
    }

    /// A shell that runs `script`, in which `"$@"` is `query2` with `words`.
    pub(crate) fn query_in_shell(&self, script: &str, words: &str) -> Runner {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_query2"), "--data", "data", "--set", "t"]);
        command.args(words.split_whitespace());
        self.runner(command)
    }

    pub(crate) fn runner(&self, mut command: Command) -> Runner {
        command.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Runner { command, home: self.path().to_path_buf() }
    }

    /// Names of the files in `directory`, hidden ones too; `absent` where there is none.
    pub(crate) fn listing(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path().join(directory)) else { return vec!["absent".into()] };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The processes that run in or below this directory: what a query started, and left behind if it has ended.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let here = fs::canonicalize(self.path()).unwrap();
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            // A process that has ended has no directory any more.
            fs::read_link(entry.path().join("cwd")).ok()?.starts_with(&here).then_some(pid)
        })
        .collect()
    }
}

/// A command about to run.
pub(crate) struct Runner {
    pub(crate) command: Command,
    home: PathBuf,
}

/// A command that runs; killed with the test if that fails.
pub(crate) struct Running {
    child: Child,
    spoken: Vec<JoinHandle<String>>,
    started: Instant,
    shown: String,
    home: PathBuf,
}

/// A command that has ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) taken: Duration,
    shown: String,
    home: PathBuf,
}

impl Runner {
    pub(crate) fn start(mut self) -> Running {
        let shown = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let spoken = vec![read_all(child.stdout.take()), read_all(child.stderr.take())];
        Running { child, spoken, started: Instant::now(), shown, home: self.home }
    }

    pub(crate) fn run(self) -> Ran {
        self.start().end()
    }
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        pipe.map(|mut pipe| pipe.read_to_end(&mut text).unwrap());
        String::from_utf8_lossy(&text).into_owned()
    })
}

impl Running {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal; from here on the time is taken.
    pub(crate) fn signal(&mut self, pid: Pid, signal: Signal) {
        self.started = Instant::now();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until `done`, while the command runs.
    #[track_caller]
    pub(crate) fn until(mut self, done: impl Fn() -> bool) -> Self {
        while !done() {
            let ended = self.child.try_wait().unwrap().is_some();
            if ended || self.started.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("what the test waits for did not happen\n{}", self.end());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let mut code = None;
        while self.started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                code = Some(status);
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let taken = self.started.elapsed();
        let _ = self.child.kill();
        let mut spoken = std::mem::take(&mut self.spoken).into_iter().map(|thread| thread.join().unwrap());
        let ran = Ran {
            stdout: spoken.next().unwrap(),
            stderr: spoken.next().unwrap(),
            code: code.and_then(|status| status.code()),
            taken,
            shown: std::mem::take(&mut self.shown),
            home: std::mem::take(&mut self.home),
        };
        assert!(code.is_some(), "it hung\n{ran}");
        ran
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn check(&self, holds: bool, what: &str) {
        assert!(holds, "{what}\n{self}");
    }

    #[track_caller]
    pub(crate) fn ended_with(&self, code: i32) -> &Self {
        self.check(self.code == Some(code), &format!("expected exit code {code}"));
        self
    }

    /// Waits for the end of every process of the home, which may take a moment after that of the first.
    #[track_caller]
    pub(crate) fn leaves_no_process(&self, home: &Home) {
        let asked = Instant::now();
        while !home.processes().is_empty() {
            self.check(asked.elapsed() < Duration::from_secs(2), "a process is left behind");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Failed, with nothing on stdout, and with `line` as a line of stderr, up to its length.
    #[track_caller]
    pub(crate) fn failed_saying(&self, line: &str) -> &Self {
        self.ended_with(1);
        self.check(self.stdout.is_empty(), "expected nothing on stdout");
        self.check(self.stderr.contains(line), &format!("expected in stderr: {line}"));
        let panicked = self.stderr.contains("panicked") || self.stderr.contains("this is a defect");
        self.check(!panicked, "a panic is no way to fail");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        self.ended_with(0);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ran { code, stdout, stderr, taken, shown, home } = self;
        writeln!(f, "command: {shown}\nin: {}\nexit code: {code:?} after {taken:?}", home.display())?;
        writeln!(f, "stdout:\n{stdout}\nstderr:\n{stderr}\nfiles:")?;
        let mut left = vec![home.clone()];
        let mut shown = 0;
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                shown += 1;
                if shown <= 60 {
                    writeln!(f, "  {} {size}", entry.path().display())?;
                }
                left.extend(entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| entry.path()));
            }
        }
        writeln!(f, "  {shown} in all")
    }
}

/// So many addresses whose ports were free a moment ago.
pub(crate) fn free_addresses(ip: IpAddr, count: usize) -> Vec<SocketAddr> {
    // Held together until all are known, so that they differ.
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind((ip, 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

/// An example's program: cargo puts examples beside the directory of this test program.
pub(crate) fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    assert!(built.exists(), "{} is missing; build it with: cargo build --examples", built.display());
    built
}

/// Small seeded random numbers (Knuth's multiplier); the high bits are good.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Rows of uservisits, each with its line end. Addresses repeat at every prefix length; revenues are multiples of
/// 2^-24, some in Java's exponent notation.
pub(crate) fn rows(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let row = |_| {
        let mut row = String::new();
        let [a, b, c, d] = [9, 40, 255, 12].map(|limit| random.below(limit) + 1);
        let revenue = random.below(1 << 24) as f32 / (1 << 24) as f32;
        let _ = write!(row, "{}.{b}.{}.{d},http://page/{c},", a * 27, c - 1);
        let _ = write!(row, "19{}-0{}-1{},", 70 + a, a, a);
        let revenue = if revenue < 0.01 { format!("{revenue:E}") } else { revenue.to_string() };
        let _ = writeln!(row, "{revenue},Agent {d} (X11; {b}),DEU,DEU-DE,word{c},{a}");
        row.into_bytes()
    };
    (0..count).map(row).collect()
}

/// The answer of Query 2, from the plainest program that gives it.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) rows: u64,
    pub(crate) groups: BTreeMap<Vec<u8>, f64>,
}

impl Judged {
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a [u8]>, prefix: usize) -> Self {
        let mut judged = Judged::default();
        for row in files.into_iter().flat_map(parse) {
            let key = row[0][..prefix.min(row[0].len())].to_vec();
            let revenue: f32 = std::str::from_utf8(&row[3]).unwrap().parse().unwrap();
            *judged.groups.entry(key).or_default() += f64::from(revenue);
            judged.rows += 1;
        }
        judged
    }

    pub(crate) fn revenue(&self) -> f64 {
        self.groups.values().sum()
    }

    /// Most revenue first, then by prefix.
    pub(crate) fn top(&self, count: usize) -> Vec<(&[u8], f64)> {
        let mut all: Vec<_> = self.groups.iter().map(|(key, revenue)| (&key[..], *revenue)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(count);
        all
    }
}

/// RFC 4180, a byte at a time.
pub(crate) fn parse(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), Vec::new(), false);
    let mut bytes = text.iter().copied().peekable();
    let mut fresh = true;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.peek() == Some(&b'"') => field.extend(bytes.next()),
            b'"' if quoted => quoted = false,
            _ if quoted => field.push(byte),
            b'"' if fresh => quoted = true,
            b',' => row.push(std::mem::take(&mut field)),
            b'\r' if matches!(bytes.peek(), None | Some(b'\n')) => {}
            b'\n' => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(byte),
        }
        fresh = !quoted && matches!(byte, b',' | b'\n');
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}
