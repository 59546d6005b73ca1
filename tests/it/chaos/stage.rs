//! What a run of chaos plays on: data, secrets, ports and programs, all as they should be but for the one fault.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::Fault::{BadRecord, FullDisk, MissingFile, OtherArguments, OtherBinary, OtherSecret, TakenPort};
use super::{FILES, Layout, Plan};
use crate::network::Network;
use crate::support::{Home, Running, rows};

/// What all runs share.
pub(super) struct World {
    pub(super) home: Home,
    /// The answer of one process: its hash, and its part file's rows, sorted.
    pub(super) hash: serde_json::Value,
    pub(super) rows: Vec<String>,
    /// The program with a byte more.
    other_binary: PathBuf,
    /// What a run of three processes takes.
    pub(super) usual: Duration,
}

impl World {
    pub(super) fn new() -> Self {
        let contents: Vec<_> = (0..3).map(|seed| rows(seed, 3_000).concat()).collect();
        let name = |index: usize| (format!("f-{index:02}"), contents[index % 3].clone());
        let home = Home::with(&(0..FILES).map(name).collect::<Vec<_>>());
        let alone = home.query("-w 1 -k 12 --json --output out").run().json();
        let mut rows = lines(&home.path().join("out"));
        rows.sort();
        let other_binary = home.path().join("query2");
        fs::copy(env!("CARGO_BIN_EXE_query2"), &other_binary).unwrap();
        let mut appended = fs::OpenOptions::new().append(true).open(&other_binary).unwrap();
        std::io::Write::write_all(&mut appended, b"x").unwrap();
        let started = Instant::now();
        home.query("-w 1 -n 3 -k 12 --split-size 1M").run().ended_with(0);
        World { home, hash: alone["hash"].clone(), rows, other_binary, usual: started.elapsed() }
    }
}

/// The rows of all parts in a directory.
pub(super) fn lines(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let parts = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("part-"));
    let text: String = parts.map(|part| fs::read_to_string(part.path()).unwrap()).collect();
    text.lines().map(str::to_owned).collect()
}

/// One run under way.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: &'a World,
    pub(super) home: Home,
    pub(super) network: Option<Network>,
    /// The port that somebody else has taken.
    _squatter: Option<TcpListener>,
}

impl<'a> Stage<'a> {
    /// `None` where this machine cannot give the run what it needs.
    pub(super) fn set(plan: &'a Plan, world: &'a World) -> Option<Self> {
        let network = match plan.layout {
            Layout::Machines => Some(Network::new(3)?),
            _ => None,
        };
        let home = Home::new();
        let addresses: Vec<_> = match plan.layout {
            Layout::Machines => (1..=3).map(|last| format!("10.77.0.{last}:2101")).collect(),
            _ => free_ports(plan.run, 3).into_iter().map(|port| format!("127.0.0.1:{port}")).collect(),
        };
        fs::write(home.path().join("hosts"), addresses.join("\n")).unwrap();
        for (name, text) in [("secret", "correct horse battery"), ("other-secret", "another horse battery")] {
            let path = home.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        let squatter = (plan.fault == TakenPort).then(|| TcpListener::bind(&addresses[plan.victim]).unwrap());
        let stage = Stage { plan, world, home, network, _squatter: squatter };
        (0..3).for_each(|index| stage.lay_out(index));
        Some(stage)
    }

    /// The data of one process: the common table, or the victim's own idea of it.
    fn lay_out(&self, index: usize) {
        let Plan { fault, victim, dice, .. } = *self.plan;
        let set = self.home.path().join(format!("p{index}/data/csv/t"));
        fs::create_dir_all(&set).unwrap();
        let common = self.world.home.table();
        if index != victim || !matches!(fault, BadRecord | MissingFile) {
            return symlink(common, set.join("uservisits")).unwrap();
        }
        // The whole table, or one file of it.
        if fault == MissingFile && dice.is_multiple_of(2) {
            return;
        }
        fs::create_dir(set.join("uservisits")).unwrap();
        // One of those that this process reads.
        let chosen = format!("f-{:02}", (dice as usize % (FILES / 3)) * 3 + victim);
        for entry in fs::read_dir(common).unwrap().flatten() {
            let path = set.join("uservisits").join(entry.file_name());
            if entry.file_name() != *chosen {
                symlink(entry.path(), path).unwrap();
            } else if fault == BadRecord {
                let mut bytes = fs::read(entry.path()).unwrap();
                let line = dice as usize % 2_000;
                let start = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(line).unwrap().0;
                let revenue =
                    bytes[start..].iter().enumerate().filter(|(_, byte)| **byte == b',').nth(2).unwrap().0;
                bytes[start + revenue + 1] = b'x';
                fs::write(path, bytes).unwrap();
            }
        }
    }

    pub(super) fn start(&self, index: usize) -> Running {
        let Plan { fault, victim, .. } = *self.plan;
        let is_victim = index == victim;
        let program = match fault {
            OtherBinary if is_victim => self.world.other_binary.as_os_str(),
            _ => env!("CARGO_BIN_EXE_query2").as_ref(),
        };
        let mut words = vec!["--json", "-v", "-w", "1", "--data", "data", "--set", "t", "--split-size", "1M"];
        words.extend(["--connect-timeout", "5", "--peer-timeout", "4", "-k"]);
        words.push(if fault == OtherArguments && is_victim { "11" } else { "12" });
        words.extend(self.plan.output());
        let own_index = index.to_string();
        if self.plan.layout == Layout::Local {
            words.extend(["-n", "3"]);
        } else {
            words.extend(["-h", "../hosts", "-p", &own_index, "--secret-file"]);
            words.push(if fault == OtherSecret && is_victim { "../other-secret" } else { "../secret" });
        }
        let mut command = match &self.network {
            Some(network) => network.on(index),
            None => Command::new("env"),
        };
        if fault == FullDisk && is_victim {
            let unshared = Command::new("unshare").args(["-m", "true"]).output();
            let may_mount = unshared.is_ok_and(|done| done.status.success());
            let script = if may_mount {
                "mkdir out && mount -t tmpfs -o size=32k none out && exec \"$@\""
            } else {
                "trap '' XFSZ; ulimit -f 16; exec \"$@\""
            };
            // A mount that goes with the process.
            command
                .args(if may_mount { &["unshare", "-m"][..] } else { &[] })
                .args(["sh", "-c", script, "sh"]);
        }
        command.arg(program).args(words);
        let mut runner = self.home.runner(command);
        runner.command.current_dir(self.home.path().join(format!("p{index}")));
        runner.start()
    }

    /// The process that the fault is for; for a child, once it is there.
    pub(super) fn victim(&self, pids: &[Pid]) -> Option<Pid> {
        if self.plan.layout != Layout::Local || self.plan.victim == 0 {
            return pids.get(self.plan.victim).copied();
        }
        let variable = format!("MILLRACE_LOCAL_PROCESS={}", self.plan.victim);
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            let child = self.home.processes().into_iter().find(|pid| {
                let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
                environment
                    .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|one| one == variable.as_bytes()))
            });
            if child.is_some() {
                return child;
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

/// So many ports that nobody has, out of the range from which the system chooses.
fn free_ports(run: usize, count: usize) -> Vec<u16> {
    let first = 20_000 + (std::process::id() as usize * 131 + run * 31) % 10_000;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first as u16..).filter(free).take(count).collect()
}
