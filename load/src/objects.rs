//! The objects that are there: what clients write, read and delete.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::RngExt;

/// An object, or a version of one.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its number, from which its bytes follow. No two of a run have the same.
    pub(crate) number: u64,
    pub(crate) key: String,
    /// Bytes.
    pub(crate) size: u64,
    /// The id of its version, if the bucket keeps versions.
    pub(crate) version: Option<String>,
    /// Whether it was chosen to be deleted: then a reader may find it gone.
    is_going: AtomicBool,
}

impl Object {
    pub(crate) fn new(number: u64, key: String, size: u64, version: Option<String>) -> Self {
        Self { number, key, size, version, is_going: AtomicBool::new(false) }
    }

    /// Whether it is being deleted, or was.
    pub(crate) fn is_going(&self) -> bool {
        self.is_going.load(Ordering::SeqCst)
    }
}

/// The objects of a run on one server. All its clients share them.
#[derive(Debug)]
pub(crate) struct Objects {
    /// What all keys begin with.
    prefix: String,
    /// How many keys there are, if writes go to the same keys again.
    keys: Option<u64>,
    next: AtomicU64,
    live: Mutex<Vec<Arc<Object>>>,
}

impl Objects {
    /// None yet. With `keys`, writes go to so many keys in turn, as new versions; otherwise each has a key of its own.
    pub(crate) fn new(prefix: String, keys: Option<u64>) -> Self {
        Self { prefix, keys, next: AtomicU64::new(0), live: Mutex::default() }
    }

    fn live(&self) -> MutexGuard<'_, Vec<Arc<Object>>> {
        // A panic while it was held left complete entries.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all keys begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Number and key of an object to write.
    pub(crate) fn name(&self) -> (u64, String) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = self.keys.map_or(number, |keys| number % keys.max(1));
        // Writers spread over the key space, as hashed names do.
        let spread = key.wrapping_mul(0x9E37_79B9) as u8;
        (number, format!("{}{spread:02x}/{key:010}", self.prefix))
    }

    /// An object was written.
    pub(crate) fn add(&self, object: Object) {
        self.live().push(Arc::new(object));
    }

    /// An object that is there; `None` if there is none.
    pub(crate) fn random(&self, rng: &mut impl RngExt) -> Option<Arc<Object>> {
        let live = self.live();
        (!live.is_empty()).then(|| live[rng.random_range(0..live.len())].clone())
    }

    /// Takes out up to `max` objects to delete.
    pub(crate) fn take(&self, rng: &mut impl RngExt, max: usize) -> Vec<Arc<Object>> {
        let mut live = self.live();
        let mut taken = Vec::new();
        while taken.len() < max && !live.is_empty() {
            let at = rng.random_range(0..live.len());
            let object = live.swap_remove(at);
            object.is_going.store(true, Ordering::SeqCst);
            taken.push(object);
        }
        taken
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.live().len()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn what_is_taken_out_is_going_and_no_longer_drawn() {
        let mut rng = StdRng::seed_from_u64(1);
        let objects = Objects::new("p/".to_owned(), None);
        for _ in 0..10 {
            let (number, key) = objects.name();
            objects.add(Object::new(number, key, 1, None));
        }
        let seen = objects.random(&mut rng).unwrap();
        let taken = objects.take(&mut rng, 99);
        assert_eq!((taken.len(), objects.len()), (10, 0));
        assert!(seen.is_going() && objects.random(&mut rng).is_none());
    }

    #[test]
    fn versions_share_keys_and_have_numbers_of_their_own() {
        let objects = Objects::new("p/".to_owned(), Some(2));
        let names: Vec<_> = (0..4).map(|_| objects.name()).collect();
        assert_eq!((&names[0].1, &names[1].1), (&names[2].1, &names[3].1));
        assert_ne!(names[0].1, names[1].1);
        assert_ne!(names[0].0, names[2].0);
    }
}
