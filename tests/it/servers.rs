//! Servers for the tests of stores. They run as long as the test's process does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

/// The keys that the S3 server knows.
pub(crate) const KEY_ID: &str = "AKTEST";
pub(crate) const SECRET_KEY: &str = "the-secret-of-the-tests";

/// Serves the directories below `root` as buckets; requests must be signed, unless `public`.
pub(crate) fn s3(root: &Path, public: bool) -> SocketAddr {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    if !public {
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET_KEY));
    }
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
    });
    address
}

/// Gives a command the keys of the S3 server, and nothing else of what this machine knows of stores.
pub(crate) fn with_credentials(command: &mut Command, home: &Path) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().to_ascii_uppercase();
        if name.starts_with("AWS_") || name.ends_with("_PROXY") {
            command.env_remove(&name).env_remove(name.to_ascii_lowercase());
        }
    }
    command.env("HOME", home).env("AWS_ACCESS_KEY_ID", KEY_ID).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
}

/// What becomes of a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// It takes this long to get there.
    Late(Duration),
    /// It is answered with this status and body instead.
    Answer(u16, &'static str),
    /// Its answer is cut off after this many bytes, head included.
    Cut(u64),
    /// Its answer comes in pieces of 8 KiB, each so late.
    Drip(Duration),
    /// Nobody ever answers.
    Hang,
}

/// A server in front of another one: `fate` is given the first line of every request and its place among all, from 0.
pub(crate) fn proxy(
    target: SocketAddr,
    fate: impl Fn(&str, usize) -> Fate + Send + Sync + 'static,
) -> SocketAddr {
    let count = std::sync::atomic::AtomicUsize::new(0);
    serve(move |head, client| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut pause = Duration::ZERO;
        let most = match fate(head.lines().next().unwrap_or_default(), number) {
            Fate::Answer(status, body) => {
                let length = body.len();
                return write!(
                    client,
                    "HTTP/1.1 {status} It Is\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
            Fate::Hang => {
                std::thread::sleep(Duration::from_mins(10));
                return Ok(());
            }
            Fate::Cut(bytes) => bytes,
            Fate::Drip(late) => {
                pause = late;
                u64::MAX
            }
            Fate::Late(pause) => {
                std::thread::sleep(pause);
                u64::MAX
            }
            Fate::Pass => u64::MAX,
        };
        let mut answer = asked(target, head)?.take(most);
        if pause.is_zero() {
            return io::copy(&mut answer, client).map(drop);
        }
        while io::copy(&mut answer.by_ref().take(8 << 10), client)? > 0 {
            std::thread::sleep(pause);
        }
        Ok(())
    })
}

/// Asks a server what a client asked, and gives its answer.
fn asked(target: SocketAddr, head: &str) -> io::Result<TcpStream> {
    let mut server = TcpStream::connect(target)?;
    server.write_all(head.trim_end().as_bytes())?;
    server.write_all(b"\r\nConnection: close\r\n\r\n")?;
    Ok(server)
}

/// Whether a request has a header with this value.
fn has_header(head: &str, wanted: &str, value: &str) -> bool {
    let is_it = |line: &str| {
        line.split_once(':').is_some_and(|(name, of)| name.eq_ignore_ascii_case(wanted) && of.trim() == value)
    };
    head.lines().any(is_it)
}

fn answer(client: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A server in front of another one that denies all requests without this session token.
pub(crate) fn with_session_token(target: SocketAddr, token: &'static str) -> SocketAddr {
    serve(move |head, client| {
        if has_header(head, "x-amz-security-token", token) {
            return io::copy(&mut asked(target, head)?, client).map(drop);
        }
        answer(client, "403 Forbidden", "<Error><Code>InvalidToken</Code></Error>")
    })
}

/// What an instance of EC2 asks for its keys, in the second version of the protocol: the keys of the S3 server with a session token,
/// for who brings the token of a session.
pub(crate) fn metadata(session_token: &'static str) -> SocketAddr {
    const SESSION: &str = "the-session";
    serve(move |head, client| {
        let mut words = head.split_whitespace();
        let role = "/latest/meta-data/iam/security-credentials/";
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("PUT", "/latest/api/token") => answer(client, "200 OK", SESSION),
            ("GET", _) if !has_header(head, "x-aws-ec2-metadata-token", SESSION) => {
                answer(client, "401 Unauthorized", "")
            }
            ("GET", path) if path == role => answer(client, "200 OK", "reader"),
            ("GET", path) if path.strip_prefix(role) == Some("reader") => {
                let keys = format!(
                    r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
                    "AccessKeyId": "{KEY_ID}", "SecretAccessKey": "{SECRET_KEY}", "Token": "{session_token}",
                    "Expiration": "2096-01-01T00:00:00Z"}}"#
                );
                answer(client, "200 OK", &keys)
            }
            _ => answer(client, "404 Not Found", ""),
        }
    })
}

/// Serves the files below `root` over plain HTTP, in parts if it knows how to.
pub(crate) fn files(root: PathBuf, knows_ranges: bool) -> SocketAddr {
    serve(move |head, client| {
        let mut words = head.split_whitespace();
        let (method, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Ok(mut file) = File::open(root.join(name.trim_start_matches('/').replace("%20", " "))) else {
            return write!(
                client,
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        };
        let metadata = file.metadata()?;
        let size = metadata.len();
        let changed = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let range = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
            let range = (start.parse::<u64>().ok()?, end.parse::<u64>().ok()? + 1);
            (knows_ranges && name.eq_ignore_ascii_case("range")).then_some(range)
        });
        let (status, (start, end)) = range
            .map_or(("200 OK", (0, size)), |(start, end)| ("206 Partial Content", (start, end.min(size))));
        write!(client, "HTTP/1.1 {status}\r\nETag: \"{changed:x}-{size:x}\"\r\nConnection: close\r\n")?;
        if range.is_some() {
            write!(client, "Content-Range: bytes {start}-{}/{size}\r\n", end - 1)?;
        }
        write!(client, "Content-Length: {}\r\n\r\n", end - start)?;
        if method == "GET" {
            file.seek(SeekFrom::Start(start))?;
            io::copy(&mut file.take(end - start), client)?;
        }
        Ok(())
    })
}

/// Answers one request on each connection.
fn serve(answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut client = client;
                let mut head = Vec::new();
                let mut byte = [0];
                // None of these requests has a body.
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                // A client that has gone is no failure of the test.
                let _ = answer(&String::from_utf8_lossy(&head), &mut client);
            });
        }
    });
    address
}
