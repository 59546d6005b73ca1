//! Machines in small: network namespaces with addresses of their own, joined by a bridge, and links that can be cut.
//!
//! Needs root and `ip` of iproute2. Everything lives in namespaces with names of this test run, so nothing outside of
//! them changes, and deleting them deletes it all.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where the bridge itself has an address: for what stands between the machines.
pub(crate) const BETWEEN: &str = "10.77.0.100";

/// So many machines on one bridge. Machine 0 has the addresses `10.77.0.1`, `10.78.0.1` and `fd77::1`, and so on.
pub(crate) struct Network {
    name: String,
    machines: usize,
}

impl Network {
    /// `None`, after saying so, where this is not possible; in CI as root, that is a failure.
    pub(crate) fn new(machines: usize) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Of 15 characters at most, as all names of the kind.
        let network = Network { name: format!("mr{:x}-{count:x}", std::process::id()), machines };
        match network.build() {
            Ok(()) => Some(network),
            Err(reason) => {
                let root = rustix::process::geteuid().is_root();
                assert!(!(root && std::env::var_os("CI").is_some()), "no network namespaces in CI: {reason}");
                eprintln!("NOT RUN: network namespaces are not to be had here ({reason})");
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        let switch = self.switch();
        let mut commands = vec![
            format!("netns add {switch}"),
            format!("-n {switch} link add bridge type bridge"),
            format!("-n {switch} addr add {BETWEEN}/24 dev bridge"),
            format!("-n {switch} link set bridge up"),
            format!("-n {switch} link set lo up"),
        ];
        for index in 0..self.machines {
            let (machine, last) = (self.machine(index), index + 1);
            commands.extend([
                format!("netns add {machine}"),
                format!("-n {machine} link set lo up"),
                format!("-n {switch} link add port{index} type veth peer name eth0 netns {machine}"),
                format!("-n {switch} link set port{index} master bridge up"),
                format!("-n {machine} addr add 10.77.0.{last}/24 dev eth0"),
                format!("-n {machine} addr add 10.78.0.{last}/24 dev eth0"),
                // Without the time in which an address is not yet one.
                format!("-n {machine} addr add fd77::{last}/64 dev eth0 nodad"),
                format!("-n {machine} link set eth0 up"),
            ]);
        }
        commands.iter().try_for_each(|command| ip(command))
    }

    fn switch(&self) -> String {
        format!("{}-s", self.name)
    }

    fn machine(&self, index: usize) -> String {
        format!("{}-{index}", self.name)
    }

    /// The command that runs in machine `index` what is given as its further arguments. It becomes that program, so
    /// signals reach it.
    pub(crate) fn on(&self, index: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.machine(index)]);
        command
    }

    /// Pulls the cable of a machine.
    pub(crate) fn cut(&self, index: usize) {
        ip(&format!("-n {} link set port{index} down", self.switch())).unwrap();
    }

    /// Whether from machine `index` somebody is reached at `address`.
    pub(crate) fn reaches(&self, index: usize, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip(), address.port());
        let script = format!("exec 3<> /dev/tcp/{ip}/{port}");
        self.on(index).args(["bash", "-c", &script]).output().unwrap().status.success()
    }

    /// Runs `work` on a thread of its own that stands between the machines: at the bridge, as [`BETWEEN`].
    pub(crate) fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.switch())).unwrap();
        thread::spawn(move || {
            // Of this thread only; sockets made here stay there.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    /// Listens between the machines and passes on to `to`, a chunk at a time, with `pause` after each chunk. Returns
    /// where the first bytes of every connection will be, as its dialler sends them.
    pub(crate) fn relay(&self, port: u16, to: SocketAddr, pause: Duration) -> Arc<Mutex<Vec<Vec<u8>>>> {
        let (ready, wait) = std::sync::mpsc::channel();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let store = Arc::clone(&heard);
        self.between(move || {
            let listener = TcpListener::bind((BETWEEN.parse::<IpAddr>().unwrap(), port)).unwrap();
            ready.send(()).unwrap();
            for near in listener.incoming().map_while(Result::ok) {
                // Nobody there yet: the far side sees a closed connection and comes again.
                let Ok(far) = TcpStream::connect(to) else { continue };
                let (back, forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                thread::spawn(move || pass_on(&back, &forth, pause));
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let first = pass_on(&near, &far, pause);
                    store.lock().unwrap().push(first);
                });
            }
        });
        wait.recv().unwrap();
        heard
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in (0..self.machines).map(|index| self.machine(index)).chain([self.switch()]) {
            // Those that were not made cannot be deleted.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// Until the connection ends; returns how it began.
fn pass_on(mut from: &TcpStream, mut into: &TcpStream, pause: Duration) -> Vec<u8> {
    let (mut chunk, mut first) = ([0; 16 << 10], Vec::new());
    while let Ok(count @ 1..) = from.read(&mut chunk)
        && into.write_all(&chunk[..count]).is_ok()
    {
        if first.len() < 4096 {
            first.extend(&chunk[..count]);
        }
        thread::sleep(pause);
    }
    let _ = into.shutdown(std::net::Shutdown::Write);
    first
}

fn ip(command: &str) -> Result<(), String> {
    let done =
        Command::new("ip").args(command.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("ip {command}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}
