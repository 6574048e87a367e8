//! Reduces the head of a request to what its operation declares. [`undeclared`] decides whether the rest is ignored or
//! refused.

#[cfg(test)]
mod tests;
mod undeclared;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::declaration::{Body, Declaration, Member, Values};
use crate::error::S3Result;
use crate::headers::text;
use crate::route::is_harmless;
use crate::uri::Query;

/// Headers of the connection, which every operation may read.
const TRANSPORT: [&str; 3] = ["content-length", "host", "transfer-encoding"];

/// Headers that describe a body. They count only if there is a body.
const FRAMING: [&str; 3] = ["content-encoding", "x-amz-decoded-content-length", "x-amz-trailer"];

impl Declaration {
    /// Removes everything that the operation does not declare, so that the operation cannot read it.
    ///
    /// # Errors
    /// For a member that is not implemented, an invalid value, or a member that [`undeclared`] refuses.
    pub(crate) fn admit(&self, headers: &mut HeaderMap, query: &mut Query) -> S3Result<()> {
        self.admit_headers(headers)?;
        for (name, value) in query.pairs() {
            if is_harmless(name) || self.is_selected_by(name) {
                continue;
            }
            match self.parameter(name) {
                Some(member) => member.check(name, value)?,
                None => undeclared::check_parameter(self, name, value)?,
            }
        }
        query.take(|name| !self.is_selected_by(name) && self.parameter(name).is_none());
        Ok(())
    }

    fn admit_headers(&self, headers: &mut HeaderMap) -> S3Result<()> {
        let mut undeclared: Vec<HeaderName> = Vec::new();
        for name in headers.keys() {
            let is_ours = self.header(name.as_str()).is_some() || self.is_of_body(name.as_str());
            for value in headers.get_all(name) {
                match self.header(name.as_str()) {
                    Some(member) => check_value(member, name, value)?,
                    None if is_ours => {}
                    None => {
                        let text = String::from_utf8_lossy(value.as_bytes());
                        undeclared::check_header(self, name.as_str(), &text)?;
                    }
                }
            }
            if !is_ours {
                undeclared.push(name.clone());
            }
        }
        for name in undeclared {
            headers.remove(name);
        }
        Ok(())
    }

    fn is_of_body(&self, name: &str) -> bool {
        TRANSPORT.contains(&name) || (self.body != Body::Nothing && FRAMING.contains(&name))
    }
}

fn check_value(member: &Member, name: &HeaderName, value: &HeaderValue) -> S3Result<()> {
    match (text(name.as_str(), value.as_bytes()), member.values) {
        (Ok(text), _) => member.check(name.as_str(), text),
        // A value that only the operation can check may be UTF-8.
        (Err(_), Values::Any) => member.check(name.as_str(), ""),
        (Err(error), Values::Listed(_) | Values::Judged(_)) => Err(error),
    }
}
