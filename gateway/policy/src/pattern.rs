//! Patterns: texts with `*`, `?` and policy variables.
//!
//! Source: IAM User Guide, "IAM policy elements: Variables and tags".

use std::borrow::Cow;

use crate::context::Context;

/// A text with wildcards and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Character(char),
    /// `?`: one character.
    AnyCharacter,
    /// `*`: any number of characters.
    AnyText,
    /// `${key}` or `${key, 'default'}`.
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// Which characters of a pattern have a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// None: the text stands for itself.
    Literal,
    /// Wildcards. Policies of version 2008-10-17 have no variables.
    Wildcards,
    /// Variables, but no wildcards.
    Variables,
    /// Wildcards and variables.
    Full,
}

impl Syntax {
    fn has_wildcards(self) -> bool {
        matches!(self, Self::Wildcards | Self::Full)
    }

    fn has_variables(self) -> bool {
        matches!(self, Self::Variables | Self::Full)
    }

    /// The same without wildcards.
    pub(crate) fn without_wildcards(self) -> Self {
        if self.has_variables() { Self::Variables } else { Self::Literal }
    }
}

impl Pattern {
    /// Parses a pattern. A `${` that begins no variable stands for itself.
    pub fn parse(text: &str, syntax: Syntax) -> Self {
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let variable = if syntax.has_variables() { variable(rest) } else { None };
            let (piece, length) = match (character, variable) {
                (_, Some(found)) => found,
                ('*', None) if syntax.has_wildcards() => (Piece::AnyText, 1),
                ('?', None) if syntax.has_wildcards() => (Piece::AnyCharacter, 1),
                (other, None) => (Piece::Character(other), other.len_utf8()),
            };
            pieces.push(piece);
            rest = &rest[length..];
        }
        Self { text: text.to_owned(), pieces }
    }

    /// The text of the pattern.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern is a text without wildcards and variables.
    pub fn is_fixed(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Character(_)))
    }

    /// The pattern in lower case. The values of variables are compared as they are.
    #[must_use]
    pub(crate) fn in_lower_case(self) -> Self {
        let lower = |piece| match piece {
            Piece::Character(character) => character.to_lowercase().map(Piece::Character).collect(),
            other => vec![other],
        };
        Self { text: self.text, pieces: self.pieces.into_iter().flat_map(lower).collect() }
    }

    /// Whether a text matches. Returns `None` if a variable has no value in this request: if its key is missing or
    /// multivalued, and the pattern has no default for it. The value of a variable stands for itself, also if it contains `*`.
    pub fn matches(&self, text: &str, context: &Context) -> Option<bool> {
        let pieces = self.expand(context)?;
        Some(matches(&pieces, text))
    }

    fn expand(&self, context: &Context) -> Option<Cow<'_, [Piece]>> {
        if !self.pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. })) {
            return Some(Cow::Borrowed(&self.pieces));
        }
        let mut expanded = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Variable { key, default } => {
                    let value = context.single(key).or(default.as_deref())?;
                    expanded.extend(value.chars().map(Piece::Character));
                }
                other => expanded.push(other.clone()),
            }
        }
        Some(Cow::Owned(expanded))
    }
}

/// The variable at the beginning of `text`, and its length in bytes. `${*}`, `${?}` and `${$}` stand for these characters.
fn variable(text: &str) -> Option<(Piece, usize)> {
    let inner = text.strip_prefix("${")?;
    let (inner, _) = inner.split_once('}')?;
    let length = inner.len() + "${}".len();
    let piece = match inner {
        "*" => Piece::Character('*'),
        "?" => Piece::Character('?'),
        "$" => Piece::Character('$'),
        _ => {
            let (key, default) = match inner.split_once(',') {
                Some((key, default)) => (key, Some(quoted(default.trim())?)),
                None => (inner, None),
            };
            let key = key.trim();
            if key.is_empty() || key.contains(char::is_whitespace) {
                return None;
            }
            Piece::Variable { key: key.to_ascii_lowercase(), default: default.map(str::to_owned) }
        }
    };
    Some((piece, length))
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.strip_suffix('\'')
}

/// Matches with one point of return: where the last `*` began. It takes time proportional to pattern times text, for any input.
fn matches(pieces: &[Piece], text: &str) -> bool {
    let (mut piece, mut rest) = (0, text);
    // The piece behind the last star, and the text that the star has not taken.
    let mut after_star: Option<(usize, &str)> = None;
    loop {
        let mut characters = rest.chars();
        let next = characters.next();
        let step = match pieces.get(piece) {
            Some(Piece::AnyText) => {
                after_star = Some((piece + 1, rest));
                piece += 1;
                continue;
            }
            Some(Piece::AnyCharacter) => next.is_some(),
            Some(Piece::Character(wanted)) => next == Some(*wanted),
            Some(Piece::Variable { .. }) => false,
            None if next.is_none() => return true,
            None => false,
        };
        if step {
            piece += 1;
            rest = characters.as_str();
            continue;
        }
        let Some((behind, untaken)) = after_star else { return false };
        // The star takes one character more.
        let mut untaken = untaken.chars();
        if untaken.next().is_none() {
            return false;
        }
        piece = behind;
        rest = untaken.as_str();
        after_star = Some((behind, rest));
    }
}

/// A pattern of an ARN. The first five parts, which colons separate, match part by part: a `*` does not reach over a colon.
/// The last part, the resource, is the rest, colons and slashes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArnPattern {
    text: String,
    /// `None`: a lone `*`, which matches every ARN.
    parts: Option<Vec<Pattern>>,
}

