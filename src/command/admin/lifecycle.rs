//! `cairn admin lifecycle`: what lifecycle rules want of an object, and what is due.

use cairn_protocol::admin::{
    Admin, ExplainLifecycle, ExplainedAction, ExplainedRule, ExplainedUpload, ExplainedVersion,
    LifecycleExplanation, LifecycleRequest, LifecycleStatus,
};
use cairn_protocol::env::Timestamp;
use clap::Subcommand;

use super::Printer;
use super::location::{ObjectName, object_name};
use crate::table::Table;
use crate::units::{count, of, span, time};

const EXPLAIN_HELP: &str = "\
It changes nothing: it shows what the worker would do now, and why it does not do more. Rules are due by the clock for locks \
(`cairn admin lock-clock`), which does not follow the wall clock when that leaps forward.";

#[derive(Subcommand, Debug)]
pub(super) enum LifecycleOperation {
    /// What the rules of the bucket want of each version and upload of a key, and when
    #[command(after_help = EXPLAIN_HELP)]
    Explain {
        /// The object: s3://bucket/key
        #[arg(value_name = "OBJECT", value_parser = object_name)]
        object: ObjectName,
    },
    /// The buckets with rules, and what is due
    List,
}

pub(super) async fn run(
    operation: LifecycleOperation,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        LifecycleOperation::Explain { object: ObjectName { bucket, key } } => {
            let explained = admin.explain_lifecycle(ExplainLifecycle { bucket, key }).await?;
            printer.show(&explained, explanation)
        }
        LifecycleOperation::List => printer.show(&admin.lifecycle(LifecycleRequest {}).await?, list),
    }
}

fn explanation(explained: &LifecycleExplanation) -> String {
    let mut parts = vec![heading(explained)];
    parts.extend(explained.versions.iter().map(|version| of_version(version, explained.now)));
    if explained.more_versions {
        parts.push("There are more versions.".to_owned());
    }
    parts.extend(explained.uploads.iter().map(|upload| of_upload(upload, explained.now)));
    if explained.more_uploads {
        parts.push("There are more uploads.".to_owned());
    }
    parts.join("\n\n")
}

fn heading(explained: &LifecycleExplanation) -> String {
    let mut facts = Table::of_facts();
    let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
    fact("object", format!("s3://{}/{}", explained.bucket, explained.key));
    fact("rules", count(explained.rules));
    fact("time", time(explained.now));
    if explained.day_ms != 24 * 3600 * 1000 {
        fact("length of a day", span(explained.day_ms));
    }
    if explained.is_walked {
        fact("note", "the rules were changed, and the worker has yet to look at some versions".to_owned());
    }
    facts.to_string()
}

fn of_version(version: &ExplainedVersion, now: Timestamp) -> String {
    let kind = match (version.is_delete_marker, version.is_current) {
        (true, true) => "current delete marker",
        (true, false) => "noncurrent delete marker",
        (false, true) => "current version",
        (false, false) => "noncurrent version",
    };
    let mut lines = vec![format!("{kind} {}, {}", version.version, version.storage_class)];
    lines.push(format!("  made {}, {}", time(version.modified_at), of(version.length, "byte")));
    if let Some(since) = version.noncurrent_since {
        let newer = of(u64::from(version.newer_noncurrent), "newer noncurrent version");
        lines.push(format!("  noncurrent since {}, {newer}", time(since)));
    }
    lines.extend(version.rules.iter().map(rule));
    lines.push(verdict(version.action.as_ref(), version.kept_by.as_deref(), version.due_at, now));
    lines.join("\n")
}

fn of_upload(upload: &ExplainedUpload, now: Timestamp) -> String {
    let mut lines = vec![format!("upload {}, begun {}", upload.upload, time(upload.initiated_at))];
    lines.extend(upload.rules.iter().map(rule));
    lines.push(verdict(upload.action.as_ref(), None, upload.due_at, now));
    lines.join("\n")
}

fn rule(rule: &ExplainedRule) -> String {
    let mut words: Vec<String> =
        rule.actions.iter().map(|action| format!("{} from {} on", action.action, time(action.due))).collect();
    words.extend(rule.why_not.iter().map(|why| format!("nothing: {why}")));
    format!("  rule {}: {}", rule.rule, words.join("; "))
}

