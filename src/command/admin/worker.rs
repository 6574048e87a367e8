//! `cairn admin worker`.

use bytesize::ByteSize;
use cairn_protocol::admin::{Admin, SetWorker, WorkerActivity, WorkerName, WorkerStatus, WorkersRequest};
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};

use super::Printer;
use crate::arguments::values::rate;
use crate::table::Table;
use crate::units::{count, size};

#[derive(Subcommand, Debug)]
pub(super) enum WorkerOperation {
    /// List the workers, and what each is doing
    List,
    /// Pause a worker until it is resumed; survives restarts
    Pause(WorkerArguments),
    /// Resume a paused worker
    Resume(WorkerArguments),
    /// Set the rate of a worker; survives restarts
    Set(SetArguments),
}

/// The worker of a command.
#[derive(Args, Debug)]
pub(super) struct WorkerArguments {
    /// The worker's name
    #[arg(value_name = "NAME", value_parser = names())]
    worker: WorkerName,
}

#[derive(Args, Debug)]
pub(super) struct SetArguments {
    #[command(flatten)]
    worker: WorkerArguments,

    /// Bytes a second, such as 50MiB, for repair, drain, balance and scrub (on each datanode); items a second, such as
    /// 500, for the others
    #[arg(long, value_name = "RATE", value_parser = rate, required_unless_present = "default_rate")]
    rate: Option<ByteSize>,

    /// Return to the configured rate
    #[arg(long, conflicts_with = "rate")]
    default_rate: bool,
}

fn names() -> impl TypedValueParser<Value = WorkerName> {
    PossibleValuesParser::new(WorkerName::ALL.map(WorkerName::as_str)).try_map(|name| {
        WorkerName::ALL.into_iter().find(|worker| worker.as_str() == name).ok_or("there is no such worker")
    })
}

pub(super) async fn run(
    operation: WorkerOperation,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    let request = match operation {
        WorkerOperation::List => {
            let workers = admin.workers(WorkersRequest {}).await?;
            return printer.show(&workers, |workers| worker_table(workers).to_string());
        }
        WorkerOperation::Pause(arguments) => {
            SetWorker { worker: arguments.worker, paused: Some(true), rate: None }
        }
        WorkerOperation::Resume(arguments) => {
            SetWorker { worker: arguments.worker, paused: Some(false), rate: None }
        }
        WorkerOperation::Set(arguments) => SetWorker {
            worker: arguments.worker.worker,
            paused: None,
            rate: Some(arguments.rate.map(|rate| rate.as_u64())),
        },
    };
    let status = admin.set_worker(request).await?;
    printer.show(&status, |status| worker_table(std::slice::from_ref(status)).to_string())
}

/// A table with a row for each worker.
pub(super) fn worker_table(workers: &[WorkerStatus]) -> Table {
    let mut table = Table::new(["WORKER", "ACTIVITY", "RATE", "DONE", "BYTES", "DOING"]).right(&[2, 3, 4]);
    for worker in workers {
        let doing =
            worker.error.as_ref().map_or_else(|| worker.doing.clone(), |why| format!("failed: {why}"));
        table.row([
            worker.worker.to_string(),
            activity_word(worker.activity).to_owned(),
            worker.rate.map_or_else(|| "-".to_owned(), |rate| rate_words(worker.worker, rate)),
            count(worker.done),
            if moves_bytes(worker.worker) || worker.bytes > 0 { size(worker.bytes) } else { "-".to_owned() },
            doing,
        ]);
    }
    table
}

fn moves_bytes(worker: WorkerName) -> bool {
    match worker {
        WorkerName::Repair
        | WorkerName::Drain
        | WorkerName::Balance
        | WorkerName::Pack
        | WorkerName::Scrub => true,
        WorkerName::Liveness
        | WorkerName::Placement
        | WorkerName::Garbage
        | WorkerName::Leases
        | WorkerName::Uploads
        | WorkerName::Lifecycle => false,
    }
}

fn rate_words(worker: WorkerName, rate: u64) -> String {
    if moves_bytes(worker) { format!("{}/s", size(rate)) } else { format!("{}/s", count(rate)) }
}

/// The word for a worker's activity.
pub(super) fn activity_word(activity: WorkerActivity) -> &'static str {
    match activity {
        WorkerActivity::Working => "working",
        WorkerActivity::Resting => "resting",
        WorkerActivity::Throttled => "throttled",
        WorkerActivity::Paused => "paused",
        WorkerActivity::Failing => "failing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Fake, parse, worker};

    async fn orders(line: &[&str]) -> Vec<String> {
        let fake = Fake::default();
        run(parse(line).unwrap(), &fake, Printer { json: true }).await.unwrap();
        fake.orders()
    }

    #[tokio::test]
    async fn options_that_are_not_given_leave_a_worker_unchanged() {
        assert_eq!(orders(&["pause", "repair"]).await, ["set_worker repair Some(true) None"]);
        assert_eq!(orders(&["resume", "scrub"]).await, ["set_worker scrub Some(false) None"]);
        assert_eq!(
            orders(&["set", "drain", "--rate", "1MiB/s"]).await,
            ["set_worker drain None Some(Some(1048576))"]
        );
        assert_eq!(orders(&["set", "drain", "--default-rate"]).await, ["set_worker drain None Some(None)"]);
    }

    #[test]
    fn an_unknown_worker_is_refused_with_a_list_of_the_workers() {
        let complaint = parse::<WorkerOperation>(&["pause", "repairs"]).unwrap_err().to_string();
        assert!(complaint.contains("liveness") && complaint.contains("'repair'"), "{complaint}");
        assert!(parse::<WorkerOperation>(&["set", "repair"]).is_err());
    }

    #[test]
    fn a_rate_is_of_bytes_or_of_items() {
        let mut repair = worker(WorkerName::Repair, WorkerActivity::Working);
        repair.rate = Some(1 << 20);
        let mut garbage = worker(WorkerName::Garbage, WorkerActivity::Failing);
        (garbage.rate, garbage.error) = (Some(5_000), Some("disk full".to_owned()));
        let table = worker_table(&[repair, garbage]).to_string();
        assert!(table.contains("1.0 MiB/s") && table.contains(" 5,000/s"), "{table}");
        assert!(table.contains("failing") && table.contains("failed: disk full"), "{table}");
    }
}
