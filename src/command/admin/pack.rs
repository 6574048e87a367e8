//! `cairn admin pack`: starts the pack worker, or shows what it would do.

use std::collections::BTreeMap;

use cairn_protocol::admin::{Admin, PackPreview, PackableGroup, PreviewPack, StartPack};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Printer;
use super::progress::{Bar, Unit};
use super::worker::activity_word;
use crate::table::Table;
use crate::units::{count, of, size};

#[derive(Subcommand, Debug)]
pub(super) enum PackOperation {
    /// Move small objects together into packs now; the pack worker also does so by itself
    Start(StartArguments),
}

#[derive(Args, Debug)]
pub(super) struct StartArguments {
    /// Only show what would be packed
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(operation: PackOperation, admin: &dyn Admin, printer: Printer) -> anyhow::Result<()> {
    let PackOperation::Start(arguments) = operation;
    if arguments.dry_run {
        let found = preview(admin).await?;
        return printer.show(&found, text);
    }
    let status = admin.start_pack(StartPack {}).await?;
    printer.show(&status, |status| {
        let activity = activity_word(status.activity);
        format!("The pack worker ({activity}) looks for small objects next. `cairn admin worker list` shows what it does.")
    })
}

/// The sum of all pages, which `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Preview {
    /// Versions of objects that were looked at, of those whose bytes are in blocks.
    versions: u64,
    /// Versions that would be moved but are too young.
    young: u64,
    /// What would be moved, by replication.
    groups: Vec<Packable>,
}

/// Objects of one replication that would be moved.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Packable {
    replication: u32,
    objects: u64,
    bytes: u64,
    /// About how many packs they make. What is left waits for more objects.
    packs: u64,
}

async fn preview(admin: &dyn Admin) -> anyhow::Result<Preview> {
    let bar = Bar::new(0, Unit::Count);
    let mut found = Preview::default();
    let mut groups: BTreeMap<u32, PackableGroup> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = admin.preview_pack(PreviewPack { after: after.clone() }).await?;
        found.versions += page.versions;
        found.young += page.young;
        for group in &page.groups {
            let sum = groups.entry(group.replication).or_default();
            sum.objects += group.objects;
            sum.bytes += group.bytes;
        }
        bar.say(format!("{} looked at", of(found.versions, "version")));
        match &page.next {
            None => {
                found.groups = groups.iter().map(|(copies, sum)| packable(*copies, *sum, &page)).collect();
                return Ok(found);
            }
            next if *next == after => {
                anyhow::bail!("the metanode's walk does not come forward; its log may tell more")
            }
            next => after = next.clone(),
        }
    }
}

/// A pack is full by its bytes or by its objects; what is left at the end becomes one if it is half of a pack.
fn packable(replication: u32, group: PackableGroup, page: &PackPreview) -> Packable {
    let by_bytes = group.bytes.saturating_add(page.pack_size / 2) / page.pack_size.max(1);
    let by_objects = group.objects / page.pack_objects.max(1);
    Packable { replication, objects: group.objects, bytes: group.bytes, packs: by_bytes.max(by_objects) }
}

fn text(found: &Preview) -> String {
    let mut parts = vec!["Nothing was changed. It would be so:".to_owned()];
    let mut table = Table::new(["COPIES", "OBJECTS", "BYTES", "PACKS"]);
    for group in &found.groups {
        let packs = if group.packs == 0 {
            "waits for more".to_owned()
        } else {
            format!("about {}", count(group.packs))
        };
        table.row([count(u64::from(group.replication)), count(group.objects), size(group.bytes), packs]);
    }
    if found.groups.is_empty() {
        parts.push("No object is to be packed.".to_owned());
    } else {
        parts.push(table.to_string());
    }
    let mut last = format!("{} looked at.", of(found.versions, "version"));
    match found.young {
        0 => {}
        1 => last.push_str(" 1 more object is too young."),
        young => last.push_str(&format!(" {} more objects are too young.", count(young))),
    }
    parts.push(last);
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use cairn_protocol::admin::PackCursor;

    use super::*;
    use crate::command::admin::fake::{Fake, parse};

    fn page(objects: u64, bytes: u64, next: Option<&str>) -> PackPreview {
        PackPreview {
            versions: 10,
            young: 1,
            groups: vec![PackableGroup { replication: 3, objects, bytes }],
            pack_size: 1_000,
            pack_objects: 8,
            next: next.map(|cursor| PackCursor(cursor.to_owned())),
        }
    }

    async fn orders(line: &[&str], fake: &Fake) -> Vec<String> {
        run(parse(line).unwrap(), fake, Printer { json: true }).await.unwrap();
        fake.orders()
    }

    #[tokio::test]
    async fn a_dry_run_reads_all_pages_and_starts_nothing() {
        let fake = Fake::default();
        fake.previews([page(2, 400, Some("a")), page(3, 700, None)]);
        assert_eq!(
            orders(&["start", "--dry-run"], &fake).await,
            ["preview_pack None", "preview_pack Some(\"a\")"]
        );
        assert_eq!(orders(&["start"], &Fake::default()).await, ["start_pack"]);
    }

    #[tokio::test]
    async fn pages_are_summed_up() {
        let fake = Fake::default();
        fake.previews([page(2, 400, Some("a")), page(3, 700, None)]);
        let found = preview(&fake).await.unwrap();
        assert_eq!((found.versions, found.young), (20, 2));
        assert_eq!(found.groups, [Packable { replication: 3, objects: 5, bytes: 1_100, packs: 1 }]);
        let shown = text(&found);
        assert!(shown.contains("about 1") && shown.contains("2 more objects are too young"), "{shown}");
    }

    #[tokio::test]
    async fn a_walk_that_does_not_come_forward_ends() {
        let fake = Fake::default();
        fake.previews([page(2, 400, Some("a")), page(2, 400, Some("a"))]);
        assert!(preview(&fake).await.unwrap_err().to_string().contains("does not come forward"));
    }

    #[test]
    fn packs_are_full_by_bytes_or_objects() {
        let packs = |objects, bytes| {
            packable(1, PackableGroup { replication: 1, objects, bytes }, &page(0, 0, None)).packs
        };
        assert_eq!([packs(2, 499), packs(2, 500), packs(2, 2_400), packs(16, 10)], [0, 1, 2, 2]);
    }
}