/// What the worker would do now, and when it looks next.
fn verdict(
    action: Option<&ExplainedAction>,
    kept_by: Option<&str>,
    due_at: Option<Timestamp>,
    now: Timestamp,
) -> String {
    match (action, kept_by, due_at) {
        (Some(action), None, _) => format!("  now: {} (rule {})", action.action, action.rule),
        (Some(action), Some(why), due_at) => {
            let again = due_at.filter(|due| *due > now).map(|due| format!("; looked at again {}", time(due)));
            format!("  now: nothing. {} is kept back by {why}{}", action.action, again.unwrap_or_default())
        }
        (None, Some(why), _) => format!("  now: nothing: {why}"),
        (None, None, Some(due)) => format!("  now: nothing; looked at again {}", time(due)),
        (None, None, None) => "  now: nothing".to_owned(),
    }
}

fn list(status: &LifecycleStatus) -> String {
    let mut table = Table::new(["BUCKET", "RULES", "ENABLED", "OVERDUE", "WALK"]).right(&[1, 2, 3]);
    for bucket in &status.buckets {
        let walk = bucket.looked_at.map(|looked_at| format!("{} looked at", count(looked_at)));
        table.row([
            bucket.bucket.clone(),
            count(bucket.rules),
            count(bucket.enabled),
            count(bucket.overdue),
            walk.unwrap_or_else(|| "done".to_owned()),
        ]);
    }
    let mut parts = Vec::new();
    if status.buckets.is_empty() {
        parts.push("No bucket has lifecycle rules.".to_owned());
    } else {
        parts.push(table.to_string());
    }
    if status.more_buckets {
        parts.push("There are more buckets.".to_owned());
    }
    let overdue = match status.overdue {
        many if many >= status.overdue_max => format!("{} or more", count(status.overdue_max)),
        many => count(many),
    };
    let next = status.next_due.map_or_else(|| "none".to_owned(), time);
    parts.push(format!("overdue: {overdue}; next due: {next}"));
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use cairn_protocol::admin::{LifecycleAction, LifecycleBucket};
    use cairn_protocol::metadata::VersionName;

    use super::*;

    fn version() -> ExplainedVersion {
        let expire = |due| ExplainedAction {
            action: LifecycleAction::DeleteVersion,
            due: Timestamp(due),
            rule: "old".to_owned(),
        };
        ExplainedVersion {
            version: VersionName::Null,
            is_current: false,
            is_delete_marker: false,
            modified_at: Timestamp(0),
            noncurrent_since: Some(Timestamp(1)),
            newer_noncurrent: 2,
            length: 5,
            storage_class: "STANDARD".to_owned(),
            due_at: Some(Timestamp(9_000)),
            action: Some(expire(10)),
            kept_by: None,
            rules: vec![
                ExplainedRule { rule: "old".to_owned(), actions: vec![expire(10)], why_not: None },
                ExplainedRule {
                    rule: "logs".to_owned(),
                    actions: vec![],
                    why_not: Some("it is disabled".to_owned()),
                },
            ],
        }
    }

    #[test]
    fn a_version_is_explained_with_what_is_done_now_and_why_not() {
        let text = of_version(&version(), Timestamp(100));
        assert!(text.contains("noncurrent version null") && text.contains("2 newer"), "{text}");
        assert!(text.contains("rule logs: nothing: it is disabled"), "{text}");
        assert!(text.ends_with("now: delete the noncurrent version (rule old)"), "{text}");
        let locked = ExplainedVersion { kept_by: Some("its legal hold".to_owned()), ..version() };
        let text = of_version(&locked, Timestamp(100));
        assert!(text.contains("now: nothing.") && text.contains("its legal hold; looked at again"), "{text}");
    }

    #[test]
    fn overdue_versions_are_counted_up_to_a_bound() {
        let bucket = LifecycleBucket {
            bucket: "logs".to_owned(),
            rules: 2,
            enabled: 1,
            looked_at: Some(1_234),
            overdue: 7,
        };
        let status = LifecycleStatus {
            now: Timestamp(5),
            day_ms: 1,
            buckets: vec![bucket],
            more_buckets: false,
            next_due: None,
            overdue: 10,
            overdue_max: 10,
        };
        let text = list(&status);
        assert!(
            text.contains("1,234 looked at") && text.contains("overdue: 10 or more; next due: none"),
            "{text}"
        );
    }
}
