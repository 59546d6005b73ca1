//! Runs `scripts/fetch-data` against a store of our own on loopback.
//!
//! Would catch a listing that ends after its first page, a resumed file with a hole or a repeated piece, and damaged or
//! half-fetched data under a table's name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

/// One object of the store.
#[derive(Clone)]
struct Object {
    body: Vec<u8>,
    etag: &'static str,
    /// Bytes after which the first answer is cut.
    cut: Option<usize>,
    /// Whether a request for a range gets the range.
    ranges: bool,
}

const ROWS: &[u8] = b"url,1,2\nlonger,3,4\n";
/// By `md5sum`.
const ROWS_MD5: &str = "5feef50a1e995a68640bbb1dd449a07d";

impl Default for Object {
    fn default() -> Self {
        Object { body: ROWS.to_vec(), etag: ROWS_MD5, cut: None, ranges: true }
    }
}

/// A store that speaks as much of S3 as the script asks for, two keys a page.
struct Store {
    address: String,
    /// Request lines with their range.
    requests: Arc<Mutex<Vec<String>>>,
}

/// A token with everything that has to be escaped in a URL.
const TOKEN_SUFFIX: &str = " +/=&";

impl Store {
    fn start(objects: &[(&str, Object)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut objects: BTreeMap<String, Object> =
            objects.iter().map(|(key, object)| (format!("pavlo/{key}"), object.clone())).collect();
        let log = Arc::clone(&requests);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is its own affair.
                answer(stream, &mut objects, &log).ok();
            }
        });
        Store { address, requests }
    }

    fn fetch(&self, data: &Path, arguments: &[&str]) -> Output {
        fetch_data(data, &[arguments, &["--endpoint", &self.address]].concat())
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().expect("no panic"))
    }
}

fn answer(
    mut stream: TcpStream,
    objects: &mut BTreeMap<String, Object>,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let lines: Vec<String> = BufReader::new(stream.try_clone()?)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let target = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let range = lines.iter().find_map(|line| line.strip_prefix("Range: bytes=")?.strip_suffix('-'));
    log.lock().expect("no panic").push(match range {
        Some(from) => format!("{target} from {from}"),
        None => target.to_owned(),
    });
    if let Some(query) = target.strip_prefix("/?") {
        return send(&mut stream, "200 OK", list(objects, query).as_bytes(), None);
    }
    match objects.get_mut(target.trim_start_matches('/')) {
        Some(object) => {
            let from = range.filter(|_| object.ranges).and_then(|from| from.parse().ok()).unwrap_or(0);
            let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
            send(&mut stream, status, &object.body[from..], object.cut.take())
        }
        None => send(&mut stream, "404 Not Found", b"", None),
    }
}

fn send(stream: &mut TcpStream, status: &str, body: &[u8], cut: Option<usize>) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body[..cut.unwrap_or(body.len())])
}

fn list(objects: &BTreeMap<String, Object>, query: &str) -> String {
    let values: BTreeMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, unescape(value)))
        .collect();
    let after = values.get("continuation-token").map(|token| {
        token.strip_suffix(TOKEN_SUFFIX).expect("the token comes back as it was given").to_owned()
    });
    let mut below = objects
        .iter()
        .filter(|(key, _)| key.starts_with(&values["prefix"]))
        .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
    let mut text = "<?xml version=\"1.0\"?>\n\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        .to_owned();
    let mut last = "";
    for (key, object) in below.by_ref().take(2) {
        let (size, etag) = (object.body.len(), object.etag);
        write!(
            text,
            "<Contents><Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
        )
        .expect("a string takes all");
        last = key;
    }
    let more = below.next().is_some();
    write!(text, "<IsTruncated>{more}</IsTruncated>").expect("a string takes all");
    if more {
        let token = format!("{last}{TOKEN_SUFFIX}").replace('&', "&amp;");
        write!(text, "<NextContinuationToken>{token}</NextContinuationToken>").expect("a string takes all");
    }
    text + "</ListBucketResult>"
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).expect("two digits")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).expect("text")
}

fn fetch_data(data: &Path, arguments: &[&str]) -> Output {
    Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch-data"))
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .expect("python3 is installed")
}

