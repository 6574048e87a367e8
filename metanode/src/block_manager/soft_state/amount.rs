use std::ops::AddAssign;

/// How many small objects or blocks there are of a kind, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::block_manager) struct Amount {
    pub(in crate::block_manager) objects: u64,
    pub(in crate::block_manager) bytes: u64,
}

impl Amount {
    /// Adds an object of this length.
    pub(in crate::block_manager) fn add(&mut self, length: u64) {
        *self += Self { objects: 1, bytes: length };
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}
