//! Owners in documents.

use crate::caller::{OWNER_ID, OWNER_NAME};
use crate::xml::XmlWriter;

/// Writes the `<Owner>` of everything there is.
pub fn write_owner(xml: &mut XmlWriter) {
    xml.element("Owner", write_identity);
}

/// Writes the `<ID>` and `<DisplayName>` of the one account.
pub fn write_identity(xml: &mut XmlWriter) {
    xml.text("ID", OWNER_ID);
    xml.text("DisplayName", OWNER_NAME);
}
