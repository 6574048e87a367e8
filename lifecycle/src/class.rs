//! Storage classes: which changes there are, and which of two classes an object gets.
//!
//! Source: User Guide, "Transitioning objects using Amazon S3 Lifecycle", "Supported lifecycle transitions".

/// AWS's storage classes from the warmest to the coldest.
const CLASSES: [&str; 8] = [
    STANDARD,
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

/// The class of an object that was written without one.
pub const STANDARD: &str = "STANDARD";

/// Whether a rule can name a class as the new one. No object becomes STANDARD or REDUCED_REDUNDANCY again.
pub fn can_be_target(class: &str) -> bool {
    !matches!(class, "" | STANDARD | "REDUCED_REDUNDANCY")
}

/// The place of a class of AWS among them; `None` for a class of the cluster's configuration.
fn coldness(class: &str) -> Option<usize> {
    CLASSES.iter().position(|known| *known == class)
}

/// Whether an object of the class `from` gets the class `to` when a rule says so. Among AWS's classes there are changes to colder
/// ones only. Of a class of the cluster's configuration it is not known how cold it is, and the rules decide alone.
pub(crate) fn changes(from: &str, to: &str) -> bool {
    if from == to || !can_be_target(to) {
        return false;
    }
    match (coldness(from), coldness(to)) {
        (Some(_), Some(_)) if from == "ONEZONE_IA" => matches!(to, "GLACIER" | "DEEP_ARCHIVE"),
        (Some(from), Some(to)) => from < to,
        (None, _) | (_, None) => true,
    }
}

/// Whether `later`, which is due not before `earlier`, wins over it. Of AWS's classes the colder one does.
pub(crate) fn wins(later: &str, earlier: &str) -> bool {
    match (coldness(later), coldness(earlier)) {
        (Some(later), Some(earlier)) => later > earlier,
        (None, _) | (_, None) => true,
    }
}
