//! Connecting over real sockets. These tests would catch a job that starts although its members differ, a stranger
//! that hurts a job, and any wait without an end.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use millrace::Error;
use millrace::cluster::{
    self, Connections, Endpoint, Fingerprint, Host, Log, Membership, Secret, Timeouts, Verdict,
};

use crate::support::free_addresses;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Long enough for a busy machine; a test that needs it whole is about waiting.
const PATIENCE: Duration = Duration::from_secs(20);
/// For tests in which somebody never comes.
const IMPATIENCE: Duration = Duration::from_millis(700);

fn hosts(addresses: &[SocketAddr]) -> Vec<Host> {
    addresses.iter().map(|&address| Host { endpoints: vec![Endpoint::from(address)] }).collect()
}

/// One process of a test job; each runs on a thread of its own.
struct Member {
    hosts: Vec<Host>,
    index: usize,
    secret: Option<Secret>,
    fingerprint: Fingerprint,
    timeouts: Timeouts,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Member {
    fn new(addresses: &[SocketAddr], index: usize) -> Self {
        Member {
            hosts: hosts(addresses),
            index,
            secret: None,
            fingerprint: Fingerprint::new("test").with("-k", 8),
            timeouts: Timeouts { connect: PATIENCE, peer: PATIENCE },
            lines: Arc::default(),
        }
    }

    fn patience(mut self, connect: Duration) -> Self {
        self.timeouts.connect = connect;
        self
    }

    fn silence(mut self, peer: Duration) -> Self {
        self.timeouts.peer = peer;
        self
    }

    fn secret(mut self, text: &str) -> Self {
        self.secret = Secret::find(None, Some(text.into())).unwrap();
        self
    }

    fn start(self) -> Running {
        let lines = Arc::clone(&self.lines);
        let started = Instant::now();
        let thread = thread::spawn(move || {
            let sink = Arc::clone(&self.lines);
            let log = Log::to(true, move |line| sink.lock().unwrap().push(line.to_owned()));
            let membership = Membership::listed(self.hosts, self.index, self.secret);
            cluster::connect(&membership, &self.fingerprint, self.timeouts, &log, || None)
        });
        Running { thread, lines, started }
    }
}

struct Running {
    thread: thread::JoinHandle<Result<Connections, Error>>,
    lines: Arc<Mutex<Vec<String>>>,
    started: Instant,
}

impl Running {
    fn connected(self) -> Connections {
        self.thread.join().unwrap().unwrap()
    }

    /// The message it failed with, and how long that took.
    fn failed(self) -> (String, Duration) {
        let error = self.thread.join().unwrap().err().expect("it connected");
        (error.to_string(), self.started.elapsed())
    }

