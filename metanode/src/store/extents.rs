//! The bytes of an owner (a version or a part): ranges of blocks, in order, without gaps. These functions write only
//! the rows of `extents`; their callers keep `blocks.refs` in step.

use super::sql_values::{id, number, to_number, to_time};
use super::{Connection, StoreError};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;

/// A range of an owner's bytes that lies in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Offset of its first byte in the owner.
    pub(crate) object_offset: u64,
    /// The block.
    pub(crate) block: BlockId,
    /// Offset of its first byte in the block.
    pub(crate) block_offset: u64,
    /// Length in bytes.
    pub(crate) length: u64,
}

/// Adds an extent to an owner.
pub(crate) async fn insert(tx: &mut Connection, owner: &[u8; 16], extent: &Extent) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO extents (owner_id, object_offset, block_id, block_offset, length)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&owner[..])
    .bind(to_number(extent.object_offset))
    .bind(&extent.block.as_bytes()[..])
    .bind(to_number(extent.block_offset))
    .bind(to_number(extent.length))
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives `to` the bytes `start..end` of `from`, beginning at `base_offset` in `to`: copies the rows that cover the
/// range, trimmed to it.
pub(crate) async fn copy_range(
    tx: &mut Connection,
    from: &[u8; 16],
    start: u64,
    end: u64,
    to: &[u8; 16],
    base_offset: u64,
) -> Result<(), StoreError> {
    // The inner rows carry the first and last offset, in the source, of the piece that is wanted of each extent.
    sqlx::query(
        "INSERT INTO extents (owner_id, object_offset, block_id, block_offset, length)
         SELECT $4, $5 + piece_start - $2, block_id, block_offset + piece_start - object_offset,
                piece_end - piece_start
         FROM (SELECT block_id, block_offset, object_offset,
                      CASE WHEN object_offset > $2 THEN object_offset ELSE $2 END AS piece_start,
                      CASE WHEN object_offset + length < $3 THEN object_offset + length ELSE $3 END AS piece_end
               FROM extents
               WHERE owner_id = $1 AND object_offset < $3 AND block_offset >= 0
                 AND object_offset >= COALESCE((SELECT MAX(object_offset) FROM extents
                                                WHERE owner_id = $1 AND object_offset <= $2), 0)
              ) AS pieces
         WHERE piece_end > piece_start",
    )
    .bind(&from[..])
    .bind(to_number(start))
    .bind(to_number(end))
    .bind(&to[..])
    .bind(to_number(base_offset))
    .execute(tx)
    .await?;
    Ok(())
}

/// Checks that the extents of an owner cover exactly `start..end`: each begins where the one before ended, and lies
/// within a block that exists. Without it a copy or a completion would pass damaged rows on to another object.
pub(crate) async fn check(
    connection: &mut Connection,
    owner: &[u8; 16],
    start: u64,
    end: u64,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS extents, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes,
                CAST(COALESCE(SUM(sound), 0) AS BIGINT) AS sound
         FROM (SELECT extents.length,
                      CASE WHEN extents.length > 0 AND extents.block_offset >= 0
                            AND extents.block_offset + extents.length <= blocks.length
                            AND extents.object_offset = $2 - extents.length
                                + SUM(extents.length) OVER (ORDER BY extents.object_offset)
                           THEN 1 ELSE 0 END AS sound
               FROM extents LEFT JOIN blocks ON blocks.block_id = extents.block_id
               WHERE extents.owner_id = $1 AND extents.object_offset >= $2 AND extents.object_offset < $3
              ) AS examined",
    )
    .bind(&owner[..])
    .bind(to_number(start))
    .bind(to_number(end))
    .fetch_one(connection)
    .await?;
    let (extents, sound): (u64, u64) = (number(&row, "extents")?, number(&row, "sound")?);
    if extents == sound && number::<u64>(&row, "bytes")? == end.saturating_sub(start) {
        return Ok(());
    }
    Err(StoreError::BrokenExtents { owner: uuid::Uuid::from_bytes(*owner).to_string() })
}

/// The first `max` extents of an owner that have bytes in `start..end`, in order.
pub(crate) async fn list(
    connection: &mut Connection,
    owner: &[u8; 16],
    start: u64,
    end: u64,
    max: u32,
) -> Result<Vec<Extent>, StoreError> {
    let rows = sqlx::query(
        "SELECT object_offset, block_id, block_offset, length FROM extents
         WHERE owner_id = $1 AND object_offset < $3 AND object_offset + length > $2
           AND object_offset >= COALESCE((SELECT MAX(object_offset) FROM extents
                                          WHERE owner_id = $1 AND object_offset <= $2), 0)
         ORDER BY object_offset LIMIT $4",
    )
    .bind(&owner[..])
    .bind(to_number(start))
    .bind(to_number(end))
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Extent {
                object_offset: number(row, "object_offset")?,
                block: id(row, "block_id")?,
                block_offset: number(row, "block_offset")?,
                length: number(row, "length")?,
            })
        })
        .collect()
}

/// Adds the extents of an owner that begin in `start..end` to the reference counts of their blocks.
pub(crate) async fn add_references(
    tx: &mut Connection,
    owner: &[u8; 16],
    start: u64,
    end: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE blocks SET refs = blocks.refs + counted.extents
         FROM (SELECT block_id, COUNT(*) AS extents FROM extents
               WHERE owner_id = $1 AND object_offset >= $2 AND object_offset < $3
               GROUP BY block_id) AS counted
         WHERE blocks.block_id = counted.block_id",
    )
    .bind(&owner[..])
    .bind(to_number(start))
    .bind(to_number(end))
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds an owner to the garbage. One that is garbage already keeps its time.
pub(crate) async fn retire(tx: &mut Connection, owner: &[u8; 16], now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO garbage (owner_id, retired_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(&owner[..])
        .bind(to_time(now))
        .execute(tx)
        .await?;
    Ok(())
}
