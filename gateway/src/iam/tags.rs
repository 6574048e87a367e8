//! Tags of users and roles.

use cairn_protocol::iam::{HolderKind, HolderTags, TagHolder, UntagHolder};

use super::documents::all_tags;
use super::{paging, target};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation, characters};

pub(super) const OPERATIONS: &[Operation] = &[
    ("TagUser", |call| Box::pin(tag(call, HolderKind::User))),
    ("TagRole", |call| Box::pin(tag(call, HolderKind::Role))),
    ("UntagUser", |call| Box::pin(untag(call, HolderKind::User))),
    ("UntagRole", |call| Box::pin(untag(call, HolderKind::Role))),
    ("ListUserTags", |call| Box::pin(list(call, HolderKind::User))),
    ("ListRoleTags", |call| Box::pin(list(call, HolderKind::Role))),
];

/// The tags in the parameters `Tags.member.N.Key` and `.Value`.
///
/// # Errors
/// `ValidationError`, and `InvalidInput` for a key that is there twice.
pub(super) fn given(call: &Call) -> Result<HolderTags, Fault> {
    let mut tags = HolderTags::new();
    for [key, value] in call.parameters.structures("Tags", ["Key", "Value"]) {
        let key = characters("Key", key.unwrap_or_default(), (1, 128))?.to_owned();
        let value = characters("Value", value.unwrap_or_default(), (0, 256))?.to_owned();
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = format!("Tag keys that begin with aws: are reserved: {key}");
            return Err(Fault::bad("InvalidInput", message));
        }
        // AWS compares the keys of tags of IAM without regard to case.
        if tags.keys().any(|other| other.eq_ignore_ascii_case(&key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Fault::bad("InvalidInput", message));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

async fn tag(call: &Call, kind: HolderKind) -> Answered {
    let tags = given(call)?;
    if tags.is_empty() {
        call.required("Tags")?;
    }
    let target = target::named(call, kind).await?;
    call.authorise(&format!("iam:{}", call.action), &target.arn)?;
    let request = TagHolder { holder: target.holder, tags, mutation: call.mutation() };
    call.change(|| call.iam().tag_holder(request.clone())).await?;
    Ok(Answer::empty())
}

async fn untag(call: &Call, kind: HolderKind) -> Answered {
    let keys: Vec<String> = call.parameters.list("TagKeys").into_iter().map(str::to_owned).collect();
    if keys.is_empty() {
        call.required("TagKeys")?;
    }
    let target = target::named(call, kind).await?;
    call.authorise(&format!("iam:{}", call.action), &target.arn)?;
    let request = UntagHolder { holder: target.holder, keys, mutation: call.mutation() };
    call.change(|| call.iam().untag_holder(request.clone())).await?;
    Ok(Answer::empty())
}

async fn list(call: &Call, kind: HolderKind) -> Answered {
    let target = target::named(call, kind).await?;
    call.authorise(&format!("iam:{}", call.action), &target.arn)?;
    let tags = match kind {
        HolderKind::Role => call.iam().get_role(target.entity()).await?.tags,
        HolderKind::User | HolderKind::Group => call.iam().get_user(target.entity()).await?.tags,
    };
    let (tags, next) =
        paging::cut(call, tags.into_iter().collect(), |(key, _): &(String, String)| key.clone())?;
    let tags: HolderTags = tags.into_iter().collect();
    Ok(Answer::with(move |xml| {
        all_tags(xml, &tags);
        paging::write(xml, next.as_deref());
    }))
}
