//! Parses documents in requests into a tree of elements.
//!
//! Features that S3 does not need are refused: DTDs, entities beyond XML's own five, processing instructions, deep
//! nesting. So no document can expand to more than its own size.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::error::{ErrorCode, S3Error, S3Result};

/// The maximum depth of a document. S3's deepest document has eight levels. The limit makes hostile documents cheap.
const DEPTH_MAX: usize = 16;

/// The maximum number of elements. S3's largest documents (10,000 parts with their checksums, 1,000 keys) have fewer. The
/// limit bounds the memory that a document of the permitted size can use.
const ELEMENTS_MAX: usize = 100_000;

/// An element: its local name, its children in order, and its text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    children: Vec<Element>,
    text: String,
}

impl Element {
    /// The local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The children in order.
    pub fn children(&self) -> &[Element] {
        &self.children
    }

    /// The text of an element that has no children.
    ///
    /// # Errors
    /// `MalformedXML` if it has children.
    pub fn text(&self) -> S3Result<&str> {
        if self.children.is_empty() { Ok(&self.text) } else { Err(malformed()) }
    }

    /// The text without the white space around it, for values in which that has no meaning.
    ///
    /// # Errors
    /// `MalformedXML` if it has children.
    pub fn trimmed(&self) -> S3Result<&str> {
        self.text().map(str::trim)
    }

    /// The only child of this name; `None` if there is none.
    ///
    /// # Errors
    /// `MalformedXML` if there is more than one.
    pub fn optional(&self, name: &str) -> S3Result<Option<&Element>> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        match (found.next(), found.next()) {
            (child, None) => Ok(child),
            _ => Err(malformed()),
        }
    }

    /// The only child of this name.
    ///
    /// # Errors
    /// `MalformedXML` if there is not exactly one.
    pub fn required(&self, name: &str) -> S3Result<&Element> {
        self.optional(name)?.ok_or_else(malformed)
    }

    /// Refuses children with other names, and text between the children, because an element that is ignored may change the
    /// meaning.
    ///
    /// # Errors
    /// `MalformedXML`.
    pub fn only(&self, names: &[&str]) -> S3Result<()> {
        let known = self.children.iter().all(|child| names.contains(&child.name.as_str()));
        let blank = self.text.chars().all(char::is_whitespace);
        if known && blank { Ok(()) } else { Err(malformed()) }
    }
}

fn malformed() -> S3Error {
    S3Error::new(ErrorCode::MalformedXML)
}

