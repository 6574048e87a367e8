//! What a decision costs: 20 statements, of which the last one allows.

use cairn_policy::{Context, Kind, Policies, Policy, Principal, Request, decide};
use criterion::{Criterion, criterion_group, criterion_main};

fn policy(statements: usize) -> Policy {
    let statement = |n: usize| {
        format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::123456789012:user/ann"}},"Action":["s3:Get*","s3:ListBucket*"],
                "Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/home/{n}/${{aws:username}}/*"],
                "Condition":{{"IpAddress":{{"aws:SourceIp":"203.0.113.0/24"}}}}}}"#
        )
    };
    let statements: Vec<_> = (0..statements).map(statement).collect();
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Policy::parse(&text, Kind::Bucket("bucket")).expect("a policy")
}

fn decisions(criterion: &mut Criterion) {
    let policy = policy(20);
    let principal = Principal::User { account: "123456789012".into(), name: "ann".into() };
    let context = Context::default().with("aws:username", "ann").with("aws:SourceIp", "203.0.113.7");
    let request = Request {
        principal: &principal,
        canonical_id: None,
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket/home/19/ann/some/longer/key/of/an/object.bin",
        resource_account: "123456789012",
        context: &context,
    };
    let policies = Policies { bucket: Some(&policy), ..Policies::default() };
    assert!(decide(&request, &policies).allowed);
    criterion.bench_function("decide by a bucket policy of 20 statements", |b| {
        b.iter(|| decide(&request, &policies))
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
