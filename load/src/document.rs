//! The XML documents of S3 that the client reads and writes.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;

/// The texts of all elements `name`, each in an element `parent`, in their order.
pub(crate) fn texts(document: &str, parent: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(document, |path, text| {
        if matches!(path, [.., outer, inner] if outer == parent && inner == name) {
            found.push(text.to_owned());
        }
    });
    found
}

/// The text of the first element `name`.
pub(crate) fn text(document: &str, name: &str) -> Option<String> {
    let mut found = None;
    walk(document, |path, text| {
        if found.is_none() && path.last().is_some_and(|inner| inner == name) {
            found = Some(text.to_owned());
        }
    });
    found
}

/// Code and message of the first `<Error>`.
pub(crate) fn first_error(document: &str) -> Option<(String, String)> {
    let code = texts(document, "Error", "Code").into_iter().next()?;
    Some((code, texts(document, "Error", "Message").into_iter().next().unwrap_or_default()))
}

/// Calls `see` with the path and the text of each element. What is not XML ends it.
fn walk(document: &str, mut see: impl FnMut(&[String], &str)) {
    let mut reader = Reader::from_str(document);
    let (mut path, mut text) = (Vec::<String>::new(), String::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                path.push(start.local_name().as_ref().to_owned());
                text.clear();
            }
            Ok(Event::Empty(empty)) => {
                path.push(empty.local_name().as_ref().to_owned());
                see(&path, "");
                path.pop();
            }
            Ok(Event::Text(part)) => text.push_str(&part.xml10_content()),
            Ok(Event::GeneralRef(name)) => {
                let whole = format!("&{};", &*name);
                text.push_str(&quick_xml::escape::unescape(&whole).unwrap_or_default());
            }
            Ok(Event::End(_)) => {
                see(&path, &text);
                text.clear();
                path.pop();
            }
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The document of DeleteObjects, which asks for errors alone.
pub(crate) fn delete(objects: &[(String, Option<String>)]) -> String {
    let objects: String = objects
        .iter()
        .map(|(key, version)| {
            let version =
                version.as_ref().map(|id| format!("<VersionId>{}</VersionId>", escape(id.as_str())));
            format!("<Object><Key>{}</Key>{}</Object>", escape(key.as_str()), version.unwrap_or_default())
        })
        .collect();
    format!("<Delete xmlns=\"{NAMESPACE}\">{objects}<Quiet>true</Quiet></Delete>")
}

/// The document of CompleteMultipartUpload.
pub(crate) fn complete(etags: &[String]) -> String {
    let parts: String = etags
        .iter()
        .enumerate()
        .map(|(at, etag)| {
            format!("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", at + 1, escape(etag.as_str()))
        })
        .collect();
    format!("<CompleteMultipartUpload xmlns=\"{NAMESPACE}\">{parts}</CompleteMultipartUpload>")
}

/// The document of CreateBucket.
pub(crate) fn create_bucket(region: &str) -> String {
    format!(
        "<CreateBucketConfiguration xmlns=\"{NAMESPACE}\"><LocationConstraint>{}</LocationConstraint>\
         </CreateBucketConfiguration>",
        escape(region)
    )
}

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_their_element_and_the_one_around_it() {
        let page = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Prefix>p</Prefix>\
                    <Contents><Key>a&amp;b</Key><Owner><ID>1</ID></Owner></Contents>\
                    <Contents><Key>c</Key></Contents><CommonPrefixes><Prefix>q</Prefix></CommonPrefixes></ListBucketResult>";
        assert_eq!(texts(page, "Contents", "Key"), ["a&b", "c"]);
        assert_eq!(texts(page, "CommonPrefixes", "Prefix"), ["q"]);
        assert_eq!(text(page, "Prefix").as_deref(), Some("p"));
        assert_eq!(first_error(page), None);
    }

    #[test]
    fn errors_are_found_at_the_root_and_in_results() {
        let error = "<Error><Code>NoSuchKey</Code><Message>It is gone.</Message></Error>";
        let expected = Some(("NoSuchKey".to_owned(), "It is gone.".to_owned()));
        assert_eq!(first_error(error), expected);
        assert_eq!(first_error(&format!("<DeleteResult>{error}</DeleteResult>")), expected);
        assert_eq!(first_error("no XML <"), None);
    }

    #[test]
    fn documents_escape_what_they_hold() {
        let text = delete(&[("a<b".to_owned(), None), ("c".to_owned(), Some("v".to_owned()))]);
        assert_eq!(texts(&text, "Object", "Key"), ["a<b", "c"]);
        assert_eq!(texts(&text, "Object", "VersionId"), ["v"]);
        assert_eq!(texts(&complete(&["\"e\"".to_owned()]), "Part", "ETag"), ["\"e\""]);
    }
}
