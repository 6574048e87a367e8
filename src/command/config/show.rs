//! `cairn config show`. It reads the options from clap, so that none can be forgotten.

use cairn_datanode::Config as DatanodeConfig;
use cairn_listener::Limits;
use cairn_metanode::Config as MetanodeConfig;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

use super::{Part, ShowArguments};
use crate::arguments::{BlockArguments, DiskArguments};
use crate::config_file::Origins;
use crate::process::say;
use crate::table::Table;

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct Settings {
    /// The part.
    part: String,
    /// The TOML file, if there is one.
    file: Option<String>,
    /// The settings of the part, in the order of `--help`.
    settings: Vec<Setting>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Setting {
    /// Long name of the option, key in the file.
    name: String,
    /// The value as an option has it; several values are separated by commas. Null if there is none.
    value: Option<String>,
    /// The kind of source that gave the value.
    source: Source,
    /// The option, the variable, or the file and key that gave the value.
    from: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Default,
    File,
    Environment,
    Flag,
}

const HIDDEN: &str = "(hidden)";

pub(super) fn run(
    arguments: &ShowArguments,
    command: &Command,
    matches: &ArgMatches,
    origins: &Origins,
) -> anyhow::Result<()> {
    check(&arguments.part)?;
    let Some((name, leaf)) = leaf(matches) else { anyhow::bail!("name a part: `cairn config show server`") };
    let Some(part) = command.find_subcommand(name) else { anyhow::bail!("there is no part {name}") };
    let options = part.get_arguments().chain(command.get_arguments());
    let mut settings: Vec<Setting> =
        options.filter(|arg| is_setting(arg)).map(|arg| setting(arg, name, leaf, origins)).collect();
    fill_in(&arguments.part, &mut settings)?;
    let file = origins.file().map(|file| file.display().to_string());
    let settings = Settings { part: name.to_owned(), file, settings };
    if arguments.json {
        say(serde_json::to_string_pretty(&settings)?);
    } else {
        say(table(&settings));
    }
    Ok(())
}

/// Fails with the error that the part itself would give for these settings.
fn check(part: &Part) -> anyhow::Result<()> {
    let disks = |disks: &DiskArguments| disks.apply(&mut DatanodeConfig::new(Vec::new(), String::new()));
    if let Some(blocks) = blocks(part) {
        blocks.config()?;
    }
    match part {
        Part::Server(server) => disks(&server.disks)?,
        Part::Datanode(datanode) => disks(&datanode.disks)?,
        Part::Gateway(_) | Part::Metanode(_) => {}
    }
    limits(part).map(drop)
}

fn blocks(part: &Part) -> Option<&BlockArguments> {
    match part {
        Part::Server(server) => Some(&server.blocks),
        Part::Metanode(metanode) => Some(&metanode.blocks),
        Part::Gateway(_) | Part::Datanode(_) => None,
    }
}

/// The limits of the listener that faces the part's clients.
fn limits(part: &Part) -> anyhow::Result<Limits> {
    match part {
        Part::Server(server) => server.listener.limits(&Limits::public()),
        Part::Gateway(gateway) => gateway.listener.limits(&Limits::public()),
        Part::Metanode(metanode) => metanode.listener.limits(&MetanodeConfig::new("").limits),
        Part::Datanode(datanode) => {
            datanode.listener.limits(&DatanodeConfig::new(Vec::new(), String::new()).limits)
        }
    }
}

/// The name and the options of the part in `cairn config show PART …`.
fn leaf(matches: &ArgMatches) -> Option<(&str, &ArgMatches)> {
    matches.subcommand()?.1.subcommand()?.1.subcommand()
}

fn is_setting(arg: &Arg) -> bool {
    arg.get_long().is_some_and(|long| !["help", "version"].contains(&long))
}

fn setting(arg: &Arg, part: &str, matches: &ArgMatches, origins: &Origins) -> Setting {
    let name = arg.get_long().unwrap_or_default().to_owned();
    let id = arg.get_id().as_str();
    let value = matches.try_get_raw(id).ok().flatten().map(|values| {
        // clap hides the values of secrets in help texts by this mark, so this output hides them, too.
        if arg.is_hide_env_values_set() {
            return HIDDEN.to_owned();
        }
        values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",")
    });
    let key = origins.key(part, &name);
    let (source, from) = match (matches.value_source(id), key, origins.file()) {
        (Some(ValueSource::CommandLine), ..) => (Source::Flag, Some(format!("--{name}"))),
        (Some(ValueSource::EnvVariable), ..) => {
            (Source::Environment, arg.get_env().map(|variable| variable.to_string_lossy().into_owned()))
        }
        (_, Some(key), Some(file)) => (Source::File, Some(format!("{}: {key}", file.display()))),
        _ => (Source::Default, None),
    };
    Setting { name, value, source, from }
}

