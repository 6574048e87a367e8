//! The form of accounts in documents.

use cairn_protocol::metadata::Account;

use crate::xml::XmlWriter;

/// Writes `<Owner>`.
pub fn write_owner(xml: &mut XmlWriter, owner: &Account) {
    xml.element("Owner", |xml| write_identity(xml, owner));
}

/// Writes the `<ID>` and `<DisplayName>` of an account. The account of anonymous requests has no name.
pub fn write_identity(xml: &mut XmlWriter, account: &Account) {
    xml.text("ID", &account.canonical_id);
    xml.optional("DisplayName", Some(account.display_name.as_str()).filter(|name| !name.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_first_account_is_the_hash_of_its_name() {
        let first = Account::first();
        assert_eq!(crate::auth::sha256_hex(first.display_name.as_bytes()), first.canonical_id);
    }
}
