//! `cairn admin bucket`.

use bytesize::ByteSize;
use cairn_protocol::admin::{
    Admin, BucketSettings, BucketUsage, GetBucketSettings, ListBucketUsage, SetBucketSettings,
};
use clap::{Args, Subcommand};

use super::Printer;
use super::quota::{QuotaArguments, bytes, objects_used};
use crate::arguments::values::block_size;
use crate::table::Table;
use crate::units::size;

/// Buckets in a page of a list: as many as the metanode gives.
const PAGE: u32 = 1_000;

#[derive(Subcommand, Debug)]
pub(super) enum BucketOperation {
    /// List the buckets, and what they use and may use
    List,
    /// Show what a bucket uses, its quota, and the settings for its new objects
    Show(BucketArguments),
    /// Change the quota of a bucket, and the settings for objects that are written from then on; options that are not given change nothing
    Set(SetArguments),
}

/// The bucket of a command.
#[derive(Args, Debug)]
pub(super) struct BucketArguments {
    /// The bucket: s3://photos, or photos
    #[arg(value_name = "BUCKET", value_parser = bucket_name)]
    bucket: String,
}

#[derive(Args, Debug)]
pub(super) struct SetArguments {
    #[command(flatten)]
    bucket: BucketArguments,

    /// Replicas of each block, 1 to 16; `default` for the cluster's
    #[arg(long, value_name = "N", value_parser = or_default(replication))]
    replication: Option<Choice<u32>>,

    /// Size of blocks, 64KiB to 256MiB; `default` for the cluster's
    #[arg(long, value_name = "SIZE", value_parser = or_default(block_size))]
    block_size: Option<Choice<ByteSize>>,

    #[command(flatten)]
    quota: QuotaArguments,
}

impl SetArguments {
    fn is_empty(&self) -> bool {
        self.replication.is_none() && self.block_size.is_none() && self.quota.is_empty()
    }
}

/// A value for the bucket, or None for the cluster's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice<T>(Option<T>);

fn or_default<T>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Choice<T>, String> + Clone + Send + Sync + 'static
where
    T: 'static,
{
    move |text| {
        if text == "default" { Ok(Choice(None)) } else { parse(text).map(|value| Choice(Some(value))) }
    }
}

fn replication(text: &str) -> Result<u32, String> {
    let wrong = || "allowed is 1 to 16, or `default`".to_owned();
    text.parse().ok().filter(|replicas| (1..=16).contains(replicas)).ok_or_else(wrong)
}

/// A bucket's name, with or without `s3://`.
pub(super) fn bucket_name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("s3://").unwrap_or(text).trim_end_matches('/');
    if name.is_empty() || name.contains('/') {
        return Err("write it as s3://bucket or bucket".to_owned());
    }
    Ok(name.to_owned())
}

pub(super) async fn run(
    operation: BucketOperation,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    let settings = match operation {
        BucketOperation::List => {
            return printer.show(&all(admin).await?, |buckets| usage_table(buckets).to_string());
        }
        BucketOperation::Show(BucketArguments { bucket }) => {
            admin.bucket_settings(GetBucketSettings { bucket }).await?
        }
        BucketOperation::Set(arguments) => {
            let bucket = arguments.bucket.bucket.clone();
            if arguments.is_empty() {
                anyhow::bail!("say what to change: --quota, --quota-objects, --replication or --block-size");
            }
            let before = admin.bucket_settings(GetBucketSettings { bucket: bucket.clone() }).await?;
            let block_size = arguments.block_size.map(|choice| choice.0.map(|size| size.as_u64()));
            let after = SetBucketSettings {
                bucket,
                replication: arguments.replication.map_or(before.replication, |choice| choice.0),
                block_size: block_size.unwrap_or(before.block_size),
                quota: arguments.quota.changed(before.quota),
            };
            admin.set_bucket_settings(after).await?
        }
    };
    printer.show(&settings, |settings| table(settings).to_string())
}

/// All buckets, in the order of their names.
async fn all(admin: &dyn Admin) -> anyhow::Result<Vec<BucketUsage>> {
    let mut buckets: Vec<BucketUsage> = Vec::new();
    loop {
        let after = buckets.last().map(|bucket| bucket.bucket.clone());
        let page = admin.list_bucket_usage(ListBucketUsage { after, max: PAGE }).await?;
        let is_last = !page.truncated || page.buckets.is_empty();
        buckets.extend(page.buckets);
        if is_last {
            return Ok(buckets);
        }
    }
}

