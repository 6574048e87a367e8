//! Explains a failed handshake to an operator.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// A sentence about an error of TLS between parts, or `None` if `error` is another error.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let error = tls_error(error)?;
    let sentence = match error {
        rustls::Error::InvalidCertificate(problem) => certificate(problem),
        rustls::Error::AlertReceived(alert) => alert_received(*alert),
        rustls::Error::NoCertificatesPresented => {
            "it shows no certificate: only parts of the cluster may connect".to_owned()
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS: write its address with http://, or have it listen with --internal-tls on"
                .to_owned()
        }
        other => format!("no TLS connection can be made: {other}"),
    };
    Some(sentence)
}

/// The error of rustls in `error`, which may be wrapped in one of IO.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = error.downcast_ref() {
        return Some(error);
    }
    tls_error(error.downcast_ref::<io::Error>()?.get_ref()?)
}

const OTHER_CLUSTER: &str = "is of another authority than ours: give all parts the same cluster secret, or the same \
                             --internal-tls-ca";

fn certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("its certificate {OTHER_CLUSTER}")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "its certificate has expired, or is not valid yet: renew it, and see that the clocks of both machines agree"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is not for this cluster's name (--internal-tls-name)".to_owned()
        }
        other => format!("its certificate cannot be used: {other}"),
    }
}

fn alert_received(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError | AlertDescription::BadCertificate => {
            format!("it refuses our certificate, which {OTHER_CLUSTER}")
        }
        AlertDescription::CertificateExpired => {
            "it refuses our certificate as expired: renew it, and see that the clocks of both machines agree"
                .to_owned()
        }
        AlertDescription::CertificateRequired => "it asks for a certificate, and we showed none".to_owned(),
        other => format!("it refuses our TLS: {other:?}"),
    }
}
