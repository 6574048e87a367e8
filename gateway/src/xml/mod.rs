//! Reads and writes XML, limited to what S3 uses: elements and text.

mod read;
mod write;

pub use read::{Element, parse};
pub use write::{DECLARATION, XmlWriter};

/// The namespace of S3's documents.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
