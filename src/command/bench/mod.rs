//! `cairn bench`: measures S3 servers.

mod arguments;
mod show;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use cairn_load::{Plan, Report, Status};
use cairn_protocol::env::Env;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

pub(crate) use arguments::BenchOperation;
use arguments::Common;

use crate::process::{remark, say, shutdown_on_signals};
use crate::units;

/// The exit code if a request failed or an answer was wrong.
const NOT_WELL: u8 = 2;

pub(crate) async fn run(operation: BenchOperation) -> anyhow::Result<ExitCode> {
    let common = operation.common();
    let plan = operation.plan()?;
    let tls = trust(common)?;
    let (env, status) = (Env::system(), Arc::new(Status::default()));
    let began_at = units::time(env.wall());
    let settings = settings(&plan);
    let stop = shutdown_on_signals()?;
    let watching = show::watch(&status, &env);
    let running = cairn_load::run(plan, tls, env.clone(), status.clone(), stop);
    let measured = tokio::select! {
        measured = running => measured?,
        never = watching => match never {},
    };
    let report = Report::new(&measured, began_at, settings);
    if let Some(file) = &common.html {
        let page = report.page()?;
        std::fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
        remark(format_args!("the report is in {}", file.display()));
    }
    if common.json {
        say(serde_json::to_string_pretty(&report)?);
    } else {
        say(show::text(&report));
    }
    let is_well = report.failures() == 0 && !report.has_damage();
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(NOT_WELL) })
}

/// Whom servers are trusted by.
fn trust(common: &Common) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &common.ca_file {
        Some(file) => {
            let certificates =
                CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = certificates.with_context(|| format!("cannot read {}", file.display()))?;
            anyhow::ensure!(!certificates.is_empty(), "{} has no certificate", file.display());
            for certificate in certificates {
                roots.add(certificate)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What was asked for, for the report.
fn settings(plan: &Plan) -> Vec<(String, String)> {
    let operations: Vec<_> = plan.workload.operations().map(|operation| operation.name()).collect();
    let span = |time: std::time::Duration| humantime::format_duration(time).to_string();
    let mut settings = vec![
        ("workload", operations.join(", ")),
        ("object size", plan.sizes.describe(units::size)),
        ("clients", plan.concurrency.to_string()),
        ("measured", format!("{} in {}", span(plan.duration), units::of(plan.rounds.into(), "round"))),
        ("warm-up", span(plan.warm_up)),
    ];
    let mut also = |is_set: bool, name, value: String| {
        if is_set {
            settings.push((name, value));
        }
    };
    also(plan.objects > 0, "objects at the beginning", units::count(plan.objects));
    also(plan.range > 0, "range", units::size(plan.range));
    also(plan.part > 0, "part size", units::size(plan.part));
    also(plan.batch > 1, "objects in a delete", plan.batch.to_string());
    also(plan.keys.is_some(), "keys with versions", plan.keys.unwrap_or_default().to_string());
    also(plan.sign_bodies, "signatures", "cover the bodies".to_owned());
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
