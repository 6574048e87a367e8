//! What the rules want of a version or an upload, each with its time.

use std::collections::BTreeMap;

use cairn_types::time::Timestamp;

use crate::day::Day;
use crate::rule::{Expiration, Rule, RuleSet, When};

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

/// All that the enabled rules want of a version or an upload, in the order of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan<'r> {
    /// The actions.
    pub planned: Vec<Planned<'r>>,
    /// The present storage class; `None` for what has none.
    pub class: Option<String>,
}

/// All that the enabled rules want of a subject.
pub fn plan<'r>(set: &'r RuleSet, subject: Subject<'_>, day: Day) -> Plan<'r> {
    let class = match subject {
        Subject::Current { class, .. } => Some(class),
        Subject::Noncurrent { class, .. } => class,
        Subject::SoleMarker { .. } | Subject::Upload { .. } => None,
    };
    let mut planned = Vec::new();
    for rule in set.rules.iter().filter(|rule| rule.is_enabled) {
        let wants = wanted(set, rule, subject, day);
        planned.extend(wants.into_iter().map(|(action, due)| Planned { action, due, rule }));
    }
    Plan { planned, class: class.map(str::to_owned) }
}

/// What one rule wants.
fn wanted(set: &RuleSet, rule: &Rule, subject: Subject<'_>, day: Day) -> Vec<(Action, Timestamp)> {
    let mut wanted = Vec::new();
    let filter = &rule.filter;
    match subject {
        Subject::Current { key, tags, length, made_at, .. } if filter.matches(key, tags, length) => {
            if let Some(Expiration::At(when)) = rule.expiration {
                wanted.push((Action::Expire, due(when, made_at, day)));
            }
            for transition in &rule.transitions {
                if set.minimum_size.allows(filter, length, &transition.class) {
                    let action = Action::Transition(transition.class.clone());
                    wanted.push((action, due(transition.when, made_at, day)));
                }
            }
        }
        Subject::Noncurrent { key, tags, length, noncurrent_since, newer, class } => {
            let matches =
                if class.is_some() { filter.matches(key, tags, length) } else { filter.matches_key(key) };
            if !matches {
                return wanted;
            }
            if let Some(end) = rule.noncurrent_expiration.filter(|end| newer >= end.newer_kept) {
                wanted.push((Action::DeleteVersion, day.after(noncurrent_since, end.days)));
            }
            for transition in &rule.noncurrent_transitions {
                let is_large = set.minimum_size.allows(filter, length, &transition.class);
                if class.is_some() && newer >= transition.newer_kept && is_large {
                    let action = Action::Transition(transition.class.clone());
                    wanted.push((action, day.after(noncurrent_since, transition.days)));
                }
            }
        }
        Subject::SoleMarker { key, made_at } if filter.matches_key(key) => match rule.expiration {
            Some(Expiration::DeleteMarkers) => wanted.push((Action::RemoveMarker, made_at)),
            Some(Expiration::At(when)) => wanted.push((Action::RemoveMarker, due(when, made_at, day))),
            Some(Expiration::KeepDeleteMarkers) | None => {}
        },
        Subject::Upload { key, begun_at } if filter.matches_key(key) => {
            if let Some(days) = rule.abort_uploads_days {
                wanted.push((Action::Abort, day.after(begun_at, days)));
            }
        }
        Subject::Current { .. } | Subject::SoleMarker { .. } | Subject::Upload { .. } => {}
    }
    wanted
}

fn due(when: When, made_at: Timestamp, day: Day) -> Timestamp {
    match when {
        When::Days(days) => day.after(made_at, days),
        When::Date(date) => date.max(made_at),
    }
}
