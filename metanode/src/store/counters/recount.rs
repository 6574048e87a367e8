//! Whether counters are right: each is compared with the rows that it counts. No transaction of this release makes one wrong;
//! what finds that out must not rely on it.

use super::{Amount, Counted, Counter, read};
use crate::store::buckets::BucketId;
use crate::store::iam::HolderId;
use crate::store::sql_values::{id, number};
use crate::store::{Connection, StoreError, sql};

/// All counters that have a row or something to count, in their order.
///
/// # Errors
/// The database's.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<Counter>, StoreError> {
    let nodes = sql::query("SELECT node_id FROM nodes UNION SELECT node_id FROM node_totals")
        .fetch_all(&mut *connection)
        .await?;
    let queued =
        sql::query("SELECT live, replication FROM repair_totals UNION SELECT live, replication FROM repairs")
            .fetch_all(&mut *connection)
            .await?;
    let buckets = sql::query("SELECT bucket_id FROM buckets UNION SELECT bucket_id FROM bucket_usage")
        .fetch_all(&mut *connection)
        .await?;
    let users = sql::query("SELECT user_id FROM user_usage").fetch_all(connection).await?;
    let mut counters = vec![Counter::Blocks];
    for row in &buckets {
        counters.push(Counter::BucketUsage(BucketId(row.try_get("bucket_id")?)));
    }
    for row in &users {
        counters.push(Counter::UserUsage(HolderId(row.try_get("user_id")?)));
    }
    for row in &nodes {
        let node = id(row, "node_id")?;
        counters.extend([Counter::Replicas(node), Counter::Deletions(node)]);
    }
    for row in &queued {
        counters.push(Counter::of_repair(row)?);
    }
    counters.sort_unstable();
    Ok(counters)
}

/// Counts the rows that a counter counts. The cost is that of reading them.
///
/// # Errors
/// The database's.
async fn count(connection: &mut Connection, counter: Counter) -> Result<Counted, StoreError> {
    let row = counter.bind(sql::query(counter.statements().count)).fetch_one(connection).await?;
    Ok(Counted { things: number(&row, "things")?, bytes: number(&row, "bytes")? })
}

/// A counter beside the rows that it counts, in one state of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// The counter.
    pub(crate) counter: Counter,
    /// What the counter says.
    pub(crate) said: Counted,
    /// What there is.
    pub(crate) counted: Counted,
}

impl Comparison {
    /// Whether the counter is right.
    pub(crate) fn is_right(&self) -> bool {
        self.said == self.counted
    }

    /// What the counter lacks, or has too much of. Added to the counter in any later transaction it makes the counter right,
    /// because what changed in between has changed the rows and the counter alike.
    pub(super) fn error(&self) -> Amount {
        let Self { said, counted, .. } = self;
        Amount::of(counted.things, counted.bytes) + -Amount::of(said.things, said.bytes)
    }
}

/// Compares a counter with the rows that it counts. The connection must have a transaction open, so that both are of one state.
///
/// # Errors
/// The database's.
pub(crate) async fn compare(connection: &mut Connection, counter: Counter) -> Result<Comparison, StoreError> {
    let (said, counted) = (read(connection, counter).await?, count(connection, counter).await?);
    Ok(Comparison { counter, said, counted })
}

/// Makes a counter right that was compared in an earlier transaction, or in this one. It must not be done twice.
pub(crate) fn correct(tx: &mut Connection, compared: &Comparison) {
    tx.deltas().add(compared.counter, compared.error());
}
