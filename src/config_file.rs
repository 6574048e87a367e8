//! The TOML file: its values become the defaults of options, so that flags and the environment override them.
//!
//! A key is an option's long name. At the top level it applies to every subcommand that has the option. In a table with the
//! name of a subcommand, it applies to that subcommand only.
//!
//! ```toml
//! cluster-secret-file = "/etc/cairn/cluster.secret"
//!
//! [gateway]
//! listen = "0.0.0.0:9000"
//! ```
//!
//! An option that may be given several times takes an array, or a table of names and values.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

/// The settings that the file gave, for `cairn config show`.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    file: Option<PathBuf>,
    /// The key in the file, by subcommand (None for options of all subcommands) and option.
    keys: HashMap<(Option<String>, String), String>,
}

impl Origins {
    /// The file, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The key in the file for an option of a subcommand. A flag or a variable may still override its value.
    pub(crate) fn key(&self, subcommand: &str, option: &str) -> Option<&str> {
        let own = self.keys.get(&(Some(subcommand.to_owned()), option.to_owned()));
        own.or_else(|| self.keys.get(&(None, option.to_owned()))).map(String::as_str)
    }
}

/// Makes the settings of the file that `--config` or `CAIRN_CONFIG` names the defaults of the command's options.
pub(crate) fn layer_under(command: Command) -> anyhow::Result<(Command, Origins)> {
    let Some(path) = path(std::env::args_os(), std::env::var_os("CAIRN_CONFIG")) else {
        return Ok((command, Origins::default()));
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (command, mut origins) = apply(command, &text).with_context(|| format!("{}", path.display()))?;
    origins.file = Some(path);
    Ok((command, origins))
}

/// Finds the file's name before clap parses the command line, because clap needs the file's values as defaults.
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

fn apply(command: Command, text: &str) -> anyhow::Result<(Command, Origins)> {
    let settings: Table = toml::from_str(text)?;
    let mut layer = Layer { command, origins: Origins::default() };
    let subcommands = layer.subcommands();
    // Tables are applied last, so that a value for one subcommand overrides the value for all.
    let (tables, shared): (Vec<_>, Vec<_>) = settings
        .into_iter()
        .partition(|(name, value)| value.is_table() && (subcommands.contains(name) || !layer.knows(name)));
    for (key, value) in shared {
        layer.set_for_all(&key, &value)?;
    }
    for (name, table) in tables {
        if !subcommands.contains(&name) {
            bail!("{}", unknown("table", &name, &subcommands));
        }
        let Value::Table(table) = table else { continue };
        for (key, value) in table {
            if layer.option(&name, &key).is_none() {
                bail!("[{name}]: {}", unknown("setting", &key, &layer.options(&name)));
            }
            layer.set(&name, &key, &value, format!("{name}.{key}"))?;
        }
    }
    Ok((layer.command, layer.origins))
}

/// A command and the values of the file that became defaults of its options.
struct Layer {
    command: Command,
    origins: Origins,
}

impl Layer {
    fn subcommands(&self) -> Vec<String> {
        self.command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect()
    }

    fn options(&self, subcommand: &str) -> Vec<String> {
        let found = self.command.find_subcommand(subcommand);
        let options = found.into_iter().flat_map(Command::get_arguments);
        options.filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    }

    /// A subcommand's option with this long name.
    fn option(&self, subcommand: &str, long: &str) -> Option<&Arg> {
        let found = self.command.find_subcommand(subcommand)?;
        found.get_arguments().find(|arg| arg.get_long() == Some(long))
    }

    /// An option of all subcommands with this long name.
    fn common(&self, long: &str) -> Option<&Arg> {
        self.command.get_arguments().find(|arg| arg.get_long() == Some(long))
    }

    fn takers(&self, key: &str) -> Vec<String> {
        self.subcommands().into_iter().filter(|sub| self.option(sub, key).is_some()).collect()
    }

    fn knows(&self, key: &str) -> bool {
        self.common(key).is_some() || !self.takers(key).is_empty()
    }

    fn set_for_all(&mut self, key: &str, value: &Value) -> anyhow::Result<()> {
        if let Some(common) = self.common(key) {
            let (id, values) = (common.get_id().clone(), values_of(common, key, value)?);
            let command = std::mem::take(&mut self.command);
            self.command = command.mut_arg(id, |arg| arg.default_values(values));
            self.origins.keys.insert((None, key.to_owned()), key.to_owned());
            return Ok(());
        }
        let takers = self.takers(key);
        if takers.is_empty() {
            let mut known: Vec<_> = self.subcommands().iter().flat_map(|sub| self.options(sub)).collect();
            known.extend(self.command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)));
            bail!("{}", unknown("setting", key, &known));
        }
        for taker in takers {
            self.set(&taker, key, value, key.to_owned())?;
        }
        Ok(())
    }

    fn set(&mut self, subcommand: &str, long: &str, value: &Value, key: String) -> anyhow::Result<()> {
        let Some(option) = self.option(subcommand, long) else { return Ok(()) };
        let (id, values) = (option.get_id().clone(), values_of(option, &key, value)?);
        let set = |sub: Command| sub.mut_arg(&id, |arg| arg.default_values(values.clone()));
        let mut command = std::mem::take(&mut self.command).mut_subcommand(subcommand, set);
        // The subcommand `cairn config show PART` has the same options.
        let shown = |command: &Command| {
            command
                .find_subcommand("config")?
                .find_subcommand("show")?
                .find_subcommand(subcommand)
                .map(|_| ())
        };
        if shown(&command).is_some() {
            command = command.mut_subcommand("config", |config| {
                config.mut_subcommand("show", |show| show.mut_subcommand(subcommand, set))
            });
        }
        self.command = command;
        self.origins.keys.insert((Some(subcommand.to_owned()), long.to_owned()), key);
        Ok(())
    }
}

