//! What users and roles of AWS may have, and those of Cairn never have: passwords, MFA devices, certificates, SSH keys, instance
//! profiles. Tools ask for them before they delete a user or role, and get the true answer: there are none.

use cairn_protocol::iam::HolderKind;

use super::{paging, target};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("ListMFADevices", |call| Box::pin(none_of_user(call, "MFADevices"))),
    ("ListSigningCertificates", |call| Box::pin(none_of_user(call, "Certificates"))),
    ("ListSSHPublicKeys", |call| Box::pin(none_of_user(call, "SSHPublicKeys"))),
    ("ListServiceSpecificCredentials", |call| Box::pin(none_of_user(call, "ServiceSpecificCredentials"))),
    ("ListInstanceProfilesForRole", |call| Box::pin(no_profiles_of_role(call))),
    ("ListInstanceProfiles", |call| Box::pin(none(call, "InstanceProfiles"))),
    ("ListVirtualMFADevices", |call| Box::pin(none(call, "VirtualMFADevices"))),
    ("ListServerCertificates", |call| Box::pin(none(call, "ServerCertificateMetadataList"))),
    ("ListSAMLProviders", |call| Box::pin(none(call, "SAMLProviderList"))),
    ("GetLoginProfile", |call| Box::pin(no_login_profile(call))),
    ("DeleteLoginProfile", |call| Box::pin(no_login_profile(call))),
    ("GetAccountPasswordPolicy", |call| Box::pin(no_password_policy(call))),
];

fn empty(element: &'static str) -> Answer {
    Answer::with(move |xml| {
        xml.element(element, |_| {});
        paging::write(xml, None);
    })
}

async fn none_of_user(call: &Call, element: &'static str) -> Answered {
    match target::user_or_sender(call).await? {
        None => call.authorise(&format!("iam:{}", call.action), "*")?,
        Some(target) => {
            call.authorise(&format!("iam:{}", call.action), &target.arn)?;
            call.iam().get_user(target.entity()).await?;
        }
    }
    Ok(empty(element))
}

async fn no_profiles_of_role(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Role).await?;
    call.authorise(&format!("iam:{}", call.action), &target.arn)?;
    call.iam().get_role(target.entity()).await?;
    Ok(empty("InstanceProfiles"))
}

async fn none(call: &Call, element: &'static str) -> Answered {
    call.authorise(&format!("iam:{}", call.action), "*")?;
    Ok(empty(element))
}

async fn no_login_profile(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::User).await?;
    call.authorise(&format!("iam:{}", call.action), &target.arn)?;
    let user = call.iam().get_user(target.entity()).await?;
    Err(Fault::no_such_entity(format!("Login Profile for User {} cannot be found.", user.name)))
}

async fn no_password_policy(call: &Call) -> Answered {
    call.authorise("iam:GetAccountPasswordPolicy", "*")?;
    let message = format!("The Password Policy with domain name {} cannot be found.", call.account()?);
    Err(Fault::no_such_entity(message))
}
