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
    /// Reads the header's value. Quotes may be missing, as S3 forgives it; weak tags compare like
    /// strong ones, for S3 makes no weak ones.
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

    /// Whether an object with this ETag (without quotes) is meant.
    pub fn matches(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag == etag),
        }
    }
}

/// An ETag in the quotes that headers and XML have around it.
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
