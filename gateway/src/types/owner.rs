//! The only account, which owns all buckets and objects, and its form in documents.

use cairn_protocol::metadata::Account;

use crate::xml::XmlWriter;

pub use cairn_protocol::metadata::{FIRST_ACCOUNT_NAME as OWNER_NAME, FIRST_CANONICAL_ID as OWNER_ID};

/// Writes `<Owner>`, which is the same for all buckets and objects.
pub fn write_owner(xml: &mut XmlWriter) {
    xml.element("Owner", write_identity);
}

/// Writes the `<Owner>` of an account.
pub fn write_account(xml: &mut XmlWriter, account: &Account) {
    xml.element("Owner", |xml| {
        xml.text("ID", &account.canonical_id);
        xml.text("DisplayName", &account.display_name);
    });
}

/// Writes the `<ID>` and `<DisplayName>` of the account.
pub fn write_identity(xml: &mut XmlWriter) {
    xml.text("ID", OWNER_ID);
    xml.text("DisplayName", OWNER_NAME);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_id_is_the_hash_of_the_name() {
        assert_eq!(crate::auth::sha256_hex(OWNER_NAME.as_bytes()), OWNER_ID);
    }
}
