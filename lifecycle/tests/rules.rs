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
        (
            Rule { noncurrent_expiration: noncurrent(1, 1), form: FilterForm::RulePrefix, ..rule() },
            Some("NewerNoncurrentVersions can only be specified in a rule with a Filter element."),
        ),
        (
            Rule { filter: Filter { larger_than: Some((5 << 40) + 1), ..Filter::default() }, ..good() },
            Some("Object size in a Filter must not be larger than 5 TB"),
        ),
        (
            Rule { expiration: Some(Expiration::KeepDeleteMarkers), filter: tagged(), ..rule() },
            Some("ExpiredObjectDeleteMarker cannot be specified with Tags."),
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

fn set(rules: impl Into<Vec<Rule>>) -> RuleSet {
    RuleSet { rules: rules.into(), minimum_size: MinimumSize::default() }
}

/// Larger than what keeps its storage class by default.
const LARGE: u64 = 128 * 1024;

#[test]
fn a_conflict_is_decided_as_aws_documents_it() {
    let tags = BTreeMap::new();
    let set = set([
        Rule { transitions: vec![to("STANDARD_IA", 30), to("GLACIER", 60)], ..rule() },
        Rule { expiration: expires(60), ..rule() },
        Rule { expiration: expires(45), is_enabled: false, ..rule() },
    ]);
    let planned = plan(&set, current("k", &tags, LARGE), Day::UTC);
    let at = |days, keeps_versions| {
        planned.decide(Day::UTC.after(MADE, days), keeps_versions).map(|planned| planned.action.clone())
    };
    assert_eq!(at(29, false), None);
    assert_eq!(at(30, false), Some(Action::Transition("STANDARD_IA".into())));
    assert_eq!(at(60, false), Some(Action::Expire), "a deletion for good wins over a transition");
    assert_eq!(at(60, true), Some(Action::Transition("GLACIER".into())), "which wins over a delete marker");
    assert_eq!(planned.expiration().map(|planned| planned.due), Some(Day::UTC.after(MADE, 60)));
}

/// User Guide, "Examples of S3 Lifecycle configurations", "Example 5: Overlapping filters, conflicting lifecycle actions, and what
/// Amazon S3 does with nonversioned buckets".
#[test]
fn the_documented_examples_of_overlapping_rules() {
    let prefixed = |prefix: &str| Filter { prefix: prefix.into(), ..Filter::default() };
    let none = BTreeMap::new();
    let at = |rules: Vec<Rule>, key: &str, days| {
        let set = set(rules);
        let planned = plan(&set, current(key, &none, LARGE), Day::UTC);
        planned.decide(Day::UTC.after(MADE, days), false).map(|planned| planned.action.clone())
    };
    // "Example 1: Overlapping prefixes (no conflict)": all expire after a year, classA/ changes its class after 30 days.
    let rules = || {
        vec![
            Rule { expiration: expires(365), ..rule() },
            Rule { filter: prefixed("classA/"), transitions: vec![to("STANDARD_IA", 30)], ..rule() },
        ]
    };
    assert_eq!(at(rules(), "classA/doc", 30), Some(Action::Transition("STANDARD_IA".into())));
    assert_eq!(at(rules(), "classB/doc", 30), None);
    assert_eq!(at(rules(), "classA/doc", 365), Some(Action::Expire));
    // "Example 2: Conflicting lifecycle actions": transition after 365 days for all, expiration after 180 for logs/.
    let rules = || {
        vec![
            Rule { transitions: vec![to("STANDARD_IA", 365)], ..rule() },
            Rule { filter: prefixed("logs/"), expiration: expires(180), ..rule() },
        ]
    };
    assert_eq!(at(rules(), "logs/doc", 180), Some(Action::Expire));
    assert_eq!(at(rules(), "doc", 365), Some(Action::Transition("STANDARD_IA".into())));
    // "Example 3: Overlapping prefixes resulting in conflicting lifecycle actions": of two classes on one day the cheaper one.
    let rules = || {
        vec![
            Rule { transitions: vec![to("STANDARD_IA", 10)], ..rule() },
            Rule { filter: prefixed("logs/"), transitions: vec![to("GLACIER", 10)], ..rule() },
        ]
    };
    assert_eq!(at(rules(), "logs/doc", 10), Some(Action::Transition("GLACIER".into())));
}

#[test]
fn a_class_that_was_reached_is_kept_and_none_becomes_warmer() {
    let tags = BTreeMap::new();
    let at = |moves: Vec<Transition>, class: &str, days| {
        let set = set([Rule { transitions: moves, ..rule() }]);
        let subject = Subject::Current { key: "k", tags: &tags, length: LARGE, made_at: MADE, class };
        let planned = plan(&set, subject, Day::UTC);
        let now = Day::UTC.after(MADE, days);
        let action = planned.decide(now, false).map(|planned| planned.action.clone());
        (action, planned.next_due(now, false))
    };
    let two = || vec![to("STANDARD_IA", 30), to("GLACIER", 60)];
    let due = |days| Some(Day::UTC.after(MADE, days));
    assert_eq!(at(two(), "STANDARD_IA", 40), (None, due(60)));
    assert_eq!(at(two(), "GLACIER", 70), (None, None));
    assert_eq!(at(two(), "DEEP_ARCHIVE", 70), (None, None), "no object becomes warmer");
    assert_eq!(at(vec![to("INTELLIGENT_TIERING", 1)], "ONEZONE_IA", 2).0, None);
    assert_eq!(
        at(vec![to("GLACIER_IR", 1)], "ONEZONE_IA", 2).0,
        None,
        "the User Guide has no such transition"
    );
    // Of a class of the configuration it is not known how cold it is: the later transition wins, and does not go back.
    let own = || vec![to("STANDARD_IA", 30), to("own", 60), to("other", 90)];
    assert_eq!(at(own(), "STANDARD_IA", 60).0, Some(Action::Transition("own".into())));
    assert_eq!(at(own(), "own", 70), (None, due(90)));
    assert_eq!(at(own(), "own", 90).0, Some(Action::Transition("other".into())));
    assert_eq!(at(own(), "other", 100), (None, None));
}

/// User Guide, "Example: Allowing objects smaller than 128 KB to be transitioned".
#[test]
fn small_objects_keep_their_class_unless_a_filter_names_a_size() {
    let tags = BTreeMap::new();
    let changes = |minimum_size, filter: Filter, class: &str, length| {
        let set =
            RuleSet { rules: vec![Rule { filter, transitions: vec![to(class, 1)], ..rule() }], minimum_size };
        !plan(&set, current("k", &tags, length), Day::UTC).planned.is_empty()
    };
    let [all, varies] = MinimumSize::ALL;
    let any_size = || Filter { larger_than: Some(1), ..Filter::default() };
    for (minimum, filter, class, length, wanted) in [
        (all, Filter::default(), "GLACIER_IR", LARGE, true),
        (all, Filter::default(), "GLACIER_IR", LARGE - 1, false),
        (all, Filter::default(), "GLACIER", LARGE - 1, false),
        (varies, Filter::default(), "GLACIER", LARGE - 1, true),
        (varies, Filter::default(), "DEEP_ARCHIVE", 0, true),
        (varies, Filter::default(), "GLACIER_IR", LARGE - 1, false),
        (all, any_size(), "GLACIER_IR", 2, true),
        (all, any_size(), "GLACIER_IR", 1, false),
    ] {
        assert_eq!(changes(minimum, filter, class, length), wanted, "{minimum:?} {class} {length}");
    }
}

#[test]
fn newer_noncurrent_versions_are_kept() {
    let tags = BTreeMap::new();
    let end = NoncurrentExpiration { days: 1, newer_kept: 2 };
    let set = set([Rule { noncurrent_expiration: Some(end), ..rule() }]);
    assert_eq!(set.newer_kept(), [2]);
    for (newer, wanted) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        let class = Some("STANDARD");
        let subject =
            Subject::Noncurrent { key: "k", tags: &tags, length: 1, noncurrent_since: MADE, newer, class };
        assert_eq!(plan(&set, subject, Day::UTC).planned.len(), wanted, "{newer}");
    }
}

