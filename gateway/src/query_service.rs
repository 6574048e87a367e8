//! The steps of every request for the IAM API and STS: they share the endpoint with S3, and speak AWS's Query protocol.
//!
//! A request is for them if its signature's credential scope names `iam` or `sts`, or if it is an unsigned form, which only
//! `AssumeRoleWithWebIdentity` may be. So no request for S3 is taken away from it: S3 has no operation that an unsigned form on
//! `/` could mean.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use cairn_listener::{Peer, client};
use cairn_protocol::metadata::AccessKeyRef;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};

use crate::auth::{
    Place, RequestView, ServiceClaim, claimed_service, is_signature_parameter, is_version_two,
    read_service_claim, security_token,
};
use crate::client_limits::{ClientIdentity, InFlight, keep_until_sent};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::headers::single;
use crate::identity::{Facts, KeyHolder};
use crate::query_protocol::{Api, Call, Fault, Operation, Parameters};
use crate::response::Response;
use crate::uri::Query;
use crate::{iam, sts};

/// Upper limit of a signed form, in bytes. The longest parameter is a policy document of 131,072 characters, each of which may take
/// three bytes in a form; the rest is short.
const SIGNED_FORM_MAX: usize = 512 << 10;

/// Upper limit of an unsigned form, in bytes, so that strangers make the gateway hold little. A web identity token has up to 20,000
/// characters, and session policies 2,048, each of which may take three bytes in a form.
const UNSIGNED_FORM_MAX: usize = 96 << 10;

/// The region of AWS's global services, in which clients of IAM sign wherever they are.
const GLOBAL_REGION: &str = "us-east-1";

/// The type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Which service a request on the path `/` is for; `None` for S3.
pub(crate) fn addressed(parts: &Parts) -> Option<Api> {
    if parts.uri.path() != "/" || !matches!(parts.method, Method::GET | Method::POST) {
        return None;
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default()).ok()?;
    let view = view(parts, &query);
    match claimed_service(&view).as_deref() {
        Some("iam") => return Some(Api::Iam),
        Some("sts") => return Some(Api::Sts),
        Some(_) => return None,
        None => {}
    }
    let is_signed = parts.headers.contains_key(header::AUTHORIZATION)
        || is_version_two(&query)
        || query.pairs().iter().any(|(name, _)| is_signature_parameter(name));
    let is_form = || {
        let text = single(&parts.headers, header::CONTENT_TYPE.as_str()).ok().flatten().unwrap_or_default();
        text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
    };
    let is_unsigned_call = match parts.method {
        Method::POST => is_form(),
        _ => query.get("Action") == Some(sts::UNSIGNED),
    };
    (!is_signed && is_unsigned_call).then_some(Api::Sts)
}

fn view<'a>(parts: &'a Parts, query: &'a Query) -> RequestView<'a> {
    RequestView {
        method: &parts.method,
        raw_path: parts.uri.path(),
        query,
        headers: &parts.headers,
        virtual_bucket: None,
    }
}

