//! The tables of extent lists and their entries. A list never changes. Versions, parts and entries of other lists refer to it, and
//! it counts them; it goes when the last reference is gone.
//!
//! A reference to a block or a list belongs to one row: of a version, a part, something retired, or an entry. A row that is
//! replaced by another one hands its reference over, and nothing is counted.

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::{Content, EntryTarget, ExtentEntry, ListId, ResolvedExtent, Window};
use futures_util::FutureExt;

use super::hot::Known;
use super::sql_values::{number, optional_id, optional_number, to_number};
use super::{BoxFuture, Connection, Row, StoreError, sql};

/// Upper limit of the height of a list, so that a read follows few lists to a block. A completed upload makes a list that is one
/// higher than the highest of its parts.
pub(crate) const HEIGHT_MAX: u32 = 4;

/// Upper limit of the height of a part's list.
const PART_HEIGHT_MAX: u32 = HEIGHT_MAX - 1;

/// An entry of a list that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewEntry {
    /// The block or list.
    pub(crate) target: EntryTarget,
    /// The offset in it.
    pub(crate) start: u64,
    /// The length in bytes, at least 1.
    pub(crate) length: u64,
}

impl NewEntry {
    /// An entry of all bytes of a version or part; `None` if there are none.
    pub(crate) fn of(content: Content, length: u64) -> Option<Self> {
        match content {
            Content::Empty => None,
            Content::Block { block, offset, crc32c: _ } => {
                Some(Self { target: EntryTarget::Block(block), start: offset, length })
            }
            Content::List { list } => Some(Self { target: EntryTarget::List(list), start: 0, length }),
        }
    }
}

/// A list as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub(crate) length: u64,
    pub(crate) height: u32,
    pub(crate) refs: i64,
    pub(crate) replication: u32,
}

/// Finds a list.
pub(crate) async fn find(connection: &mut Connection, list: ListId) -> Result<Option<List>, StoreError> {
    let row = sql::query("SELECT length, height, refs, replication FROM extent_lists WHERE list_id = $1")
        .bind(to_number(list.0))
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        Ok(List {
            length: number(&row, "length")?,
            height: number(&row, "height")?,
            refs: row.try_get("refs")?,
            replication: number(&row, "replication")?,
        })
    })
    .transpose()
}

/// Makes a list of these entries, one after the other, with one reference. The targets count the entries already.
pub(crate) async fn create(tx: &mut Connection, entries: &[NewEntry]) -> Result<ListId, StoreError> {
    let mut length = 0u64;
    let mut placed = Vec::with_capacity(entries.len());
    for entry in entries {
        placed.push((length, *entry));
        length = length.checked_add(entry.length).ok_or(StoreError::Corrupt { column: "length" })?;
    }
    create_at(tx, &placed, length).await
}

/// Makes a list of entries at these places, with one reference. The targets count the entries already.
pub(super) async fn create_at(
    tx: &mut Connection,
    entries: &[(u64, NewEntry)],
    length: u64,
) -> Result<ListId, StoreError> {
    let row = sql::query(
        "INSERT INTO extent_lists (length, height, refs, replication) VALUES ($1, 1, 1, 0) RETURNING list_id",
    )
    .bind(to_number(length))
    .fetch_one(&mut *tx)
    .await?;
    let list = ListId(number(&row, "list_id")?);
    let made = entries
        .iter()
        .map(|(place, entry)| ExtentEntry::new(list, *place, entry.target, entry.start, entry.length));
    insert_entries(tx, &made.collect::<Vec<_>>()).await?;
    summarise(tx, list).await?;
    Ok(list)
}

