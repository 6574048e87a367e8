//! Lifecycle rules as XML, in the form with `Filter` and in the older one with `Prefix` in the rule.
//!
//! Source: API reference, PutBucketLifecycleConfiguration and PutBucketLifecycle; User Guide, "Lifecycle configuration elements".

use std::collections::BTreeMap;

use cairn_lifecycle::{
    Expiration, Filter, FilterForm, MinimumSize, NoncurrentExpiration, NoncurrentTransition, Rule, RuleSet,
    Transition, When,
};
use cairn_protocol::env::Timestamp;

use super::iso8601;
use super::tags::check_tags;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::xml::{Element, XmlWriter};

fn malformed() -> S3Error {
    S3Error::new(ErrorCode::MalformedXML)
}

/// The rules of a `<LifecycleConfiguration>`. A rule without an id gets one of `new_id`. What single elements are is checked here,
/// and what they mean together in [`cairn_lifecycle::check`].
///
/// # Errors
/// `MalformedXML`, `InvalidArgument`, `InvalidRequest` or `InvalidTag`.
pub fn parse_lifecycle(
    root: &Element,
    minimum_size: MinimumSize,
    mut new_id: impl FnMut() -> String,
) -> S3Result<RuleSet> {
    root.only(&["Rule"])?;
    let rules = root.children().iter().map(|rule| parse_rule(rule, &mut new_id));
    Ok(RuleSet { rules: rules.collect::<S3Result<_>>()?, minimum_size })
}

fn parse_rule(rule: &Element, new_id: &mut impl FnMut() -> String) -> S3Result<Rule> {
    rule.only(&[
        "ID",
        "Prefix",
        "Filter",
        "Status",
        "Expiration",
        "Transition",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "AbortIncompleteMultipartUpload",
    ])?;
    let id = rule.optional("ID")?.map(Element::trimmed).transpose()?.filter(|id| !id.is_empty());
    let is_enabled = match rule.required("Status")?.trimmed()? {
        "Enabled" => true,
        "Disabled" => false,
        _ => return Err(malformed()),
    };
    let (filter, form) = match (rule.optional("Prefix")?, rule.optional("Filter")?) {
        (Some(prefix), None) => (of_prefix(prefix)?, FilterForm::RulePrefix),
        (None, Some(filter)) => parse_filter(filter)?,
        (Some(_), Some(_)) | (None, None) => return Err(malformed()),
    };
    let several = |name: &'static str| rule.children().iter().filter(move |child| child.name() == name);
    let abort = rule.optional("AbortIncompleteMultipartUpload")?;
    Ok(Rule {
        id: id.map_or_else(new_id, str::to_owned),
        is_enabled,
        filter,
        form,
        expiration: rule.optional("Expiration")?.map(parse_expiration).transpose()?,
        noncurrent_expiration: rule
            .optional("NoncurrentVersionExpiration")?
            .map(parse_noncurrent_expiration)
            .transpose()?,
        transitions: several("Transition").map(parse_transition).collect::<S3Result<_>>()?,
        noncurrent_transitions: several("NoncurrentVersionTransition")
            .map(parse_noncurrent_transition)
            .collect::<S3Result<_>>()?,
        abort_uploads_days: abort.map(parse_abort).transpose()?,
    })
}

fn of_prefix(prefix: &Element) -> S3Result<Filter> {
    Ok(Filter { prefix: prefix.text()?.to_owned(), ..Filter::default() })
}

fn parse_filter(element: &Element) -> S3Result<(Filter, FilterForm)> {
    const CONDITIONS: [&str; 5] = ["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"];
    element.only(&CONDITIONS)?;
    match element.children() {
        [] => Ok((Filter::default(), FilterForm::Empty)),
        [and] if and.name() == "And" => {
            and.only(&CONDITIONS[..4])?;
            if and.children().is_empty() {
                return Err(malformed());
            }
            Ok((parse_conditions(and)?, FilterForm::And))
        }
        [_] => Ok((parse_conditions(element)?, FilterForm::One)),
        // Several conditions stand in `And`.
        [..] => Err(malformed()),
    }
}

