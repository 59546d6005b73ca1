//! Input from S3 and HTTP, and by patterns.
//!
//! Catches: an answer that differs by where the files are; rows lost or doubled when a connection breaks; a fault that is
//! taken for the end of a file; a run that hangs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millrace::formats::compression::{Compression, Encoder};
use rustix::process::Signal;

use crate::servers::{
    Fate, KEY_ID, SECRET_KEY, files, metadata, proxy, s3, with_credentials, with_session_token,
};
use crate::support::{Home, Ran, Random, Runner, parse, rows};

/// Some 1.3 MB in three files, the second compressed: small enough for a debug build, large enough for many splits.
fn visits() -> Home {
    let home = Home::new();
    for (index, compression) in [None, Some(Compression::Gzip), None].into_iter().enumerate() {
        let text = rows(index as u64, 5_000).concat();
        let (name, bytes) = match compression {
            None => (format!("part-{index}"), text),
            Some(compression) => {
                let mut encoder = Encoder::new(compression, Vec::new()).unwrap();
                std::io::Write::write_all(&mut encoder, &text).unwrap();
                (format!("part-{index}.gz"), encoder.finish().unwrap())
            }
        };
        fs::write(home.table().join(&name), &bytes).unwrap();
        let bucket = home.path().join("buckets/visits/data/csv/t/uservisits");
        fs::create_dir_all(&bucket).unwrap();
        fs::write(bucket.join(&name), &bytes).unwrap();
    }
    home
}

fn bucket(home: &Home) -> PathBuf {
    home.path().join("buckets")
}

/// `query2` on what is below an address, with the credentials of the tests.
fn query(home: &Home, words: &str, data: &str) -> Runner {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query2"));
    command.args(words.split_whitespace()).args(["--json", "--set", "t", "--data", data]);
    with_credentials(&mut command, home.path());
    home.runner(command)
}

/// The same on the bucket behind a server.
fn of_bucket(home: &Home, words: &str, server: SocketAddr) -> Runner {
    query(home, &format!("{words} --s3-endpoint http://{server}"), "s3://visits/data")
}

fn hash(ran: &Ran) -> String {
    let answer = ran.json();
    format!("{} {}", answer["rows"], answer["hash"])
}

fn local(home: &Home) -> String {
    hash(&query(home, "-w 1", "data").run())
}

#[test]
fn s3_gives_the_answer_of_a_directory() {
    let home = visits();
    let expected = local(&home);
    let server = s3(&bucket(&home), false);
    for words in
        ["-w 1", "-w 2 --split-size 64K", "-w 3 --assignment shared", "-n 2 -w 1", "-w 1 --memory 20MB"]
    {
        let ran = of_bucket(&home, words, server).run();
        ran.check(hash(&ran) == expected, words);
    }
    let ran = of_bucket(&home, "-w 2 --report report.json", server).run();
    ran.ended_with(0);
    let report = fs::read(home.path().join("report.json")).unwrap();
    let input = &serde_json::from_slice::<serde_json::Value>(&report).unwrap()["input"];
    let figure = |name: &str| input["fetched"][name].as_u64().unwrap();
    let (bytes, splits) = (input["bytes"].as_u64().unwrap(), input["splits"].as_u64().unwrap());
    // On top of the files, twice their first bytes, and the ends of splits.
    let most = bytes + 3 * (68 << 10) + splits * (4 << 10);
    ran.check((bytes..=most).contains(&figure("bytes")), &format!("nothing is fetched twice: {input}"));
    ran.check(figure("requests") <= splits + 6, &format!("a request for each split: {input}"));
}

