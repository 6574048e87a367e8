//! The only account, which owns all buckets and objects, and its form in documents.

use crate::xml::XmlWriter;

/// The canonical user id of the account: the SHA-256 of "root", because ids of S3 have 64 hex digits.
pub const OWNER_ID: &str = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";

/// The name of the account.
pub const OWNER_NAME: &str = "root";

/// Writes `<Owner>`, which is the same for all buckets and objects.
pub fn write_owner(xml: &mut XmlWriter) {
    xml.element("Owner", write_identity);
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