fn parse_conditions(element: &Element) -> S3Result<Filter> {
    let mut tags = BTreeMap::new();
    for tag in element.children().iter().filter(|child| child.name() == "Tag") {
        tag.only(&["Key", "Value"])?;
        let key = tag.required("Key")?.text()?.to_owned();
        // A tag without a value is the one whose value is empty (User Guide, "Adding filters to Lifecycle rules").
        let value = tag.optional("Value")?.map_or(Ok(""), Element::text)?.to_owned();
        if tags.insert(key, value).is_some() {
            return Err(S3Error::invalid_request("Duplicate Tag Keys are not allowed."));
        }
    }
    let size = |name| element.optional(name)?.map(|size| number(size)?.ok_or_else(malformed)).transpose();
    Ok(Filter {
        prefix: element.optional("Prefix")?.map_or(Ok(""), Element::text)?.to_owned(),
        tags: check_tags(tags)?,
        larger_than: size("ObjectSizeGreaterThan")?,
        smaller_than: size("ObjectSizeLessThan")?,
    })
}

/// A number; `None` for a negative one.
fn number(element: &Element) -> S3Result<Option<u64>> {
    let number: i64 = element.trimmed()?.parse().map_err(|_| malformed())?;
    Ok(u64::try_from(number).ok())
}

/// The days or versions in an element; 0 for a negative number, which is refused like 0 where 0 is.
fn count(element: &Element) -> S3Result<u32> {
    let count = number(element)?.unwrap_or(0);
    // S3's integers have 32 bits with a sign.
    i32::try_from(count).map(i32::unsigned_abs).map_err(|_| malformed())
}

/// The days of a transition, which may be 0.
fn days_of_transition(element: &Element, action: &str) -> S3Result<u32> {
    match number(element)? {
        Some(_) => count(element),
        None => Err(S3Error::with_message(
            ErrorCode::InvalidArgument,
            format!("'{}' in {action} action must be nonnegative", element.name()),
        )),
    }
}

/// A date, which is in ISO 8601.
fn date(element: &Element) -> S3Result<Timestamp> {
    let text = element.trimmed()?;
    let full = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let at: jiff::Timestamp = full.parse().map_err(|_| malformed())?;
    let ms = u64::try_from(at.as_millisecond()).map_err(|_| malformed())?;
    // A fraction of a millisecond is no midnight.
    let is_whole = at.as_nanosecond() % 1_000_000 == 0;
    Ok(Timestamp(if is_whole { ms } else { ms | 1 }))
}

fn parse_expiration(element: &Element) -> S3Result<Expiration> {
    element.only(&["Date", "Days", "ExpiredObjectDeleteMarker"])?;
    let [only] = element.children() else { return Err(malformed()) };
    Ok(match only.name() {
        "Date" => Expiration::At(When::Date(date(only)?)),
        "Days" => Expiration::At(When::Days(count(only)?)),
        _ => match only.trimmed()? {
            "true" => Expiration::DeleteMarkers,
            "false" => Expiration::KeepDeleteMarkers,
            _ => return Err(malformed()),
        },
    })
}

fn class(element: &Element) -> S3Result<String> {
    let class = element.required("StorageClass")?.trimmed()?;
    if cairn_lifecycle::class::can_be_target(class) { Ok(class.to_owned()) } else { Err(malformed()) }
}

fn parse_transition(element: &Element) -> S3Result<Transition> {
    element.only(&["Date", "Days", "StorageClass"])?;
    let when = match (element.optional("Date")?, element.optional("Days")?) {
        (Some(at), None) => When::Date(date(at)?),
        (None, Some(days)) => When::Days(days_of_transition(days, "Transition")?),
        (Some(_), Some(_)) | (None, None) => return Err(malformed()),
    };
    Ok(Transition { when, class: class(element)? })
}

/// `NewerNoncurrentVersions`; 0 if it is not there.
fn newer_kept(element: &Element) -> S3Result<u32> {
    let Some(newer) = element.optional("NewerNoncurrentVersions")? else { return Ok(0) };
    match count(newer)? {
        0 => Err(S3Error::with_message(
            ErrorCode::InvalidArgument,
            "'NewerNoncurrentVersions' must be a positive integer of at most 100",
        )),
        kept => Ok(kept),
    }
}

fn parse_noncurrent_expiration(element: &Element) -> S3Result<NoncurrentExpiration> {
    element.only(&["NoncurrentDays", "NewerNoncurrentVersions"])?;
    let days = count(element.required("NoncurrentDays")?)?;
    Ok(NoncurrentExpiration { days, newer_kept: newer_kept(element)? })
}