/// The table of the bucket in another format, below `FORMAT/uservisits`; userAgent is long, and never twice the same.
fn packed(home: &Home, format: &str, file_size: &str) -> String {
    let text = home.path().join("wide/csv/t/uservisits");
    if !text.exists() {
        fs::create_dir_all(&text).unwrap();
        let mut random = Random(1);
        let mut noise = |bytes: usize| -> String {
            (0..bytes).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
        };
        let row = |row: Vec<Vec<u8>>| {
            let mut row: Vec<_> = row.into_iter().map(|field| String::from_utf8(field).unwrap()).collect();
            (row[1], row[4]) = (noise(60), noise(60));
            row.join(",") + "\n"
        };
        let lines: String = parse(&rows(4, 6_000).concat()).into_iter().map(row).collect();
        fs::write(text.join("part-0"), lines).unwrap();
    }
    let place = format!("{format}-{file_size}/uservisits");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "wide", "--set", "t", "--table", "uservisits", "--to", format]);
    command.arg("--output").arg(bucket(home).join("visits").join(&place)).args(["--file-size", file_size]);
    home.runner(command).run().ended_with(0);
    place
}

#[test]
fn every_format_gives_the_answer_of_a_directory() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    let mut expected = None;
    for format in
        ["csv", "packed", "parquet", "csv.deflate", "csv.gz", "csv.zst", "csv.sz", "csv.lz4", "csv.bz2"]
    {
        let place = packed(&home, format, "100KB");
        let expected = expected.get_or_insert_with(|| hash(&query(&home, "-w 1", "wide").run()));
        for words in ["-w 2 --split-size 64K", "-n 2 -w 1", "-w 3 --memory 40MB"] {
            let endpoint = format!("{words} --s3-endpoint http://{server}");
            let ran = query(&home, &endpoint, &format!("s3://visits/{place}/")).run();
            ran.check(hash(&ran) == *expected, &format!("{format}, {words}"));
        }
    }
}

/// Catches bytes of columns that the query does not read, and bytes that are fetched twice.
#[test]
fn of_column_files_only_the_footer_and_the_columns_that_are_read_are_fetched() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    for format in ["packed", "parquet"] {
        let place = packed(&home, format, "100MB");
        let directory = bucket(&home).join("visits").join(&place);
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.arg("--describe").arg(&directory);
        let described = home.runner(command).run();
        described.ended_with(0);
        let column_bytes = |name: &str| -> u64 {
            let line = described.stdout.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            line.split_whitespace().nth(2).unwrap().replace(',', "").parse().unwrap()
        };
        let extension = if format == "packed" { "mrp" } else { "parquet" };
        let file = fs::read(directory.join(format!("part-00000.{extension}"))).unwrap();
        let footer = match format {
            // The first magic, and the end at once, in which there are columns too.
            "packed" => 8 + (64 << 10),
            // What is behind the footer, and the footer.
            _ => 8 + u64::from(u32::from_le_bytes(file[file.len() - 8..][..4].try_into().unwrap())),
        };
        let expected = footer + column_bytes("sourceIP") + column_bytes("adRevenue");
        assert!(expected * 4 < file.len() as u64, "{format}: most of the file is not read");
        for words in ["-w 1", "-w 2"] {
            let words = format!("{words} --report report.json --s3-endpoint http://{server}");
            query(&home, &words, &format!("s3://visits/{place}/")).run().ended_with(0);
            let report = fs::read(home.path().join("report.json")).unwrap();
            let input = &serde_json::from_slice::<serde_json::Value>(&report).unwrap()["input"];
            assert_eq!(input["fetched"]["bytes"], expected, "{format} of {} bytes: {input}", file.len());
            assert_eq!(input["fetched"]["requests"], 4, "{format}: {input}");
        }
    }
}

/// The address of a table of so many copies of one column file.
fn copies(home: &Home, format: &str, extension: &str, count: usize) -> String {
    let place = packed(home, format, "100MB");
    let file = bucket(home).join("visits").join(&place).join(format!("part-00000.{extension}"));
    let table = format!("copies-{format}/uservisits");
    let directory = bucket(home).join("visits").join(&table);
    fs::create_dir_all(&directory).unwrap();
    for number in 0..count {
        fs::copy(&file, directory.join(format!("copy-{number:02}.{extension}"))).unwrap();
    }
    format!("s3://visits/{table}/")
}

/// Of a request for a part of a copy: the number of that copy.
fn number_of_copy(line: &str) -> Option<usize> {
    line.starts_with("GET").then(|| line.split_once("copy-")?.1.get(..2)?.parse().ok())?
}

