//! Rules: what is refused, and what is due when, compared with a naive second implementation.

use std::collections::BTreeMap;

use cairn_lifecycle::*;
use cairn_types::time::Timestamp;
use proptest::prelude::*;

/// 2014-01-15T10:30:00Z, the example of the User Guide ("Lifecycle configuration elements", "Lifecycle rules: Based on an object's
/// age").
const MADE: Timestamp = Timestamp(1_389_781_800_000);
const DAY_MS: u64 = 86_400_000;

fn rule() -> Rule {
    Rule { id: "r".into(), is_enabled: true, ..Rule::default() }
}

fn expires(days: u32) -> Option<Expiration> {
    Some(Expiration::At(When::Days(days)))
}

fn to(class: &str, days: u32) -> Transition {
    Transition { when: When::Days(days), class: class.into() }
}

#[test]
fn days_are_rounded_up_to_the_next_midnight() {
    // "For example, if an object was created on 1/15/2014 at 10:30 AM UTC and you specify 3 days, then it is 1/19/2014 00:00."
    assert_eq!(Day::UTC.after(MADE, 3), Timestamp(1_390_089_600_000));
    let midnight = Timestamp(1_389_744_000_000);
    assert_eq!(Day::UTC.after(midnight, 1), Timestamp(midnight.0 + DAY_MS));
    assert_eq!(Day::UTC.after(Timestamp(u64::MAX), u32::MAX), Timestamp(u64::MAX));
    assert_eq!(Day::of_ms(10).after(Timestamp(101), 2), Timestamp(130));
    assert_eq!(Day::of_ms(0).after(Timestamp(5), 2), Timestamp(7));
}

#[test]
fn what_aws_refuses_is_refused() {
    let tagged = || Filter { tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..Filter::default() };
    let date = |ms| Some(Expiration::At(When::Date(Timestamp(ms))));
    let noncurrent = |days, newer_kept| Some(NoncurrentExpiration { days, newer_kept });
    let moved = |class: &str, days| NoncurrentTransition { days, newer_kept: 0, class: class.into() };
    let good = || Rule { expiration: expires(1), ..rule() };
    let cases: Vec<(Rule, Option<&str>)> = vec![
        (good(), None),
        (rule(), Some("At least one action needs to be specified in a rule")),
        (
            Rule { expiration: expires(0), ..rule() },
            Some("'Days' for Expiration action must be a positive integer"),
        ),
        (Rule { expiration: date(DAY_MS * 9), ..rule() }, None),
        (Rule { expiration: date(DAY_MS * 9 + 1), ..rule() }, Some("'Date' must be at midnight GMT")),
        (
            Rule { expiration: date(DAY_MS * 9), transitions: vec![to("GLACIER", 1)], ..rule() },
            Some(
                "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for prefix ''",
            ),
        ),
        (Rule { expiration: expires(2), transitions: vec![to("GLACIER", 1)], ..rule() }, None),
        (
            Rule { expiration: expires(1), transitions: vec![to("GLACIER", 1)], ..rule() },
            Some(
                "'Days' in the Expiration action for prefix '' must be greater than 'Days' in the Transition action",
            ),
        ),
        (Rule { transitions: vec![to("STANDARD_IA", 30)], ..rule() }, None),
        (
            Rule { transitions: vec![to("STANDARD_IA", 29)], ..rule() },
            Some(
                "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
            ),
        ),
        (
            Rule { transitions: vec![to("GLACIER", 1), to("GLACIER", 2)], ..rule() },
            Some("'StorageClass' must be different for 'Transition' actions in same 'Rule' with prefix ''"),
        ),
        (Rule { expiration: Some(Expiration::DeleteMarkers), ..rule() }, None),
        (
            Rule { expiration: Some(Expiration::DeleteMarkers), filter: tagged(), ..rule() },
            Some("ExpiredObjectDeleteMarker cannot be specified with Tags."),
        ),
        (
            Rule { abort_uploads_days: Some(1), filter: tagged(), ..rule() },
            Some("AbortIncompleteMultipartUpload cannot be specified with Tags."),
        ),
        (
            Rule {
                abort_uploads_days: Some(1),
                filter: Filter { larger_than: Some(0), ..Filter::default() },
                ..rule()
            },
            Some("AbortIncompleteMultipartUpload cannot be specified with Object Size."),
        ),
        (
            Rule { abort_uploads_days: Some(0), ..rule() },
            Some(
                "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
            ),
        ),
        (Rule { noncurrent_expiration: noncurrent(1, 100), ..rule() }, None),
        (
            Rule { noncurrent_expiration: noncurrent(1, 101), ..rule() },
            Some("'NewerNoncurrentVersions' must be a positive integer of at most 100"),
        ),
        (
            Rule { noncurrent_expiration: noncurrent(0, 1), ..rule() },
            Some("'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer"),
        ),
        (
            Rule {
                noncurrent_expiration: noncurrent(5, 0),
                noncurrent_transitions: vec![moved("GLACIER", 5)],
                ..rule()
            },
            Some(
                "'NoncurrentDays' in the NoncurrentVersionExpiration action for prefix '' must be greater than \
                 'NoncurrentDays' in the NoncurrentVersionTransition action",
            ),
        ),
        (
            Rule {
                filter: Filter { larger_than: Some(5), smaller_than: Some(5), ..Filter::default() },
                ..good()
            },
            Some("ObjectSizeLessThan has to be a value greater than ObjectSizeGreaterThan."),
        ),
        (Rule { id: "i".repeat(255), ..good() }, None),
        (Rule { id: "i".repeat(256), ..good() }, Some("ID length should not exceed allowed limit of 255")),
    ];
    for (rule, refused) in cases {
        let outcome = check(std::slice::from_ref(&rule)).map_err(|error| error.to_string());
        assert_eq!(outcome.err().as_deref(), refused, "{rule:?}");
    }
    let many = |count: usize| (0..count).map(|n| Rule { id: n.to_string(), ..good() }).collect::<Vec<_>>();
    assert_eq!(check(&many(1000)), Ok(()));
    assert_eq!(check(&many(1001)), Err(InvalidRules::Malformed));
    assert_eq!(check(&[]), Err(InvalidRules::Malformed));
    assert!(matches!(check(&[good(), good()]), Err(InvalidRules::Argument(_))));
}