#[track_caller]
fn assert_fetched(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn assert_failed(output: &Output, code: i32, said: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(said), "{text}");
    assert!(!text.contains("Traceback"), "{text}");
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a readable directory")
        .map(|entry| entry.expect("a readable entry").file_name().into_string().expect("text"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn all_pages_of_a_listing_are_fetched_once() {
    let parts: Vec<String> = (0..5).map(|part| format!("text/1node/rankings/part-0000{part}")).collect();
    let mut objects: Vec<(&str, Object)> =
        parts.iter().map(|key| (key.as_str(), Object::default())).collect();
    let in_parts = Object { body: b"two uploads".to_vec(), etag: "0123-2", ..Object::default() };
    objects.push(("text/1node/rankings/", Object { body: Vec::new(), etag: "", ..Object::default() }));
    objects
        .push(("text/1node/rankings/_SUCCESS", Object { body: Vec::new(), etag: "", ..Object::default() }));
    objects.push(("text/1node/uservisits/part-00000", in_parts));
    objects.push(("text/1node/crawl/part-00000", Object::default()));
    objects.push(("text/1node/crawl-of-another-kind/part-00000", Object::default()));
    let store = Store::start(&objects);
    let data = TempDir::new().expect("a temporary directory");
    assert_fetched(&store.fetch(data.path(), &["1node"]));

    let set = data.path().join("csv/1node");
    assert_eq!(names_in(&set), ["documents", "rankings", "uservisits"]);
    let names: Vec<String> = (0..5).map(|part| format!("part-0000{part}")).collect();
    assert_eq!(names_in(&set.join("rankings")), names);
    assert_eq!(fs::read(set.join("rankings/part-00004")).expect("fetched"), ROWS);
    assert_eq!(fs::read(set.join("uservisits/part-00000")).expect("fetched"), b"two uploads");
    assert_eq!(names_in(&set.join("documents")), ["part-00000"]);
    assert_eq!(store.requests().len(), 4 + 5 + 1 + 1 + 1 + 1, "pages and objects");

    assert_fetched(&store.fetch(data.path(), &["1node", "--table", "rankings"]));
    assert!(store.requests().iter().all(|request| request.starts_with("/?")), "nothing is fetched twice");
}

#[test]
fn shards_have_each_file_once_and_may_be_empty() {
    let parts: Vec<String> = (0..3).map(|part| format!("text/tiny/rankings/part-0000{part}")).collect();
    let objects: Vec<(&str, Object)> = parts.iter().map(|key| (key.as_str(), Object::default())).collect();
    let store = Store::start(&objects);
    let expected: [&[&str]; 5] = [&["part-00000"], &["part-00001"], &["part-00002"], &[], &[]];
    for (shard, names) in expected.iter().enumerate() {
        let data = TempDir::new().expect("a temporary directory");
        let arguments = ["tiny", "--table", "rankings", "--shard", &format!("{shard}/5")];
        for _ in ["first", "again"] {
            assert_fetched(&store.fetch(data.path(), &arguments));
            assert_eq!(names_in(&data.path().join("csv/tiny/rankings")), *names, "shard {shard}");
        }
    }
    let data = TempDir::new().expect("a temporary directory");
    let refused = store.fetch(data.path(), &["tiny", "--shard", "5/5"]);
    assert_failed(&refused, 2, "must be I/N with I from 0 to N - 1");
    let refused = store.fetch(data.path(), &["tiny", "--shard", "x"]);
    assert_failed(&refused, 2, "--shard: invalid shard value: 'x'");
}

#[test]
fn the_compressed_kind_is_csv_too_and_can_have_another_name() {
    let store = Store::start(&[("text-deflate/tiny/rankings/000000_0.deflate", Object::default())]);
    let data = TempDir::new().expect("a temporary directory");
    let arguments = ["tiny", "--kind", "text-deflate", "--table", "rankings", "--name", "original"];
    assert_fetched(&store.fetch(data.path(), &arguments));
    assert_eq!(names_in(&data.path().join("csv/original/rankings")), ["000000_0.deflate"]);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let arguments = ["tiny", "--table", "rankings", "--tries", "1"];
    for ranges in [true, false] {
        let object = Object { cut: Some(7), ranges, ..Object::default() };
        let store = Store::start(&[
            ("text/tiny/rankings/part-00000", Object::default()),
            ("text/tiny/rankings/part-00001", object),
        ]);
        let data = TempDir::new().expect("a temporary directory");
        assert_failed(&store.fetch(data.path(), &arguments), 1, "part-00001: cut after 7 of 19 bytes");
        let set = data.path().join("csv/tiny");
        assert!(!set.join("rankings").exists(), "no query may read half a table");
        store.requests();

        assert_fetched(&store.fetch(data.path(), &arguments));
        let requests = store.requests();
        assert_eq!(requests[1..], ["/pavlo/text/tiny/rankings/part-00001 from 7"]);
        assert_eq!(fs::read(set.join("rankings/part-00001")).expect("fetched"), ROWS);
        assert_eq!(names_in(&set), ["rankings"]);
    }
}

#[test]
fn a_cut_is_tried_again_in_the_same_run() {
    let object = Object { cut: Some(18), ..Object::default() };
    let store = Store::start(&[("text/tiny/rankings/part-00000", object)]);
    let data = TempDir::new().expect("a temporary directory");
    assert_fetched(&store.fetch(data.path(), &["tiny", "--table", "rankings", "--tries", "2"]));
    assert_eq!(fs::read(data.path().join("csv/tiny/rankings/part-00000")).expect("fetched"), ROWS);
}

#[test]
fn damaged_data_is_removed_and_named() {
    let damaged = Object { body: b"url,1,2\nlonger,3,5\n".to_vec(), ..Object::default() };
    let store = Store::start(&[("text/tiny/rankings/part-00000", damaged)]);
    let data = TempDir::new().expect("a temporary directory");
    let output = store.fetch(data.path(), &["tiny", "--table", "rankings"]);
    assert_failed(&output, 1, &format!("rankings/part-00000 does not match its MD5 {ROWS_MD5}"));
    assert!(!data.path().join("csv/tiny/rankings").exists());
    assert!(names_in(&data.path().join("csv/tiny/.rankings.partial")).is_empty());
}

#[test]
fn what_was_damaged_later_is_found_on_request() {
    let store = Store::start(&[("text/tiny/rankings/part-00000", Object::default())]);
    let data = TempDir::new().expect("a temporary directory");
    let verified = ["tiny", "--table", "rankings", "--verify"];
    assert_fetched(&store.fetch(data.path(), &verified));
    assert_fetched(&store.fetch(data.path(), &verified));
    let file = data.path().join("csv/tiny/rankings/part-00000");
    fs::write(&file, "url,1,2\nlonger,3,5\n").expect("a writable file");
    assert_fetched(&store.fetch(data.path(), &["tiny", "--table", "rankings"]));
    let said = format!(
        "rankings/part-00000 does not match the MD5 {ROWS_MD5} of pavlo/text/tiny/rankings/part-00000"
    );
    assert_failed(&store.fetch(data.path(), &verified), 1, &said);
    assert!(file.exists(), "what is there is not ours to remove");
}

#[test]
fn other_data_is_never_overwritten() {
    let store = Store::start(&[("text/tiny/rankings/part-00000", Object::default())]);
    let data = TempDir::new().expect("a temporary directory");
    let directory = data.path().join("csv/tiny/rankings");
    fs::create_dir_all(&directory).expect("a writable directory");
    fs::write(directory.join("part-00000"), "made here").expect("a writable directory");
    let output = store.fetch(data.path(), &["tiny", "--table", "rankings"]);
    assert_failed(&output, 1, "csv/tiny/rankings holds other data; choose another --name or --data");
    assert_eq!(fs::read(directory.join("part-00000")).expect("still there"), b"made here");
}

#[test]
fn what_is_missing_is_one_line() {
    let store = Store::start(&[]);
    let data = TempDir::new().expect("a temporary directory");
    let output = store.fetch(data.path(), &["tiny"]);
    assert_failed(&output, 1, "fetch-data: nothing is listed below pavlo/text/tiny/rankings/");

    // A port that was free a moment ago: nobody answers there.
    let free =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let endpoint = format!("http://{free}");
    let output = fetch_data(data.path(), &["tiny", "--tries", "1", "--endpoint", &endpoint]);
    assert_failed(&output, 1, "fetch-data: list pavlo/text/tiny/rankings/: ");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let data = TempDir::new().expect("a temporary directory");
    for (arguments, said) in [
        (&[][..], "the following arguments are required: set"),
        (&["2nodes"], "invalid choice: '2nodes'"),
        (&["tiny", "--table", "visits"], "invalid choice: 'visits'"),
        (&["tiny", "--kind", "sequence"], "invalid choice: 'sequence'"),
        (&["tiny", "--tries", "0"], "argument --tries: must be 1 or more"),
        (&["tiny", "--tries", "some"], "argument --tries: invalid positive value: 'some'"),
    ] {
        let output = fetch_data(data.path(), arguments);
        assert_failed(&output, 2, said);
        assert_failed(&output, 2, "usage: fetch-data");
    }
    let help = fetch_data(data.path(), &["--help"]);
    assert_fetched(&help);
    assert!(String::from_utf8_lossy(&help.stdout).contains("--endpoint URL"));
}
