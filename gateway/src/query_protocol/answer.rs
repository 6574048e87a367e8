//! Answers.

use bytes::Bytes;

use super::Api;
use crate::xml::XmlWriter;

/// Writes the content of a result.
type Content = Box<dyn FnOnce(&mut XmlWriter) + Send>;

/// The answer of an operation.
pub(crate) struct Answer(Option<Content>);

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({})", if self.0.is_some() { "with a result" } else { "empty" })
    }
}

impl Answer {
    /// An answer without a result.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    /// An answer whose result has this content.
    pub(crate) fn with(content: impl FnOnce(&mut XmlWriter) + Send + 'static) -> Self {
        Self(Some(Box::new(content)))
    }

    /// The document of the answer.
    pub(crate) fn into_document(self, api: Api, action: &str, request_id: &str) -> Bytes {
        XmlWriter::document(&format!("{action}Response"), Some(api.namespace()), |xml| {
            if let Some(content) = self.0 {
                xml.element(&format!("{action}Result"), content);
            }
            xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
        })
    }
}