fn parse_noncurrent_transition(element: &Element) -> S3Result<NoncurrentTransition> {
    element.only(&["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"])?;
    let days = days_of_transition(element.required("NoncurrentDays")?, "NoncurrentVersionTransition")?;
    Ok(NoncurrentTransition { days, newer_kept: newer_kept(element)?, class: class(element)? })
}

fn parse_abort(element: &Element) -> S3Result<u32> {
    element.only(&["DaysAfterInitiation"])?;
    count(element.required("DaysAfterInitiation")?)
}

/// Writes rules as the client wrote them.
pub fn write_lifecycle(xml: &mut XmlWriter, set: &RuleSet) {
    for rule in &set.rules {
        xml.element("Rule", |xml| write_rule(xml, rule));
    }
}

fn write_rule(xml: &mut XmlWriter, rule: &Rule) {
    xml.text("ID", &rule.id);
    match rule.form {
        FilterForm::RulePrefix => xml.text("Prefix", &rule.filter.prefix),
        FilterForm::Empty => xml.element("Filter", |_| {}),
        FilterForm::One => xml.element("Filter", |xml| write_conditions(xml, &rule.filter, true)),
        FilterForm::And => xml.element("Filter", |xml| {
            xml.element("And", |xml| write_conditions(xml, &rule.filter, false));
        }),
    }
    xml.text("Status", if rule.is_enabled { "Enabled" } else { "Disabled" });
    if let Some(expiration) = rule.expiration {
        xml.element("Expiration", |xml| match expiration {
            Expiration::At(when) => write_when(xml, when),
            Expiration::DeleteMarkers => xml.text("ExpiredObjectDeleteMarker", "true"),
            Expiration::KeepDeleteMarkers => xml.text("ExpiredObjectDeleteMarker", "false"),
        });
    }
    for transition in &rule.transitions {
        xml.element("Transition", |xml| {
            write_when(xml, transition.when);
            xml.text("StorageClass", &transition.class);
        });
    }
    if let Some(end) = rule.noncurrent_expiration {
        xml.element("NoncurrentVersionExpiration", |xml| write_noncurrent(xml, end.days, end.newer_kept));
    }
    for transition in &rule.noncurrent_transitions {
        xml.element("NoncurrentVersionTransition", |xml| {
            write_noncurrent(xml, transition.days, transition.newer_kept);
            xml.text("StorageClass", &transition.class);
        });
    }
    if let Some(days) = rule.abort_uploads_days {
        xml.element("AbortIncompleteMultipartUpload", |xml| xml.value("DaysAfterInitiation", days));
    }
}

/// Writes the conditions of a filter. `is_only` is whether there is one, so that an empty prefix is it if there is no other.
fn write_conditions(xml: &mut XmlWriter, filter: &Filter, is_only: bool) {
    let has_others = !filter.tags.is_empty() || filter.names_size();
    if !filter.prefix.is_empty() || (is_only && !has_others) {
        xml.text("Prefix", &filter.prefix);
    }
    for (key, value) in &filter.tags {
        xml.element("Tag", |xml| {
            xml.text("Key", key);
            xml.text("Value", value);
        });
    }
    for (name, size) in
        [("ObjectSizeGreaterThan", filter.larger_than), ("ObjectSizeLessThan", filter.smaller_than)]
    {
        if let Some(size) = size {
            xml.value(name, size);
        }
    }
}

fn write_when(xml: &mut XmlWriter, when: When) {
    match when {
        When::Days(days) => xml.value("Days", days),
        When::Date(date) => xml.text("Date", &iso8601(date)),
    }
}

