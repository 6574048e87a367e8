//! `cairn admin scrub`.

use cairn_protocol::admin::{Admin, NodeState, NodeStatus, ScrubRequest, ScrubStatus, StartScrub};
use cairn_protocol::cluster::{ScrubProgress, VolumeUsage};
use cairn_protocol::env::{Env, Timestamp};
use clap::{Args, Subcommand};

use super::node_name::Nodes;
use super::progress::{Bar, Unit, pause};
use super::{Outcome, Printer};
use crate::process::remark;
use crate::table::Table;
use crate::units::{count, of, size, time};

#[derive(Subcommand, Debug)]
pub(super) enum ScrubOperation {
    /// Have datanodes read and check all of their blocks from the beginning
    Start(StartArguments),
    /// Show the progress of the datanodes' scrubs
    Status,
}

#[derive(Args, Debug)]
pub(super) struct StartArguments {
    /// Only this datanode, by its id, the beginning of its id, or its address
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// Wait until every datanode has finished that is not dead and has a disk that works; exit code 2 if a replica is corrupt
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(
    operation: ScrubOperation,
    admin: &dyn Admin,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<Outcome> {
    let nodes = Nodes::ask(admin).await?;
    let arguments = match operation {
        ScrubOperation::Status => {
            let scrubs = admin.scrub(ScrubRequest {}).await?;
            printer.show(&scrubs, |scrubs| table(&nodes, scrubs).to_string())?;
            return Ok(Outcome::Well);
        }
        ScrubOperation::Start(arguments) => arguments,
    };
    let node = arguments.node.map(|name| nodes.find(&name).map(|node| node.node)).transpose()?;
    let started = admin.start_scrub(StartScrub { node }).await?;
    let started: Vec<_> =
        started.into_iter().filter(|scrub| node.is_none_or(|node| scrub.node == node)).collect();
    if !arguments.wait {
        let sentence = format!("Scrubbing {}.", of(started.len() as u64, "datanode"));
        printer.show(&started, |_| sentence + " `cairn admin scrub status` shows how far they are.")?;
        return Ok(Outcome::Well);
    }
    let ended = wait(started, admin, env).await?;
    printer.show(&ended, |ended| table(&nodes, ended).to_string())?;
    Ok(ended.iter().filter_map(|scrub| scrub.progress.as_ref()).all(|progress| progress.corrupt == 0).into())
}

/// Polls until all nodes that are not dead have finished.
async fn wait(started: Vec<ScrubStatus>, admin: &dyn Admin, env: &Env) -> anyhow::Result<Vec<ScrubStatus>> {
    let bar = Bar::new(0, Unit::Count);
    let mut given_up = Vec::new();
    loop {
        let nodes = Nodes::ask(admin).await?;
        let scrubs: Vec<_> = admin
            .scrub(ScrubRequest {})
            .await?
            .into_iter()
            .filter(|scrub| started.iter().any(|it| it.node == scrub.node))
            .collect();
        for node in nodes.all().iter().filter(|node| started.iter().any(|it| it.node == node.node)) {
            if let Some(why) = reads_nothing(node).filter(|_| !given_up.contains(&node.node)) {
                remark(format_args!("{} {why}, and is not waited for", nodes.name(node)));
                given_up.push(node.node);
            }
        }
        let asked =
            |scrub: &ScrubStatus| started.iter().find(|it| it.node == scrub.node).and_then(|it| it.asked_at);
        let (mut read, mut in_all, mut through) = (0, 0, true);
        for scrub in scrubs.iter().filter(|scrub| !given_up.contains(&scrub.node)) {
            let (now, of, ended) = position(scrub, asked(scrub));
            (read, in_all, through) = (read + now, in_all + of, through && ended);
        }
        bar.set(read, in_all);
        if through {
            return Ok(scrubs);
        }
        pause(env).await;
    }
}

/// Why a node cannot scrub, in words that follow its name.
fn reads_nothing(node: &NodeStatus) -> Option<&'static str> {
    let has_failed = |volume: &VolumeUsage| volume.failed.is_some();
    if node.state == NodeState::Dead {
        Some("is dead")
    } else if !node.volumes.is_empty() && node.volumes.iter().all(has_failed) {
        Some("has no disk that works")
    } else {
        None
    }
}

/// The number of blocks read, the number to read, and whether the ordered round has ended.
fn position(scrub: &ScrubStatus, asked: Option<Timestamp>) -> (u64, u64, bool) {
    let round = asked.map_or(0, |asked| asked.0);
    match &scrub.progress {
        Some(progress) if progress.finished_round >= round => {
            (progress.blocks_in_all, progress.blocks_in_all, true)
        }
        Some(progress) if progress.round >= round => (progress.blocks, progress.blocks_in_all, false),
        Some(progress) => (0, progress.blocks_in_all, false),
        None => (0, 0, false),
    }
}

fn table(nodes: &Nodes, scrubs: &[ScrubStatus]) -> Table {
    let mut table = Table::new(["NODE", "SCRUBBER", "BLOCKS", "OF", "READ", "CORRUPT", "LAST ROUND ENDED"])
        .right(&[2, 3, 4, 5]);
    for scrub in scrubs {
        let number = |of: fn(&ScrubProgress) -> u64| {
            scrub.progress.as_ref().map_or_else(|| "-".to_owned(), |progress| count(of(progress)))
        };
        let progress = scrub.progress.as_ref();
        table.row([
            nodes.short(scrub.node),
            running_word(progress).to_owned(),
            number(|progress| progress.blocks),
            number(|progress| progress.blocks_in_all),
            progress.map_or_else(|| "-".to_owned(), |progress| size(progress.bytes)),
            number(|progress| progress.corrupt),
            progress.and_then(|progress| progress.finished_at).map_or_else(|| "-".to_owned(), time),
        ]);
    }
    table
}

fn running_word(progress: Option<&ScrubProgress>) -> &'static str {
    match progress {
        Some(progress) if progress.running => "reading",
        Some(_) => "resting",
        None => "unknown",
    }
}

