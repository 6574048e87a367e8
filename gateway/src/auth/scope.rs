//! The credential scope of a signature: the day, region and service for which it is valid.

use std::fmt;

use crate::error::S3Error;

/// The credential scope: `20130524/us-east-1/s3/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The UTC day, `YYYYMMDD`.
    pub day: String,
    /// The region.
    pub region: String,
    /// The service: `s3`, `iam` or `sts`.
    pub service: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }
}

/// A parsed `Credential=`: the access key id and the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedCredential {
    /// The access key id. It may itself contain slashes.
    pub access_key: String,
    /// The scope.
    pub scope: Scope,
}

/// Why a `Credential=` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It does not have five parts.
    #[error("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")]
    Form,
    /// The last part is not `aws4_request`.
    #[error("the terminal \"{0}\" is wrong; expecting \"aws4_request\".")]
    Terminal(String),
    /// The day is not a date.
    #[error("incorrect date format \"{0}\". This date in the credential must be in the format \"yyyyMMdd\".")]
    Day(String),
    /// The service is not the one that the request is for.
    #[error("incorrect service \"{given}\". This endpoint belongs to \"{expected}\".")]
    Service {
        /// The service in the request.
        given: String,
        /// The service that the request is for.
        expected: &'static str,
    },
    /// The region is not the gateway's.
    #[error("the region '{given}' is wrong; expecting '{expected}'")]
    Region {
        /// The region in the request.
        given: String,
        /// The gateway's region.
        expected: String,
    },
    /// The day is not that of the request's date.
    #[error("Invalid credential date \"{0}\". This date is not the same as X-Amz-Date.")]
    OtherDay(String),
}

impl CredentialError {
    /// Adds the elements to the response that AWS adds: a client that used a wrong region learns the right one.
    pub(crate) fn add_details(&self, answer: S3Error) -> S3Error {
        match self {
            Self::Region { expected, .. } => answer.detail("Region", expected),
            Self::Form | Self::Terminal(_) | Self::Day(_) | Self::Service { .. } | Self::OtherDay(_) => {
                answer
            }
        }
    }
}

impl ParsedCredential {
    /// Parses `<access key>/<day>/<region>/<service>/aws4_request`.
    ///
    /// # Errors
    /// Why its form is refused.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let mut parts = text.rsplitn(5, '/');
        let (Some(terminal), Some(service), Some(region), Some(day), Some(access_key)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CredentialError::Form);
        };
        if access_key.is_empty() {
            return Err(CredentialError::Form);
        }
        if terminal != "aws4_request" {
            return Err(CredentialError::Terminal(terminal.to_owned()));
        }
        if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CredentialError::Day(day.to_owned()));
        }
        let scope = Scope { day: day.to_owned(), region: region.to_owned(), service: service.to_owned() };
        Ok(Self { access_key: access_key.to_owned(), scope })
    }

    /// Checks that the scope is this service in one of these regions on this day.
    ///
    /// # Errors
    /// The part that differs.
    pub fn check(&self, place: Place<'_>, day: &str) -> Result<(), CredentialError> {
        if self.scope.service != place.service {
            let given = self.scope.service.clone();
            return Err(CredentialError::Service { given, expected: place.service });
        }
        if self.scope.region != place.region && Some(self.scope.region.as_str()) != place.other_region {
            return Err(CredentialError::Region {
                given: self.scope.region.clone(),
                expected: place.region.to_owned(),
            });
        }
        if self.scope.day != day {
            return Err(CredentialError::OtherDay(self.scope.day.clone()));
        }
        Ok(())
    }
}

/// Where a signature must be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The service.
    pub service: &'static str,
    /// The region of the gateway.
    pub region: &'a str,
    /// A region that is as good: that of AWS's global services.
    pub other_region: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// S3 in this region.
    pub fn s3(region: &'a str) -> Self {
        Self { service: "s3", region, other_region: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_key_may_contain_slashes() {
        let parsed = ParsedCredential::parse("a/b/20130524/us-east-1/s3/aws4_request").unwrap();
        assert_eq!(parsed.access_key, "a/b");
        assert_eq!(parsed.scope.to_string(), "20130524/us-east-1/s3/aws4_request");
    }

    #[test]
    fn each_wrong_part_is_named() {
        let parse = ParsedCredential::parse;
        assert_eq!(parse("a/20130524/r/s3"), Err(CredentialError::Form));
        assert_eq!(parse("/20130524/r/s3/aws4_request"), Err(CredentialError::Form));
        assert_eq!(parse("a/20130524/r/s3/aws3"), Err(CredentialError::Terminal("aws3".into())));
        assert_eq!(parse("a/2013-5-4/r/s3/aws4_request"), Err(CredentialError::Day("2013-5-4".into())));
        let good = parse("a/20130524/r/s3/aws4_request").unwrap();
        assert_eq!(good.check(Place::s3("r"), "20130524"), Ok(()));
        assert_eq!(good.check(Place::s3("r"), "20130525"), Err(CredentialError::OtherDay("20130524".into())));
        assert!(matches!(good.check(Place::s3("q"), "20130524"), Err(CredentialError::Region { .. })));
        let iam = parse("a/20130524/r/iam/aws4_request").unwrap();
        let wrong = CredentialError::Service { given: "iam".into(), expected: "s3" };
        assert_eq!(iam.check(Place::s3("r"), "20130524"), Err(wrong));
        let place = Place { service: "iam", region: "q", other_region: Some("r") };
        assert_eq!(iam.check(place, "20130524"), Ok(()));
    }
}
