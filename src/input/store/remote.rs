//! Connections to S3 and HTTP servers, lists, and first bytes of files.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3Builder, resolve_bucket_region};
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::credentials::Profile;
use super::trouble::Trouble;
use super::{Fetched, Found, InputFile, StoreOptions, is_hidden, manifest, no_file, place};
use crate::Error;

pub(crate) use super::object::Object;
pub(crate) use super::window::ObjectReader;

/// First bytes of so many files are asked for at once.
const HEADS_AT_ONCE: usize = 64;
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

    pub(super) fn list_directory(&self, directory: &Path) -> Found {
        let shown = directory.display().to_string();
        let (bucket, key) = self.find(&shown)?;
        let shown = shown.trim_end_matches('/');
        if !bucket.is_s3() {
            return bucket.manifest(shown, &key);
        }
        let list = || bucket.store.list_with_delimiter(Some(&key));
        let listed = self.0.wait_for(list).map_err(failed("list", shown))?;
        if let Some(folder) = listed.common_prefixes.iter().find(|folder| !is_hidden(name_of(folder))) {
            return Err(no_file(&bucket.shown(folder)));
        }
        let inside = |meta: &ObjectMeta| meta.location != key && !is_hidden(name_of(&meta.location));
        let files: Vec<_> = listed.objects.into_iter().filter(inside).map(|meta| bucket.file(meta)).collect();
        if !files.is_empty() || key.is_root() {
            return Ok((!files.is_empty()).then_some(files));
        }
        // It may be a single file.
        match self.0.wait_for(|| bucket.store.head(&key)) {
            Ok(meta) if meta.size > 0 => Ok(Some(vec![bucket.file(meta)])),
            Ok(_) | Err(Trouble::NotThere(_)) => Ok(None),
            // Who may list and not read learns that when it reads.
            Err(_) if !listed.common_prefixes.is_empty() => Ok(None),
            Err(trouble) => Err(failed("look at", shown)(trouble)),
        }
    }

    pub(super) fn list_matching(&self, pattern: &str) -> Found {
        let fixed = pattern.find(place::WILDCARDS).map_or(pattern, |at| &pattern[..at]);
        let directory = fixed.rfind('/').map_or(fixed, |at| &fixed[..at]);
        let (bucket, key) = self.find(directory)?;
        let inside = pattern.strip_prefix(&bucket.root).unwrap_or(pattern).trim_matches('/');
        let pattern = glob::Pattern::new(inside).map_err(|error| {
            Error::usage(
                format!("--data {pattern} is no pattern: {error}"),
                "a pattern as 's3://bucket/logs/2026-*/' or 's3://bucket/logs/part-[0-9]*'",
            )
        })?;
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
        let matches = |key: &str| pattern.matches_with(key, options);
        let list = || bucket.store.list(Some(&key)).try_collect::<Vec<_>>();
        let listed = self.0.wait_for(list).map_err(failed("list", directory))?;
        let folders_of =
            |key: &Key| key.as_ref().rsplit_once('/').map_or(String::new(), |(of, _)| of.to_owned());
        let is_file = |key: &Key| matches(key.as_ref()) || matches(&folders_of(key));
        let is_below = |key: &Key| {
            let folders = folders_of(key);
            folders.match_indices('/').any(|(at, _)| matches(&folders[..at]))
        };
        let keys: BTreeSet<String> = listed.iter().map(|meta| meta.location.to_string()).collect();
        let is_meant = |meta: &ObjectMeta| {
            let key = &meta.location;
            !is_hidden(name_of(key)) && (is_file(key) || is_below(key))
        };
        let mut meant: Vec<_> = listed.into_iter().filter(is_meant).collect();
        bucket.leave_out_marks(&mut meant, &keys).map_err(failed("list", directory))?;
        if let Some(meta) = meant.iter().find(|meta| !is_file(&meta.location)) {
            return Err(no_file(&bucket.shown(&Key::from(folders_of(&meta.location)))));
        }
        let files: Vec<_> = meant.into_iter().map(|meta| bucket.file(meta)).collect();
        Ok((!files.is_empty()).then_some(files))
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

    /// How to talk to a server, with TLS or without.
    fn client(&self, tls: bool) -> ClientOptions {
        let timeout = self.0.options.timeout;
        ClientOptions::new()
            .with_timeout_disabled()
            // Twice within the time there is, at least.
            .with_connect_timeout((timeout / 3).min(Duration::from_secs(10)))
            .with_read_timeout(timeout / 3)
            .with_allow_http(true)
            // To load them takes some 50 ms.
            .with_no_system_certificates(!tls)
    }

    fn retries(&self) -> RetryConfig {
        let timeout = self.0.options.timeout;
        let longest = LONGEST_PAUSE.min(timeout / 8);
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_PAUSE.min(longest),
                max_backoff: longest,
                base: 2.0,
            },
            max_retries: usize::MAX,
            // The last one starts before the time is over and can still tell what is wrong.
            retry_timeout: timeout / 2,
        }
    }

    fn s3(&self, bucket: &str) -> Result<Box<dyn ObjectStore>, Error> {
        let options = &self.0.options;
        let set = |name: &str| std::env::var_os(name).is_some();
        let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
        let endpoint =
            options.endpoint.clone().or_else(|| named.iter().find_map(|name| std::env::var(name).ok()));
        let tls = endpoint.as_ref().is_none_or(|endpoint| !endpoint.starts_with("http://"));
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(self.client(tls))
            .with_retry(self.retries());
        if let Some(endpoint) = &endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let profile = Profile::current();
        if options.anonymous {
            builder = builder.with_skip_signature(true);
        } else if let (Some(key_id), Some(secret_key)) = (profile.key_id, profile.secret_key)
            && !set("AWS_ACCESS_KEY_ID")
            && !set("AWS_WEB_IDENTITY_TOKEN_FILE")
        {
            builder = builder.with_access_key_id(key_id).with_secret_access_key(secret_key);
            if let Some(token) = profile.token {
                builder = builder.with_token(token);
            }
        }
        if !set("AWS_REGION") && !set("AWS_DEFAULT_REGION") {
            let region = match profile.region {
                _ if endpoint.is_some() => None,
                Some(region) if !options.anonymous => Some(region),
                _ => {
                    let client = self.client(true);
                    let found = self.0.wait_for(|| resolve_bucket_region(bucket, &client));
                    Some(found.map_err(failed("find the region of", &format!("s3://{bucket}")))?)
                }
            };
            if let Some(region) = region {
                builder = builder.with_region(region);
            }
        }
        let built = builder.build();
        built.map(|store| Box::new(store) as _).map_err(|error| {
            Error::usage(
                format!("cannot read s3://{bucket}: {error}"),
                "--s3-endpoint with an address as http://127.0.0.1:9000, or both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        })
    }

    fn http(&self, root: &str) -> Result<Box<dyn ObjectStore>, Error> {
        let builder = HttpBuilder::new()
            .with_url(root)
            .with_client_options(self.client(root.starts_with("https:")))
            .with_retry(self.retries());
        builder.build().map(|store| Box::new(store) as _).map_err(|error| {
            Error::usage(format!("{root} is no address: {error}"), "an address as https://host:8443/data")
        })
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

fn name_of(key: &Key) -> &str {
    key.filename().unwrap_or_default()
}

/// An error about one address, for `map_err`.
fn failed(action: &'static str, address: &str) -> impl FnOnce(Trouble) -> Error {
    move |trouble| Error::file(action, address)(std::io::Error::other(trouble.to_string()))
}

impl Bucket {
    fn is_s3(&self) -> bool {
        self.root.starts_with("s3:")
    }

    fn shown(&self, key: &Key) -> String {
        format!("{}/{key}", self.root)
    }

    /// A file as a list has it: what it is exactly shows when anything of it is read.
    fn file(self: &Arc<Self>, meta: ObjectMeta) -> InputFile {
        let path = self.shown(&meta.location);
        let bytes = meta.size;
        let object = Object::listed(Arc::clone(self), meta);
        InputFile { object: Some(object), ..InputFile::local(Path::new(&path), bytes) }
    }

    /// Leaves out those that are no files but the marks that some programs leave for folders: empty objects of names that end in
    /// a slash, which the library's list leaves out. Something below it tells one; otherwise, a file of such a name without the
    /// slash is there, and a mark is not.
    fn leave_out_marks(&self, meant: &mut Vec<ObjectMeta>, keys: &BTreeSet<String>) -> Result<(), Trouble> {
        let has_some_below = |folder: &Key| {
            let below = format!("{folder}/");
            keys.range(below.clone()..).next().is_some_and(|key| key.starts_with(&below))
        };
        meant.retain(|meta| meta.size > 0 || !has_some_below(&meta.location));
        let empty: Vec<Key> =
            meant.iter().filter(|meta| meta.size == 0).map(|meta| meta.location.clone()).collect();
        let mut marked = BTreeSet::new();
        for keys in empty.chunks(HEADS_AT_ONCE) {
            let ask = || {
                futures_util::future::try_join_all(keys.iter().map(async |key| {
                    match self.store.head(key).await.map_err(Trouble::from) {
                        Ok(_) => Ok(None),
                        Err(Trouble::NotThere(_)) => Ok(Some(key.clone())),
                        Err(trouble) => Err(trouble),
                    }
                }))
            };
            marked.extend(self.shared.wait_for(ask)?.into_iter().flatten());
        }
        meant.retain(|meta| !marked.contains(&meta.location));
        Ok(())
    }

    /// What a manifest says is in a directory.
    fn manifest(self: &Arc<Self>, directory: &str, key: &Key) -> Found {
        let list = key.clone().join(manifest::NAME);
        let shown = self.shown(&list);
        let read = self.shared.wait_for(async || {
            let got = self.store.get(&list).await?;
            if got.meta.size > manifest::MOST_BYTES {
                return Err(Trouble::Lasting("it is too large for a list of files".to_owned()));
            }
            Ok(got.bytes().await?)
        });
        let text = match read {
            Ok(text) => text,
            Err(Trouble::NotThere(_)) => return Ok(None),
            Err(trouble) => return Err(failed("read", &shown)(trouble)),
        };
        let files = manifest::parse(&text).map_err(|reason| Error::Data(format!("{shown}, {reason}")))?;
        let file = |(size, name): (u64, &str)| {
            let location = Key::parse(format!("{key}/{name}"))
                .map_err(|error| Error::Data(format!("{shown} names what is no file: {error}")))?;
            let last_modified = std::time::UNIX_EPOCH.into();
            Ok(self.file(ObjectMeta { location, last_modified, size, e_tag: None, version: None }))
        };
        let files = files.into_iter().map(file).collect::<Result<Vec<_>, Error>>()?;
        if files.is_empty() {
            return Err(Error::Data(format!("{directory}: its {} names no files", manifest::NAME)));
        }
        Ok(Some(files))
    }
}

/// Gives the first bytes of files with these indices to `take`.
pub(super) fn heads(
    files: &mut [InputFile],
    indices: &[usize],
    bytes: u64,
    take: &mut impl FnMut(usize, &mut InputFile, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    for indices in indices.chunks(HEADS_AT_ONCE) {
        let objects: Vec<(usize, Object)> =
            indices.iter().filter_map(|&index| Some((index, files[index].object.clone()?))).collect();
        let Some(shared) = objects.first().map(|(_, object)| Arc::clone(object.shared())) else {
            continue;
        };
        let asked = objects.into_iter().map(async |(index, object)| {
            let head = object.head(bytes.min(object.bytes())).await;
            (index, head)
        });
        let asked = futures_util::future::join_all(asked);
        let heads = shared.wait(async { Ok(asked.await) });
        let heads = heads.map_err(|trouble| Error::Data(trouble.to_string()))?;
        for (index, head) in heads {
            let file = &mut files[index];
            let head = head.map_err(|trouble| failed("read", &file.path.to_string_lossy())(trouble))?;
            take(index, file, &head)?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
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
