//! Stores that are far away: their buckets, and waiting for what they say.

mod connect;
mod list;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path as Key;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::trouble::Trouble;
use super::{Fetched, StoreOptions, place};
use crate::Error;

pub(crate) use super::object::Object;
pub(crate) use super::window::ObjectReader;
pub(super) use list::heads;

/// How long to wait before a request is made again, the first time; twice as long each further time.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often whoever waits for a list looks whether the job has failed.
const LOOK_UP: Duration = Duration::from_millis(20);

/// The threads on which requests run; there are none until something is far away.
pub(super) fn runtime() -> Result<&'static Runtime, Error> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let started = RUNTIME.get_or_init(|| {
        // Fails where one is chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut builder = Builder::new_multi_thread();
        // They copy and decrypt while as many workers parse, of which there are usually four times as many.
        builder.worker_threads((cores / 4).clamp(2, 8)).thread_name("store").enable_all();
        builder.build().map_err(|error| format!("cannot start the threads that read from stores: {error}"))
    });
    started.as_ref().map_err(|error| Error::Data(error.clone()))
}

/// Connections to stores; clones share them, and what may be read ahead.
#[derive(Debug, Clone)]
pub struct Stores(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: StoreOptions,
    /// One for each KiB that may be read ahead.
    pub(super) permits: Arc<Semaphore>,
    pub(super) most_permits: u32,
    buckets: Mutex<BTreeMap<String, Arc<Bucket>>>,
    pub(super) requests: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// An S3 bucket or an HTTP server.
#[derive(Debug)]
pub(super) struct Bucket {
    /// `s3://bucket` or `http://host:port`.
    pub(super) root: String,
    pub(super) store: Box<dyn ObjectStore>,
    pub(super) shared: Arc<Shared>,
}

impl Bucket {
    pub(super) fn is_s3(&self) -> bool {
        is_s3(&self.root)
    }
}

impl Default for Stores {
    fn default() -> Self {
        Stores::new(StoreOptions::default())
    }
}

impl Stores {
    /// Connects to nothing yet.
    pub fn new(options: StoreOptions) -> Self {
        let most_permits = u32::try_from(options.read_ahead_bytes >> 10).unwrap_or(u32::MAX >> 4).max(1);
        Stores(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(most_permits as usize)),
            most_permits,
            options,
            buckets: Mutex::default(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }))
    }

    /// What was asked for so far and what came, lists not counted.
    pub fn fetched(&self) -> Fetched {
        let figure = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Fetched { requests: figure(&self.0.requests), bytes: figure(&self.0.bytes) }
    }

    /// The bucket of an address, and what stands behind it.
    fn find(&self, address: &str) -> Result<(Arc<Bucket>, Key), Error> {
        place::check(Path::new(address))?;
        let (scheme, rest) = address.split_once("://").unwrap_or_default();
        let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = Key::parse(key.trim_end_matches('/')).map_err(|error| {
            Error::usage(format!("{address} is no address: {error}"), format!("{scheme}://{host}/a/prefix"))
        })?;
        if host.is_empty() {
            return Err(Error::usage(
                format!("{address} names no {}", if scheme == "s3" { "bucket" } else { "host" }),
                "s3://BUCKET/PREFIX, or http(s)://HOST/PATH",
            ));
        }
        let root = format!("{scheme}://{host}");
        let mut buckets = self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(&root) {
            return Ok((Arc::clone(bucket), key));
        }
        runtime()?;
        let store = if scheme == "s3" { self.s3(host)? } else { self.http(&root)? };
        let bucket = Arc::new(Bucket { root: root.clone(), store, shared: Arc::clone(&self.0) });
        buckets.insert(root, Arc::clone(&bucket));
        Ok((bucket, key))
    }
}

impl Shared {
    /// Waits for what a server says, and asks it again while its answers are cut off.
    fn wait_for<T, E, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, Trouble>
    where
        E: Into<Trouble>,
        F: Future<Output = Result<T, E>>,
    {
        let deadline = Instant::now() + self.options.timeout;
        let mut pause = FIRST_PAUSE;
        self.wait(async {
            loop {
                match ask().await.map_err(Into::into) {
                    Err(Trouble::Passing(_)) if Instant::now() + pause < deadline => sleep(pause).await,
                    done => return done,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        })
    }

    /// Waits on this thread, unless the job fails.
    fn wait<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let runtime = runtime().map_err(|error| Trouble::Lasting(error.to_string()))?;
        runtime.block_on(async {
            let mut work = std::pin::pin!(work);
            loop {
                if let Ok(done) = tokio::time::timeout(LOOK_UP, &mut work).await {
                    return done;
                }
                if self.options.failure.is_set() {
                    return Err(Trouble::Lasting("the job failed meanwhile".to_owned()));
                }
            }
        })
    }
}

fn is_s3(address: &str) -> bool {
    address.starts_with("s3:")
}

/// An error about one address, for `map_err`.
fn failed(action: &'static str, address: &str) -> impl FnOnce(Trouble) -> Error {
    move |trouble| Error::file(action, address)(std::io::Error::other(trouble.told(is_s3(address))))
}

#[cfg(test)]
pub(super) mod tests {
    use object_store::{ObjectMeta, ObjectStoreExt};

    use super::*;

    /// A file of a store in memory, for tests of what reads it.
    pub(crate) fn object(content: &[u8], read_ahead_bytes: u64) -> (Object, Stores) {
        let stores = Stores::new(StoreOptions { read_ahead_bytes, ..StoreOptions::default() });
        let store = object_store::memory::InMemory::new();
        let key = Key::from("part-0");
        let put = store.put(&key, content.to_vec().into());
        runtime().expect("threads").block_on(put).expect("put");
        let bucket = Arc::new(Bucket {
            root: "s3://b".to_owned(),
            store: Box::new(store),
            shared: Arc::clone(&stores.0),
        });
        let (location, last_modified) = (key, std::time::UNIX_EPOCH.into());
        let size = content.len() as u64;
        let object =
            Object::listed(bucket, ObjectMeta { location, last_modified, size, e_tag: None, version: None });
        (object, stores)
    }
}
