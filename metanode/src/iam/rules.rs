//! AWS's rules of names, paths, documents and tags (IAM User Guide, "IAM and AWS STS quotas, name requirements, and character
//! limits").

use cairn_protocol::iam::{EntityKind, HolderKind, HolderTags, IamError};

use super::invalid;

/// Upper limit of a path in characters.
const PATH_MAX: usize = 512;

/// Upper limit of a document in bytes, with white space: the longest parameter of AWS's API. It limits what is parsed.
const DOCUMENT_BYTES_MAX: usize = 131_072;

/// Upper limit of a managed policy's document, in characters without white space.
pub(super) const MANAGED_MAX: usize = 6144;

/// Upper limit of the document that says who may assume a role, in characters without white space.
const TRUST_MAX: usize = 2048;

const DESCRIPTION_MAX: usize = 1000;
const TAGS_MAX: usize = 50;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;

/// Upper limit of all inline policies of a user, group or role together, in characters without white space.
pub(super) fn inline_max(kind: HolderKind) -> usize {
    match kind {
        HolderKind::User => 2048,
        HolderKind::Group => 5120,
        HolderKind::Role => 10_240,
    }
}

/// Checks a name.
pub(super) fn name(kind: EntityKind, name: &str) -> Result<(), IamError> {
    let max = match kind {
        EntityKind::Group | EntityKind::Policy | EntityKind::InlinePolicy => 128,
        _ => 64,
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if !(1..=max).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(invalid(format!(
            "the name of a {kind} has 1 to {max} of the characters A-Z, a-z, 0-9 and _+=,.@-"
        )));
    }
    Ok(())
}

/// Checks a path.
pub(super) fn path(path: &str) -> Result<(), IamError> {
    let characters = path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !path.starts_with('/') || !path.ends_with('/') || path.len() > PATH_MAX || !characters {
        return Err(invalid(format!(
            "a path begins and ends with / and has up to {PATH_MAX} printable characters of ASCII"
        )));
    }
    Ok(())
}

/// Checks a description.
pub(super) fn description(text: &str) -> Result<(), IamError> {
    if text.chars().count() > DESCRIPTION_MAX {
        return Err(invalid(format!("a description has up to {DESCRIPTION_MAX} characters")));
    }
    Ok(())
}

/// The length of a document without white space, in characters: what AWS's limits count.
pub(super) fn length(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

/// Checks that a document is a JSON object of up to `max` characters without white space.
pub(super) fn document(text: &str, max: usize) -> Result<(), IamError> {
    if text.len() > DOCUMENT_BYTES_MAX || length(text) > max {
        return Err(IamError::LimitExceeded {
            reason: format!("the document has more than {max} characters without white space"),
        });
    }
    let parsed: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
    parsed.map(drop).map_err(|error| IamError::MalformedDocument { reason: error.to_string() })
}

/// Checks the document that says who may assume a role.
pub(super) fn trust(text: &str) -> Result<(), IamError> {
    document(text, TRUST_MAX)
}

/// Checks tags.
pub(super) fn tags(tags: &HolderTags) -> Result<(), IamError> {
    if tags.len() > TAGS_MAX {
        return Err(IamError::LimitExceeded { reason: format!("a user or role has up to {TAGS_MAX} tags") });
    }
    for (key, value) in tags {
        let length = key.chars().count();
        if !(1..=TAG_KEY_MAX).contains(&length) || value.chars().count() > TAG_VALUE_MAX {
            return Err(invalid(format!(
                "the key of a tag has 1 to {TAG_KEY_MAX} characters, its value up to {TAG_VALUE_MAX}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_awss_characters_and_lengths() {
        for good in ["a", "A_+=,.@-9", &"x".repeat(64)] {
            assert_eq!(name(EntityKind::User, good), Ok(()));
        }
        for wrong in ["", "a b", "a/b", "ä", "a:b", "a*", &"x".repeat(65)] {
            assert!(matches!(name(EntityKind::User, wrong), Err(IamError::InvalidInput { .. })), "{wrong}");
        }
        assert_eq!(name(EntityKind::Group, &"x".repeat(128)), Ok(()));
        assert!(name(EntityKind::Policy, &"x".repeat(129)).is_err());
    }

    #[test]
    fn paths_begin_and_end_with_a_slash() {
        for good in ["/", "/a/", "/a/b.c/"] {
            assert_eq!(path(good), Ok(()));
        }
        for wrong in ["", "a/", "/a", "/a b/", &format!("/{}/", "x".repeat(511))] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn white_space_of_documents_does_not_count() {
        let text = format!("{{ \"a\" : \"{}\" }}", "x".repeat(10));
        assert_eq!(document(&text, 18), Ok(()));
        assert!(matches!(document(&text, 17), Err(IamError::LimitExceeded { .. })));
        for wrong in ["", "[]", "{", "\"text\"", "{} {}"] {
            assert!(matches!(document(wrong, 100), Err(IamError::MalformedDocument { .. })), "{wrong}");
        }
    }
}
