//! The TOML file: it gives options other defaults, so that flags and the environment override it.
//!
//! A key is an option's long name. At the top it speaks to every subcommand that has the option; in
//! a table with a subcommand's name, to that one alone.
//!
//! ```toml
//! cluster-secret-file = "/etc/cairn/cluster.secret"
//!
//! [gateway]
//! listen = "0.0.0.0:9000"
//! ```

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Command;
use toml::{Table, Value};

/// Puts the settings of the file that `--config` or `CAIRN_CONFIG` names under the command's options.
pub(crate) fn layer_under(command: Command) -> anyhow::Result<Command> {
    let Some(path) = path(std::env::args_os(), std::env::var_os("CAIRN_CONFIG")) else { return Ok(command) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    apply(command, &text).with_context(|| format!("{}", path.display()))
}

/// Looks for the file's name before the command line is parsed, because parsing needs its contents.
fn path(arguments: impl Iterator<Item = OsString>, environment: Option<OsString>) -> Option<PathBuf> {
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(value) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(PathBuf::from(value));
        }
    }
    environment.filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn apply(mut command: Command, text: &str) -> anyhow::Result<Command> {
    let settings: Table = toml::from_str(text)?;
    let subcommands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    // Tables last: what is said to one subcommand overrides what is said to all.
    let (tables, shared): (Vec<_>, Vec<_>) = settings.into_iter().partition(|(_, value)| value.is_table());
    for (key, value) in shared {
        let common =
            command.get_arguments().find(|arg| arg.get_long() == Some(&key)).map(|arg| arg.get_id().clone());
        if let Some(id) = common {
            let values = texts_of(&key, &value)?;
            command = command.mut_arg(id, |arg| arg.default_values(values));
            continue;
        }
        let takers: Vec<_> =
            subcommands.iter().filter(|sub| option(&command, sub, &key).is_some()).cloned().collect();
        if takers.is_empty() {
            let known = subcommands.iter().flat_map(|sub| options(&command, sub)).collect::<Vec<_>>();
            bail!("{}", unknown("setting", &key, &known));
        }
        for taker in takers {
            command = set(command, &taker, &key, &value)?;
        }
    }
    for (name, table) in tables {
        if !subcommands.contains(&name) {
            bail!("{}", unknown("table", &name, &subcommands));
        }
        let Value::Table(table) = table else { continue };
        for (key, value) in table {
            if option(&command, &name, &key).is_none() {
                bail!("[{name}]: {}", unknown("setting", &key, &options(&command, &name)));
            }
            command = set(command, &name, &key, &value)?;
        }
    }
    Ok(command)
}

fn options(command: &Command, subcommand: &str) -> Vec<String> {
    let found = command.get_subcommands().find(|sub| sub.get_name() == subcommand);
    found
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect()
}

/// The id of a subcommand's option with this long name.
fn option(command: &Command, subcommand: &str, long: &str) -> Option<clap::Id> {
    let found = command.get_subcommands().find(|sub| sub.get_name() == subcommand)?;
    found.get_arguments().find(|arg| arg.get_long() == Some(long)).map(|arg| arg.get_id().clone())
}

fn set(command: Command, subcommand: &str, long: &str, value: &Value) -> anyhow::Result<Command> {
    let Some(id) = option(&command, subcommand, long) else { return Ok(command) };
    let values = match value {
        Value::Array(values) => {
            values.iter().map(|value| text_of(long, value)).collect::<anyhow::Result<Vec<_>>>()?
        }
        value => vec![text_of(long, value)?],
    };
    Ok(command.mut_subcommand(subcommand, |sub| sub.mut_arg(id, |arg| arg.default_values(values))))
}

fn texts_of(key: &str, value: &Value) -> anyhow::Result<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(|value| text_of(key, value)).collect(),
        value => Ok(vec![text_of(key, value)?]),
    }
}

fn text_of(key: &str, value: &Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            bail!("{key}: a text, a number or true/false is wanted")
        }
    }
}

fn unknown(what: &str, name: &str, known: &[String]) -> String {
    let nearest = known.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
    match nearest {
        Some(nearest) => format!("there is no {what} `{name}`; did you mean `{nearest}`?"),
        None => format!("there is no {what} `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgMatches};

    fn command() -> Command {
        let arg = |name: &'static str| Arg::new(name).long(name).default_value("built-in");
        let sub = |name: &'static str| Command::new(name).arg(arg("listen").env("CAIRN_TEST_NOT_SET"));
        let log = arg("log").global(true);
        Command::new("cairn")
            .arg(log)
            .subcommand(sub("gateway").arg(arg("region")))
            .subcommand(sub("metanode"))
    }

    fn get(matches: &ArgMatches, name: &str) -> String {
        matches.subcommand().unwrap().1.get_one::<String>(name).unwrap().clone()
    }

    #[test]
    fn the_file_overrides_defaults_and_flags_override_the_file() {
        let file = "log = 'debug'\nlisten = 'everybody'\n[gateway]\nlisten = 'gateway'";
        let parse = |line: &[&str]| apply(command(), file).unwrap().get_matches_from(line);
        assert_eq!(get(&parse(&["cairn", "metanode"]), "listen"), "everybody");
        assert_eq!(get(&parse(&["cairn", "metanode"]), "log"), "debug");
        assert_eq!(get(&parse(&["cairn", "gateway"]), "listen"), "gateway");
        assert_eq!(get(&parse(&["cairn", "gateway"]), "region"), "built-in");
        assert_eq!(get(&parse(&["cairn", "gateway", "--listen", "flag"]), "listen"), "flag");
    }

    #[test]
    fn an_unknown_setting_is_an_error_with_a_suggestion() {
        let complaint = |file| apply(command(), file).unwrap_err().to_string();
        assert_eq!(complaint("regoin = 'x'"), "there is no setting `regoin`; did you mean `region`?");
        assert_eq!(
            complaint("[metanode]\nregion = 'x'"),
            "[metanode]: there is no setting `region`; did you mean `listen`?"
        );
        assert_eq!(
            complaint("[gatewya]\nregion = 'x'"),
            "there is no table `gatewya`; did you mean `gateway`?"
        );
    }

    #[test]
    fn the_file_is_named_by_a_flag_or_by_the_environment() {
        let path = |line: &[&str], environment: Option<&str>| {
            path(line.iter().map(OsString::from), environment.map(OsString::from))
        };
        assert_eq!(path(&["cairn", "--config", "a"], Some("b")), Some("a".into()));
        assert_eq!(path(&["cairn", "--config=a"], None), Some("a".into()));
        assert_eq!(path(&["cairn"], Some("b")), Some("b".into()));
        assert_eq!(path(&["cairn"], Some("")), None);
    }
}