/// Fills in the defaults that depend on the part or on other settings.
fn fill_in(part: &Part, settings: &mut [Setting]) -> anyhow::Result<()> {
    for setting in settings.iter_mut().filter(|setting| setting.value.is_none()) {
        setting.value = match setting.name.as_str() {
            "min-replicas" => blocks(part).map(|blocks| blocks.min_replicas().to_string()),
            "connections-per-address-max" => {
                let limits = limits(part)?;
                Some(limits.connections_per_address_max.min(limits.connections_max).to_string())
            }
            "connections-max" => Some(limits(part)?.connections_max.to_string()),
            "header-size-max" => Some(format!("{}KiB", limits(part)?.header_bytes_max / 1024)),
            "header-count-max" => Some(limits(part)?.header_count_max.to_string()),
            _ => None,
        };
    }
    Ok(())
}

fn table(settings: &Settings) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "FROM"]);
    for setting in &settings.settings {
        let value = setting.value.clone().unwrap_or_else(|| "-".to_owned());
        let from = setting.from.clone().unwrap_or_else(|| "default".to_owned());
        table.row([setting.name.clone(), value, from]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command as Subcommand};
    use crate::command::config::ConfigOperation;
    use clap::{CommandFactory, FromArgMatches};

    fn settings(line: &[&str]) -> Vec<Setting> {
        let command = Cli::command();
        let matches = command.clone().get_matches_from(line);
        let (name, leaf) = leaf(&matches).unwrap();
        let part = command.find_subcommand(name).unwrap();
        let options = part.get_arguments().chain(command.get_arguments());
        let mut settings: Vec<_> = options
            .filter(|arg| is_setting(arg))
            .map(|arg| setting(arg, name, leaf, &Origins::default()))
            .collect();
        let cli = Cli::from_arg_matches(&matches).unwrap();
        let Subcommand::Config(ConfigOperation::Show(arguments)) = cli.command else { unreachable!() };
        fill_in(&arguments.part, &mut settings).unwrap();
        settings
    }

    fn find(settings: Vec<Setting>, name: &str) -> Setting {
        settings.into_iter().find(|setting| setting.name == name).unwrap()
    }

    #[test]
    fn secrets_are_not_shown() {
        let line =
            ["cairn", "config", "show", "gateway", "--cluster-secret", "something that nobody should read"];
        let secret = find(settings(&line), "cluster-secret");
        assert_eq!(secret.value.as_deref(), Some(HIDDEN));
        assert_eq!(secret.source, Source::Flag);
    }

    #[test]
    fn a_default_that_depends_on_another_setting_is_shown() {
        let replicas =
            |n| find(settings(&["cairn", "config", "show", "metanode", "--replication", n]), "min-replicas");
        assert_eq!(replicas("1").value.as_deref(), Some("1"));
        assert_eq!(replicas("5").value.as_deref(), Some("2"));
        assert_eq!(replicas("5").source, Source::Default);
    }
}
