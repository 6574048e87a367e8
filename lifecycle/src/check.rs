//! What AWS refuses, in its words.

use std::collections::HashSet;

use thiserror::Error;

use crate::day::Day;
use crate::rule::{Expiration, FilterForm, Rule, When};

/// The largest number of rules (API reference, PutBucketLifecycleConfiguration).
const RULES_MAX: usize = 1_000;

/// The longest id, in characters.
const ID_MAX: usize = 255;

/// The largest `NewerNoncurrentVersions`.
const NEWER_MAX: u32 = 100;

/// The largest size in a filter in bytes, that of an object (User Guide, "Adding filters to Lifecycle rules": 5 TB).
const SIZE_MAX: u64 = 5 << 40;

/// The least age in days at which objects may become infrequently accessed ones.
const INFREQUENT_DAYS_MIN: u32 = 30;

/// Why rules are refused. The text of each is AWS's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidRules {
    /// `MalformedXML`.
    #[error("The XML you provided was not well-formed or did not validate against our published schema")]
    Malformed,
    /// `InvalidArgument`.
    #[error("{0}")]
    Argument(String),
    /// `InvalidRequest`.
    #[error("{0}")]
    Request(String),
}

/// Checks the rules of a bucket.
///
/// # Errors
/// The first thing that AWS refuses.
pub fn check(rules: &[Rule]) -> Result<(), InvalidRules> {
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(InvalidRules::Malformed);
    }
    let mut ids = HashSet::new();
    for rule in rules {
        if rule.id.chars().count() > ID_MAX {
            return argument(format!("ID length should not exceed allowed limit of {ID_MAX}"));
        }
        if !ids.insert(rule.id.as_str()) {
            return argument("Rule ID must be unique. Found same ID for more than one rule");
        }
        check_rule(rule)?;
    }
    Ok(())
}

fn check_rule(rule: &Rule) -> Result<(), InvalidRules> {
    if !rule.has_action() {
        return request("At least one action needs to be specified in a rule");
    }
    check_filter(rule)?;
    check_days(rule)?;
    check_times(rule)?;
    check_transitions(rule)
}

fn check_filter(rule: &Rule) -> Result<(), InvalidRules> {
    let filter = &rule.filter;
    if let (Some(more), Some(fewer)) = (filter.larger_than, filter.smaller_than)
        && fewer <= more
    {
        return request("ObjectSizeLessThan has to be a value greater than ObjectSizeGreaterThan.");
    }
    if [filter.larger_than, filter.smaller_than].into_iter().flatten().any(|size| size > SIZE_MAX) {
        return argument("Object size in a Filter must not be larger than 5 TB");
    }
    let keeps_newer = rule.noncurrent_expiration.is_some_and(|end| end.newer_kept > 0)
        || rule.noncurrent_transitions.iter().any(|transition| transition.newer_kept > 0);
    // User Guide, "Lifecycle configuration elements".
    if keeps_newer && rule.form == FilterForm::RulePrefix {
        return request("NewerNoncurrentVersions can only be specified in a rule with a Filter element.");
    }
    let marker = matches!(rule.expiration, Some(Expiration::DeleteMarkers | Expiration::KeepDeleteMarkers));
    for (is_there, what) in [
        (rule.abort_uploads_days.is_some(), "AbortIncompleteMultipartUpload"),
        (marker, "ExpiredObjectDeleteMarker"),
    ] {
        if is_there && !filter.tags.is_empty() {
            return request(format!("{what} cannot be specified with Tags."));
        }
        if is_there && filter.names_size() {
            return request(format!("{what} cannot be specified with Object Size."));
        }
    }
    Ok(())
}