/// Catches a plan that waits for the footer of each file before it asks for the next one's: 500 files took a minute.
#[test]
fn footers_are_fetched_side_by_side() {
    const FILES: usize = 40;
    let home = visits();
    let server = s3(&bucket(&home), false);
    for (format, extension) in [("packed", "mrp"), ("parquet", "parquet")] {
        let data = copies(&home, format, extension, FILES);
        let looks: [AtomicUsize; FILES] = std::array::from_fn(|_| AtomicUsize::new(0));
        let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let between = proxy(server, move |line, _| {
            // The first two are for its footer: those of packed files at once, those of Parquet one after the other.
            let is_footer =
                number_of_copy(line).is_some_and(|copy| looks[copy].fetch_add(1, Ordering::SeqCst) < 2);
            if is_footer {
                seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(100));
                now.fetch_sub(1, Ordering::SeqCst);
            }
            Fate::Pass
        });
        let ran = query(&home, &format!("-w 2 --s3-endpoint http://{between}"), &data).run();
        ran.ended_with(0);
        let most = most.load(Ordering::SeqCst);
        let window = if format == "packed" { 9..=64 } else { 9..=32 };
        ran.check(window.contains(&most), &format!("{format}: {most} requests for footers at once"));
    }
}

/// Catches an error that is another one at each run, as many files are looked at together.
#[test]
fn of_several_bad_footers_the_first_is_told() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    let data = copies(&home, "parquet", "parquet", 12);
    let between = proxy(server, move |line, _| match number_of_copy(line) {
        Some(3) => {
            std::thread::sleep(Duration::from_millis(300));
            Fate::Answer(403, "")
        }
        Some(5..) => Fate::Answer(404, ""),
        _ => Fate::Pass,
    });
    let ran = query(&home, &format!("-w 1 --s3-endpoint http://{between}"), &data).run();
    ran.failed_saying(
        "cannot read s3://visits/copies-parquet/uservisits/copy-03.parquet: access is denied (403)",
    );
}

const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

#[test]
fn faults_that_pass_change_nothing() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    let mut tables = vec![("s3://visits/data".to_owned(), local(&home))];
    for format in ["packed", "parquet"] {
        let place = packed(&home, format, "200KB");
        tables.push((format!("s3://visits/{place}/"), hash(&query(&home, "-w 1", "wide").run())));
    }
    for (what, faults) in [
        ("server errors", [Fate::Answer(500, ""), Fate::Answer(503, SLOW_DOWN), Fate::Answer(429, "")]),
        ("cut connections", [Fate::Cut(0), Fate::Cut(700), Fate::Cut(40_000)]),
        ("latency", [Fate::Late(Duration::from_millis(20)); 3]),
        ("throttling", [Fate::Drip(Duration::from_millis(5)); 3]),
    ] {
        for (data, expected) in &tables {
            // Most requests meet a fault, lists and heads of files too.
            let fate = move |_: &str, number: usize| faults.get(number % 4).copied().unwrap_or(Fate::Pass);
            let words = format!("-w 2 --split-size 256K --s3-endpoint http://{}", proxy(server, fate));
            let ran = query(&home, &words, data).run();
            ran.check(hash(&ran) == *expected, &format!("{what}, {data}"));
        }
    }
}

