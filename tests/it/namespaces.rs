//! Query 2 on three machines in small, each a network namespace with addresses of its own.
//!
//! These tests would catch a process that does not find itself in the host file, one that listens where it should
//! not, and a job that waits for ever behind a cable that was pulled. Without root they print `NOT RUN`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::network::{BETWEEN, Network};
use crate::support::{Home, Judged, Running, rows};

/// Starts one process on machine `index`, with the host file, the secret, and no `-p`.
fn start(home: &Home, network: &Network, index: usize, words: &str) -> Running {
    let mut command: Command = network.on(index);
    command.arg(env!("CARGO_BIN_EXE_query2")).args(words.split_whitespace());
    command.args("--data data --set t -w 1 -h hosts --secret-file secret".split(' '));
    home.runner(command).start()
}

fn prepare(home: &Home, hosts: &str) {
    fs::write(home.path().join("hosts"), hosts).unwrap();
    let secret = home.path().join("secret");
    fs::write(&secret, "correct horse battery staple").unwrap();
    fs::set_permissions(secret, PermissionsExt::from_mode(0o600)).unwrap();
}

/// The answer of three processes is the judge's, and that of one process to the last bit.
fn answered(home: &Home, bytes: &[u8], running: Vec<Running>) {
    let alone = home.query("-w 1 -k 12 --json").run().json();
    let judged = Judged::of([bytes], 12);
    for (index, running) in running.into_iter().enumerate() {
        let ran = running.end();
        ran.ended_with(0);
        if index == 0 {
            let answer = ran.json();
            ran.check(answer["hash"] == alone["hash"], "the hash of one process");
            ran.check(answer["groups"] == judged.groups.len(), "the judge's groups");
            ran.check(answer["revenue"] == judged.revenue(), "the judge's revenue");
        }
    }
}

#[test]
fn three_machines_find_themselves_and_answer() {
    let Some(network) = Network::new(3) else { return };
    let bytes = rows(1, 30_000).concat();
    let home = Home::with(&[("a".into(), bytes.clone())]);
    // By IPv4, by either of two addresses, of which nobody listens on the first, and by IPv6.
    prepare(&home, "10.77.0.1:2101\n192.0.2.1:7 10.77.0.2:2102\n[fd77::3]:2101\n");
    let words = "-k 12 --json --split-size 64K";
    let running = (0..3).map(|index| start(&home, &network, index, words)).collect();
    answered(&home, &bytes, running);
}

#[test]
fn only_the_address_in_the_host_file_is_bound() {
    let Some(network) = Network::new(3) else { return };
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    prepare(&home, "10.77.0.1:2101\n10.77.0.2:2101\n10.77.0.3:2101\n");
    let zero = start(&home, &network, 0, "");
    let listed = "10.77.0.1:2101".parse().unwrap();
    let zero = zero.until(|| network.reaches(1, listed));
    for other in ["10.78.0.1:2101", "[fd77::1]:2101", "127.0.0.1:2101"] {
        let other: std::net::SocketAddr = other.parse().unwrap();
        assert!(!network.reaches(0, other), "{other} is bound too");
    }
    let rest = [1, 2].map(|index| start(&home, &network, index, ""));
    for running in [zero].into_iter().chain(rest) {
        running.end().ended_with(0);
    }
}

#[test]
fn without_a_secret_what_comes_from_no_loopback_address_is_turned_away() {
    let Some(network) = Network::new(1) else { return };
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    fs::write(home.path().join("hosts"), "127.0.0.1:2101\n127.0.0.1:2102\n").unwrap();
    let start = |index: usize| {
        let mut command = network.on(0);
        command.arg(env!("CARGO_BIN_EXE_query2")).args(["-p", &index.to_string()]);
        command.args("-v -w 1 --data data --set t -h hosts".split(' '));
        home.runner(command).start()
    };
    let zero = start(0).until(|| network.reaches(0, "127.0.0.1:2101".parse().unwrap()));
    // Only loopback is bound, and reached from other addresses of the same machine.
    let script = "import socket; it = socket.socket(); it.bind(('10.77.0.1', 0)); \
                  it.connect(('127.0.0.1', 2101)); print(it.recv(1))";
    let stranger = network.on(0).args(["python3", "-c", script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stranger.stdout), "b''\n", "it was told something: {stranger:?}");
    start(1).end().ended_with(0);
    let ran = zero.end();
    ran.ended_with(0);
    ran.check(ran.stderr.contains("a connection from 10.77.0.1:"), "who came");
    let why = " was turned away: it comes from no loopback address, and there is no secret";
    ran.check(ran.stderr.contains(why), "why it was turned away");
}

#[test]
fn a_cut_link_ends_every_process() {
    const SILENCE: Duration = Duration::from_secs(3);
    let Some(network) = Network::new(3) else { return };
    let home = Home::with_endless_table();
    prepare(&home, "10.77.0.1:2101\n10.77.0.2:2101\n10.77.0.3:2101\n");
    let begun = || home.listing("out").iter().filter(|name| name.starts_with(".part-")).count() == 3;
    let words = "--output out --peer-timeout 3";
    let two = start(&home, &network, 2, words);
    let one = start(&home, &network, 1, words);
    let zero = start(&home, &network, 0, words).until(begun);
    network.cut(2);
    let cut = std::time::Instant::now();
    for (index, running) in [zero, one, two].into_iter().enumerate() {
        let ran = running.end();
        let taken = cut.elapsed();
        ran.check(taken < SILENCE + Duration::from_secs(5), &format!("it took {taken:?} to notice"));
        // Cut off, one sees the others gone.
        let lost =
            if index == 2 { "error: process " } else { "error: process 2 on 10.77.0.3:2101 was lost: " };
        ran.failed_saying(lost).failed_saying(" was lost: silent for 3 s\n");
    }
    assert_eq!(home.listing("out"), ["absent"]);
}

#[test]
fn a_slow_link_gives_the_same_answer() {
    let Some(network) = Network::new(3) else { return };
    let bytes = rows(2, 60_000).concat();
    let home = Home::with(&[("a".into(), bytes.clone())]);
    // The others find process 0 behind the relay first; it does not take that address for its own.
    prepare(&home, &format!("{BETWEEN}:2101 10.77.0.1:2101\n10.77.0.2:2101\n10.77.0.3:2101\n"));
    // 16 KiB at a time, so some 800 KB/s.
    let listed = "10.77.0.1:2101".parse().unwrap();
    network.relay(2101, listed, Duration::from_millis(20));
    let words = "-k 12 --json --split-size 64K";
    // Who finds nobody behind the relay yet dials the other address, past it.
    let zero = start(&home, &network, 0, words).until(|| network.reaches(1, listed));
    let rest = [1, 2].map(|index| start(&home, &network, index, words));
    answered(&home, &bytes, [zero].into_iter().chain(rest).collect());
}