/// Numbers of days and of versions.
fn check_days(rule: &Rule) -> Result<(), InvalidRules> {
    let positive = |days: u32, name: &str, action: &str| {
        if days > 0 {
            Ok(())
        } else {
            argument(format!("'{name}' for {action} action must be a positive integer"))
        }
    };
    if let Some(Expiration::At(When::Days(days))) = rule.expiration {
        positive(days, "Days", "Expiration")?;
    }
    if let Some(days) = rule.abort_uploads_days {
        positive(days, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")?;
    }
    if let Some(end) = rule.noncurrent_expiration {
        positive(end.days, "NoncurrentDays", "NoncurrentVersionExpiration")?;
    }
    let kept = rule.noncurrent_transitions.iter().map(|transition| transition.newer_kept);
    if kept.chain(rule.noncurrent_expiration.map(|end| end.newer_kept)).any(|kept| kept > NEWER_MAX) {
        return argument("'NewerNoncurrentVersions' must be a positive integer of at most 100");
    }
    Ok(())
}

/// Dates are midnights, and the current versions of a rule have either days or dates.
fn check_times(rule: &Rule) -> Result<(), InvalidRules> {
    let ends = match rule.expiration {
        Some(Expiration::At(when)) => Some(when),
        Some(Expiration::DeleteMarkers | Expiration::KeepDeleteMarkers) | None => None,
    };
    let all: Vec<When> = rule.transitions.iter().map(|transition| transition.when).chain(ends).collect();
    let dates = all.iter().filter(|when| matches!(when, When::Date(_))).count();
    if all.iter().any(|when| matches!(when, When::Date(date) if !Day::UTC.is_midnight(*date))) {
        return argument("'Date' must be at midnight GMT");
    }
    if dates > 0 && dates < all.len() {
        return request(format!(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for prefix '{}'",
            rule.filter.prefix
        ));
    }
    Ok(())
}

fn check_transitions(rule: &Rule) -> Result<(), InvalidRules> {
    let prefix = &rule.filter.prefix;
    let mut classes = HashSet::new();
    for transition in &rule.transitions {
        if !classes.insert(transition.class.as_str()) {
            return request(format!(
                "'StorageClass' must be different for 'Transition' actions in same 'Rule' with prefix '{prefix}'"
            ));
        }
        if let When::Days(days) = transition.when {
            check_infrequent(days, "Transition", &transition.class)?;
        }
        let is_later = match (rule.expiration, transition.when) {
            (Some(Expiration::At(When::Days(end))), When::Days(days)) => end > days,
            (Some(Expiration::At(When::Date(end))), When::Date(date)) => end > date,
            _ => true,
        };
        if !is_later {
            let unit = if matches!(transition.when, When::Days(_)) { "Days" } else { "Date" };
            return argument(format!(
                "'{unit}' in the Expiration action for prefix '{prefix}' must be greater than '{unit}' in the Transition action"
            ));
        }
    }
    classes.clear();
    for transition in &rule.noncurrent_transitions {
        if !classes.insert(transition.class.as_str()) {
            return request(format!(
                "'StorageClass' must be different for 'NoncurrentVersionTransition' actions in same 'Rule' with prefix '{prefix}'"
            ));
        }
        check_infrequent(transition.days, "NoncurrentVersionTransition", &transition.class)?;
        if rule.noncurrent_expiration.is_some_and(|end| end.days <= transition.days) {
            return argument(format!(
                "'NoncurrentDays' in the NoncurrentVersionExpiration action for prefix '{prefix}' must be greater than \
                 'NoncurrentDays' in the NoncurrentVersionTransition action"
            ));
        }
    }
    Ok(())
}

fn check_infrequent(days: u32, action: &str, class: &str) -> Result<(), InvalidRules> {
    if matches!(class, "STANDARD_IA" | "ONEZONE_IA") && days < INFREQUENT_DAYS_MIN {
        return argument(format!(
            "'Days' in {action} action must be greater than or equal to {INFREQUENT_DAYS_MIN} for storageClass '{class}'"
        ));
    }
    Ok(())
}

fn argument(words: impl Into<String>) -> Result<(), InvalidRules> {
    Err(InvalidRules::Argument(words.into()))
}

fn request(words: impl Into<String>) -> Result<(), InvalidRules> {
    Err(InvalidRules::Request(words.into()))
}
