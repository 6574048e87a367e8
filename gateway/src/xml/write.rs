//! Writes XML documents. Names of elements are constants. Text comes from clients and is escaped.

use std::fmt::Write;

use bytes::Bytes;

/// The XML declaration, with which every document begins.
pub const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Writes the elements of a document. Its methods cannot nest elements wrongly.
#[derive(Debug)]
pub struct XmlWriter {
    out: String,
}

impl XmlWriter {
    /// A complete document with this root element.
    pub fn document(root: &str, namespace: Option<&str>, content: impl FnOnce(&mut Self)) -> Bytes {
        let mut xml = Self { out: String::from(DECLARATION) };
        match namespace {
            Some(namespace) => xml.element_with(root, &[("xmlns", namespace)], content),
            None => xml.element(root, content),
        }
        Bytes::from(xml.out)
    }

    /// Writes an element. `content` writes its content.
    pub fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.element_with(name, &[], content);
    }

    /// Writes an element with attributes.
    pub fn element_with(&mut self, name: &str, attributes: &[(&str, &str)], content: impl FnOnce(&mut Self)) {
        self.out.push('<');
        self.out.push_str(name);
        for (attribute, value) in attributes {
            self.out.push(' ');
            self.out.push_str(attribute);
            self.out.push_str("=\"");
            escape_into(&mut self.out, value);
            self.out.push('"');
        }
        self.out.push('>');
        content(self);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Writes an element that contains text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.element(name, |xml| escape_into(&mut xml.out, text));
    }

    /// Writes an element that contains the text form of a value, such as a number.
    pub fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, &value.to_string());
    }

    /// Writes an element that contains text, unless the text is `None`.
    pub fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Writes text into the open element.
    pub fn content(&mut self, text: &str) {
        escape_into(&mut self.out, text);
    }
}

/// Escapes as AWS does. Control characters become references (`&#x1;`). XML 1.0 forbids these, but AWS sends them, and
/// clients that cannot parse them request `encoding-type=url`.
fn escape_into(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(character),
            control if control.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "&#x{:x};", u32::from(control));
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{NAMESPACE, parse};
    use proptest::prelude::*;

    #[test]
    fn a_document_has_its_namespace_and_nests() {
        let xml = XmlWriter::document("A", Some(NAMESPACE), |xml| {
            xml.element("B", |xml| xml.value("C", 5));
            xml.optional("D", None);
        });
        assert_eq!(
            std::str::from_utf8(&xml).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <A xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><B><C>5</C></B></A>"
        );
    }

    #[test]
    fn carriage_returns_and_control_characters_are_references() {
        let xml = XmlWriter::document("A", None, |xml| xml.content("a\r\u{1}\"<>&"));
        assert!(std::str::from_utf8(&xml).unwrap().ends_with("<A>a&#xd;&#x1;&quot;&lt;&gt;&amp;</A>"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "[^\u{0}\u{fffe}\u{ffff}]{0,40}") {
            let xml = XmlWriter::document("A", None, |xml| xml.text("B", &text));
            let root = parse(&xml, "A").unwrap();
            prop_assert_eq!(root.required("B").unwrap().text().unwrap(), text);
        }
    }
}
