//! The parameters of a request.

use super::Fault;
use crate::uri::Query;

/// The parameters of a request, from its form and its query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses a form, and adds the parameters of the query.
    ///
    /// # Errors
    /// `MalformedQueryString` for a form that is not well-formed, or that names a parameter twice.
    pub(crate) fn parse(form: &[u8], query: &Query) -> Result<Self, Fault> {
        let malformed = |what: &str| Fault::bad("MalformedQueryString", what.to_owned());
        let form = std::str::from_utf8(form).map_err(|_| malformed("The form is not UTF-8."))?;
        let form =
            Query::parse(form).map_err(|_| malformed("The form has an escape that is not well-formed."))?;
        let mut pairs: Vec<(String, String)> = form
            .pairs()
            .iter()
            .chain(query.pairs())
            .filter(|(name, _)| !is_signature(name))
            .cloned()
            .collect();
        pairs.sort();
        if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(malformed(&format!("The parameter {} is there more than once.", twice[0].0)));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value.as_str())
    }

    /// The values of a list: `Name.member.1`, `Name.member.2` and so on.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|number| self.get(&format!("{name}.member.{number}"))).collect()
    }

    /// The entries of a list of structures, each as the values of its members: `Tags.member.1.Key` and `Tags.member.1.Value`. An
    /// entry ends the list if it has none of the members.
    pub(crate) fn structures<const N: usize>(
        &self,
        name: &str,
        members: [&str; N],
    ) -> Vec<[Option<&str>; N]> {
        let entry = |number: usize| {
            let values = members.map(|member| self.get(&format!("{name}.member.{number}.{member}")));
            values.iter().any(Option::is_some).then_some(values)
        };
        (1..).map_while(entry).collect()
    }
}

/// Whether a parameter belongs to the signature of a presigned request.
fn is_signature(name: &str) -> bool {
    name.starts_with("X-Amz-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str, query: &str) -> Result<Parameters, Fault> {
        Parameters::parse(form.as_bytes(), &Query::parse(query).unwrap())
    }

    #[test]
    fn lists_and_structures_have_numbered_members() {
        let form = "A=x+y%2F&L.member.2=b&L.member.1=a&L.member.4=d&T.member.1.Key=k&T.member.1.Value=v&T.member.2.Key=l";
        let parameters = parse(form, "Action=Q&X-Amz-Date=1").unwrap();
        assert_eq!(parameters.get("A"), Some("x y/"));
        assert_eq!(parameters.get("Action"), Some("Q"));
        assert_eq!(parameters.get("X-Amz-Date"), None);
        assert_eq!(parameters.list("L"), ["a", "b"]);
        let tags = parameters.structures("T", ["Key", "Value"]);
        assert_eq!(tags, [[Some("k"), Some("v")], [Some("l"), None]]);
        assert!(parameters.list("Missing").is_empty());
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_refused() {
        for (form, query) in [("A=1&A=1", ""), ("A=1", "A=2"), ("A=%zz", ""), ("%ff=1", "")] {
            assert_eq!(parse(form, query).unwrap_err().code, "MalformedQueryString", "{form} {query}");
        }
    }
}