fn write_noncurrent(xml: &mut XmlWriter, days: u32, newer_kept: u32) {
    xml.value("NoncurrentDays", days);
    if newer_kept > 0 {
        xml.value("NewerNoncurrentVersions", newer_kept);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xml::parse;

    fn read(rules: &str) -> S3Result<RuleSet> {
        let document = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        let root = parse(document.as_bytes(), "LifecycleConfiguration").unwrap();
        parse_lifecycle(&root, MinimumSize::default(), || "made".to_owned())
    }

    fn written(set: &RuleSet) -> String {
        let xml = XmlWriter::document("L", None, |xml| write_lifecycle(xml, set));
        let text = std::str::from_utf8(&xml).unwrap();
        text.split_once("<L>").unwrap().1.strip_suffix("</L>").unwrap().to_owned()
    }

    /// Each has the order of elements of AWS's answers.
    #[test]
    fn rules_are_written_as_they_were_read() {
        for rule in [
            "<ID>a</ID><Prefix>logs/</Prefix><Status>Enabled</Status><Expiration><Days>5</Days></Expiration>",
            "<ID>a</ID><Filter></Filter><Status>Disabled</Status><Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>",
            "<ID>a</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
            "<ID>a</ID><Filter><Tag><Key>k</Key><Value></Value></Tag></Filter><Status>Enabled</Status><Transition><Days>0</Days><StorageClass>GLACIER_IR</StorageClass></Transition>",
            "<ID>a</ID><Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>",
            "<ID>a</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration><NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>COLD</StorageClass></NoncurrentVersionTransition><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
        ] {
            let rule = format!("<Rule>{rule}</Rule>");
            let set = read(&rule).unwrap();
            assert_eq!(written(&set), rule);
            let kept: RuleSet = serde_json::from_str(&serde_json::to_string(&set).unwrap()).unwrap();
            assert_eq!(kept, set, "the metanode keeps it");
        }
        let without_id = "<Rule><Filter/><Status>Enabled</Status></Rule>";
        assert_eq!(read(without_id).unwrap().rules[0].id, "made");
    }

    #[test]
    fn what_is_no_rule_is_malformed() {
        let days = "<Expiration><Days>1</Days></Expiration>";
        let enabled = format!("<Status>Enabled</Status>{days}");
        for rule in [
            enabled.clone(),
            format!("<Prefix/><Filter/>{enabled}"),
            format!("<Filter/>{days}"),
            format!("<Filter/><Status>enabled</Status>{days}"),
            format!("<Filter/>{enabled}{days}"),
            format!("<Filter/>{enabled}<Other/>"),
            format!("<Filter><Prefix>a</Prefix><Tag><Key>k</Key></Tag></Filter>{enabled}"),
            format!("<Filter><And/></Filter>{enabled}"),
            format!("<Filter><And><And/></And></Filter>{enabled}"),
            format!("<Filter><ObjectSizeLessThan>-1</ObjectSizeLessThan></Filter>{enabled}"),
            "<Filter/><Status>Enabled</Status><Expiration/>".to_owned(),
            "<Filter/><Status>Enabled</Status><Expiration><Days>x</Days></Expiration>".to_owned(),
            "<Filter/><Status>Enabled</Status><Expiration><Days>2147483648</Days></Expiration>".to_owned(),
            "<Filter/><Status>Enabled</Status><Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>".to_owned(),
            "<Filter/><Status>Enabled</Status><Expiration><Date>tomorrow</Date></Expiration>".to_owned(),
            "<Filter/><Status>Enabled</Status><Transition><Days>1</Days></Transition>".to_owned(),
            "<Filter/><Status>Enabled</Status><Transition><StorageClass>GLACIER</StorageClass></Transition>".to_owned(),
            "<Filter/><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>STANDARD</StorageClass></Transition>".to_owned(),
        ] {
            let refused = read(&format!("<Rule>{rule}</Rule>")).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::MalformedXML, "{rule}");
        }
        let twice = "<Filter><And><Tag><Key>k</Key><Value>1</Value></Tag><Tag><Key>k</Key><Value>2</Value></Tag></And></Filter>";
        let refused = read(&format!("<Rule>{twice}{enabled}</Rule>")).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidRequest);
    }

    #[test]
    fn a_date_is_exact() {
        let read = |text: &str| {
            let document = format!("<Date>{text}</Date>");
            date(&parse(document.as_bytes(), "Date").unwrap()).map(|date| date.0)
        };
        for text in ["2014-01-15T00:00:00.000Z", "2014-01-15", "2014-01-15T02:00:00+02:00"] {
            assert_eq!(read(text).unwrap(), 1_389_744_000_000, "{text}");
        }
        for text in ["2014-01-15T00:00:00.001Z", "2014-01-15T00:00:00.0001Z"] {
            assert_eq!(read(text).unwrap(), 1_389_744_000_001, "{text}");
        }
        assert!(read("1969-01-01").is_err());
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(rules in "(<|</|>|Rule|ID|Filter|And|Tag|Key|Days|Date|Expiration|Transition|-|9|2030-01-01){0,30}") {
            let document = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
            if let Ok(root) = parse(document.as_bytes(), "LifecycleConfiguration") {
                let _ = parse_lifecycle(&root, MinimumSize::default(), String::new);
            }
        }
    }
}
