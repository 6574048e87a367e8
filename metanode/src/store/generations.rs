//! The generation of the database. See `migrations/sqlite/0004_generation.sql`.

use std::collections::HashMap;

use cairn_protocol::cluster::Generation;
use cairn_protocol::id::OpeningId;

use super::sql_values::{StoredId, id, number, to_number};
use super::{Connection, StoreError, sql};

/// The earlier openings of this database, each with the sequence number of its last change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    openings: HashMap<OpeningId, u64>,
}

impl Past {
    /// Whether this generation is part of the database's history.
    pub(crate) fn knows(&self, generation: Generation) -> bool {
        self.openings.get(&generation.opening).is_some_and(|last| generation.sequence <= *last)
    }
}

/// The latest generation; `None` before the first change.
pub(crate) async fn latest(connection: &mut Connection) -> Result<Option<Generation>, StoreError> {
    let row = sql::query("SELECT sequence, changed_by FROM generation").fetch_one(connection).await?;
    let Some(opening) = row.try_get::<Option<&[u8]>, _>("changed_by")? else { return Ok(None) };
    let opening = OpeningId::from_column(opening).ok_or(StoreError::Corrupt { column: "changed_by" })?;
    Ok(Some(Generation { opening, sequence: number(&row, "sequence")? }))
}

/// The history of the database: the last change of every opening so far.
pub(crate) async fn past(connection: &mut Connection) -> Result<Past, StoreError> {
    let rows = sql::query("SELECT opening, last FROM openings").fetch_all(&mut *connection).await?;
    let mut openings = HashMap::with_capacity(rows.len() + 1);
    for row in &rows {
        openings.insert(id(row, "opening")?, number(row, "last")?);
    }
    if let Some(Generation { opening, sequence }) = latest(connection).await? {
        openings.insert(opening, sequence);
    }
    Ok(Past { openings })
}

/// Begins a new opening. Changes count as its own from here on.
pub(super) async fn open(tx: &mut Connection, opening: OpeningId) -> Result<(), StoreError> {
    if let Some(Generation { opening, sequence }) = latest(tx).await? {
        sql::query(
            "INSERT INTO openings (opening, last) VALUES ($1, $2)
             ON CONFLICT (opening) DO UPDATE SET last = excluded.last",
        )
        .bind(&opening.as_bytes()[..])
        .bind(to_number(sequence))
        .execute(&mut *tx)
        .await?;
    }
    sql::query("UPDATE generation SET opening = $1").bind(&opening.as_bytes()[..]).execute(tx).await?;
    Ok(())
}

/// Begins a new generation. Every change that a datanode could notice must call this: only then can a restored, older
/// database be told from this one. Returns the number of the change, which no other one has.
pub(crate) async fn advance(tx: &mut Connection) -> Result<u64, StoreError> {
    let row =
        sql::query("UPDATE generation SET sequence = sequence + 1, changed_by = opening RETURNING sequence")
            .fetch_one(tx)
            .await?;
    number(&row, "sequence")
}
