//! What the rules want of a version or an upload, each with its time.

use std::collections::BTreeMap;

use cairn_types::time::Timestamp;

use crate::day::Day;
use crate::rule::{Expiration, Rule, When};

/// What a rule acts on.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The current version of a key.
    Current {
        /// The key.
        key: &'a str,
        /// Its tags.
        tags: &'a BTreeMap<String, String>,
        /// Its length in bytes.
        length: u64,
        /// When it was made.
        made_at: Timestamp,
        /// Its storage class.
        class: &'a str,
    },
    /// A noncurrent version of a key.
    Noncurrent {
        /// The key.
        key: &'a str,
        /// Its tags.
        tags: &'a BTreeMap<String, String>,
        /// Its length in bytes.
        length: u64,
        /// When the version after it was made.
        noncurrent_since: Timestamp,
        /// How many noncurrent versions of the key are newer.
        newer: u32,
        /// Its storage class; `None` for a delete marker.
        class: Option<&'a str>,
    },
    /// A delete marker that is the only version of its key.
    SoleMarker {
        /// The key.
        key: &'a str,
        /// When it was made.
        made_at: Timestamp,
        /// When the last other version of the key went, or when it was made if there was none.
        alone_since: Timestamp,
    },
    /// An incomplete upload.
    Upload {
        /// The key.
        key: &'a str,
        /// When it began.
        begun_at: Timestamp,
    },
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The current version expires: it is deleted, or with versioning gets a delete marker on top.
    Expire,
    /// The noncurrent version is deleted for good.
    DeleteVersion,
    /// The delete marker is removed.
    RemoveMarker,
    /// The version gets this storage class.
    Transition(String),
    /// The upload is aborted.
    Abort,
}

/// An action that a rule wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned<'r> {
    /// What is done.
    pub action: Action,
    /// From when on.
    pub due: Timestamp,
    /// The rule that wants it.
    pub rule: &'r Rule,
}

/// All that the enabled rules want of a subject, in the order of the rules.
pub fn plan<'r>(rules: &'r [Rule], subject: Subject<'_>, day: Day) -> Vec<Planned<'r>> {
    let mut planned = Vec::new();
    for rule in rules.iter().filter(|rule| rule.is_enabled) {
        let mut add = |action, due| planned.push(Planned { action, due, rule });
        match subject {
            Subject::Current { key, tags, length, made_at, class } => {
                if !rule.filter.matches(key, tags, length) {
                    continue;
                }
                if let Some(Expiration::At(when)) = rule.expiration {
                    add(Action::Expire, due(when, made_at, day));
                }
                for transition in rule.transitions.iter().filter(|transition| transition.class != class) {
                    add(Action::Transition(transition.class.clone()), due(transition.when, made_at, day));
                }
            }
            Subject::Noncurrent { key, tags, length, noncurrent_since, newer, class } => {
                let matches = match class {
                    Some(_) => rule.filter.matches(key, tags, length),
                    None => rule.filter.matches_key(key),
                };
                if !matches {
                    continue;
                }
                if let Some(end) = rule.noncurrent_expiration.filter(|end| newer >= end.newer_kept) {
                    add(Action::DeleteVersion, day.after(noncurrent_since, end.days));
                }
                let moves = rule.noncurrent_transitions.iter().filter(|transition| {
                    newer >= transition.newer_kept && class.is_some_and(|class| class != transition.class)
                });
                for transition in moves {
                    let due = day.after(noncurrent_since, transition.days);
                    add(Action::Transition(transition.class.clone()), due);
                }
            }
            Subject::SoleMarker { key, made_at, alone_since } => match rule.expiration {
                Some(Expiration::DeleteMarkers) if rule.filter.matches_key(key) => {
                    add(Action::RemoveMarker, alone_since);
                }
                Some(Expiration::At(when)) if rule.filter.matches_key(key) => {
                    add(Action::RemoveMarker, due(when, made_at, day).max(alone_since));
                }
                Some(_) | None => {}
            },
            Subject::Upload { key, begun_at } => {
                if let Some(days) = rule.abort_uploads_days.filter(|_| rule.filter.matches_key(key)) {
                    add(Action::Abort, day.after(begun_at, days));
                }
            }
        }
    }
    planned
}

fn due(when: When, made_at: Timestamp, day: Day) -> Timestamp {
    match when {
        When::Days(days) => day.after(made_at, days),
        When::Date(date) => date.max(made_at),
    }
}
