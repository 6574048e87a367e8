//! Pages of listings: `Marker`, `MaxItems`, `IsTruncated`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::query_protocol::{Call, Fault};
use crate::xml::XmlWriter;

/// The largest and the default number of entries (IAM API Reference, `MaxItems`).
const ITEMS_MAX: u32 = 1000;
const ITEMS_DEFAULT: u32 = 100;

/// The page that a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The entry after which it begins.
    pub(super) after: Option<String>,
    /// Upper limit of its entries.
    pub(super) max: u32,
}

/// Reads `Marker` and `MaxItems`.
///
/// # Errors
/// `ValidationError`.
pub(super) fn asked(call: &Call) -> Result<Asked, Fault> {
    let max = call.number("MaxItems", (1, ITEMS_MAX))?.unwrap_or(ITEMS_DEFAULT);
    let after = match call.optional("Marker") {
        None => None,
        Some(marker) => {
            let wrong = || Fault::validation(format!("Invalid Marker: {marker}"));
            let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| wrong())?;
            Some(String::from_utf8(bytes).map_err(|_| wrong())?)
        }
    };
    Ok(Asked { after, max })
}

/// The page of a listing that the metanode returned whole. `key` gives the order, in which all keys are different.
///
/// # Errors
/// Those of [`asked`].
pub(super) fn cut<T>(
    call: &Call,
    mut all: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), Fault> {
    let Asked { after, max } = asked(call)?;
    all.sort_by_key(&key);
    if let Some(after) = after {
        all.retain(|entry| key(entry) > after);
    }
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let more = all.len() > max;
    all.truncate(max);
    let next = if more { all.last().map(key) } else { None };
    Ok((all, next))
}

/// Writes where the next page begins, if there is one.
pub(super) fn write(xml: &mut XmlWriter, next: Option<&str>) {
    xml.value("IsTruncated", next.is_some());
    if let Some(next) = next {
        xml.text("Marker", &URL_SAFE_NO_PAD.encode(next));
    }
}
