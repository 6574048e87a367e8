//! `cairn admin bucket`.

use bytesize::ByteSize;
use cairn_protocol::admin::{Admin, BucketSettings, GetBucketSettings, SetBucketSettings};
use clap::{Args, Subcommand};

use super::Printer;
use crate::arguments::values::block_size;
use crate::table::Table;
use crate::units::size;

#[derive(Subcommand, Debug)]
pub(super) enum BucketOperation {
    /// Show the settings for new objects of a bucket
    Show(BucketArguments),
    /// Change the settings for objects that are written from then on; options that are not given change nothing
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
#[group(id = "wanted", multiple = true)]
pub(super) struct SetArguments {
    #[command(flatten)]
    bucket: BucketArguments,

    /// Replicas of each block, 1 to 16; `default` for the cluster's
    #[arg(long, value_name = "N", value_parser = or_default(replication), required_unless_present = "block_size")]
    replication: Option<Choice<u32>>,

    /// Size of blocks, 64KiB to 256MiB; `default` for the cluster's
    #[arg(long, value_name = "SIZE", value_parser = or_default(block_size))]
    block_size: Option<Choice<ByteSize>>,
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
        BucketOperation::Show(BucketArguments { bucket }) => {
            admin.bucket_settings(GetBucketSettings { bucket }).await?
        }
        BucketOperation::Set(arguments) => {
            let bucket = arguments.bucket.bucket;
            let before = admin.bucket_settings(GetBucketSettings { bucket: bucket.clone() }).await?;
            let block_size = arguments.block_size.map(|choice| choice.0.map(|size| size.as_u64()));
            let after = SetBucketSettings {
                bucket,
                replication: arguments.replication.map_or(before.replication, |choice| choice.0),
                block_size: block_size.unwrap_or(before.block_size),
            };
            admin.set_bucket_settings(after).await?
        }
    };
    printer.show(&settings, |settings| table(settings).to_string())
}

fn table(settings: &BucketSettings) -> Table {
    let origin = |own: bool| if own { "its own" } else { "the cluster's default" }.to_owned();
    let mut table = Table::new(["BUCKET", "SETTING", "VALUE", "WHICH IS"]);
    let bucket = settings.bucket.clone();
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
            ["set_bucket_settings photos Some(5) Some(1048576)"]
        );
        assert_eq!(
            orders(&["set", "photos", "--block-size", "4MiB", "--replication", "default"]).await,
            ["set_bucket_settings photos None Some(4194304)"]
        );
    }

    #[test]
    fn invalid_values_of_a_bucket_are_refused() {
        for wrong in [
            &["set", "b"][..],
            &["set", "b", "--replication", "0"],
            &["set", "b", "--replication", "17"],
            &["set", "b", "--block-size", "1GiB"],
            &["show", "s3://b/key"],
            &["show", "s3://"],
        ] {
            assert!(parse::<BucketOperation>(wrong).is_err(), "{wrong:?}");
        }
    }
}
