//! The XML of a request, checked against the elements that its operation declares.

use super::{Declaration, Member, Place, Support};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::xml::Element;

impl Declaration {
    /// Refuses elements that the operation does not declare, because an element that is ignored may change the meaning.
    /// An operation that declares no elements checks its document by itself.
    ///
    /// # Errors
    /// `NotImplemented` for an element that AWS has and Cairn does not, `MalformedXML` for an unknown element.
    pub(crate) fn check_document(&self, root: &Element) -> S3Result<()> {
        let elements: Vec<&Member> =
            self.all_members().filter(|member| member.place == Place::Element).collect();
        if elements.is_empty() { Ok(()) } else { check(&elements, root, root.name()) }
    }
}

fn check(elements: &[&Member], element: &Element, path: &str) -> S3Result<()> {
    for child in element.children() {
        let path = format!("{path}/{}", child.name());
        let member = elements.iter().find(|member| member.name == path);
        match member.map(|member| (member, member.support)) {
            // Most elements have no effect when they are empty.
            Some((member, Support::Missing(_))) if is_empty(child) && !member.asks_when_empty => {}
            Some((member, Support::Missing(_))) => return Err(member.not_implemented(&path)),
            Some((_, Support::Works | Support::Partly(_) | Support::Moot(_))) => {}
            None if elements.iter().any(|member| is_below(member.name, &path)) => {
                check(elements, child, &path)?;
            }
            None => return Err(S3Error::new(ErrorCode::MalformedXML)),
        }
    }
    Ok(())
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

fn is_empty(element: &Element) -> bool {
    element.children().is_empty() && element.text().is_ok_and(|text| text.trim().is_empty())
}
