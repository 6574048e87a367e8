//! Limits of parameters, in AWS's words: "1 validation error detected: …".

use super::Fault;

/// The error of a value that breaks a constraint.
pub(crate) fn constraint(name: &str, value: &str, what: &str) -> Fault {
    Fault::validation(format!(
        "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: Member must {what}",
        member(name)
    ))
}

/// The error of a parameter that is missing.
pub(super) fn missing(name: &str) -> Fault {
    Fault::validation(format!(
        "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
        member(name)
    ))
}

/// Checks that a value has `min` to `max` characters.
///
/// # Errors
/// `ValidationError`.
pub(crate) fn characters<'a>(
    name: &str,
    value: &'a str,
    (min, max): (usize, usize),
) -> Result<&'a str, Fault> {
    let length = value.chars().count();
    if length < min {
        return Err(constraint(name, value, &format!("have length greater than or equal to {min}")));
    }
    if length > max {
        return Err(constraint(name, value, &format!("have length less than or equal to {max}")));
    }
    Ok(value)
}

/// Checks that a value has `min` to `max` characters, and only those of names: `[\w+=,.@-]`.
///
/// # Errors
/// `ValidationError`.
pub(crate) fn matches<'a>(name: &str, value: &'a str, lengths: (usize, usize)) -> Result<&'a str, Fault> {
    characters(name, value, lengths)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if !value.bytes().all(allowed) {
        return Err(constraint(name, value, "satisfy regular expression pattern: [\\w+=,.@-]+"));
    }
    Ok(value)
}

/// The name of a parameter as AWS's messages have it: `userName`.
fn member(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_aws() {
        assert_eq!(
            matches("UserName", "a b", (1, 64)).unwrap_err().message,
            "1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [\\w+=,.@-]+"
        );
        assert_eq!(matches("UserName", "a+b", (1, 64)).unwrap(), "a+b");
        assert!(matches("UserName", "", (1, 64)).is_err());
        assert!(characters("UserName", &"x".repeat(65), (1, 64)).is_err());
        assert!(missing("PolicyArn").message.contains("Value null at 'policyArn'"));
    }
}
