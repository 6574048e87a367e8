//! All declarations as JSON, for tests and tools, and as `docs/s3.md`, for people.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::declaration::{Body, Declaration, Member, Place, Resource, Support, When};
use crate::ops::unbuilt::UNBUILT;
use crate::route;

const HEAD: &str = "\
# S3: what works

Every operation of AWS's service model of S3, and every member that it has: headers, query parameters and XML
elements. This page is made from the tables by which Cairn serves requests (`cairn s3-operations --markdown >
docs/s3.md`); tests compare it with them, and them with AWS's model.

* **works**: it does what AWS documents.
* **partly**: what is said works; the rest is refused with `501 NotImplemented`, and what AWS does not know with AWS's
  own error.
* **no effect**: it is accepted and changes nothing, and why that is the truth.
* **501**: it is refused with `501 NotImplemented`, naming it.
* **beyond AWS**: AWS's model does not define it for the operation.

Headers that an operation does not have are ignored, as AWS does, but for these, which are refused: headers of Cairn's
own (`x-cairn-*`); with writes `x-amz-copy-source*`, `x-amz-rename-source*`, `x-amz-write-offset-bytes` and
`Content-Range` (the bytes would come from elsewhere, or go elsewhere), and `If-*`, `x-amz-if-match-*` and
`x-amz-object-if-match` (the write is wanted under a condition only); `x-amz-server-side-encryption` (nobody should
believe in an encryption that is not there; AWS refuses it too); `x-amz-checksum-*` of no known algorithm where there
is a body.

Query parameters that an operation does not have are ignored with reads, as AWS does, unless they are a subresource of
S3. Writes refuse them all: a subresource that is not known, as in `PUT /bucket/key?subresource`, must never become a
PutObject. Those of signatures are not meant, nor those that begin with `x-` (such as `x-id`), which AWS promises to
ignore.

A `Content-Length`, and with a body `x-amz-content-sha256`, `x-amz-decoded-content-length`, `x-amz-trailer` and
`Content-Encoding: aws-chunked`, work everywhere. So do `Authorization`, `Date`, `x-amz-date` and signatures in the query.
";

/// All declarations, as JSON.
pub fn json() -> Value {
    let built = sorted_built().into_iter().map(|declaration| operation(declaration, true));
    let unbuilt = UNBUILT.iter().map(|declaration| operation(declaration, false));
    json!({ "operations": built.chain(unbuilt).collect::<Vec<_>>() })
}

/// All declarations, as the page `docs/s3.md`.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    let built = sorted_built();
    text += "\n## Operations\n\n| operation | request | |\n|---|---|---|\n";
    let mut rows: Vec<(&str, String)> = built.iter().map(|it| (it.name, summary(it))).collect();
    rows.extend(UNBUILT.iter().map(|it| (it.name, "501, with all its members".to_owned())));
    rows.sort();
    for (name, summary) in rows {
        let declaration = route::declarations().find(|declaration| declaration.name == name);
        let request = declaration.map(request).unwrap_or_default();
        let _ = writeln!(text, "| {name} | `{request}` | {summary} |");
    }
    text += "\n## Members\n";
    for declaration in built {
        let _ = write!(text, "\n### {}\n\n`{}`", declaration.name, request(declaration));
        if !declaration.note.is_empty() {
            let _ = write!(text, ": {}", declaration.note);
        }
        text += "\n\n| member | |\n|---|---|\n";
        for member in members(declaration) {
            let _ = writeln!(text, "| {} | {} |", member_name(member), support(member));
        }
    }
    text
}

fn sorted_built() -> Vec<&'static Declaration> {
    let mut built: Vec<_> = route::built().map(|route| route.declaration).collect();
    built.sort_by_key(|declaration| declaration.name);
    built
}

/// The members of an operation, each once.
fn members(declaration: &Declaration) -> Vec<&'static Member> {
    let mut members: Vec<&Member> = Vec::new();
    for member in declaration.all_members() {
        if !members.iter().any(|other| other.place == member.place && other.name == member.name) {
            members.push(member);
        }
    }
    members
}

fn summary(declaration: &Declaration) -> String {
    match (declaration.note, members(declaration)) {
        ("", members) if members.iter().all(|member| !matches!(member.support, Support::Missing(_))) => {
            "works".to_owned()
        }
        ("", _) => "works, with some members missing".to_owned(),
        (note, _) => format!("works: {note}"),
    }
}

fn request(declaration: &Declaration) -> String {
    let path = match declaration.resource {
        Resource::Service => "/",
        Resource::Bucket => "/bucket",
        Resource::Object => "/bucket/key",
        Resource::Account => "/v20180820/configuration/publicAccessBlock",
    };
    let mut query = Vec::new();
    let mut headers = String::new();
    for when in declaration.when {
        match when {
            When::Query(name) if *name == "partNumber" || *name == "uploadId" => {
                query.push(format!("{name}=…"))
            }
            When::Query(name) => query.push((*name).to_owned()),
            When::QueryIs(name, value) => query.push(format!("{name}={value}")),
            When::With(name) => query.push(format!("{name}=…")),
            When::Header(name) => headers = format!(" with {name}"),
        }
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{} {path}{query}{headers}", declaration.method.method())
}

fn member_name(member: &Member) -> String {
    match member.place {
        Place::Header => format!("`{}`", member.name),
        Place::HeaderPrefix => format!("`{}*`", member.name),
        Place::Query => format!("`?{}`", member.name),
        Place::Element => format!("`<{}>`", member.name),
    }
}

fn support(member: &Member) -> String {
    let beyond = if member.is_extra { " (beyond AWS)" } else { "" };
    match member.support {
        Support::Works => format!("works{beyond}"),
        Support::Partly(how) => format!("partly: {how}{beyond}"),
        Support::Moot(why) => format!("no effect: {why}{beyond}"),
        Support::Missing(_) => "501".to_owned(),
    }
}

fn operation(declaration: &Declaration, is_built: bool) -> Value {
    let body = match declaration.body {
        Body::Nothing => Value::Null,
        Body::Data => json!("data"),
        Body::Document(root) => json!(root),
    };
    let selectors = declaration.when.iter().map(|when| match when {
        When::Query(name) | When::With(name) => json!({ "in": "query", "name": name }),
        When::QueryIs(name, value) => json!({ "in": "query", "name": name, "value": value }),
        When::Header(name) => json!({ "in": "header", "name": name }),
    });
    json!({
        "name": declaration.name,
        "method": declaration.method.method().as_str(),
        "resource": declaration.resource.name(),
        "built": is_built,
        "body": body,
        "when": selectors.collect::<Vec<_>>(),
        "members": members(declaration).into_iter().map(member).collect::<Vec<_>>(),
    })
}

fn member(member: &Member) -> Value {
    let place = match member.place {
        Place::Header => "header",
        Place::HeaderPrefix => "header prefix",
        Place::Query => "query",
        Place::Element => "element",
    };
    let (support, words) = match member.support {
        Support::Works => ("works", ""),
        Support::Partly(how) => ("partly", how),
        Support::Moot(why) => ("moot", why),
        Support::Missing(words) => ("missing", words),
    };
    let (done, missing) = match &member.values {
        crate::declaration::Values::Listed(listed) => (listed.done, listed.missing),
        crate::declaration::Values::Any | crate::declaration::Values::Judged(_) => (&[][..], &[][..]),
    };
    json!({
        "in": place,
        "name": member.name,
        "support": support,
        "words": words,
        "extra": member.is_extra,
        "values": { "done": done, "missing": missing },
    })
}
