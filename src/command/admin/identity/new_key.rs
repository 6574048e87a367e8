//! Showing a key that was created. It is the only time that its secret is shown.

use cairn_protocol::iam::NewAccessKey;

use crate::command::admin::Printer;

/// Prints a new key, as lines to paste into a shell.
pub(super) fn show(key: &NewAccessKey, printer: Printer) -> anyhow::Result<()> {
    printer.show(key, lines)
}

/// The key as lines for a shell.
pub(super) fn lines(key: &NewAccessKey) -> String {
    format!(
        "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n# The secret is shown this once.",
        key.access_key,
        quoted(&key.secret_key)
    )
}

/// A word for a shell: secrets of other stores may have any printable characters.
fn quoted(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_word_of_a_shell() {
        assert_eq!(quoted("abc123"), "abc123");
        assert_eq!(quoted("a$b'c"), r"'a$b'\''c'");
    }
}
