//! A file of a store, and requests for parts of it that do not give up easily.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetResult, ObjectMeta};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};

use super::StoreOptions;
use super::remote::{Bucket, FIRST_PAUSE, LONGEST_PAUSE, Shared};
use super::trouble::Trouble;
use super::window::ObjectReader;

/// Less than this is no progress: a server that gives a byte a second would never be slow.
const LEAST_PROGRESS_BYTES: u64 = 64 << 10;

/// A file of a store, of the version and size it had when the job was planned.
#[derive(Clone)]
pub(crate) struct Object(Arc<Parts>);

struct Parts {
    bucket: Arc<Bucket>,
    key: Key,
    bytes: u64,
    version: Version,
    /// What its list told of its version.
    listed_version: String,
}

/// What tells two versions of a file apart.
#[derive(Debug)]
struct Version {
    /// The `ETag` that a list told; nothing where it told none, as a manifest.
    listed: String,
    /// The `ETag` or the time of change that came with the first bytes that anybody read: all later ones must have the same.
    seen: OnceLock<String>,
}

impl Version {
    /// The `ETag`, or when the file was changed; nothing where none is known yet.
    fn text(&self) -> &str {
        self.seen.get().unwrap_or(&self.listed)
    }

    /// What a server may be asked to compare: a weak tag never matches.
    fn strong_tag(&self) -> Option<String> {
        let text = self.text();
        text.starts_with('"').then(|| text.to_owned())
    }

    /// Whether an answer is of this version; the first answer says which version that is.
    fn is_of(&self, meta: &ObjectMeta) -> bool {
        let as_listed = self.listed.is_empty() || meta.e_tag.as_ref() == Some(&self.listed);
        let text = || meta.e_tag.clone().unwrap_or_else(|| meta.last_modified.to_string());
        as_listed && *self.seen.get_or_init(text) == text()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("key", &self.0.key).field("version", &self.version()).finish()
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&*self.0, &*other.0);
        (&one.bucket.root, &one.key, one.bytes, one.version.text())
            == (&other.bucket.root, &other.key, other.bytes, other.version.text())
    }
}

impl Eq for Object {}

impl Object {
    /// A file as a list has it.
    pub(super) fn listed(bucket: Arc<Bucket>, meta: ObjectMeta) -> Self {
        // What has no time, as a manifest, has the beginning of all times.
        let changed = (meta.last_modified.timestamp() > 0).then(|| meta.last_modified.to_rfc3339());
        let listed_version = meta.e_tag.clone().or(changed).unwrap_or_default();
        let version = Version { listed: meta.e_tag.unwrap_or_default(), seen: OnceLock::new() };
        Object(Arc::new(Parts { bucket, key: meta.location, bytes: meta.size, version, listed_version }))
    }

    /// What all files of these stores share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.bucket.shared
    }

    /// A reader of the file.
    pub(crate) fn open(&self) -> ObjectReader {
        ObjectReader::new(self.clone())
    }

    /// What differs where the file does: exactly, once anything of the file was read.
    pub(crate) fn version(&self) -> &str {
        self.0.version.text()
    }

    /// What its list told that differs where the file does: its `ETag`, or when it was changed; empty where neither is known.
    pub(crate) fn listed_version(&self) -> &str {
        &self.0.listed_version
    }

    pub(super) fn is_s3(&self) -> bool {
        self.0.bucket.is_s3()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    pub(super) fn options(&self) -> &StoreOptions {
        &self.0.bucket.shared.options
    }

    /// Leave to read so many bytes ahead, once there is room for them.
    pub(super) async fn permits(&self, bytes: u64) -> Result<OwnedSemaphorePermit, AcquireError> {
        let shared = &self.0.bucket.shared;
        let count = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, shared.most_permits);
        Arc::clone(&shared.permits).acquire_many_owned(count).await
    }

    /// The first bytes.
    pub(super) async fn head(&self, bytes: u64) -> Result<Vec<u8>, Trouble> {
        let mut head = Vec::new();
        let give = |part: Bytes| {
            head.extend_from_slice(&part);
            true
        };
        self.fetch(0..bytes, give).await?;
        Ok(head)
    }

    /// Fetches a range and gives it away piece by piece, until all is given or `give` says that nobody wants more. Asks again for what
    /// is missing when a connection is cut or an answer stays away, as long as something comes in time.
    pub(super) async fn fetch(
        &self,
        range: Range<u64>,
        mut give: impl FnMut(Bytes) -> bool,
    ) -> Result<(), Trouble> {
        let shared = &self.0.bucket.shared;
        let timeout = self.options().timeout;
        let (mut at, mut counted) = (range.start, range.start);
        let mut deadline = Instant::now() + timeout;
        let mut pause = FIRST_PAUSE;
        let mut last: Option<String> = None;
        while at < range.end {
            shared.requests.fetch_add(1, Ordering::Relaxed);
            let reason = match timeout_at(deadline, self.get(at..range.end)).await {
                Err(_) => return Err(Trouble::slow(timeout, last.as_deref())),
                Ok(Err(Trouble::Passing(reason))) => reason,
                Ok(Err(trouble)) => return Err(trouble),
                Ok(Ok(got)) => {
                    let mut parts = got.into_stream();
                    loop {
                        match timeout_at(deadline, parts.next()).await {
                            Err(_) => return Err(Trouble::slow(timeout, last.as_deref())),
                            Ok(None) => break "the connection was cut".to_owned(),
                            Ok(Some(Err(error))) => match Trouble::from(error) {
                                Trouble::Passing(reason) => break reason,
                                trouble => return Err(trouble),
                            },
                            Ok(Some(Ok(part))) => {
                                at += part.len() as u64;
                                shared.bytes.fetch_add(part.len() as u64, Ordering::Relaxed);
                                if at > range.end {
                                    return Err(Trouble::Lasting(
                                        "the server gave more than it was asked for".to_owned(),
                                    ));
                                }
                                if at - counted >= LEAST_PROGRESS_BYTES {
                                    counted = at;
                                    deadline = Instant::now() + timeout;
                                    pause = FIRST_PAUSE;
                                }
                                if !give(part) || at == range.end {
                                    return Ok(());
                                }
                            }
                        }
                    }
                }
            };
            if Instant::now() + pause > deadline {
                return Err(Trouble::Lasting(format!(
                    "{reason}, again and again for {} s",
                    timeout.as_secs_f64()
                )));
            }
            last = Some(reason);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    async fn get(&self, range: Range<u64>) -> Result<GetResult, Trouble> {
        let parts = &*self.0;
        let options = GetOptions {
            range: Some(range.into()),
            if_match: parts.version.strong_tag(),
            ..GetOptions::default()
        };
        let got = parts.bucket.store.get_opts(&parts.key, options).await?;
        if got.meta.size != parts.bytes {
            return Err(Trouble::Lasting(format!(
                "it has {} bytes now, and had {} when the job was planned",
                got.meta.size, parts.bytes
            )));
        }
        if !parts.version.is_of(&got.meta) {
            return Err(Trouble::changed());
        }
        Ok(got)
    }
}
