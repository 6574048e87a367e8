//! `cairn admin balance`.

use bytesize::ByteSize;
use cairn_protocol::admin::{Admin, BalanceRequest, BalanceStatus, SetBalance};
use clap::{Args, Subcommand};

use super::Printer;
use super::worker::activity_word;
use crate::arguments::values::{Permille, percentage, rate};
use crate::table::Table;
use crate::units::{count, of, permille, share, size};

#[derive(Subcommand, Debug)]
pub(super) enum BalanceOperation {
    /// Start balancing, or change its rate or threshold; survives restarts
    Start(StartArguments),
    /// Stop balancing; moves in progress are finished
    Stop,
    /// Show how evenly full the datanodes are, and the moves in progress
    Status,
}

#[derive(Args, Debug)]
pub(super) struct StartArguments {
    /// Bytes a second that may be moved in the whole cluster, such as 50MiB
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<ByteSize>,

    /// How far from the mean utilisation a datanode may be, as a share of the mean
    #[arg(long, value_name = "SHARE", value_parser = percentage)]
    threshold: Option<Permille>,

    /// Only show what would happen
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(
    operation: BalanceOperation,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        BalanceOperation::Status => {
            let status = admin.balance(BalanceRequest {}).await?;
            printer.show(&status, |status| format!("{}\n\n{}", sentence(status), facts(status)))
        }
        BalanceOperation::Stop => {
            let stop = SetBalance { running: Some(false), ..SetBalance::default() };
            let status = admin.set_balance(stop).await?;
            printer.show(&status, |status| {
                format!("Stopped; {} under way are finished.", of(status.moves_in_flight, "move"))
            })
        }
        BalanceOperation::Start(arguments) => {
            let start = SetBalance {
                running: Some(true),
                rate: arguments.rate.map(|rate| rate.as_u64()),
                threshold_permille: arguments.threshold.map(|threshold| threshold.0),
                dry_run: arguments.dry_run,
            };
            let status = admin.set_balance(start).await?;
            let prefix = if arguments.dry_run { "Nothing was changed. It would be so: " } else { "" };
            printer.show(&status, |status| format!("{prefix}{}\n\n{}", sentence(status), facts(status)))
        }
    }
}

fn sentence(status: &BalanceStatus) -> String {
    let outside = u64::from(status.nodes_outside);
    // The utilisation already counts moves in progress as done.
    if outside == 0 && status.moves_in_flight > 0 {
        return format!("Nearly balanced: {} under way will do.", of(status.moves_in_flight, "move"));
    }
    match (outside, status.running) {
        (0, _) => {
            format!("Balanced: every datanode is within {} of the mean.", permille(status.threshold_permille))
        }
        (_, true) => format!(
            "Balancing: {} beyond {} of the mean; {} to move, at {}/s.",
            of(outside, "datanode"),
            permille(status.threshold_permille),
            size(status.bytes_to_move),
            size(status.rate)
        ),
        (_, false) => format!(
            "Not balancing: {} beyond {} of the mean; `cairn admin balance start` would move {}.",
            of(outside, "datanode"),
            permille(status.threshold_permille),
            size(status.bytes_to_move)
        ),
    }
}

fn facts(status: &BalanceStatus) -> Table {
    let mut table = Table::of_facts();
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("running", if status.running { "yes" } else { "no" }.to_owned());
    fact("activity", activity_word(status.activity).to_owned());
    fact("rate", format!("{}/s", size(status.rate)));
    fact("threshold", permille(status.threshold_permille));
    fact("mean utilisation", share(status.mean));
    fact("lowest, highest", format!("{}, {}", share(status.lowest), share(status.highest)));
    fact("to move", size(status.bytes_to_move));
    fact("moves under way", count(status.moves_in_flight));
    fact("moved", size(status.bytes_moved));
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Fake, balance, parse};

    async fn orders(line: &[&str]) -> Vec<String> {
        let fake = Fake::default();
        run(parse(line).unwrap(), &fake, Printer { json: true }).await.unwrap();
        fake.orders()
    }

    #[tokio::test]
    async fn rate_and_threshold_are_set_only_when_they_are_given() {
        assert_eq!(orders(&["start"]).await, ["set_balance Some(true) None None"]);
        assert_eq!(
            orders(&["start", "--rate", "50MiB", "--threshold", "5%", "--dry-run"]).await,
            ["set_balance Some(true) Some(52428800) Some(50) dry"]
        );
        assert_eq!(orders(&["stop"]).await, ["set_balance Some(false) None None"]);
    }

    #[test]
    fn the_sentence_says_whether_there_is_something_to_do() {
        let status = |nodes_outside, running| BalanceStatus { nodes_outside, running, ..balance() };
        assert_eq!(sentence(&status(0, true)), "Balanced: every datanode is within 10 % of the mean.");
        let moving = BalanceStatus { moves_in_flight: 3, ..status(0, true) };
        assert_eq!(sentence(&moving), "Nearly balanced: 3 moves under way will do.");
        assert!(sentence(&status(2, true)).starts_with("Balancing: 2 datanodes beyond 10 %"));
        assert!(sentence(&status(2, false)).contains("cairn admin balance start"));
    }
}