/// The words for the progress of a scrubber.
pub(super) fn scrub_words(scrub: &ScrubStatus) -> String {
    let Some(progress) = &scrub.progress else { return "unknown".to_owned() };
    let mut words = format!(
        "{}: {} of {}, {} corrupt",
        running_word(Some(progress)),
        count(progress.blocks),
        of(progress.blocks_in_all, "block"),
        count(progress.corrupt)
    );
    if let Some(at) = progress.finished_at {
        words += &format!("; last round ended {}", time(at));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Fake, NODE, impatient_env, node, scrub};

    fn start(wait: bool) -> ScrubOperation {
        ScrubOperation::Start(StartArguments { node: Some(NODE[..8].to_owned()), wait })
    }

    fn at(round: u64, finished_round: u64, corrupt: u64) -> ScrubStatus {
        let progress =
            ScrubProgress { round, finished_round, corrupt, blocks_in_all: 4, ..ScrubProgress::default() };
        ScrubStatus { progress: Some(progress), ..scrub(Timestamp(100)) }
    }

    #[tokio::test]
    async fn a_scrub_waits_for_the_round_that_it_ordered() {
        for (corrupt, outcome) in [(0, Outcome::Well), (1, Outcome::NotWell)] {
            let fake = Fake::default();
            // At first only an older round has ended. Then the ordered round runs, and then it has ended.
            fake.scrubs([at(0, 50, 0), at(100, 50, 0), at(100, 100, corrupt)]);
            let ended = run(start(true), &fake, &impatient_env(), Printer { json: true }).await.unwrap();
            assert_eq!(ended, outcome);
            assert_eq!(fake.scrubs_left(), 1, "it looked on until the round had ended");
        }
    }

    /// The scrubbers of failed disks have ended, so their node never reports that an ordered round is over. The command waited for it
    /// for ever.
    #[tokio::test]
    async fn a_node_without_a_disk_that_works_is_not_waited_for() {
        let fake = Fake::default();
        let mut broken = node(NODE, "http://10.0.0.1:9020");
        broken.volumes[0].failed = Some("a disk error".to_owned());
        fake.node(broken);
        fake.scrubs([at(0, 50, 0)]);
        let ended = run(start(true), &fake, &impatient_env(), Printer { json: true }).await.unwrap();
        assert_eq!(ended, Outcome::Well);
    }

    #[tokio::test]
    async fn without_the_option_wait_a_scrub_is_only_ordered() {
        let fake = Fake::default();
        run(start(false), &fake, &impatient_env(), Printer { json: true }).await.unwrap();
        assert_eq!(fake.orders(), [format!("start_scrub Some(NodeId({NODE}))")]);
    }

    #[test]
    fn the_progress_of_a_scrubber_is_shown_in_words() {
        assert_eq!(scrub_words(&at(1, 0, 2)), "resting: 0 of 4 blocks, 2 corrupt");
        assert_eq!(scrub_words(&ScrubStatus { progress: None, ..at(1, 0, 0) }), "unknown");
    }
}
