//! What clients do: operations, and how often each comes.

use rand::RngExt;
use serde::Serialize;

/// An operation whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// PutObject.
    Put,
    /// GetObject, of the whole object.
    Get,
    /// GetObject, of a range.
    RangeGet,
    /// HeadObject.
    Stat,
    /// ListObjectsV2, of one page.
    List,
    /// DeleteObject, or DeleteObjects of a batch.
    Delete,
    /// A multipart upload, from its creation to its completion.
    Multipart,
    /// GetObject of a version by its id.
    GetVersion,
    /// ListObjectVersions, of one page.
    ListVersions,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 9] = [
        Self::Put,
        Self::Get,
        Self::RangeGet,
        Self::Stat,
        Self::List,
        Self::Delete,
        Self::Multipart,
        Self::GetVersion,
        Self::ListVersions,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::RangeGet => "range-get",
            Self::Stat => "stat",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Multipart => "multipart",
            Self::GetVersion => "get-version",
            Self::ListVersions => "list-versions",
        }
    }
}

/// Operations with weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    weights: Vec<(Operation, u32)>,
}

impl Workload {
    /// One operation and no other.
    pub fn only(operation: Operation) -> Self {
        Self { weights: vec![(operation, 1)] }
    }

    /// Operations with weights; those of weight 0 are left out. `None` if no weight is left.
    pub fn mixed(weights: impl IntoIterator<Item = (Operation, u32)>) -> Option<Self> {
        let weights: Vec<_> = weights.into_iter().filter(|(_, weight)| *weight > 0).collect();
        (!weights.is_empty()).then_some(Self { weights })
    }

    /// An operation.
    pub fn draw(&self, rng: &mut impl RngExt) -> Operation {
        let total: u32 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.random_range(0..total.max(1));
        for (operation, weight) in &self.weights {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *operation,
            }
        }
        self.weights[0].0
    }

    /// The operations, in the order of their weights' list.
    pub fn operations(&self) -> impl Iterator<Item = Operation> + '_ {
        self.weights.iter().map(|(operation, _)| *operation)
    }

    /// Whether it has an operation.
    pub fn has(&self, operation: Operation) -> bool {
        self.operations().any(|own| own == operation)
    }

    /// Whether it needs objects that are there before it begins.
    pub fn needs_objects(&self) -> bool {
        self.operations().any(|operation| !matches!(operation, Operation::Put | Operation::Multipart))
    }

    /// Whether it does nothing but delete, so that it ends when nothing is left.
    pub fn only_deletes(&self) -> bool {
        self.operations().all(|operation| operation == Operation::Delete)
    }
}
