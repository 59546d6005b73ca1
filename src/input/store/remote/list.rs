//! Lists of files, and their first bytes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::super::trouble::Trouble;
use super::super::{Found, InputFile, is_hidden, is_hidden_from, manifest, no_file, place};
use super::{Bucket, Object, Stores, failed};
use crate::Error;
use crate::formats::parts::LIST;

/// First bytes of so many files are asked for at once.
const HEADS_AT_ONCE: usize = 64;

impl Stores {
    pub(in super::super) fn list_directory(&self, directory: &Path) -> Found {
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

    pub(in super::super) fn list_matching(&self, pattern: &str) -> Found {
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
            !is_hidden_from(inside, key.as_ref()) && (is_file(key) || is_below(key))
        };
        let mut meant: Vec<_> = listed.into_iter().filter(is_meant).collect();
        bucket.leave_out_marks(&mut meant, &keys).map_err(failed("list", directory))?;
        if let Some(meta) = meant.iter().find(|meta| !is_file(&meta.location)) {
            return Err(no_file(&bucket.shown(&Key::from(folders_of(&meta.location)))));
        }
        let files: Vec<_> = meant.into_iter().map(|meta| bucket.file(meta)).collect();
        Ok((!files.is_empty()).then_some(files))
    }
}

impl Bucket {
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
        let list = key.clone().join(LIST);
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
            return Err(Error::Data(format!("{directory}: its {LIST} names no files")));
        }
        Ok(Some(files))
    }
}

/// Gives the first bytes of files with these indices to `take`.
pub(in super::super) fn heads(
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
        let heads =
            heads.map_err(|trouble| failed("read", &files[indices[0]].path.to_string_lossy())(trouble))?;
        for (index, head) in heads {
            let file = &mut files[index];
            let head = head.map_err(|trouble| failed("read", &file.path.to_string_lossy())(trouble))?;
            take(index, file, &head)?;
        }
    }
    Ok(())
}

fn name_of(key: &Key) -> &str {
    key.filename().unwrap_or_default()
}
