//! What becomes of the parts of a process that do not stay.

use std::fs;

use super::names::{MADE, MANIFEST, MARKER, is_part, is_temporary, listing, temporary};
use super::{Inner, Verdict};

impl Inner {
    /// Errors are passed over: nothing can be done, and the next run removes or overwrites what is left.
    pub(super) fn discard(&self, first: bool) {
        let mut parts = self.lock();
        if *parts.verdict.get_or_insert(Verdict::Discarded) != Verdict::Discarded {
            return;
        }
        let directory = &self.directory;
        if first {
            // First of all: what it lists is about to go.
            let _ = fs::remove_file(directory.join(MANIFEST));
            let _ = fs::remove_file(directory.join(temporary(MANIFEST)));
            // Nothing else was here when the directory was claimed.
            let left = listing(directory).unwrap_or_default();
            left.iter()
                .filter(|name| is_temporary(name) || is_part(name))
                .for_each(|name| drop(fs::remove_file(directory.join(name))));
        } else if self.whole.as_ref().unwrap_or(&directory.join(MANIFEST)).exists() {
            // The result exists; only the news of it did not arrive.
            return;
        }
        for name in parts.started.drain(..) {
            let _ = fs::remove_file(directory.join(temporary(&name)));
            let _ = fs::remove_file(directory.join(name));
        }
        // Last, not while it vouches for parts of other processes, and not if it may be that of another run.
        if (parts.begun || self.created) && listing(directory).is_ok_and(|left| left == [MARKER]) {
            let marker = directory.join(MARKER);
            // By whichever process the directory was made, it goes with the last.
            let made = fs::read_to_string(&marker).is_ok_and(|text| text.ends_with(MADE));
            let _ = fs::remove_file(marker);
            if made {
                let _ = fs::remove_dir(directory);
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.discard(false);
    }
}
