//! Conditions of writes on the current object.

use cairn_protocol::metadata::{MetadataError, WriteCondition};

/// Checks a condition against the ETag of the current object, if there is one.
pub(super) fn check(condition: &WriteCondition, current: Option<&str>) -> Result<(), MetadataError> {
    match (condition, current) {
        (WriteCondition::None, _) | (WriteCondition::Absent, None) | (WriteCondition::Present, Some(_)) => {
            Ok(())
        }
        (WriteCondition::Etag(wanted), Some(etag)) if wanted == etag => Ok(()),
        (WriteCondition::Absent | WriteCondition::Etag(_), Some(_)) => Err(MetadataError::PreconditionFailed),
        (WriteCondition::Present | WriteCondition::Etag(_), None) => {
            Err(MetadataError::ConditionOnMissingKey)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_of_the_objects_that_it_describes() {
        let etag = |etag: &str| WriteCondition::Etag(etag.to_owned());
        let failed = Err(MetadataError::PreconditionFailed);
        let missing = Err(MetadataError::ConditionOnMissingKey);
        for (condition, on_a, on_nothing) in [
            (WriteCondition::None, Ok(()), Ok(())),
            (WriteCondition::Absent, failed.clone(), Ok(())),
            (WriteCondition::Present, Ok(()), missing.clone()),
            (etag("a"), Ok(()), missing.clone()),
            (etag("b"), failed, missing),
        ] {
            assert_eq!(check(&condition, Some("a")), on_a, "{condition:?}");
            assert_eq!(check(&condition, None), on_nothing, "{condition:?}");
        }
    }
}