    /// Waits until a line of its log says so.
    fn logs(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.lines.lock().unwrap().iter().any(|line| line.contains(text)) {
            assert!(Instant::now() < until, "{text:?} is not in {:?}", self.lines.lock().unwrap());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn start_all(addresses: &[SocketAddr], change: impl Fn(Member) -> Member) -> Vec<Running> {
    (0..addresses.len()).map(|index| change(Member::new(addresses, index)).start()).collect()
}

/// Every pair of data streams must carry bytes to the right process, both ways.
fn check_data(all: &mut [Connections]) {
    for (own, connections) in all.iter_mut().enumerate() {
        for (peer, stream) in connections.data.iter_mut().enumerate() {
            assert_eq!(stream.is_none(), peer == own);
            if let Some(stream) = stream {
                assert!(stream.nodelay().unwrap());
                assert_eq!(stream.read_timeout().unwrap(), None);
                stream.write_all(&[own as u8, peer as u8]).unwrap();
            }
        }
    }
    for (own, connections) in all.iter_mut().enumerate() {
        for (peer, stream) in connections.data.iter_mut().enumerate() {
            if let Some(stream) = stream {
                let mut bytes = [0; 2];
                stream.read_exact(&mut bytes).unwrap();
                assert_eq!(bytes, [peer as u8, own as u8]);
            }
        }
    }
}

#[test]
fn two_and_three_processes_become_one_job_quickly() {
    for processes in [1, 2, 3] {
        let addresses = free_addresses(LOOPBACK, processes);
        let started = Instant::now();
        let running = start_all(&addresses, |member| member);
        let mut all: Vec<_> = running.into_iter().map(Running::connected).collect();
        let taken = started.elapsed();
        assert!(taken < Duration::from_secs(1), "{processes} processes took {taken:?}");
        check_data(&mut all);
    }
}

#[test]
fn ipv6_and_several_addresses_per_process() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    let six = free_addresses(IpAddr::V6(Ipv6Addr::LOCALHOST), 2);
    let four = free_addresses(LOOPBACK, 1);
    let mut listed = hosts(&six);
    // Nobody answers on the first address that the others know for process 0.
    let silent = free_addresses(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 1);
    listed[0].endpoints.insert(0, Endpoint::from(four[0]));
    listed[1].endpoints.push(Endpoint::from(silent[0]));
    let running = [0, 1].map(|index| {
        let mut member = Member::new(&six, index);
        member.hosts.clone_from(&listed);
        member.start()
    });
    check_data(&mut running.map(Running::connected));
}

#[test]
fn members_may_come_late_and_by_name() {
    let addresses = free_addresses(LOOPBACK, 2);
    let listed = cluster::hosts::parse(
        "hosts",
        &format!("localhost:{}\nlocalhost:{}\n", addresses[0].port(), addresses[1].port()),
    )
    .unwrap();
    let start = |index| {
        let mut member = Member::new(&addresses, index);
        member.hosts.clone_from(&listed);
        member.start()
    };
    let early = start(1);
    thread::sleep(Duration::from_millis(300));
    let late = start(0);
    check_data(&mut [late.connected(), early.connected()]);
}

#[test]
fn names_that_are_unknown_or_the_same_twice_are_passed_over() {
    let addresses = free_addresses(LOOPBACK, 2);
    let mut listed = hosts(&addresses);
    // Too long for a name: that is known without a resolver, which might take its time.
    let unknown = format!("{}:1", "a".repeat(64));
    listed[0].endpoints.insert(0, Endpoint::parse(&unknown).unwrap());
    let again = format!("localhost:{}", addresses[0].port());
    listed[0].endpoints.push(Endpoint::parse(&again).unwrap());
    let running = [0, 1].map(|index| {
        let mut member = Member::new(&addresses, index);
        member.hosts.clone_from(&listed);
        member.start()
    });
    check_data(&mut running.map(Running::connected));
    // Alone it is an error, which says whose name it is.
    listed[0].endpoints.truncate(1);
    let mut member = Member::new(&addresses, 0);
    member.hosts = listed;
    let (line, _) = member.start().failed();
    assert!(line.starts_with(&format!("process 0 cannot listen on {unknown}: ")), "{line}");
}

#[test]
fn who_waits_is_told_what_for() {
    let addresses = free_addresses(LOOPBACK, 2);
    let one = Member::new(&addresses, 1).start();
    one.logs(&format!("process 0 on {} is not reached yet: nobody listens there", addresses[0]));
    let zero = Member::new(&addresses, 0).start();
    check_data(&mut [zero.connected(), one.connected()]);
}

#[test]
fn a_missing_process_ends_the_wait_at_the_deadline() {
    let addresses = free_addresses(LOOPBACK, 3);
    let zero = Member::new(&addresses, 0).patience(IMPATIENCE).start();
    let two = Member::new(&addresses, 2).patience(IMPATIENCE).start();
    let (zero, taken) = zero.failed();
    assert!(taken >= IMPATIENCE && taken < IMPATIENCE + Duration::from_secs(2), "{taken:?}");
    let (two, _) = two.failed();
    let absent = format!("process 1 on {}", addresses[1]);
    for line in [zero, two] {
        // Whoever gives up first tells the other, so both lines are possible on both.
        let by_zero = format!(
            "process 0 on {} failed: not connected after 0.7 s: {absent} (it did not come)",
            addresses[0]
        );
        let by_two = format!(
            "process 2 on {} failed: not connected after 0.7 s: {absent} (nobody listens there)",
            addresses[2]
        );
        assert!(line == by_zero || line == by_two, "{line}");
    }
}

#[test]
fn different_arguments_are_told_in_the_same_words_everywhere() {
    let addresses = free_addresses(LOOPBACK, 3);
    let running = start_all(&addresses, |mut member| {
        if member.index == 1 {
            member.fingerprint = Fingerprint::new("test").with("-k", 10);
        }
        member
    });
    for (index, running) in running.into_iter().enumerate() {
        let (line, taken) = running.failed();
        let expected = [
            "the processes do not agree: process 0 has -k 8, process 1 has -k 10",
            "the processes do not agree: process 1 has -k 10, process 2 has -k 8",
        ];
        assert!(expected.contains(&line.as_str()), "process {index}: {line}");
        assert!(taken < Duration::from_secs(5), "process {index} took {taken:?}");
    }
}

#[test]
fn different_process_counts_and_programs_are_told() {
    let addresses = free_addresses(LOOPBACK, 3);
    let zero = Member::new(&addresses[..2], 0).start();
    let two = Member::new(&addresses, 2).patience(IMPATIENCE).start();
    let (line, _) = zero.failed();
    assert!(
        line.starts_with("the processes do not agree: process 0 has -n 2, process 2 has -n 3; "),
        "{line}"
    );
    assert!(line.contains("has the host list 127.0.0.1:"), "{line}");
    assert_eq!(two.failed().0, line);

    let addresses = free_addresses(LOOPBACK, 2);
    let running = start_all(&addresses, |mut member| {
        let name = ["query1", "query2"][member.index];
        member.fingerprint = Fingerprint::new(name);
        member
    });
    for running in running {
        let line = "the processes do not agree: process 0 has program query1, process 1 has program query2";
        assert_eq!(running.failed().0, line);
    }
}

#[test]
fn the_same_secret_lets_in_and_another_does_not() {
    let addresses = free_addresses(LOOPBACK, 2);
    let running = start_all(&addresses, |member| member.secret("correct horse battery staple"));
    check_data(&mut running.into_iter().map(Running::connected).collect::<Vec<_>>());

    for other in [Some("another horse battery staple"), None] {
        let addresses = free_addresses(LOOPBACK, 2);
        let zero =
            Member::new(&addresses, 0).secret("correct horse battery staple").patience(IMPATIENCE).start();
        let mut one = Member::new(&addresses, 1);
        if let Some(text) = other {
            one = one.secret(text);
        }
        let one = one.start();
        zero.logs("it calls itself process 1 and has a different secret");
        let (line, taken) = one.failed();
        assert_eq!(line, "process 0 and process 1 have different secrets; give both the same --secret-file");
        assert!(taken < Duration::from_secs(5), "{taken:?}");
        let (line, _) = zero.failed();
        assert!(line.contains("turned away: it calls itself process 1 and has a different secret"), "{line}");
    }
}

#[test]
fn without_a_secret_only_loopback_is_used() {
    let addresses = [SocketAddr::from(([203, 0, 113, 1], 2101)), free_addresses(LOOPBACK, 1)[0]];
    let error = Member::new(&addresses, 0).start().thread.join().unwrap().err().unwrap();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error.to_string().contains("without a secret\n  try: make one with `head -c 32 /dev/urandom"),
        "{error}"
    );
    let (line, taken) = Member::new(&addresses, 1).start().failed();
    assert!(
        line.starts_with("process 0 is on another machine (203.0.113.1:2101), and there is no secret"),
        "{line}"
    );
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn an_address_of_another_machine_or_a_taken_port_is_said() {
    let addresses = [SocketAddr::from(([203, 0, 113, 1], 2101)), free_addresses(LOOPBACK, 1)[0]];
    let error =
        Member::new(&addresses, 0).secret("0123456789abcdef").start().thread.join().unwrap().err().unwrap();
    assert!(error.to_string().contains("which is no address of this machine"), "{error}");
    assert_eq!(error.exit_code(), 2);

    let holder = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let addresses = [holder.local_addr().unwrap(), addresses[1]];
    let (line, taken) = Member::new(&addresses, 0).start().failed();
    let expected = format!("process 0 cannot listen on {}: another program listens there", addresses[0]);
    assert!(line.starts_with(&expected), "{line}");
    // It looks for others to tell.
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn who_has_no_address_tells_all_who_wait() {
    // They waited until their time was over, and then only knew that it had not come.
    for failing in 0..3 {
        let mut addresses = free_addresses(LOOPBACK, 3);
        // It takes connections, and neither speaks nor listens.
        let other_program = TcpListener::bind((LOOPBACK, 0)).unwrap();
        addresses[failing] = other_program.local_addr().unwrap();
        let expected = format!(
            "process {failing} cannot listen on {}: another program listens there",
            addresses[failing]
        );
        for (index, running) in start_all(&addresses, |member| member).into_iter().enumerate() {
            let (line, taken) = running.failed();
            assert!(line.starts_with(&expected), "process {index}, when {failing} fails: {line}");
            assert!(taken < Duration::from_secs(5), "process {index}, when {failing} fails: {taken:?}");
        }
    }
}

#[test]
fn only_those_who_know_the_secret_are_believed_that_they_failed() {
    let addresses = free_addresses(LOOPBACK, 2);
    let zero = Member::new(&addresses, 0).secret("correct horse battery staple").start();
    for text in [Some("another horse battery staple"), None] {
        let secret = text.and_then(|text| Secret::find(None, Some(text.into())).unwrap());
        let stranger = Membership::listed(hosts(&addresses), 1, secret);
        let timeouts = Timeouts { connect: IMPATIENCE, peer: PATIENCE };
        cluster::decline(&stranger, "nothing", timeouts, &Log::stderr(false));
    }
    zero.logs("it calls itself process 1 and has a different secret");
    let one = Member::new(&addresses, 1).secret("correct horse battery staple").start();
    check_data(&mut [zero.connected(), one.connected()]);
}

#[test]
fn strangers_garbage_and_slow_senders_cost_the_job_nothing() {
    let addresses = free_addresses(LOOPBACK, 2);
    let zero = Member::new(&addresses, 0).start();
    let until = Instant::now() + PATIENCE;
    let stranger = || loop {
        match TcpStream::connect(addresses[0]) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    // Half-open, and one that sends a right beginning byte by byte, stay for the whole start.
    let _silent: Vec<_> = (0..20).map(|_| stranger()).collect();
    let mut slow = stranger();
    slow.write_all(b"MILL").unwrap();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 200], &[255; 200], b"MILLRACE\xff\xff\xff\xff"] {
        let mut stream = stranger();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // The far side closes, and sends no more than its greeting.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() <= 72, "a stranger was told {} bytes", answer.len());
    }
    drop(stranger());
    zero.logs("it does not speak Millrace's protocol");
    zero.logs("the connection was closed");
    let started = Instant::now();
    let one = Member::new(&addresses, 1).start();
    check_data(&mut [zero.connected(), one.connected()]);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn more_half_open_connections_than_there_are_places_do_not_shut_members_out() {
    let addresses = free_addresses(LOOPBACK, 2);
    let zero = Member::new(&addresses, 0).start();
    let mut silent: Vec<TcpStream> = Vec::new();
    while silent.len() < 400 {
        match TcpStream::connect(addresses[0]) {
            Ok(stream) => silent.push(stream),
            Err(error) => assert!(zero.started.elapsed() < PATIENCE, "{error}"),
        }
    }
    let started = Instant::now();
    let one = Member::new(&addresses, 1).start();
    check_data(&mut [zero.connected(), one.connected()]);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

/// A greeting as a member sends it, without knowing any secret.
fn greeting(from: u32, version: u32) -> Vec<u8> {
    let mut bytes = b"MILLRACE".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(from.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend([7; 48]);
    bytes
}

#[test]
fn a_right_greeting_without_the_secret_gets_nowhere() {
    let addresses = free_addresses(LOOPBACK, 2);
    let zero = Member::new(&addresses, 0).secret("0123456789abcdef").start();
    let until = Instant::now() + PATIENCE;
    let connect = || loop {
        match TcpStream::connect(addresses[0]) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    let mut stream = connect();
    stream.write_all(&greeting(1, 1)).unwrap();
    let mut theirs = [0; 72];
    stream.read_exact(&mut theirs).unwrap();
    // A proof that is not one, then the listener's own greeting thrown back at it.
    stream.write_all(&[1; 32]).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [1], "refused, and nothing told");
    zero.logs("it calls itself process 1 and has a different secret");
    let mut mirror = connect();
    mirror.write_all(&theirs).unwrap();
    mirror.write_all(&[1; 32]).unwrap();
    zero.logs("it calls itself process 0 and has a different secret");
    let mut newer = connect();
    newer.write_all(&greeting(1, 9)).unwrap();
    zero.logs("it calls itself process 1 and speaks version 9 of the protocol, not 1");
    let one = Member::new(&addresses, 1).secret("0123456789abcdef").start();
    check_data(&mut [zero.connected(), one.connected()]);
}

#[test]
fn a_second_process_with_a_taken_index_is_sent_away() {
    let addresses = free_addresses(LOOPBACK, 3);
    let zero = Member::new(&addresses, 0).start();
    let two = Member::new(&addresses, 2).start();
    // Process 2 is known to process 0 now; the second one cannot even listen.
    while TcpStream::connect(addresses[2]).is_err() {
        assert!(two.started.elapsed() < PATIENCE);
    }
    let second = Member::new(&addresses, 2).start();
    let expected =
        "another program listens there; is a process left from an earlier run, or this index used twice?";
    second.logs(&format!("another process 2 is at work on {}", addresses[2]));
    let (line, _) = second.failed();
    assert!(line.contains(expected), "{line}");
    let one = Member::new(&addresses, 1).start();
    check_data(&mut [zero.connected(), one.connected(), two.connected()]);
}

#[test]
fn a_second_process_that_does_not_find_the_first_is_not_believed() {
    let addresses = free_addresses(LOOPBACK, 3);
    let zero = Member::new(&addresses, 0).start();
    let two = Member::new(&addresses, 2).start();
    two.logs(&format!("process 1 on {} is not reached yet", addresses[1]));
    // In its host file the first has another address.
    let other_program = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let second = Member::new(&[addresses[0], addresses[1], other_program.local_addr().unwrap()], 2).start();
    zero.logs("it calls itself process 2, which is connected already from 127.0.0.1");
    let (line, _) = second.failed();
    assert!(line.contains("another program listens there"), "{line}");
    let one = Member::new(&addresses, 1).start();
    check_data(&mut [zero.connected(), one.connected(), two.connected()]);
}

#[test]
fn a_process_that_ends_takes_the_others_with_it() {
    let addresses = free_addresses(LOOPBACK, 3);
    let mut all: Vec<_> =
        start_all(&addresses, |member| member).into_iter().map(Running::connected).collect();
    let (teller, ear) = std::sync::mpsc::channel();
    all[0].fate.on_failure(move |line| teller.send(line.to_owned()).unwrap());
    drop(all.remove(1));
    let expected =
        format!("process 1 on {} was lost: its connection broke before its work was done", addresses[1]);
    assert_eq!(ear.recv_timeout(PATIENCE).unwrap(), expected);
    for connections in &all {
        assert_eq!(connections.fate.failure_within(PATIENCE).as_deref(), Some(expected.as_str()));
        let error = connections.fate.confirm_and_wait(None).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_first_failure_reaches_everyone_and_stays() {
    let addresses = free_addresses(LOOPBACK, 3);
    let all: Vec<_> = start_all(&addresses, |member| member).into_iter().map(Running::connected).collect();
    let told = all[2].fate.fail(Some(5), "bad record in part-00001, byte 7\n  record: \u{1b}[2Ja,b");
    assert_eq!(all[2].fate.fail(None, "something else"), told, "the first stays");
    let expected =
        format!("worker 5 on {} failed: bad record in part-00001, byte 7\n  record: ", addresses[2]);
    for (index, connections) in all.iter().enumerate() {
        let line = connections.fate.failure_within(PATIENCE).unwrap();
        let escaped = if index == 2 { "\u{1b}[2Ja,b" } else { "\\u{1b}[2Ja,b" };
        assert_eq!(line, format!("{expected}{escaped}"));
    }
}

#[test]
fn steps_are_confirmed_by_all_before_anyone_goes_on() {
    let addresses = free_addresses(LOOPBACK, 3);
    let all: Vec<_> = start_all(&addresses, |member| member).into_iter().map(Running::connected).collect();
    let passed = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(index, connections)| {
            let passed = Arc::clone(&passed);
            thread::spawn(move || {
                for step in 0..3 {
                    thread::sleep(Duration::from_millis(if index == step { 60 } else { 0 }));
                    passed.lock().unwrap().push(step);
                    connections.fate.confirm_and_wait(Some(PATIENCE)).unwrap();
                }
                connections.fate.finish();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(*passed.lock().unwrap(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn a_step_that_one_does_not_confirm_fails_for_all() {
    let addresses = free_addresses(LOOPBACK, 2);
    let all: Vec<_> = start_all(&addresses, |member| member).into_iter().map(Running::connected).collect();
    let expected = format!("process 1 on {} did not confirm in time", addresses[1]);
    let error = all[0].fate.confirm_and_wait(Some(Duration::from_millis(100))).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(all[1].fate.failure_within(PATIENCE), Some(expected));

    let addresses = free_addresses(LOOPBACK, 2);
    let mut all: Vec<_> =
        start_all(&addresses, |member| member).into_iter().map(Running::connected).collect();
    all.remove(1).fate.finish();
    let error = all[0].fate.confirm_and_wait(Some(PATIENCE)).unwrap_err();
    assert_eq!(error.to_string(), format!("process 1 on {} ended before its part was done", addresses[1]));
}

/// Three processes that have connected, and the threads on which 1 and 2 have confirmed their last step.
fn at_the_last_step() -> (Connections, Vec<thread::JoinHandle<(Verdict, Connections)>>) {
    let addresses = free_addresses(LOOPBACK, 3);
    let running = start_all(&addresses, |member| member);
    let mut all: Vec<_> = running.into_iter().map(Running::connected).collect();
    let zero = all.remove(0);
    let obey =
        |connections: Connections| thread::spawn(move || (connections.fate.confirm_and_obey(), connections));
    let others = all.into_iter().map(obey).collect();
    zero.fate.decide_alone(|| None).unwrap();
    (zero, others)
}

#[test]
fn a_process_lost_after_the_last_step_changes_nothing() {
    // The third took the loss of the second for a failure of the job, while the first went on to its answer.
    let addresses = free_addresses(LOOPBACK, 3);
    let running = start_all(&addresses, |member| member);
    let mut all: Vec<_> = running.into_iter().map(Running::connected).collect();
    let (two, one, zero) = (all.pop().unwrap(), all.pop().unwrap(), all.pop().unwrap());
    let one = thread::spawn(move || one.fate.confirm_and_obey());
    // What `confirm_and_obey` does before it listens to the first.
    let two = thread::spawn(move || two.fate.confirm_and_wait(Some(PATIENCE)).map(|()| two));
    zero.fate.decide_alone(|| None).unwrap();
    drop(two.join().unwrap().unwrap());
    thread::sleep(Duration::from_millis(300));
    zero.fate.finish();
    assert_eq!(one.join().unwrap(), Verdict::Done);
}

#[test]
fn the_first_process_has_the_last_word() {
    let (zero, others) = at_the_last_step();
    let told = zero.fate.fail(None, "the disk is full");
    assert!(told.ends_with(" failed: the disk is full"), "{told}");
    for other in others {
        assert_eq!(other.join().unwrap().0, Verdict::Failed(told.clone()));
    }
    let (zero, others) = at_the_last_step();
    let lost = format!("{} was lost: its connection broke before its work was done", zero.fate.name(0));
    drop(zero);
    for other in others {
        assert_eq!(other.join().unwrap().0, Verdict::Unknown(lost.clone()));
    }
}

#[test]
fn who_cannot_take_part_tells_all_who_wait() {
    let addresses = free_addresses(LOOPBACK, 3);
    let declining = Membership::listed(hosts(&addresses), 1, None);
    let decline = thread::spawn(move || {
        let timeouts = Timeouts { connect: PATIENCE, peer: PATIENCE };
        cluster::decline(&declining, "no table\n  there is: another", timeouts, &Log::stderr(false));
    });
    let running = [0, 2].map(|index| Member::new(&addresses, index).start());
    for running in running {
        let (line, taken) = running.failed();
        assert_eq!(line, format!("process 1 on {} failed: no table\n  there is: another", addresses[1]));
        assert!(taken < Duration::from_secs(5), "{taken:?}");
    }
    decline.join().unwrap();
}

#[test]
fn a_quiet_job_lives_on_heartbeats() {
    let addresses = free_addresses(LOOPBACK, 2);
    let silence = Duration::from_millis(400);
    let running = start_all(&addresses, |member| member.silence(silence));
    let all: Vec<_> = running.into_iter().map(Running::connected).collect();
    thread::sleep(silence * 3);
    for connections in &all {
        assert_eq!(connections.fate.failure(), None);
    }
}