/// Buckets, and what they use and may use.
pub(super) fn usage_table(buckets: &[BucketUsage]) -> Table {
    let mut table = Table::new(["BUCKET", "ACCOUNT", "OBJECTS", "BYTES"]);
    for BucketUsage { bucket, account, quota, usage } in buckets {
        table.row([bucket.clone(), account.clone(), objects_used(*usage, *quota), bytes(*usage, *quota)]);
    }
    table
}

fn table(settings: &BucketSettings) -> Table {
    let origin = |own: bool| if own { "its own" } else { "the cluster's default" }.to_owned();
    let mut table = Table::new(["BUCKET", "SETTING", "VALUE", "WHICH IS"]);
    let bucket = settings.bucket.clone();
    let (usage, quota) = (settings.usage, settings.quota);
    let limited =
        |limit: Option<u64>| if limit.is_some() { "what it uses of its quota" } else { "what it uses" };
    for (name, value, limit) in
        [("objects", objects_used(usage, quota), quota.objects), ("bytes", bytes(usage, quota), quota.bytes)]
    {
        table.row([bucket.clone(), name.to_owned(), value, limited(limit).to_owned()]);
    }
    table.row([
        bucket.clone(),
        "replication".to_owned(),
        settings.effective_replication.to_string(),
        origin(settings.replication.is_some()),
    ]);
    table.row([
        bucket,
        "block size".to_owned(),
        size(settings.effective_block_size),
        origin(settings.block_size.is_some()),
    ]);
    table
}

#[cfg(test)]
mod tests {
    use cairn_protocol::metadata::{Quota, Usage};

    use super::*;
    use crate::command::admin::fake::{Fake, parse};

    async fn orders(line: &[&str]) -> Vec<String> {
        // The fake's bucket has its own settings: replication 2, block size 1 MiB.
        let fake = Fake::default();
        run(parse(line).unwrap(), &fake, Printer { json: true }).await.unwrap();
        fake.orders()
    }

    #[tokio::test]
    async fn options_that_are_not_given_leave_a_bucket_unchanged() {
        assert_eq!(
            orders(&["set", "s3://photos", "--replication", "5"]).await,
            ["set_bucket_settings photos Some(5) Some(1048576) None"]
        );
        assert_eq!(
            orders(&["set", "photos", "--block-size", "4MiB", "--replication", "default"]).await,
            ["set_bucket_settings photos None Some(4194304) None"]
        );
    }

    #[tokio::test]
    async fn one_limit_of_a_quota_is_changed_or_removed_without_the_other() {
        // The fake's bucket may have 7 objects and 1 GiB.
        for (options, wanted) in [
            (&["--quota", "10GiB"][..], "Some(7) Some(10737418240)"),
            (&["--quota-objects", "none"], "None Some(1073741824)"),
            (&["--quota", "none", "--quota-objects", "0"], "Some(0) None"),
        ] {
            let line: Vec<_> = ["set", "photos"].iter().chain(options).copied().collect();
            let wanted = format!("set_bucket_settings photos Some(2) Some(1048576) {wanted}");
            assert_eq!(orders(&line).await, [wanted]);
        }
        let fake = Fake::default();
        let nothing = run(parse(&["set", "b"]).unwrap(), &fake, Printer { json: true }).await;
        assert!(nothing.unwrap_err().to_string().contains("--quota"));
        assert!(fake.orders().is_empty());
    }

    #[test]
    fn a_quota_is_shown_with_what_is_used_of_it() {
        let bucket = |quota| BucketUsage {
            bucket: "b".into(),
            account: "000000000000".into(),
            quota,
            usage: Usage { objects: 1_200, bytes: 512 << 20 },
        };
        let text = usage_table(&[
            bucket(Quota { objects: Some(2_000), bytes: Some(1 << 30) }),
            bucket(Quota::default()),
        ])
        .to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1].contains("1,200 of 2,000") && lines[1].contains("512.0 MiB of 1.0 GiB (50.0 %)"),
            "{text}"
        );
        assert!(lines[2].contains("1,200") && lines[2].ends_with("512.0 MiB"), "{text}");
    }

    #[test]
    fn invalid_values_of_a_bucket_are_refused() {
        for wrong in [
            &["set", "b", "--replication", "0"][..],
            &["set", "b", "--quota", "much"],
            &["set", "b", "--quota-objects", "-1"],
            &["set", "b", "--quota-objects", "1.5"],
            &["set", "b", "--replication", "17"],
            &["set", "b", "--block-size", "1GiB"],
            &["show", "s3://b/key"],
            &["show", "s3://"],
        ] {
            assert!(parse::<BucketOperation>(wrong).is_err(), "{wrong:?}");
        }
    }
}
