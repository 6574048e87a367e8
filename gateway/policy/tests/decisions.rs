//! The table of decisions, and a second, naive implementation with which the first one must agree.

use cairn_policy::decision::{PolicyKind, Source};
use cairn_policy::principal::Named;
use cairn_policy::{Context, Decision, Kind, Policies, Policy, Principal, Reason, Request, decide};
use proptest::prelude::*;

const ACCOUNT: &str = "123456789012";
const FOREIGN: &str = "999999999999";

fn user(account: &str) -> Principal {
    Principal::User { account: account.into(), name: "ann".into() }
}

fn session(account: &str) -> Principal {
    Principal::RoleSession { account: account.into(), role: "r".into(), session: "s".into() }
}

fn root(account: &str) -> Principal {
    Principal::Root { account: account.into() }
}

/// The identity policy `Effect` on all of S3.
fn identity(effect: &str) -> Policy {
    let text = format!(r#"{{"Statement":{{"Sid":"i","Effect":"{effect}","Action":"s3:*","Resource":"*"}}}}"#);
    Policy::parse(&text, Kind::Identity).unwrap()
}

/// The policy of bucket `b` that has `effect` for `principal`.
fn bucket(effect: &str, principal: &str) -> Policy {
    let text = format!(
        r#"{{"Statement":{{"Sid":"b","Effect":"{effect}","Principal":{principal},"Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::b/*"}}}}"#
    );
    Policy::parse(&text, Kind::Bucket("b")).unwrap()
}

fn get(principal: &Principal, policies: &Policies<'_>) -> Decision {
    let context = Context::default();
    let request = Request {
        principal,
        canonical_id: None,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b/k",
        resource_account: ACCOUNT,
        context: &context,
    };
    decide(&request, policies)
}

fn by(policy: PolicyKind, sid: &str) -> Source {
    Source { policy, sid: Some(sid.into()) }
}

#[test]
fn within_an_account_one_allow_is_enough_and_a_deny_wins() {
    let (allow, deny) = ([identity("Allow")], [identity("Deny")]);
    let for_ann = bucket("Allow", r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#);
    let against_all = bucket("Deny", r#""*""#);
    let ann = user(ACCOUNT);
    let none = Policies::default();
    assert_eq!(get(&ann, &none).reason, Reason::NoAllow);
    let by_identity = Policies { identity: &allow, ..none };
    assert_eq!(get(&ann, &by_identity).reason, Reason::Allow(by(PolicyKind::Identity, "i")));
    let by_bucket = Policies { bucket: Some(&for_ann), ..none };
    assert_eq!(get(&ann, &by_bucket).reason, Reason::Allow(by(PolicyKind::Bucket, "b")));
    let denied = Policies { bucket: Some(&against_all), ..by_identity };
    assert_eq!(get(&ann, &denied).reason, Reason::ExplicitDeny(by(PolicyKind::Bucket, "b")));
    let denied = Policies { identity: &deny, ..by_bucket };
    assert_eq!(get(&ann, &denied).reason, Reason::ExplicitDeny(by(PolicyKind::Identity, "i")));
    let by_acl = Policies { acl: Named::Indirectly, ..none };
    assert_eq!(get(&ann, &by_acl), Decision { allowed: true, reason: Reason::Acl });
}

/// IAM User Guide, "AWS account principals": naming an account delegates to it.
#[test]
fn an_account_that_is_named_lets_its_own_policies_decide() {
    let for_account = bucket("Allow", r#"{"AWS":"123456789012"}"#);
    let allow = [identity("Allow")];
    let policies = Policies { bucket: Some(&for_account), ..Policies::default() };
    assert!(!get(&user(ACCOUNT), &policies).allowed);
    assert!(get(&user(ACCOUNT), &Policies { identity: &allow, ..policies }).allowed);
    let against_account = bucket("Deny", r#"{"AWS":"123456789012"}"#);
    let policies = Policies { identity: &allow, bucket: Some(&against_account), ..Policies::default() };
    assert!(!get(&user(ACCOUNT), &policies).allowed, "a deny names everyone in the account");
}

#[test]
fn the_root_user_may_do_everything_that_the_bucket_does_not_deny_and_can_always_repair_the_policy() {
    assert_eq!(get(&root(ACCOUNT), &Policies::default()).reason, Reason::Root);
    let text = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}}"#;
    let lock_out = Policy::parse(text, Kind::Bucket("b")).unwrap();
    let policies = Policies { bucket: Some(&lock_out), ..Policies::default() };
    assert!(!get(&root(ACCOUNT), &policies).allowed);
    let context = Context::default();
    for (action, allowed) in
        [("s3:DeleteBucketPolicy", true), ("s3:PutBucketPolicy", true), ("s3:ListBucket", false)]
    {
        for (principal, expected) in
            [(root(ACCOUNT), allowed), (root(FOREIGN), false), (user(ACCOUNT), false)]
        {
            let request = Request {
                principal: &principal,
                canonical_id: None,
                action,
                resource: "arn:aws:s3:::b",
                resource_account: ACCOUNT,
                context: &context,
            };
            assert_eq!(decide(&request, &policies).allowed, expected, "{action} {principal:?}");
        }
    }
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let for_account = bucket("Allow", r#"{"AWS":"999999999999"}"#);
    let allow = [identity("Allow")];
    let by_owner = Policies { bucket: Some(&for_account), ..Policies::default() };
    assert_eq!(get(&user(FOREIGN), &by_owner).reason, Reason::OwnAccount);
    assert!(get(&user(FOREIGN), &Policies { identity: &allow, ..by_owner }).allowed);
    assert!(get(&root(FOREIGN), &by_owner).allowed);
    let by_own = Policies { identity: &allow, ..Policies::default() };
    assert_eq!(get(&user(FOREIGN), &by_own).reason, Reason::NoAllow);
    assert!(get(&user(FOREIGN), &Policies { acl: Named::Indirectly, ..by_own }).allowed);
}

/// IAM User Guide, "Policy evaluation for requests within a single account", "IAM role session".
#[test]
fn session_policies_limit_what_role_and_bucket_allow_but_not_what_names_the_session() {
    let (allow, deny, nothing) = ([identity("Allow")], [identity("Deny")], []);
    let for_role = bucket("Allow", r#"{"AWS":"arn:aws:iam::123456789012:role/r"}"#);
    let for_session = bucket("Allow", r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/r/s"}"#);
    let limited = |session_policies| Policies { session: Some(session_policies), ..Policies::default() };
    let sender = session(ACCOUNT);
    let by_role = Policies { identity: &allow, ..limited(&nothing) };
    assert_eq!(get(&sender, &by_role).reason, Reason::SessionPolicy);
    assert!(get(&sender, &Policies { session: Some(&allow), ..by_role }).allowed);
    assert!(get(&sender, &Policies { session: None, ..by_role }).allowed);
    assert!(!get(&sender, &Policies { bucket: Some(&for_role), ..limited(&nothing) }).allowed);
    assert!(get(&sender, &Policies { bucket: Some(&for_role), ..limited(&allow) }).allowed);
    assert!(get(&sender, &Policies { bucket: Some(&for_session), ..limited(&nothing) }).allowed);
    assert!(!get(&sender, &Policies { bucket: Some(&for_session), ..limited(&deny) }).allowed);
    assert!(!get(&sender, &limited(&allow)).allowed, "a session policy gives nothing by itself");
}

/// IAM User Guide, "Permissions boundaries for IAM entities", "Resource-based policies".
#[test]
fn a_boundary_limits_all_but_a_bucket_policy_that_names_the_user() {
    let (allow, deny) = ([identity("Allow")], identity("Deny"));
    let other = Policy::parse(
        r#"{"Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}}"#,
        Kind::Identity,
    )
    .unwrap();
    let for_ann = bucket("Allow", r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#);
    let for_all = bucket("Allow", r#""*""#);
    let limited = Policies { identity: &allow, boundary: Some(&other), ..Policies::default() };
    assert_eq!(get(&user(ACCOUNT), &limited).reason, Reason::Boundary);
    assert!(get(&user(ACCOUNT), &Policies { bucket: Some(&for_ann), ..limited }).allowed);
    assert!(!get(&user(ACCOUNT), &Policies { bucket: Some(&for_all), ..limited }).allowed);
    assert!(
        !get(&user(ACCOUNT), &Policies { bucket: Some(&for_ann), boundary: Some(&deny), ..limited }).allowed
    );
}

/// S3 User Guide, "How Amazon S3 authorizes a request for an object operation".
#[test]
fn the_owner_of_a_bucket_can_deny_but_not_give_an_object_of_another_account() {
    let (for_all, against_all) = (bucket("Allow", r#""*""#), bucket("Deny", r#""*""#));
    let foreign = Policies { bucket_only_denies: true, bucket: Some(&for_all), ..Policies::default() };
    assert!(!get(&Principal::Anonymous, &foreign).allowed);
    assert!(get(&Principal::Anonymous, &Policies { acl: Named::Indirectly, ..foreign }).allowed);
    // The account here is the one that owns the object.
    assert!(get(&root(ACCOUNT), &foreign).allowed);
    assert!(!get(&root(ACCOUNT), &Policies { bucket: Some(&against_all), ..foreign }).allowed);
}

#[test]
fn anonymous_requests_need_a_public_policy_or_acl_and_restricted_buckets_have_none() {
    let public = bucket("Allow", r#""*""#);
    let for_ann = bucket("Allow", r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#);
    let none = Policies::default();
    assert!(!get(&Principal::Anonymous, &none).allowed);
    assert!(!get(&Principal::Anonymous, &Policies { bucket: Some(&for_ann), ..none }).allowed);
    let open = Policies { bucket: Some(&public), ..none };
    assert!(get(&Principal::Anonymous, &open).allowed);
    assert!(get(&Principal::Anonymous, &Policies { acl: Named::Indirectly, ..none }).allowed);
    let restricted = Policies { restrict_public_bucket: true, ..open };
    assert_eq!(get(&Principal::Anonymous, &restricted).reason, Reason::RestrictPublicBuckets);
    let allow = [identity("Allow")];
    let foreign = Policies { identity: &allow, ..restricted };
    assert_eq!(get(&user(FOREIGN), &foreign).reason, Reason::RestrictPublicBuckets);
    assert!(get(&user(ACCOUNT), &restricted).allowed, "the bucket's own account keeps its access");
}

/// "Nothing that is unknown allows": a variable without a value, a value that cannot be compared.
#[test]
fn what_is_unknown_never_allows() {
    let allowed = |statement: &str, context: &Context| {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        let policies = [Policy::parse(&text, Kind::Identity).unwrap()];
        let ann = user(ACCOUNT);
        let request = Request {
            principal: &ann,
            canonical_id: None,
            action: "s3:GetObject",
            resource: "arn:aws:s3:::b/home/ann/x",
            resource_account: ACCOUNT,
            context,
        };
        decide(&request, &Policies { identity: &policies, ..Policies::default() }).allowed
    };
    let nothing = Context::default();
    let ann = Context::default().with("aws:username", "ann");
    let home = r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/home/${aws:username}/*"}"#;
    assert!(allowed(home, &ann) && !allowed(home, &nothing));
    let all_but =
        r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/home/${aws:username}/*"}"#;
    assert!(!allowed(all_but, &ann) && !allowed(all_but, &nothing));
    let condition = |effect: &str, condition: &str| {
        format!(r#"{{"Effect":"{effect}","Action":"s3:*","Resource":"*","Condition":{condition}}}"#)
    };
    let not_other = condition("Allow", r#"{"StringNotEquals":{"aws:username":"${aws:PrincipalTag/other}"}}"#);
    assert!(!allowed(&not_other, &ann));
    let small = condition("Allow", r#"{"NumericNotEquals":{"s3:max-keys":"10"}}"#);
    assert!(!allowed(&small, &Context::default().with("s3:max-keys", "many")));
    // A Deny that is meant to have exceptions denies those who cannot be told to be one.
    let everything = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"},"#;
    let but_not = condition("Deny", r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#);
    let at = |address: &str| Context::default().with("aws:SourceIp", address);
    let both = format!("{everything}{but_not}");
    assert!(allowed(&both, &at("203.0.113.9")));
    assert!(
        !allowed(&both, &at("198.51.100.1")) && !allowed(&both, &at("unknown")) && !allowed(&both, &nothing)
    );
}

/// A policy in few words: effect, whom a bucket policy names (ignored in others), action and key.
#[derive(Clone, Debug)]
struct Rule {
    allow: bool,
    named: &'static str,
    action: &'static str,
    key: &'static str,
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let named =
        proptest::sample::select(vec!["everyone", "account", "foreign account", "ann", "role", "session"]);
    let action = proptest::sample::select(vec!["s3:GetObject", "s3:Get*", "s3:PutObject", "s3:*"]);
    let key = proptest::sample::select(vec!["*", "k", "a/*"]);
    let rule = (any::<bool>(), named, action, key).prop_map(|(allow, named, action, key)| Rule {
        allow,
        named,
        action,
        key,
    });
    proptest::collection::vec(rule, 0..3)
}

fn written(rules: &[Rule], kind: Kind<'_>) -> Option<Policy> {
    let statement = |rule: &Rule| {
        let Rule { allow, named, action, key } = rule;
        let effect = if *allow { "Allow" } else { "Deny" };
        let principal = match *named {
            "everyone" => r#""*""#,
            "account" => r#"{"AWS":"123456789012"}"#,
            "foreign account" => r#"{"AWS":"999999999999"}"#,
            "ann" => r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#,
            "role" => r#"{"AWS":"arn:aws:iam::123456789012:role/r"}"#,
            _ => r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/r/s"}"#,
        };
        let principal = match kind {
            Kind::Bucket(_) => format!(r#""Principal":{principal},"#),
            Kind::Identity | Kind::Trust => String::new(),
        };
        format!(
            r#"{{{principal}"Effect":"{effect}","Action":"{action}","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/{key}"]}}"#
        )
    };
    if rules.is_empty() {
        return None;
    }
    let statements: Vec<_> = rules.iter().map(statement).collect();
    Some(Policy::parse(&format!(r#"{{"Statement":[{}]}}"#, statements.join(",")), kind).unwrap())
}

/// The rules of the documentation, read off one by one, for `s3:GetObject` of `b/k` in [`ACCOUNT`].
fn naive(
    sender: &str,
    identity: &[Rule],
    session: Option<&[Rule]>,
    boundary: Option<&[Rule]>,
    bucket: &[Rule],
    (foreign_object, acl, restrict): (bool, Named, bool),
) -> bool {
    let concerns = |rule: &&Rule| {
        matches!(rule.action, "s3:GetObject" | "s3:Get*" | "s3:*") && matches!(rule.key, "*" | "k")
    };
    let is_named = |rule: &Rule, exactly: &[&str]| exactly.contains(&rule.named);
    let names: &[&str] = match sender {
        "anonymous" => &["everyone"],
        "root" => &["everyone", "account"],
        "ann" => &["everyone", "account", "ann"],
        "session" => &["everyone", "account", "role", "session"],
        "foreign ann" | "foreign root" => &["everyone", "foreign account"],
        _ => unreachable!(),
    };
    let attached =
        |rules: &[Rule], allow: bool| rules.iter().filter(concerns).any(|rule| rule.allow == allow);
    let of_bucket = |allow: bool, names: &[&str]| {
        bucket.iter().filter(concerns).any(|rule| rule.allow == allow && is_named(rule, names))
    };
    let identity: &[Rule] = if matches!(sender, "ann" | "session" | "foreign ann") { identity } else { &[] };
    if of_bucket(false, names)
        || attached(identity, false)
        || session.is_some_and(|rules| attached(rules, false))
        || boundary.is_some_and(|rules| attached(rules, false))
    {
        return false;
    }
    if sender == "root" {
        return true;
    }
    let limits_allow = [session, boundary].into_iter().flatten().all(|rules| attached(rules, true));
    // The bucket's policy gives nothing for an object of another account.
    let of_bucket = |allow, names: &[&str]| of_bucket(allow, names) && !foreign_object;
    let acl_within = acl == Named::Indirectly;
    let acl_across = acl != Named::Not;
    let is_public = bucket.iter().any(|rule| rule.allow && rule.named == "everyone");
    match sender {
        "ann" => {
            (of_bucket(true, &["everyone"]) || attached(identity, true) || acl_within) && limits_allow
                || of_bucket(true, &["ann"])
        }
        "session" => {
            (of_bucket(true, &["everyone", "role"]) || attached(identity, true) || acl_within) && limits_allow
                || of_bucket(true, &["session"])
        }
        _ => {
            let owner_allows = of_bucket(true, names) && !(restrict && is_public) || acl_across;
            match sender {
                "foreign ann" => owner_allows && attached(identity, true) && limits_allow,
                _ => owner_allows,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn decisions_are_those_of_a_naive_reading_of_the_documentation(
        sender in proptest::sample::select(vec!["anonymous", "root", "ann", "session", "foreign ann", "foreign root"]),
        identity in rules(),
        session_rules in proptest::option::of(rules()),
        boundary in proptest::option::of(rules()),
        bucket in rules(),
        foreign_object in any::<bool>(),
        acl in proptest::sample::select(vec![Named::Not, Named::ByAccount, Named::Indirectly]),
        restrict in any::<bool>(),
    ) {
        let principal = match sender {
            "anonymous" => Principal::Anonymous,
            "root" => root(ACCOUNT),
            "ann" => user(ACCOUNT),
            "session" => session(ACCOUNT),
            "foreign ann" => user(FOREIGN),
            _ => root(FOREIGN),
        };
        // Only users and sessions have policies of their own.
        let has_own = matches!(sender, "ann" | "session" | "foreign ann");
        let session_rules = session_rules.filter(|_| has_own);
        let own: Vec<_> = written(&identity, Kind::Identity).filter(|_| has_own).into_iter().collect();
        let passed = session_rules.as_ref().map(|rules| written(rules, Kind::Identity).into_iter().collect::<Vec<_>>());
        // No rules are written as no boundary.
        let boundary = boundary.filter(|rules| has_own && !rules.is_empty());
        let limit = boundary.as_ref().and_then(|rules| written(rules, Kind::Identity));
        let of_bucket = written(&bucket, Kind::Bucket("b"));
        let policies = Policies {
            identity: &own,
            session: passed.as_deref(),
            boundary: limit.as_ref(),
            bucket: of_bucket.as_ref(),
            bucket_only_denies: foreign_object,
            acl,
            restrict_public_bucket: restrict,
        };
        let expected = naive(
            sender, &identity, session_rules.as_deref(), boundary.as_deref(), &bucket, (foreign_object, acl, restrict),
        );
        prop_assert_eq!(get(&principal, &policies).allowed, expected, "{:?}", get(&principal, &policies).reason);
    }

    #[test]
    fn an_explicit_deny_wins_over_everything(identity_rules in rules(), bucket_rules in rules(), in_bucket in any::<bool>()) {
        let deny = Rule { allow: false, named: "everyone", action: "s3:*", key: "*" };
        let (mut own, mut of_bucket) = (identity_rules, bucket_rules);
        if in_bucket { of_bucket.push(deny) } else { own.push(deny) }
        let own: Vec<_> = written(&own, Kind::Identity).into_iter().collect();
        let of_bucket = written(&of_bucket, Kind::Bucket("b"));
        let policies = Policies { identity: &own, bucket: of_bucket.as_ref(), acl: Named::Indirectly, ..Policies::default() };
        prop_assert!(!get(&user(ACCOUNT), &policies).allowed);
    }
}
