//! Responses, and assertions about them.

use bytes::Bytes;
use cairn_gateway::xml::{Element, parse};
use http::{HeaderMap, StatusCode};

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) what: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.what, self.text());
        self
    }

    /// Checks status and error code.
    #[track_caller]
    pub(crate) fn fails(self, status: u16, code: &str) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.error("Code").as_deref(), Some(code), "{}: {}", reply.what, reply.text());
        reply
    }

    /// An element of the error document.
    #[track_caller]
    pub(crate) fn error(&self, name: &str) -> Option<String> {
        let root = self.xml("Error");
        root.optional(name).unwrap().map(|element| element.text().unwrap().to_owned())
    }

    /// The body, parsed as a document with this root.
    #[track_caller]
    pub(crate) fn xml(&self, root: &str) -> Element {
        parse(&self.body, root).unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.text()))
    }

    /// The text of a header; empty if the header is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The texts of all elements at this path below `root`.
pub(crate) fn texts(root: &Element, path: &[&str]) -> Vec<String> {
    match path {
        [] => vec![root.text().unwrap().to_owned()],
        [name, rest @ ..] => root
            .children()
            .iter()
            .filter(|child| child.name() == *name)
            .flat_map(|child| texts(child, rest))
            .collect(),
    }
}