/// Answers a request for one of the services. `framing` is the outcome of the checks that all requests pass.
pub(crate) async fn answer(
    gateway: Arc<Gateway>,
    api: Api,
    (parts, body): (Parts, Body),
    framing: S3Result<()>,
    facts: Facts,
    request_id: &str,
) -> Response {
    let started = gateway.env.monotonic();
    let mut in_flight = Vec::with_capacity(2);
    let env = gateway.env.clone();
    let method = parts.method.clone();
    let mut request = Request { gateway, api, action: "-", parts, facts };
    let outcome = match framing {
        Ok(()) => request.run(body, &mut in_flight).await,
        Err(error) => Err(error.into()),
    };
    let (api, action) = (request.api, request.action);
    let mut code = "-";
    let mut response = match outcome {
        Ok(answer) => Response::new(Body::from(answer.into_document(api, action, request_id))),
        Err(fault) => {
            code = fault.code;
            log(&fault);
            let mut response = Response::new(Body::from(fault.to_document(api, request_id)));
            *response.status_mut() = fault.status;
            if fault.closes_connection && request.parts.version < http::Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    let elapsed_ms = (env.monotonic() - started).as_millis();
    let status = response.status().as_u16();
    tracing::info!(%method, path = "/", api = api.name(), operation = action, status, code, elapsed_ms, "request");
    keep_until_sent(response, in_flight)
}

fn log(fault: &Fault) {
    let (code, cause, message) = (fault.code, fault.cause.as_deref(), &*fault.message);
    match fault.status {
        StatusCode::INTERNAL_SERVER_ERROR => cairn_protocol::warn_self!(code, cause, message),
        status if status.is_server_error() => cairn_protocol::warn_peer!(code, cause, message),
        _ => tracing::debug!(code, cause, message),
    }
}

struct Request {
    gateway: Arc<Gateway>,
    api: Api,
    /// The operation, when it is known.
    action: &'static str,
    parts: Parts,
    facts: Facts,
}

impl Request {
    async fn run(
        &mut self,
        body: Body,
        in_flight: &mut Vec<InFlight>,
    ) -> Result<crate::query_protocol::Answer, Fault> {
        let config = &self.gateway.config;
        let counts = &self.gateway.requests_in_flight;
        let address = self.parts.extensions.get::<Peer>().map(|peer| peer.address.ip());
        let address = client(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        in_flight.push(counts.enter(ClientIdentity::Address(address), config.requests_per_address_max)?);
        if !self.gateway.keyring.is_ready() {
            return Err(Fault::unavailable("the metanode has not answered since the start"));
        }
        let query = Query::parse(self.parts.uri.query().unwrap_or_default())?;
        let view = view(&self.parts, &query);
        let other_region = Some(GLOBAL_REGION);
        let place = Place { service: self.api.name(), region: &config.region, other_region };
        let (form, holder) = match read_service_claim(&view, place)? {
            None => (read(body, UNSIGNED_FORM_MAX).await?, None),
            Some(claim) => {
                let (form, holder) = self.authenticate(&view, &claim, body).await?;
                let key = claim.access_key().to_owned();
                in_flight.push(counts.enter(ClientIdentity::Key(key), config.requests_per_key_max)?);
                (form, Some(holder))
            }
        };
        let parameters = Parameters::parse(&form, &query)?;
        if holder.is_none() && parameters.get("Version") == Some(Api::Iam.version()) {
            self.api = Api::Iam;
        }
        let (action, handler) = find(self.api, &parameters)?;
        self.action = action;
        if holder.is_none() && *action != sts::UNSIGNED {
            let message = "Request is missing Authentication Token";
            return Err(Fault::new("MissingAuthenticationToken", StatusCode::FORBIDDEN, message));
        }
        let call =
            Call { gateway: self.gateway.clone(), action, parameters, holder, facts: self.facts.clone() };
        handler(&call).await
    }

    /// Verifies the signature, which covers the body. The body is read only if key and head are good.
    async fn authenticate(
        &self,
        view: &RequestView<'_>,
        claim: &ServiceClaim,
        body: Body,
    ) -> Result<(Bytes, Arc<KeyHolder>), Fault> {
        let keyring = &self.gateway.keyring;
        let token = security_token(view)?.map(str::to_owned);
        let key = AccessKeyRef { access_key: claim.access_key().to_owned(), token };
        let holder = keyring.secret(&key).await?;
        let holder = holder.ok_or_else(|| S3Error::new(ErrorCode::InvalidAccessKeyId))?;
        claim.check_head(view, self.gateway.env.now())?;
        let form = read(body, SIGNED_FORM_MAX).await?;
        let now = self.gateway.env.now();
        match claim.verify(view, &form, holder.secret(), now) {
            Ok(_) => Ok((form, holder)),
            // The secret may have changed since it was looked up.
            Err(error) if error.code() == ErrorCode::SignatureDoesNotMatch => {
                match keyring.newer(&key, holder.secret()).await? {
                    Some(newer) => {
                        claim.verify(view, &form, newer.secret(), now)?;
                        Ok((form, newer))
                    }
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads a form.
async fn read(body: Body, max: usize) -> Result<Bytes, Fault> {
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let message = format!("The form has more than {max} bytes.");
            Err(Fault::new("RequestEntityTooLarge", StatusCode::PAYLOAD_TOO_LARGE, message).closing())
        }
        Err(error) => {
            let fault = Fault::bad("IncompleteBody", "The request body terminated unexpectedly.");
            Err(Fault { cause: Some(error.to_string()), ..fault }.closing())
        }
    }
}

/// The operation that the parameters name.
fn find(api: Api, parameters: &Parameters) -> Result<&'static Operation, Fault> {
    let action = parameters.get("Action").unwrap_or_default();
    if action.is_empty() {
        return Err(Fault::bad("MissingAction", "Missing Action"));
    }
    let version = parameters.get("Version").unwrap_or_default();
    let found = match api {
        Api::Iam => iam::operation(action),
        Api::Sts => sts::operation(action),
    };
    found.filter(|_| version == api.version()).ok_or_else(|| {
        Fault::bad("InvalidAction", format!("Could not find operation {action} for version {version}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<Api> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        addressed(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_credential_scope_says_which_service_is_meant() {
        let signed = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIA/20130524/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
            )
        };
        for (scope, api) in [("iam", Some(Api::Iam)), ("sts", Some(Api::Sts)), ("s3", None), ("ec2", None)] {
            let authorization = signed(scope);
            let headers = [("authorization", authorization.as_str()), ("content-type", FORM)];
            assert_eq!(service("POST", "/", &headers), api, "{scope}");
            assert_eq!(service("POST", "/bucket", &headers), None, "{scope}");
            assert_eq!(service("PUT", "/", &headers), None, "{scope}");
            let query = format!("/?X-Amz-Credential=AKIA%2F20130524%2Fr%2F{scope}%2Faws4_request&Action=x");
            assert_eq!(service("GET", &query, &[]), api, "{scope}");
        }
    }

    #[test]
    fn an_unsigned_form_is_for_sts_and_all_else_is_for_s3() {
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        assert_eq!(service("POST", "/", &form), Some(Api::Sts));
        assert_eq!(service("GET", "/?Action=AssumeRoleWithWebIdentity", &[]), Some(Api::Sts));
        assert_eq!(service("POST", "/", &[("content-type", "multipart/form-data; boundary=x")]), None);
        assert_eq!(service("POST", "/", &[]), None);
        assert_eq!(service("POST", "/bucket", &form), None);
        assert_eq!(service("GET", "/?Action=ListUsers", &[]), None);
        assert_eq!(service("POST", "/?Signature=x&AWSAccessKeyId=y", &form), None);
        assert_eq!(service("POST", "/", &[form[0], ("authorization", "nonsense")]), None);
    }
}
