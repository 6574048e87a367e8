//! `cairn admin events`.

use std::io::Write;

use anyhow::{Context, bail};
use cairn_protocol::env::Timestamp;
use cairn_protocol::rpc::describe;
use clap::Args;
use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;

use super::Printer;
use super::metanode_client::Connection;
use crate::units::time;

#[derive(Args, Debug)]
pub(super) struct EventsArguments {
    /// Continue with new events as they happen
    #[arg(long, short)]
    follow: bool,

    /// Only events after this one
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    after: u64,
}

/// Prints the events, with `--json` one object a line.
pub(super) async fn run(
    arguments: EventsArguments,
    connection: &Connection,
    printer: Printer,
) -> anyhow::Result<()> {
    let answer = ask(&arguments, connection).await?;
    let mut lines = StreamReader::new(answer.bytes_stream().map_err(std::io::Error::other)).lines();
    let mut output = std::io::stdout();
    while let Some(line) = lines.next_line().await.context("the metanode broke off")? {
        let line = if printer.json { line } else { sentence(&line) };
        // A reader that closes the pipe ends the command without an error, as `| head` does.
        if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
            break;
        }
    }
    Ok(())
}

async fn ask(arguments: &EventsArguments, connection: &Connection) -> anyhow::Result<reqwest::Response> {
    let base = connection.rpc.base();
    let path = format!("/events?after={}&follow={}", arguments.after, arguments.follow);
    let answer = connection.rpc.get_stream(&path).await.map_err(|error| {
        anyhow::anyhow!(
            "the metanode at {base} does not answer as it should: {}; see that it runs",
            describe(&error)
        )
    })?;
    match answer.status() {
        status if status.is_success() => Ok(answer),
        reqwest::StatusCode::FORBIDDEN => {
            bail!(
                "the metanode at {base} refuses this cluster secret; give the one that the cluster has with --cluster-secret-file FILE"
            )
        }
        status => bail!("the metanode at {base} answers {status}"),
    }
}

/// An event as a readable line. A line that is no event is returned unchanged.
fn sentence(line: &str) -> String {
    let Ok(Value::Object(mut event)) = serde_json::from_str(line) else { return line.to_owned() };
    let sequence = event.remove("sequence").and_then(|value| value.as_u64()).unwrap_or_default();
    let at = event.remove("at").and_then(|value| value.as_u64()).unwrap_or_default();
    let name =
        event.remove("event").map(|value| words(value.as_str().unwrap_or_default())).unwrap_or_default();
    let line = format!("{} {sequence:>6}  {name:<22} {}", time(Timestamp(at)), fields(&event));
    line.trim_end().to_owned()
}

/// The words of an event's name: `NodeDead` becomes `node dead`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn fields(fields: &Map<String, Value>) -> String {
    let field = |(name, value): (&String, &Value)| {
        let name = name.replace('_', " ");
        match value {
            Value::String(text) => format!("{name} {text}"),
            Value::Object(inner) => self::fields(inner),
            Value::Null => format!("{name} none"),
            value => format!("{name} {value}"),
        }
    };
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_protocol::admin::AdminState;
    use cairn_protocol::event::{Event, EventKind};

    fn told(kind: EventKind) -> String {
        let event = Event { sequence: 7, at: Timestamp(1_000_000_000_000), kind };
        sentence(&serde_json::to_string(&event).unwrap())
    }

    #[test]
    fn an_event_is_a_line_that_can_be_read() {
        let node: cairn_protocol::id::NodeId = "bbbbbbbb-0000-4000-8000-000000000003".parse().unwrap();
        assert_eq!(
            told(EventKind::NodeDead { node }),
            "2001-09-09T01:46:40Z      7  node dead              node bbbbbbbb-0000-4000-8000-000000000003"
        );
        assert_eq!(told(EventKind::RepairIdle), "2001-09-09T01:46:40Z      7  repair idle");
        let changed = told(EventKind::NodeAdminStateChanged { node, admin_state: AdminState::Draining });
        assert!(changed.ends_with("state draining, node bbbbbbbb-0000-4000-8000-000000000003"), "{changed}");
    }

    #[test]
    fn a_line_that_is_no_event_is_shown_unchanged() {
        assert_eq!(sentence("garbage"), "garbage");
    }
}
