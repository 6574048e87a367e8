//! Options and texts of quotas, for buckets and users.

use bytesize::ByteSize;
use cairn_protocol::metadata::{Quota, Usage};
use clap::Args;

use crate::arguments::values::size_or_zero;
use crate::units::{count, fill, size};

/// The options that set a quota.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct QuotaArguments {
    /// How many bytes it may use: 10GiB; `none` for no limit
    #[arg(long, value_name = "SIZE", value_parser = or_none(size_or_zero))]
    quota: Option<Limit<ByteSize>>,

    /// How many objects it may have; `none` for no limit
    #[arg(long, value_name = "N", value_parser = or_none(objects))]
    quota_objects: Option<Limit<u64>>,
}

/// A limit, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit<T>(Option<T>);

fn or_none<T>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Limit<T>, String> + Clone + Send + Sync + 'static
where
    T: 'static,
{
    move |text| {
        if text == "none" { Ok(Limit(None)) } else { parse(text).map(|value| Limit(Some(value))) }
    }
}

fn objects(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write it as a whole number, or `none`".to_owned())
}

impl QuotaArguments {
    /// Whether nothing is given.
    pub(in crate::command::admin) fn is_empty(&self) -> bool {
        self.quota.is_none() && self.quota_objects.is_none()
    }

    /// The quota with what is given instead of what was; `None` if nothing is given.
    pub(in crate::command::admin) fn changed(&self, before: Quota) -> Option<Quota> {
        if self.is_empty() {
            return None;
        }
        Some(Quota {
            bytes: self.quota.map_or(before.bytes, |limit| limit.0.map(|size| size.as_u64())),
            objects: self.quota_objects.map_or(before.objects, |limit| limit.0),
        })
    }
}

/// What is used, and how much of the quota that is.
pub(in crate::command::admin) fn bytes(usage: Usage, quota: Quota) -> String {
    match quota.bytes {
        Some(limit) => format!("{} of {} ({})", size(usage.bytes), size(limit), fill(usage.bytes, limit)),
        None => size(usage.bytes),
    }
}

/// The same of objects.
pub(in crate::command::admin) fn objects_used(usage: Usage, quota: Quota) -> String {
    match quota.objects {
        Some(limit) => format!("{} of {}", count(usage.objects), count(limit)),
        None => count(usage.objects),
    }
}
