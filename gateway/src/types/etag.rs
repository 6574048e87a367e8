//! Entity tags in conditions.

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtagList {
    /// `*`: any object.
    Any,
    /// One of these, without quotes.
    Tags(Vec<String>),
}

impl EtagList {
    /// Parses the header's value. Quotes may be missing, as in S3. Weak tags compare like strong ones, because S3 makes
    /// no weak tags.
    pub fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::Any;
        }
        let tags = text.split(',').map(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag).to_owned()
        });
        Self::Tags(tags.filter(|tag| !tag.is_empty()).collect())
    }

    /// Whether the list contains this ETag, given without quotes.
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}

/// An ETag in quotes, as in headers and XML.
pub fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_with_quotes_and_without() {
        for (text, matches) in [
            ("*", true),
            ("\"abc\"", true),
            ("abc", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("\"x\"", false),
            ("", false),
            ("\"ABC\"", false),
        ] {
            assert_eq!(EtagList::parse(text).matches("abc"), matches, "{text}");
        }
    }
}
