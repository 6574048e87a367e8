//! Files that stay open, because their blocks are read again and again. To open a file costs more than to read a small block,
//! and the disk may be needed for it.
//!
//! The space of a file that is removed stays in use while the file is open. So a file is kept open only while the index has a
//! block in it:
//!
//! - [`keep`](OpenFiles::keep) takes a file in under the lock of this table, and only if the index still points into it.
//! - Whoever removes a file, or moves it to another name, calls [`forget`](OpenFiles::forget) after the index has changed.
//!
//! The index decides which file a block is read from, and no place is used twice. So a file in this table is never read for a
//! block that was deleted, moved or replaced. A file that another program removed is noticed, because it has no name any more.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::disk::DiskFile;
use super::record::Place;

/// Files of a volume that stay open at most: a small part of the file descriptors that a process may have, also with a dozen
/// volumes.
const FILES_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// The files of one volume that stay open, those that were read last.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    files: Mutex<LruCache<Place, Arc<dyn DiskFile>>>,
}

impl Default for OpenFiles {
    fn default() -> Self {
        Self { files: Mutex::new(LruCache::new(FILES_MAX)) }
    }
}

/// The place that stands for the whole file.
fn file_of(place: Place) -> Place {
    if place.is_dedicated() { place } else { Place::shared(place.segment(), 0) }
}

impl OpenFiles {
    fn files(&self) -> MutexGuard<'_, LruCache<Place, Arc<dyn DiskFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that has this place, if it is open and still has a name. Never waits for the disk.
    pub(crate) fn get(&self, place: Place) -> Option<Arc<dyn DiskFile>> {
        let file = self.files().get(&file_of(place)).cloned();
        file.filter(|file| file.is_linked())
    }

    /// Keeps the file that has this place open, if the index still points into it. May close another file, so it blocks its
    /// thread.
    pub(crate) fn keep(&self, place: Place, file: &Arc<dyn DiskFile>, is_there: impl FnOnce() -> bool) {
        let closed = {
            let mut files = self.files();
            // Under the lock: an entry that is removed from the index later is forgotten later, too.
            if is_there() { files.push(file_of(place), file.clone()) } else { None }
        };
        // Closing the last descriptor of a removed file frees its space, which takes time.
        drop(closed);
    }

    /// Closes the file that has this place. Blocks its thread.
    pub(crate) fn forget(&self, place: Place) {
        let closed = self.files().pop(&file_of(place));
        drop(closed);
    }

    /// Number of files that are open.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.files().len()
    }
}