fn current<'a>(key: &'a str, tags: &'a BTreeMap<String, String>, length: u64) -> Subject<'a> {
    Subject::Current { key, tags, length, made_at: MADE, class: "STANDARD" }
}

#[test]
fn a_conflict_is_decided_as_aws_documents_it() {
    let tags = BTreeMap::new();
    let rules = [
        Rule { transitions: vec![to("STANDARD_IA", 30), to("GLACIER", 60)], ..rule() },
        Rule { expiration: expires(60), ..rule() },
        Rule { expiration: expires(45), is_enabled: false, ..rule() },
    ];
    let planned = plan(&rules, current("k", &tags, 1), Day::UTC);
    let at = |days, keeps_versions| {
        decide(&planned, Day::UTC.after(MADE, days), keeps_versions).map(|planned| planned.action.clone())
    };
    assert_eq!(at(29, false), None);
    assert_eq!(at(30, false), Some(Action::Transition("STANDARD_IA".into())));
    assert_eq!(at(60, false), Some(Action::Expire), "a deletion for good wins over a transition");
    assert_eq!(at(60, true), Some(Action::Transition("GLACIER".into())), "which wins over a delete marker");
}

#[test]
fn newer_noncurrent_versions_are_kept() {
    let tags = BTreeMap::new();
    let end = NoncurrentExpiration { days: 1, newer_kept: 2 };
    let rules = [Rule { noncurrent_expiration: Some(end), ..rule() }];
    for (newer, wanted) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let class = Some("STANDARD");
        let subject =
            Subject::Noncurrent { key: "k", tags: &tags, length: 1, noncurrent_since: MADE, newer, class };
        assert_eq!(plan(&rules, subject, Day::UTC).len(), wanted, "{newer}");
    }
}