fn values_of(option: &Arg, key: &str, value: &Value) -> anyhow::Result<Vec<String>> {
    let several = matches!(option.get_action(), ArgAction::Append) || option.get_value_delimiter().is_some();
    match value {
        Value::Array(_) | Value::Table(_) if !several => bail!("{key}: a single value is wanted"),
        Value::Array(values) => values.iter().map(|value| text_of(key, value)).collect(),
        Value::Table(values) => values
            .iter()
            .map(|(name, value)| Ok(format!("{name}={}", text_of(&format!("{key}.{name}"), value)?)))
            .collect(),
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
    use clap::ArgMatches;

    fn command() -> Command {
        let arg = |name: &'static str| Arg::new(name).long(name).default_value("built-in");
        let sub = |name: &'static str| Command::new(name).arg(arg("listen").env("CAIRN_TEST_NOT_SET"));
        let log = arg("log").global(true);
        let metanode = sub("metanode").arg(Arg::new("class").long("class").action(ArgAction::Append));
        let show = Command::new("show").subcommand(metanode.clone());
        Command::new("cairn")
            .arg(log)
            .subcommand(Command::new("config").subcommand(show))
            .subcommand(sub("gateway").arg(arg("region")))
            .subcommand(metanode)
    }

    fn get(matches: &ArgMatches, name: &str) -> String {
        matches.subcommand().unwrap().1.get_one::<String>(name).unwrap().clone()
    }

    #[test]
    fn the_file_overrides_defaults_and_flags_override_the_file() {
        let file = "log = 'debug'\nlisten = 'everybody'\n[gateway]\nlisten = 'gateway'";
        let parse = |line: &[&str]| apply(command(), file).unwrap().0.get_matches_from(line);
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
    fn an_option_that_may_be_given_several_times_takes_an_array_or_a_table() {
        let classes = |file| {
            let matches = apply(command(), file).unwrap().0.get_matches_from(["cairn", "metanode"]);
            let (_, metanode) = matches.subcommand().unwrap();
            metanode.get_many::<String>("class").unwrap().cloned().collect::<Vec<_>>()
        };
        assert_eq!(classes("class = ['A=1', 'B=2']"), ["A=1", "B=2"]);
        assert_eq!(classes("class = { A = 1, B = 2 }"), ["A=1", "B=2"]);
        assert_eq!(classes("[metanode.class]\nA = 1\nB = 2"), ["A=1", "B=2"]);
        let complaint = apply(command(), "region = ['a', 'b']").unwrap_err().to_string();
        assert_eq!(complaint, "region: a single value is wanted");
    }

    #[test]
    fn the_file_applies_to_config_show_too_and_is_shown_as_the_source() {
        let (command, origins) = apply(command(), "log = 'debug'\n[metanode]\nlisten = 'here'").unwrap();
        let matches = command.get_matches_from(["cairn", "config", "show", "metanode"]);
        let show = matches.subcommand().unwrap().1.subcommand().unwrap().1;
        assert_eq!(get(show, "listen"), "here");
        assert_eq!(origins.key("metanode", "listen"), Some("metanode.listen"));
        assert_eq!(origins.key("metanode", "log"), Some("log"));
        assert_eq!(origins.key("gateway", "listen"), None);
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