/// The number of parts of an ARN.
const ARN_PARTS: usize = 6;

impl ArnPattern {
    /// Parses a pattern. Returns `None` for what cannot be an ARN: it needs six parts and must begin with `arn`.
    pub fn parse(text: &str, syntax: Syntax) -> Option<Self> {
        if text == "*" {
            return Some(Self { text: text.to_owned(), parts: None });
        }
        let parts = split(text);
        if parts.len() != ARN_PARTS || parts[0] != "arn" {
            return None;
        }
        let parts = parts.into_iter().map(|part| Pattern::parse(part, syntax)).collect();
        Some(Self { text: text.to_owned(), parts: Some(parts) })
    }

    /// The text of the pattern.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern has no wildcards and variables.
    pub fn is_fixed(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.iter().all(Pattern::is_fixed))
    }

    /// Whether an ARN matches; `None` if a variable has no value in this request.
    pub fn matches(&self, arn: &str, context: &Context) -> Option<bool> {
        let Some(patterns) = &self.parts else { return Some(true) };
        let parts = split(arn);
        if parts.len() != ARN_PARTS {
            return Some(false);
        }
        let mut all = true;
        for (pattern, part) in patterns.iter().zip(parts) {
            all &= pattern.matches(part, context)?;
        }
        Some(all)
    }
}

/// The parts of an ARN. Colons inside of `${…}` separate nothing.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::with_capacity(ARN_PARTS);
    let (mut start, mut in_variable) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            '{' if text[..at].ends_with('$') => in_variable = true,
            '}' => in_variable = false,
            ':' if !in_variable && parts.len() + 1 < ARN_PARTS => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(pattern: &str, text: &str) -> Option<bool> {
        let context = Context::default()
            .with("aws:username", "ann")
            .with("star", "*")
            .with("many", "1")
            .with("many", "2");
        Pattern::parse(pattern, Syntax::Full).matches(text, &context)
    }

    /// The forms of the page "Variables and tags".
    #[test]
    fn wildcards_and_variables_match_as_documented() {
        for (pattern, text, matches) in [
            ("a*c", "abc", Some(true)),
            ("a*c", "ac", Some(true)),
            ("a*c", "abd", Some(false)),
            ("a?c", "abc", Some(true)),
            ("a?c", "ac", Some(false)),
            ("*", "", Some(true)),
            ("home/${aws:username}/*", "home/ann/x", Some(true)),
            ("home/${AWS:UserName}/*", "home/bob/x", Some(false)),
            ("${star}", "*", Some(true)),
            ("${star}", "x", Some(false)),
            ("a${*}b", "a*b", Some(true)),
            ("a${*}b", "axb", Some(false)),
            ("a${?}b", "a?b", Some(true)),
            ("a${$}b", "a$b", Some(true)),
            ("${missing}", "x", None),
            ("${many}", "1", None),
            ("${missing, 'none'}", "none", Some(true)),
            ("${aws:username, 'none'}", "ann", Some(true)),
            ("${", "${", Some(true)),
        ] {
            assert_eq!(full(pattern, text), matches, "{pattern} {text}");
        }
        let literal = Pattern::parse("*${a}", Syntax::Literal);
        assert_eq!(literal.matches("*${a}", &Context::default()), Some(true));
    }

    #[test]
    fn a_star_in_an_arn_does_not_reach_over_a_colon_before_the_resource() {
        let matches = |pattern: &str, arn: &str| {
            ArnPattern::parse(pattern, Syntax::Full).unwrap().matches(arn, &Context::default()).unwrap()
        };
        assert!(matches("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c"));
        assert!(matches("*", "arn:aws:s3:::b"));
        assert!(!matches("arn:aws:s3:::b", "arn:aws:s3:::b/a"));
        assert!(matches("arn:aws:s3:*:*:b", "arn:aws:s3:::b"));
        assert!(ArnPattern::parse("arn:*:::b/x", Syntax::Full).is_none());
        assert!(matches("arn:aws:iam::*:user/a", "arn:aws:iam::123456789012:user/a"));
        assert!(ArnPattern::parse("arn:aws:s3", Syntax::Full).is_none());
        assert!(ArnPattern::parse("b/x", Syntax::Full).is_none());
    }

    /// The definition, without the point of return.
    fn naive(pieces: &[Piece], text: &[char]) -> bool {
        match pieces.split_first() {
            None => text.is_empty(),
            Some((Piece::AnyText, rest)) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            Some((Piece::AnyCharacter, rest)) => !text.is_empty() && naive(rest, &text[1..]),
            Some((Piece::Character(wanted), rest)) => text.first() == Some(wanted) && naive(rest, &text[1..]),
            Some((Piece::Variable { .. }, _)) => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(pattern in "[aé*?]{0,8}", text in "[aé]{0,8}") {
            let pieces = Pattern::parse(&pattern, Syntax::Wildcards).pieces;
            let characters: Vec<_> = text.chars().collect();
            prop_assert_eq!(matches(&pieces, &text), naive(&pieces, &characters));
        }

        #[test]
        fn any_text_is_a_pattern(pattern in any::<String>(), tricky in "[${}*?:',a ]{0,16}", text in any::<String>()) {
            for pattern in [pattern, tricky] {
                let _ = Pattern::parse(&pattern, Syntax::Full).matches(&text, &Context::default());
                if let Some(arn) = ArnPattern::parse(&pattern, Syntax::Full) {
                    let _ = arn.matches(&text, &Context::default());
                }
            }
        }
    }
}