#[test]
fn sole_delete_markers_and_uploads_have_no_tags() {
    let tagged = Filter { tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..Filter::default() };
    let rules = [
        Rule { expiration: expires(1), filter: tagged, ..rule() },
        Rule { expiration: Some(Expiration::DeleteMarkers), abort_uploads_days: Some(2), ..rule() },
    ];
    let marker = Subject::SoleMarker { key: "k", made_at: MADE, alone_since: Timestamp(MADE.0 + 5) };
    let planned = plan(&rules, marker, Day::UTC);
    assert_eq!(planned.len(), 1);
    assert_eq!((&planned[0].action, planned[0].due), (&Action::RemoveMarker, Timestamp(MADE.0 + 5)));
    let planned = plan(&rules, Subject::Upload { key: "k", begun_at: MADE }, Day::UTC);
    assert_eq!((&planned[0].action, planned[0].due), (&Action::Abort, Day::UTC.after(MADE, 2)));
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let filter = (
        "[ab]{0,2}",
        proptest::option::of("[xy]"),
        proptest::option::of(0u64..5),
        proptest::option::of(0u64..8),
    )
        .prop_map(|(prefix, tag, larger_than, smaller_than)| Filter {
            prefix,
            tags: tag.map(|value| ("t".to_owned(), value)).into_iter().collect(),
            larger_than,
            smaller_than,
        });
    let class = || prop_oneof![Just("GLACIER"), Just("DEEP_ARCHIVE"), Just("own")];
    let one = (
        filter,
        any::<bool>(),
        proptest::option::of(1u32..6),
        proptest::collection::vec((1u32..6, class()), 0..3),
    )
        .prop_map(|(filter, is_enabled, days, moves)| Rule {
            is_enabled,
            filter,
            expiration: days.and_then(expires),
            transitions: moves.into_iter().map(|(days, class)| to(class, days)).collect(),
            ..rule()
        });
    proptest::collection::vec(one, 0..5)
}

/// The naive implementation: walks from midnight to midnight and asks each rule by itself.
fn naive(rules: &[Rule], key: &str, tag: Option<&str>, length: u64, now: u64, keeps: bool) -> Option<Action> {
    let is_due = |days: u32| {
        let mut midnight = 0;
        while midnight < MADE.0 + u64::from(days) * DAY_MS {
            midnight += DAY_MS;
        }
        midnight <= now
    };
    let mut classes = Vec::new();
    let mut ends = false;
    for rule in rules {
        let filter = &rule.filter;
        let applies = rule.is_enabled
            && key.get(..filter.prefix.len()) == Some(&filter.prefix)
            && filter.tags.values().all(|value| tag == Some(value))
            && filter.larger_than.is_none_or(|bytes| length > bytes)
            && filter.smaller_than.is_none_or(|bytes| length < bytes);
        if !applies {
            continue;
        }
        if let Some(Expiration::At(When::Days(days))) = rule.expiration {
            ends |= is_due(days);
        }
        for transition in &rule.transitions {
            if let When::Days(days) = transition.when
                && is_due(days)
            {
                classes.push(transition.class.as_str());
            }
        }
    }
    if ends && !keeps {
        return Some(Action::Expire);
    }
    for class in ["DEEP_ARCHIVE", "GLACIER", "own"] {
        if classes.contains(&class) {
            return Some(Action::Transition(class.to_owned()));
        }
    }
    ends.then_some(Action::Expire)
}

proptest! {
    #[test]
    fn the_decision_is_that_of_the_naive_implementation(
        rules in rules(),
        key in "[ab]{1,3}",
        tag in proptest::option::of("[xyz]"),
        length in 0u64..8,
        after_ms in 0..8 * DAY_MS,
        keeps: bool,
    ) {
        let tags: BTreeMap<String, String> = tag.clone().map(|value| ("t".to_owned(), value)).into_iter().collect();
        let now = Timestamp(MADE.0 + after_ms);
        let planned = plan(&rules, current(&key, &tags, length), Day::UTC);
        let decided = decide(&planned, now, keeps).map(|planned| planned.action.clone());
        prop_assert_eq!(decided, naive(&rules, &key, tag.as_deref(), length, now.0, keeps));
    }

    #[test]
    fn a_due_time_is_the_first_midnight_that_is_late_enough(from in 0u64..u64::MAX / 2, days in 0u32..40_000, day in 1u64..DAY_MS) {
        let due = Day::of_ms(day).after(Timestamp(from), days).0;
        let least = from + u64::from(days) * day;
        prop_assert!(due >= least && due - least < day && due.is_multiple_of(day));
    }
}