/// Catches a column file that is taken to end where its server gives up, and an error that does not name it.
#[test]
fn faults_that_last_name_the_column_file() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    for (format, extension) in [("packed", "mrp"), ("parquet", "parquet")] {
        let place = packed(&home, format, "200KB");
        let file = format!("{place}/part-00001.{extension}");
        for (fate, reason) in [
            (Fate::Answer(403, ""), "access is denied (403)"),
            (Fate::Answer(412, ""), "it changed since the job was planned"),
            (
                Fate::Answer(503, SLOW_DOWN),
                "the server answered 503 SlowDown: Please reduce your request rate.",
            ),
            (Fate::Cut(0), ""), // In the words of the library.
            (Fate::Cut(400), ""),
            (Fate::Drip(Duration::from_secs(3)), ""),
            (Fate::Hang, "the server gave nothing for 1 s"),
        ] {
            let (looks, wanted) = (AtomicUsize::new(0), file.clone());
            let between = proxy(server, move |line, _| {
                // The first two are for its footer.
                let concerned = line.starts_with("GET") && line.contains(&wanted);
                if concerned && looks.fetch_add(1, Ordering::Relaxed) >= 2 { fate } else { Fate::Pass }
            });
            let words = format!("-w 2 --store-timeout 1 --s3-endpoint http://{between}");
            let ran = query(&home, &words, &format!("s3://visits/{place}/")).run();
            ran.failed_saying(&format!("cannot read s3://visits/{file}: {reason}"));
            ran.check(ran.taken < Duration::from_secs(10), "it took too long");
        }
    }
}

/// Runs against a server whose answers for parts of the second file are what `fate` says, once it was looked at.
fn with_fault(home: &Home, words: &str, server: SocketAddr, fate: Fate) -> Runner {
    let looks = AtomicUsize::new(0);
    let between = proxy(server, move |line, _| {
        let concerned = line.contains("part-2") && line.starts_with("GET");
        // The first two are for what it is and whether it has quotes.
        if concerned && looks.fetch_add(1, Ordering::Relaxed) >= 2 { fate } else { Fate::Pass }
    });
    of_bucket(home, &format!("{words} --split-size 256K --store-timeout 1"), between)
}

#[test]
fn faults_that_last_name_the_file_and_the_reason() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    let file = "cannot read s3://visits/data/csv/t/uservisits/part-2";
    let expired =
        "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
    for (fate, reason) in [
        (
            Fate::Answer(400, expired),
            "the credentials have expired (400 ExpiredToken: The provided token has expired.)",
        ),
        (Fate::Answer(403, ""), "access is denied (403)"),
        (Fate::Answer(301, ""), "the bucket is in another region\n  try: the variable AWS_REGION"),
        (Fate::Answer(404, ""), "it is not there (404)"),
        (Fate::Answer(412, ""), "it changed since the job was planned"),
        (Fate::Answer(416, ""), "it changed since the job was planned"),
        (Fate::Answer(503, SLOW_DOWN), "the server answered 503 SlowDown: Please reduce your request rate."),
        (Fate::Answer(200, "hello"), "the server does not give parts of files"),
        (Fate::Cut(0), ""), // In the words of the library.
        (Fate::Hang, "the server gave nothing for 1 s"),
    ] {
        let ran = with_fault(&home, "-w 2", server, fate).run();
        ran.failed_saying(&format!("{file}: {reason}"));
        ran.check(ran.taken < Duration::from_secs(10), "it took too long");
    }
    let ran = with_fault(&home, "-n 2 -w 1", server, Fate::Answer(404, "")).run();
    ran.failed_saying(&format!("{file}: it is not there (404)"));
}

/// Puts other bytes in the place of a file, at once, as stores do: requests that run beside see either.
fn replace(file: &Path, bytes: &[u8]) {
    let beside = file.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(&beside, file).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let home = visits();
    let server = s3(&bucket(&home), true);
    let part = bucket(&home).join("visits/data/csv/t/uservisits/part-2");
    let other = rows(7, 5_000).concat();
    let size = fs::metadata(&part).unwrap().len() as usize;
    let looks = AtomicUsize::new(0);
    let between = proxy(server, move |line, _| {
        if line.starts_with("GET") && line.contains("part-2") && looks.fetch_add(1, Ordering::Relaxed) == 3 {
            replace(&part, &other[..size.min(other.len())]);
        }
        Fate::Pass
    });
    let ran = of_bucket(&home, "-w 1 --split-size 64K --s3-anonymous", between).run();
    ran.failed_saying("cannot read s3://visits/data/csv/t/uservisits/part-2: it ");
}

