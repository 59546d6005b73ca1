//! The memory that pages lie in, and what is taken again when nobody has it any more.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// The bytes of a page, as a part of what was read or as what they decompressed to: up to their end. Places in them, such as those of
/// texts, count from the start of that memory, so the page itself has a start, too.
#[derive(Clone)]
pub(super) struct PageBytes {
    pub(super) memory: Arc<Vec<u8>>,
    pub(super) start: usize,
    end: usize,
}

impl PageBytes {
    /// A part of some memory.
    pub(super) fn part(memory: &Arc<Vec<u8>>, Range { start, end }: Range<usize>) -> Self {
        PageBytes { memory: Arc::clone(memory), start, end }
    }

    /// All of it.
    pub(super) fn whole(memory: Arc<Vec<u8>>) -> Self {
        let end = memory.len();
        PageBytes { memory, start: 0, end }
    }
}

impl Deref for PageBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.end]
    }
}

/// Memory for what comes next: new memory for each page would be cleared by the system first.
#[derive(Default)]
pub(super) struct Rooms(Vec<Arc<Vec<u8>>>);

impl Rooms {
    /// Memory that nobody else has.
    pub(super) fn take(&mut self) -> Arc<Vec<u8>> {
        match self.0.iter_mut().position(|room| Arc::get_mut(room).is_some()) {
            Some(free) => self.0.swap_remove(free),
            None => Arc::default(),
        }
    }

    /// Keeps memory, of which a batch may still have texts: they are few that have some at a time.
    pub(super) fn keep(&mut self, room: Arc<Vec<u8>>) {
        self.0.push(room);
    }
}