/// Inserts entries of lists.
async fn insert_entries(tx: &mut Connection, entries: &[ExtentEntry]) -> Result<(), StoreError> {
    for entry in entries {
        let (block, child) = match &entry.target {
            EntryTarget::Block(block) => (Some(&block.as_bytes()[..]), None),
            EntryTarget::List(child) => (None, Some(to_number(child.0))),
        };
        sql::query(
            "INSERT INTO list_entries (list_id, place, block_id, child, start, length, checksum)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(to_number(entry.list.0))
        .bind(to_number(entry.place))
        .bind(block)
        .bind(child)
        .bind(to_number(entry.start))
        .bind(to_number(entry.length))
        .bind(i64::from(entry.checksum))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Computes the height of a new list and its replication from its entries.
async fn summarise(tx: &mut Connection, list: ListId) -> Result<(), StoreError> {
    sql::query(
        "UPDATE extent_lists SET
             height = 1 + COALESCE((SELECT MAX(children.height) FROM list_entries
                                    JOIN extent_lists AS children ON children.list_id = list_entries.child
                                    WHERE list_entries.list_id = $1), 0),
             replication = COALESCE((SELECT MIN(replication) FROM
                 (SELECT children.replication FROM list_entries
                      JOIN extent_lists AS children ON children.list_id = list_entries.child
                      WHERE list_entries.list_id = $1
                  UNION ALL
                  SELECT blocks.replication FROM list_entries
                      JOIN blocks ON blocks.block_id = list_entries.block_id
                      WHERE list_entries.list_id = $1) AS targets), 0)
         WHERE list_id = $1",
    )
    .bind(to_number(list.0))
    .execute(tx)
    .await?;
    Ok(())
}

/// Counts one more reference to the bytes of a version or part.
///
/// # Errors
/// `BrokenExtents` if the block or list does not exist; the database's.
pub(crate) async fn share(tx: &mut Connection, content: Content) -> Result<(), StoreError> {
    let shared = match content {
        Content::Empty => return Ok(()),
        Content::Block { block, .. } => {
            sql::query("UPDATE blocks SET refs = refs + 1 WHERE block_id = $1 AND refs > 0")
                .bind(&block.as_bytes()[..])
                .execute(tx)
                .await?
        }
        Content::List { list } => {
            sql::query("UPDATE extent_lists SET refs = refs + 1 WHERE list_id = $1 AND refs > 0")
                .bind(to_number(list.0))
                .execute(tx)
                .await?
        }
    };
    if shared.rows_affected() == 1 { Ok(()) } else { Err(StoreError::BrokenExtents) }
}

/// The bytes `start..end` of a version or part of `length` bytes as the bytes of a new part, whose reference is counted.
///
/// # Errors
/// `BrokenExtents` if there are no such bytes, or what they are made of does not exist; the database's.
pub(crate) async fn slice(
    tx: &mut Connection,
    (content, length): (Content, u64),
    start: u64,
    end: u64,
) -> Result<Content, StoreError> {
    if start > end || end > length {
        return Err(StoreError::BrokenExtents);
    }
    if start == end {
        return Ok(Content::Empty);
    }
    let list = match content {
        Content::Empty => return Err(StoreError::BrokenExtents),
        Content::Block { block, offset, crc32c } => {
            let offset = offset.checked_add(start).ok_or(StoreError::BrokenExtents)?;
            let crc32c = crc32c.filter(|_| (start, end) == (0, length));
            let part = Content::Block { block, offset, crc32c };
            share(tx, part).await?;
            return Ok(part);
        }
        Content::List { list } => list,
    };
    let height = find(tx, list).await?.ok_or(StoreError::BrokenExtents)?.height;
    if (start, end) == (0, length) && height <= PART_HEIGHT_MAX {
        share(tx, content).await?;
        return Ok(content);
    }
    let entries = cut(tx, list, start, end).await?;
    if let [NewEntry { target: EntryTarget::Block(block), start, .. }] = entries[..] {
        let part = Content::Block { block, offset: start, crc32c: None };
        share(tx, part).await?;
        return Ok(part);
    }
    let list = create(tx, &entries).await?;
    count_targets(tx, list).await?;
    Ok(Content::List { list })
}

/// The entries for a list of the bytes `start..end` of another one. Lists that are low enough are referred to as a whole; of a
/// higher list its entries are taken.
fn cut<'t>(
    connection: &'t mut Connection,
    list: ListId,
    start: u64,
    end: u64,
) -> BoxFuture<'t, Result<Vec<NewEntry>, StoreError>> {
    async move {
        let found = find(connection, list).await?.ok_or(StoreError::BrokenExtents)?;
        if found.height < PART_HEIGHT_MAX {
            return Ok(vec![NewEntry { target: EntryTarget::List(list), start, length: end - start }]);
        }
        let window = Window { list, from: start, to: end, object_offset: 0 };
        let mut taken = Vec::new();
        let mut next = 0;
        for entry in entries(connection, list, start, end, u32::MAX).await? {
            let visible = window.through(&entry).filter(|(at, ..)| *at == next && entry.is_sound());
            let (_, from, length) = visible.ok_or(StoreError::BrokenExtents)?;
            match entry.target {
                EntryTarget::Block(_) => {
                    taken.push(NewEntry { target: entry.target, start: from, length });
                }
                EntryTarget::List(child) => taken.extend(cut(connection, child, from, from + length).await?),
            }
            next += length;
        }
        if next == end - start { Ok(taken) } else { Err(StoreError::BrokenExtents) }
    }
    .boxed()
}

/// Counts the entries of a list as references to their targets.
async fn count_targets(tx: &mut Connection, list: ListId) -> Result<(), StoreError> {
    for statement in [
        "UPDATE blocks SET refs = blocks.refs + counted.entries
         FROM (SELECT block_id, COUNT(*) AS entries FROM list_entries
               WHERE list_id = $1 AND block_id IS NOT NULL GROUP BY block_id) AS counted
         WHERE blocks.block_id = counted.block_id",
        "UPDATE extent_lists SET refs = extent_lists.refs + counted.entries
         FROM (SELECT child, COUNT(*) AS entries FROM list_entries
               WHERE list_id = $1 AND child IS NOT NULL GROUP BY child) AS counted
         WHERE extent_lists.list_id = counted.child",
    ] {
        sql::query(statement).bind(to_number(list.0)).execute(&mut *tx).await?;
    }
    Ok(())
}

pub(crate) const ENTRIES: &str =
    "SELECT list_id, place, block_id, child, start, length, checksum FROM list_entries
     WHERE list_id = $1 AND place < $3 AND place + length > $2
       AND place >= COALESCE((SELECT MAX(place) FROM list_entries WHERE list_id = $1 AND place <= $2), 0)
     ORDER BY place LIMIT $4";

/// Lists of up to so many entries are kept whole when they were looked up: those of objects of up to a gigabyte.
const KEPT_MAX: u32 = 128;

/// The first `max` entries of a list with bytes in `start..end`, in order.
pub(crate) async fn entries(
    connection: &mut Connection,
    list: ListId,
    start: u64,
    end: u64,
    max: u32,
) -> Result<Vec<ExtentEntry>, StoreError> {
    let ticket = match connection.hot().map(|hot| hot.lists().get(&list)) {
        Some(Known::Value(kept)) => match &*kept {
            Some(all) => return Ok(overlapping(all, start, end, max)),
            None => None,
        },
        Some(Known::Nothing(ticket)) => Some(ticket),
        None => None,
    };
    let Some(ticket) = ticket else { return read_entries(connection, list, start, end, max).await };
    let all = match read_entries(connection, list, 0, u64::MAX, KEPT_MAX + 1).await {
        // An entry that is damaged must not hide the others.
        Err(StoreError::Corrupt { .. }) => return read_entries(connection, list, start, end, max).await,
        all => all?,
    };
    let is_short = all.len() <= KEPT_MAX as usize;
    if let Some(hot) = connection.hot() {
        let bytes = LIST_BYTES + if is_short { size_of_val(&all[..]) } else { 0 };
        hot.lists().put(ticket, list, is_short.then(|| all.clone()).into(), bytes);
    }
    if is_short {
        return Ok(overlapping(&all, start, end, max));
    }
    read_entries(connection, list, start, end, max).await
}

/// What a list takes in memory besides its entries, in bytes.
const LIST_BYTES: usize = 128;

/// Of all entries of a list, what [`ENTRIES`] selects.
pub(super) fn overlapping(all: &[ExtentEntry], start: u64, end: u64, max: u32) -> Vec<ExtentEntry> {
    let first = all.partition_point(|entry| entry.place <= start).saturating_sub(1);
    let wanted = all[first..].iter().take_while(|entry| entry.place < end);
    let wanted = wanted.filter(|entry| entry.place.saturating_add(entry.length) > start);
    wanted.take(max as usize).copied().collect()
}

pub(super) async fn read_entries(
    connection: &mut Connection,
    list: ListId,
    start: u64,
    end: u64,
    max: u32,
) -> Result<Vec<ExtentEntry>, StoreError> {
    let rows = sql::query(ENTRIES)
        .bind(to_number(list.0))
        .bind(to_number(start))
        .bind(to_number(end))
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<ExtentEntry, StoreError> {
    let target = match optional_id(row, "block_id")? {
        Some(block) => EntryTarget::Block(block),
        None => EntryTarget::List(ListId(number(row, "child")?)),
    };
    Ok(ExtentEntry {
        list: ListId(number(row, "list_id")?),
        place: number(row, "place")?,
        target,
        start: number(row, "start")?,
        length: number(row, "length")?,
        checksum: number(row, "checksum")?,
    })
}

/// An extent of a version or part, and the entries that lead to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundExtent {
    /// The extent, if the entries belong together. Their checksums are not examined.
    pub(crate) extent: ResolvedExtent,
    /// The entries, from the version's list on; none for a single extent.
    pub(crate) path: Vec<ExtentEntry>,
}

impl FoundExtent {
    /// Whether all entries are what was written.
    pub(crate) fn is_sound(&self) -> bool {
        self.path.iter().all(ExtentEntry::is_sound)
    }
}

/// The first `max` extents of a version or part of `length` bytes with bytes in `start..end`, in order.
///
/// # Errors
/// `BrokenExtents` if lists refer to each other in a circle; the database's.
pub(crate) async fn extents(
    connection: &mut Connection,
    (content, length): (Content, u64),
    start: u64,
    end: u64,
    max: u32,
) -> Result<Vec<FoundExtent>, StoreError> {
    match content {
        Content::Block { block, offset, crc32c: _ } if start < end && start < length && max > 0 => {
            let extent = ResolvedExtent { object_offset: 0, block, block_offset: offset, length };
            Ok(vec![FoundExtent { extent, path: Vec::new() }])
        }
        Content::Empty | Content::Block { .. } => Ok(Vec::new()),
        Content::List { list } => {
            let mut walk = Walk { wanted: (start, end), max: max as usize, found: Vec::new() };
            walk.list(connection, Window::whole(list), &[]).await?;
            Ok(walk.found)
        }
    }
}

/// A walk over the extents of a list and of the lists below it.
struct Walk {
    /// The bytes, as offsets in the first list.
    wanted: (u64, u64),
    max: usize,
    found: Vec<FoundExtent>,
}

impl Walk {
    fn list<'t>(
        &'t mut self,
        connection: &'t mut Connection,
        window: Window,
        above: &'t [ExtentEntry],
    ) -> BoxFuture<'t, Result<(), StoreError>> {
        async move {
            if above.len() >= HEIGHT_MAX as usize {
                return Err(StoreError::BrokenExtents);
            }
            let inside =
                |at: u64| window.from.saturating_add(at.saturating_sub(window.object_offset)).min(window.to);
            let (start, end) = (inside(self.wanted.0), inside(self.wanted.1));
            let left = u32::try_from(self.max - self.found.len()).unwrap_or(u32::MAX);
            for entry in entries(connection, window.list, start, end, left).await? {
                if self.found.len() >= self.max {
                    break;
                }
                let Some((object_offset, from, length)) = window.through(&entry) else { continue };
                let path = [above, &[entry]].concat();
                match entry.target {
                    EntryTarget::Block(block) => {
                        let extent = ResolvedExtent { object_offset, block, block_offset: from, length };
                        self.found.push(FoundExtent { extent, path });
                    }
                    EntryTarget::List(list) => {
                        let to = from.saturating_add(length);
                        let below = Window { list, from, to, object_offset };
                        self.list(connection, below, &path).await?;
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }
}

/// Counts the references of retired versions and parts down. `$1` and `$2` bound the share of them.
pub(crate) const RELEASE_RETIRED: &str =
    "UPDATE extent_lists SET refs = CASE WHEN extent_lists.refs > gone.owners
                                         THEN extent_lists.refs - gone.owners ELSE 0 END
     FROM (SELECT list_id, COUNT(*) AS owners FROM retired
           WHERE (retired_at, owner_id) < ($1, $2) AND list_id IS NOT NULL GROUP BY list_id) AS gone
     WHERE extent_lists.list_id = gone.list_id";

/// Whether there is a list without references.
pub(crate) async fn any_unreferenced(connection: &mut Connection) -> Result<bool, StoreError> {
    let row =
        sql::query("SELECT 1 FROM extent_lists WHERE refs = 0 LIMIT 1").fetch_optional(connection).await?;
    Ok(row.is_some())
}

/// The end of a step that removes the entries of lists without references. A list without entries counts as one.
pub(crate) const UNREFERENCED_CUT: &str =
    "SELECT extent_lists.list_id, COALESCE(list_entries.place, 0) AS place
     FROM extent_lists LEFT JOIN list_entries ON list_entries.list_id = extent_lists.list_id
     WHERE extent_lists.refs = 0 ORDER BY extent_lists.list_id, list_entries.place LIMIT 1 OFFSET $1";

/// The entries of such a step: of the lists before `$1` all, and of that list those before the place `$2`.
macro_rules! unreferenced_entries {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM extent_lists CROSS JOIN list_entries
              WHERE extent_lists.refs = 0 AND extent_lists.list_id <= $1
                AND list_entries.list_id = extent_lists.list_id
                AND (extent_lists.list_id < $1 OR list_entries.place < $2)"
        )
    };
}

pub(crate) const RELEASE_BLOCKS: &str = concat!(
    "UPDATE blocks SET refs = CASE WHEN blocks.refs > gone.entries THEN blocks.refs - gone.entries
                                   WHEN blocks.refs = gone.entries THEN -1 ELSE 0 END
     FROM (",
    unreferenced_entries!("list_entries.block_id, COUNT(*) AS entries"),
    " AND list_entries.block_id IS NOT NULL GROUP BY list_entries.block_id) AS gone
     WHERE blocks.block_id = gone.block_id"
);

pub(crate) const RELEASE_CHILDREN: &str = concat!(
    "UPDATE extent_lists SET refs = CASE WHEN extent_lists.refs > gone.entries
                                         THEN extent_lists.refs - gone.entries ELSE -1 END
     FROM (",
    unreferenced_entries!("list_entries.child, COUNT(*) AS entries"),
    " AND list_entries.child IS NOT NULL GROUP BY list_entries.child) AS gone
     WHERE extent_lists.list_id = gone.child"
);

pub(crate) const REMOVE_ENTRIES: &str = concat!(
    "DELETE FROM list_entries WHERE (list_id, place) IN (",
    unreferenced_entries!("list_entries.list_id, list_entries.place"),
    ")"
);

/// Removes up to `work` entries of lists without references, and the lists that are left without any. Blocks that lost their last
/// reference then have `refs` below 0, and this transaction must remove them. Returns how many entries it removed.
///
/// # Errors
/// The database's.
pub(crate) async fn remove_unreferenced(tx: &mut Connection, work: u32) -> Result<u64, StoreError> {
    let cut = sql::query(UNREFERENCED_CUT).bind(i64::from(work.max(1))).fetch_optional(&mut *tx).await?;
    let (list, place) = match &cut {
        Some(row) => (row.try_get::<i64, _>("list_id")?, row.try_get::<i64, _>("place")?),
        None => (i64::MAX, 0),
    };
    // Children that lose their last reference here have `refs` below 0 meanwhile: their entries belong to a later step.
    tx.touched().lists();
    let mut removed = 0;
    for statement in [RELEASE_BLOCKS, RELEASE_CHILDREN, REMOVE_ENTRIES] {
        removed = sql::query(statement).bind(list).bind(place).execute(&mut *tx).await?.rows_affected();
    }
    for statement in [
        "DELETE FROM list_parts WHERE list_id IN
             (SELECT list_id FROM extent_lists WHERE refs = 0 AND list_id < $1 AND NOT EXISTS
                  (SELECT 1 FROM list_entries WHERE list_entries.list_id = extent_lists.list_id))",
        "DELETE FROM extent_lists WHERE refs = 0 AND list_id < $1 AND NOT EXISTS
             (SELECT 1 FROM list_entries WHERE list_entries.list_id = extent_lists.list_id)",
    ] {
        sql::query(statement).bind(list).execute(&mut *tx).await?;
    }
    sql::query("UPDATE extent_lists SET refs = 0 WHERE refs < 0").execute(tx).await?;
    Ok(removed)
}

/// The columns of a row that refers to bytes.
pub(super) struct ContentColumns {
    pub(super) block: Option<Vec<u8>>,
    pub(super) offset: Option<i64>,
    pub(super) list: Option<i64>,
    /// Only rows of versions have it.
    pub(super) crc32c: Option<i64>,
}

impl From<Content> for ContentColumns {
    fn from(content: Content) -> Self {
        match content {
            Content::Empty => Self { block: None, offset: None, list: None, crc32c: None },
            Content::Block { block, offset, crc32c } => Self {
                block: Some(block.as_bytes().to_vec()),
                // Most extents begin at the beginning of their block, which takes no space as NULL.
                offset: (offset > 0).then(|| to_number(offset)),
                list: None,
                crc32c: crc32c.map(i64::from),
            },
            Content::List { list } => {
                Self { block: None, offset: None, list: Some(to_number(list.0)), crc32c: None }
            }
        }
    }
}

/// Reads the bytes that the row of a version refers to, with their CRC32C.
pub(super) fn content_of_version(row: &Row) -> Result<Content, StoreError> {
    Ok(match content(row)? {
        Content::Block { block, offset, crc32c: _ } => {
            Content::Block { block, offset, crc32c: optional_number(row, "block_crc32c")? }
        }
        other @ (Content::Empty | Content::List { .. }) => other,
    })
}

/// Reads the bytes that a row refers to.
pub(super) fn content(row: &Row) -> Result<Content, StoreError> {
    let block: Option<BlockId> = optional_id(row, "block_id")?;
    let list: Option<i64> = row.try_get("list_id")?;
    match (block, list) {
        (None, None) => Ok(Content::Empty),
        (Some(block), None) => {
            let offset = match row.try_get::<Option<i64>, _>("block_offset")? {
                None => 0,
                Some(_) => number(row, "block_offset")?,
            };
            Ok(Content::Block { block, offset, crc32c: None })
        }
        (None, Some(_)) => Ok(Content::List { list: ListId(number(row, "list_id")?) }),
        (Some(_), Some(_)) => Err(StoreError::Corrupt { column: "list_id" }),
    }
}

#[cfg(test)]
mod tests;