/// Catches a column file that is read as a mix of two versions, as nobody looked at its first bytes and a manifest tells no version.
#[test]
fn a_column_file_that_is_replaced_by_one_of_its_size_is_an_error() {
    let home = visits();
    for (format, extension) in [("parquet", "parquet"), ("packed", "mrp")] {
        let place = packed(&home, format, "100MB");
        let file = bucket(&home).join("visits").join(&place).join(format!("part-00000.{extension}"));
        let manifest = format!("{} part-00000.{extension}\n", fs::metadata(&file).unwrap().len());
        fs::write(file.with_file_name("_manifest.txt"), manifest).unwrap();
        let whole = fs::read(&file).unwrap();
        for (server, data) in [
            (s3(&bucket(&home), true), format!("s3://visits/{place}/")),
            (files(bucket(&home), true), format!("/visits/{place}")),
        ] {
            // Whole again for each server: requests run ahead, and one beside that which finds the change still reads the old file.
            replace(&file, &whole);
            let mut other = whole.clone();
            other[200] ^= 1;
            let (looks, file) = (AtomicUsize::new(0), file.clone());
            let between = proxy(server, move |line, _| {
                // The first two are for its footer.
                let concerned = line.starts_with("GET") && line.contains("part-00000");
                if concerned && looks.fetch_add(1, Ordering::SeqCst) == 2 {
                    replace(&file, &other);
                }
                Fate::Pass
            });
            let (words, data) = match data.strip_prefix('/') {
                Some(path) => (String::new(), format!("http://{between}/{path}")),
                None => (format!("--s3-anonymous --s3-endpoint http://{between}"), data),
            };
            let ran = query(&home, &format!("-w 1 {words}"), &data).run();
            ran.failed_saying(&format!("part-00000.{extension}: it changed since the job was planned"));
        }
    }
}

#[test]
fn wrong_credentials_and_buckets_and_servers() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    let mut wrong = of_bucket(&home, "-w 1", server);
    wrong.command.env("AWS_SECRET_ACCESS_KEY", "wrong");
    wrong.run().failed_saying("cannot list s3://visits/data/packed/t/uservisits: access is denied (403");
    let ran = query(&home, &format!("--s3-endpoint http://{server}"), "s3://nobody/data").run();
    ran.failed_saying("cannot list s3://nobody/data/packed/t/uservisits: there is no such bucket (404)");
    let ran = query(&home, &format!("--s3-endpoint http://{server}"), "s3://visits/elsewhere").run();
    ran.failed_saying(
        "there is no table uservisits in set t: no files in s3://visits/elsewhere/packed/t/uservisits or s3://visits/elsewhere/parquet/t/uservisits or s3://visits/elsewhere/csv/t/uservisits",
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = of_bucket(&home, "--store-timeout 0.5", closed).run();
    ran.failed_saying("Connection refused");
    for (words, data, remedy) in [
        ("--s3-endpoint 127.0.0.1:9000", "s3://visits", "--s3-endpoint https://127.0.0.1:9000"),
        ("", "s3:/visits", "--data s3://visits"),
        ("", "gs://visits", "--s3-endpoint URL"),
    ] {
        let ran = query(&home, words, data).run();
        ran.ended_with(2).check(ran.stderr.contains(remedy), "expected what to type instead");
    }
}

#[test]
fn keys_of_a_profile_and_no_keys_at_all() {
    let home = visits();
    let expected = local(&home);
    let mut profile = of_bucket(&home, "-w 1 --store-timeout 20", s3(&bucket(&home), false));
    fs::create_dir(home.path().join(".aws")).unwrap();
    let keys = format!("[work]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET_KEY}\n");
    fs::write(home.path().join(".aws/credentials"), keys).unwrap();
    profile
        .command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_PROFILE", "work");
    assert_eq!(hash(&profile.run()), expected);
    let mut none = of_bucket(&home, "--store-timeout 1", s3(&bucket(&home), false));
    none.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    none.command.env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1");
    none.run().failed_saying("cannot list s3://visits/data/packed/t/uservisits: there are no credentials");
    let mut public = of_bucket(&home, "-w 1 --s3-anonymous", s3(&bucket(&home), true));
    public.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    assert_eq!(hash(&public.run()), expected);
}