#[test]
fn sole_delete_markers_and_uploads_have_no_tags() {
    let tagged = Filter { tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..Filter::default() };
    let set = set([
        Rule { expiration: expires(1), filter: tagged, ..rule() },
        Rule { expiration: Some(Expiration::DeleteMarkers), abort_uploads_days: Some(2), ..rule() },
        Rule { expiration: Some(Expiration::KeepDeleteMarkers), ..rule() },
    ]);
    let marker = Subject::SoleMarker { key: "k", made_at: MADE };
    let planned = plan(&set, marker, Day::UTC).planned;
    assert_eq!(planned.len(), 1);
    assert_eq!((&planned[0].action, planned[0].due), (&Action::RemoveMarker, MADE));
    let planned = plan(&set, Subject::Upload { key: "k", begun_at: MADE }, Day::UTC).planned;
    assert_eq!((&planned[0].action, planned[0].due), (&Action::Abort, Day::UTC.after(MADE, 2)));
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let filter = (
        "[ab]{0,2}",
        proptest::option::of("[xy]"),
        proptest::option::of(LARGE..LARGE + 5),
        proptest::option::of(LARGE..LARGE + 8),
    )
        .prop_map(|(prefix, tag, larger_than, smaller_than)| Filter {
            prefix,
            tags: tag.map(|value| ("t".to_owned(), value)).into_iter().collect(),
            larger_than,
            smaller_than,
        });
    let class = || prop_oneof![Just("GLACIER"), Just("DEEP_ARCHIVE"), Just("STANDARD_IA")];
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
    for class in ["DEEP_ARCHIVE", "GLACIER", "STANDARD_IA"] {
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
        length in LARGE..LARGE + 8,
        after_ms in 0..8 * DAY_MS,
        keeps: bool,
    ) {
        let tags: BTreeMap<String, String> = tag.clone().map(|value| ("t".to_owned(), value)).into_iter().collect();
        let now = Timestamp(MADE.0 + after_ms);
        let set = set(rules.clone());
        let planned = plan(&set, current(&key, &tags, length), Day::UTC);
        let decided = planned.decide(now, keeps).map(|planned| planned.action.clone());
        prop_assert_eq!(&decided, &naive(&rules, &key, tag.as_deref(), length, now.0, keeps));
        // Whatever is done at some time was announced before: no due time is too late.
        let next = planned.next_due(now, keeps);
        prop_assert_eq!(decided.is_some(), next.is_some_and(|next| next <= now));
        for later in (0..9).map(|days| Timestamp(now.0 + days * DAY_MS)) {
            if planned.decide(later, keeps).is_some() {
                prop_assert!(next.is_some_and(|next| next <= later));
            }
        }
    }

    #[test]
    fn a_due_time_is_the_first_midnight_that_is_late_enough(from in 0u64..u64::MAX / 2, days in 0u32..40_000, day in 1u64..DAY_MS) {
        let due = Day::of_ms(day).after(Timestamp(from), days).0;
        let least = from + u64::from(days) * day;
        prop_assert!(due >= least && due - least < day && due.is_multiple_of(day));
    }
}