/// Parses a document whose root element has this name, in any namespace, as AWS does.
///
/// # Errors
/// `MalformedXML` for everything else.
pub fn parse(document: &[u8], root: &str) -> S3Result<Element> {
    let text = std::str::from_utf8(document).map_err(|_| malformed())?;
    let tree = Tree::default().read(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    if tree.name == root { Ok(tree) } else { Err(malformed()) }
}

#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn read(mut self, text: &str) -> S3Result<Element> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = true;
        loop {
            match reader.read_event().map_err(|error| malformed().caused_by(error))? {
                Event::Start(tag) => self.start(&tag)?,
                Event::Empty(tag) => {
                    self.start(&tag)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(text) => self.text(&text.xml10_content())?,
                Event::CData(data) => self.text(&data.xml10_content())?,
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::Decl(_) | Event::Comment(_) => {}
                Event::DocType(_) | Event::PI(_) => return Err(malformed()),
                Event::Eof => break,
            }
        }
        if self.open.is_empty() { self.root.ok_or_else(malformed) } else { Err(malformed()) }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> S3Result<()> {
        self.elements += 1;
        if self.root.is_some() || self.open.len() >= DEPTH_MAX || self.elements > ELEMENTS_MAX {
            return Err(malformed());
        }
        // Attributes are namespaces and types, which are ignored. They must be well-formed.
        if tag.attributes().any(|attribute| attribute.is_err()) {
            return Err(malformed());
        }
        let name = tag.local_name().as_ref().to_owned();
        self.open.push(Element { name, ..Element::default() });
        Ok(())
    }

    fn end(&mut self) -> S3Result<()> {
        let mut element = self.open.pop().ok_or_else(malformed)?;
        if !element.children.is_empty() && element.text.chars().all(char::is_whitespace) {
            element.text = String::new();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> S3Result<()> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.chars().all(char::is_whitespace) => {}
            None => return Err(malformed()),
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> S3Result<()> {
        let resolved = match &**reference {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => reference.resolve_char_ref().ok().flatten().ok_or_else(malformed)?,
        };
        if self.open.is_empty() {
            return Err(malformed());
        }
        self.text(resolved.encode_utf8(&mut [0; 4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key_of(document: &str) -> S3Result<String> {
        parse(document.as_bytes(), "Delete")?.required("Key")?.text().map(str::to_owned)
    }

    #[test]
    fn text_is_kept_to_the_byte() {
        for (document, key) in [
            ("<Delete><Key> a  b\n</Key></Delete>", " a  b\n"),
            ("<Delete><Key>a&amp;b&#x1;&#13;&lt;</Key></Delete>", "a&b\u{1}\r<"),
            ("<Delete><Key><![CDATA[<&>]]></Key></Delete>", "<&>"),
            ("<?xml version=\"1.0\"?>\n<!-- c --><Delete xmlns=\"urn:x\">\n <Key>k</Key>\n</Delete>\n", "k"),
            ("<s:Delete xmlns:s='urn:x'><s:Key>k</s:Key></s:Delete>", "k"),
            ("\u{feff}<Delete><Key>é🦀</Key></Delete>", "é🦀"),
            ("<Delete><Key/></Delete>", ""),
            ("<Delete><Key>a\r\nb</Key></Delete>", "a\nb"),
        ] {
            assert_eq!(key_of(document).unwrap(), key, "{document}");
        }
    }

    #[test]
    fn other_documents_are_malformed() {
        let bomb = "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Delete><Key>&b;</Key></Delete>";
        let deep = format!("{}{}", "<Delete>".repeat(17), "</Delete>".repeat(17));
        for document in [
            "",
            "hello",
            "<Delete>",
            "<Delete><Key>a</Delete></Key>",
            "<Delete><Key>a</Key></Delete><Delete/>",
            "<Other><Key>a</Key></Other>",
            "<Delete><Key>&undefined;</Key></Delete>",
            "<Delete><Key>&#0;</Key></Delete>",
            "<Delete><Key>a & b</Key></Delete>",
            "<Delete><Key>a</Key><Key>b</Key></Delete>",
            "<Delete><Key>a<b/></Key></Delete>",
            "<Delete><?php x?><Key>a</Key></Delete>",
            "<Delete a='1' a='2'><Key>a</Key></Delete>",
            "x<Delete><Key>a</Key></Delete>",
            bomb,
            &deep,
        ] {
            assert_eq!(key_of(document).unwrap_err().code(), ErrorCode::MalformedXML, "{document}");
        }
        assert_eq!(
            parse(b"<Delete><Key>\xff</Key></Delete>", "Delete").unwrap_err().code(),
            ErrorCode::MalformedXML
        );
    }

    #[test]
    fn unknown_elements_and_stray_text_are_refused() {
        let root = parse(b"<A><B/>x</A>", "A").unwrap();
        assert!(root.only(&["B"]).is_err());
        let root = parse(b"<A> <B/> </A>", "A").unwrap();
        assert!(root.only(&["B"]).is_ok());
        assert!(root.only(&["C"]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(document in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&document, "Delete");
        }

        #[test]
        fn no_markup_makes_the_reader_panic(document in "(<|>|/|&|;|#|x|[0-9]|Delete|Key|!|\\[|\\]|\\?|'|=| ){0,40}") {
            let _ = parse(document.as_bytes(), "Delete");
        }
    }
}