/// Keys that last for some hours are worth nothing without the token of their session.
#[test]
fn a_session_token_goes_with_its_keys() {
    let home = visits();
    let expected = local(&home);
    let server = with_session_token(s3(&bucket(&home), false), "the-token");
    let mut with_token = of_bucket(&home, "-w 1", server);
    with_token.command.env("AWS_SESSION_TOKEN", "the-token");
    assert_eq!(hash(&with_token.run()), expected);
    of_bucket(&home, "-w 1", server).run().failed_saying("access is denied (403 InvalidToken");
    let mut wrong = of_bucket(&home, "-w 1", server);
    wrong.command.env("AWS_SESSION_TOKEN", "another");
    wrong.run().failed_saying("access is denied (403 InvalidToken");
}

/// The keys of an instance of EC2, by a stand-in of its metadata server that knows the second version of the protocol alone.
#[test]
fn an_instance_has_the_keys_of_its_role() {
    let home = visits();
    let expected = local(&home);
    let server = with_session_token(s3(&bucket(&home), false), "of-the-role");
    for (endpoint, succeeds) in [(metadata("of-the-role"), true), (metadata("of-another"), false)] {
        let mut of_role = of_bucket(&home, "-w 2", server);
        of_role.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        of_role.command.env("AWS_METADATA_ENDPOINT", format!("http://{endpoint}"));
        let ran = of_role.run();
        if succeeds {
            ran.check(hash(&ran) == expected, "the answer of the files");
        } else {
            ran.failed_saying("access is denied (403 InvalidToken");
        }
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_server() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    for (words, from) in [("-w 2", 2), ("-n 2 -w 1", 2), ("-n 2 -w 1", 4), ("-w 1", 0)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let between = proxy(server, move |line, _| {
            let hangs = line.contains("part-2") || from == 0;
            if hangs && counted.fetch_add(1, Ordering::SeqCst) >= from { Fate::Hang } else { Fate::Pass }
        });
        let least = from + 1;
        let mut running = of_bucket(&home, &format!("{words} --split-size 256K"), between)
            .start()
            .until(move || asked.load(Ordering::SeqCst) >= least);
        running.signal(running.pid(), Signal::INT);
        let ran = running.end();
        ran.failed_saying("stopped by Ctrl-C");
        ran.check(ran.taken < Duration::from_secs(5), "it took too long");
        ran.check(home.processes().is_empty(), "a process is left");
    }
}

/// Catches a conversion that hears no signal until its server has been silent for `--store-timeout`.
#[test]
fn a_signal_ends_a_conversion_that_waits_for_a_server() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    // While files are listed, looked at, and read.
    for (what, from) in [("list-type", 0), ("part-2", 0), ("part-2", 1)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let between = proxy(server, move |line, _| {
            let hangs = line.contains(what) && counted.fetch_add(1, Ordering::SeqCst) >= from;
            if hangs { Fate::Hang } else { Fate::Pass }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        let words = "--data s3://visits/data --set t --table uservisits --format csv --to packed --output made/uservisits";
        command.args(words.split(' ')).args(["--s3-endpoint", &format!("http://{between}")]);
        with_credentials(&mut command, home.path());
        let least = from + 1;
        let waits = move || asked.load(Ordering::SeqCst) >= least;
        let mut running = home.runner(command).start().until(waits);
        running.signal(running.pid(), Signal::INT);
        let ran = running.end();
        ran.failed_saying("stopped by Ctrl-C");
        ran.check(ran.taken < Duration::from_secs(5), "it took too long");
        assert_eq!(home.listing("made"), ["absent"], "nothing is left");
    }
}

/// Catches a `--verify` that compares what was to be written with itself, and not with what is on the disk: a digit in its first file
/// is changed while it waits for the last part of its input.
#[test]
fn a_conversion_is_verified_by_what_is_on_the_disk() {
    let home = visits();
    let server = s3(&bucket(&home), false);
    for damaged in [false, true] {
        let (looks, out) = (AtomicUsize::new(0), home.path().join("out"));
        let between = proxy(server, move |line, _| {
            // The first two are for what it is and whether it has quotes.
            if damaged && line.contains("part-2") && looks.fetch_add(1, Ordering::SeqCst) == 2 {
                let mut rooms = fs::read_dir(&out).unwrap().map(|room| room.unwrap().path());
                let first = rooms.next().unwrap().join("run-0-0");
                let mut text = fs::read(&first).unwrap();
                assert!(text.len() > 50_000 && text.ends_with(b"\n"), "it is finished");
                text[0] = if text[0] == b'1' { b'2' } else { b'1' };
                fs::write(&first, text).unwrap();
            }
            Fate::Pass
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        let words = "--data s3://visits/data --set t --table uservisits --format csv --to csv --output out/uservisits \
                     --file-size 100KB --verify -w 1";
        command.args(words.split_whitespace()).args(["--s3-endpoint", &format!("http://{between}")]);
        with_credentials(&mut command, home.path());
        let ran = home.runner(command).run();
        if damaged {
            ran.failed_saying("what was written reads back as 15,000 rows with hash ");
            ran.failed_saying("nothing was kept\n  try: again");
            assert_eq!(home.listing("out"), ["absent"], "nothing is left");
        } else {
            ran.ended_with(0).check(ran.stdout.contains("verified: all rows read back the same"), "verified");
            fs::remove_dir_all(home.path().join("out")).unwrap();
        }
    }
}

/// Files in folders of their own, below `logs`.
fn logs(below: &Path) {
    for (name, seed) in [
        ("2026-01/part-0", 1),
        ("2026-02/part-0", 2),
        ("2025-12/part-0", 3),
        ("2026-02/_SUCCESS", 4),
        ("2026-02/_temporary/0/part-0", 5),
        (".2026-03-half/part-0", 6),
    ] {
        let path = below.join("logs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, rows(seed, 500).concat()).unwrap();
    }
}

#[test]
fn patterns_and_tables_named_outright() {
    let home = visits();
    logs(home.path());
    logs(&bucket(&home).join("visits"));
    let server = s3(&bucket(&home), false);
    let endpoint = format!("-w 2 --s3-endpoint http://{server}");
    let visits = local(&home);
    let both = hash(&query(&home, "", "logs/2026-*/").run());
    assert!(both.starts_with("1000 "), "{both}");
    let all = hash(&query(&home, "", "logs/*/").run());
    assert!(all.starts_with("1500 "), "{all}");
    for (data, expected) in [
        ("logs/2026-*", &both),
        ("logs/2026-??/part-[0-9]", &both),
        ("logs/**/2026-*/", &both),
        ("logs/**/[p]art-*", &all),
        ("logs/*/part-*", &all),
        ("s3://visits/logs/**/part-*", &all),
        ("s3://visits/logs/*/part-*", &all),
        ("s3://visits/logs/2026-*/", &both),
        ("s3://visits/logs/2026-*/part-*", &both),
        ("data/csv/{set}/{table}", &visits),
        ("data/csv/t/uservisits/", &visits),
        ("s3://visits/data/csv/t/uservisits/", &visits),
        ("s3://visits/data/csv/{set}/{table}/", &visits),
    ] {
        let ran = query(&home, &endpoint, data).run();
        ran.check(&hash(&ran) == expected, data);
    }
    let one = hash(&query(&home, "", "logs/2026-01/part-0*").run());
    assert_eq!(hash(&query(&home, "-n 2 -w 1", "logs/2026-01/part-0").run()), one, "one file");
    fs::copy(home.path().join("logs/2026-01/part-0"), bucket(&home).join("visits/uservisits.csv")).unwrap();
    assert_eq!(hash(&query(&home, &endpoint, "s3://visits/{table}.csv").run()), one);
    for (data, said) in [
        ("logs/1999-*/", "there are no files at logs/1999-*/, which --data names"),
        ("s3://visits/logs/1999-*/", "there are no files at s3://visits/logs/1999-*/"),
        ("lo*", "2025-12 is not a regular file: a table's files lie in its directory"),
        ("s3://visits/lo*", "s3://visits/logs/2025-12 is not a regular file"),
    ] {
        query(&home, &endpoint, data).run().failed_saying(said);
    }
}

/// Catches the empty objects by which some programs mark folders, counted as files: of text, beside those of a column format.
#[test]
fn marks_of_folders_are_no_files() {
    let home = visits();
    let expected = {
        packed(&home, "parquet", "100MB");
        hash(&query(&home, "-w 1", "wide").run())
    };
    let file = bucket(&home).join("visits/parquet-100MB/uservisits/part-00000.parquet");
    let folder = bucket(&home).join("visits/logs/2026-01");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&file, folder.join("part-0.parquet")).unwrap();
    let object = |key: &str, bytes: u64| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{bytes}</Size></Contents>"
        )
    };
    // A folder with a file, and one without.
    let objects = object("logs/2026-01/", 0)
        + &object("logs/2026-01/part-0.parquet", fs::metadata(&file).unwrap().len())
        + &object("logs/2026-01/_SUCCESS", 0)
        + &object("logs/_old", 0)
        + &object("logs/2026-02/", 0);
    let list = format!(
        "<ListBucketResult><Name>visits</Name><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"
    );
    // The server of the tests knows no object whose name ends in a slash.
    let list: &str = list.leak();
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let between = proxy(s3(&bucket(&home), false), move |line, _| {
        if line.contains("list-type=2") {
            Fate::Answer(200, list)
        } else if line.starts_with("HEAD") {
            counted.fetch_add(1, Ordering::SeqCst);
            Fate::Answer(404, "")
        } else {
            Fate::Pass
        }
    });
    for pattern in ["s3://visits/logs/2026-*/", "s3://visits/logs/2026-*", "s3://visits/logs/**"] {
        let ran = query(&home, &format!("-w 1 --s3-endpoint http://{between}"), pattern).run();
        ran.check(hash(&ran) == expected, pattern);
        // It is plain of a folder with files, and of hidden names nobody asks.
        assert_eq!(looks.swap(0, Ordering::SeqCst), 1, "looks at empty objects of {pattern}");
    }
}

#[test]
fn http_servers_with_a_manifest() {
    let home = visits();
    let expected = local(&home);
    let table = home.table();
    let manifest = table.join("_manifest.txt");
    let server = files(home.path().to_path_buf(), true);
    let data = format!("http://{server}/data");
    query(&home, "", &data).run().failed_saying("no _manifest.txt in http://");
    let line = |name: &str| format!("{} {name}\n", fs::metadata(table.join(name)).unwrap().len());
    let lines = ["part-0", "part-1.gz", "part-2"].map(line).concat();
    fs::write(&manifest, format!("# sizes and names\n{lines}")).unwrap();
    for words in ["-w 1", "-w 3 --split-size 64K", "-n 2"] {
        let ran = query(&home, words, &data).run();
        ran.check(hash(&ran) == expected, words);
    }
    let ran = query(&home, "-w 2", &format!("{data}/csv/t/uservisits")).run();
    ran.check(hash(&ran) == expected, "the table's own address");
    assert_eq!(local(&home), expected, "a manifest is no data where it lies beside a local table");

    let denied = proxy(server, |_, _| Fate::Answer(403, ""));
    let ran = query(&home, "", &format!("http://{denied}/data")).run();
    ran.failed_saying("_manifest.txt: access is denied (403)\n  try: a server that asks for no credentials");
    let ignorant = files(home.path().to_path_buf(), false);
    let ran = query(&home, "", &format!("http://{ignorant}/data")).run();
    ran.failed_saying("the server does not give parts of files (it ignores the header Range)");
    fs::write(&manifest, lines.replace("part-0", "part-9")).unwrap();
    query(&home, "", &data).run().failed_saying("part-9: it is not there (404)");
    fs::write(&manifest, format!("1{lines}")).unwrap();
    query(&home, "", &data).run().failed_saying("bytes now, and had");
    fs::write(&manifest, "part-0\n").unwrap();
    query(&home, "", &data).run().failed_saying("_manifest.txt, line 1: there is no space");
}
