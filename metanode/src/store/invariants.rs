//! What must be true of the tables after every transaction. Tests verify it after each of their steps.

use super::{Store, StoreError, sql};

/// An invariant, with a statement that counts its violations.
struct Invariant {
    name: &'static str,
    violations: &'static str,
}

const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "a lock belongs to a version, which is no delete marker, in a bucket with Object Lock",
        violations: "SELECT COUNT(*) FROM object_locks
                     LEFT JOIN versions ON versions.bucket_id = object_locks.bucket_id
                       AND versions.key = object_locks.key AND versions.sequence = object_locks.sequence
                     LEFT JOIN buckets ON buckets.bucket_id = object_locks.bucket_id
                     WHERE versions.version_id IS NULL OR versions.is_delete_marker <> 0
                        OR buckets.object_lock IS NULL
                        OR (object_locks.mode IS NULL) <> (object_locks.retain_until IS NULL)
                        OR (object_locks.mode IS NULL AND object_locks.legal_hold IS NULL)",
    },
    Invariant {
        name: "versioning of a bucket with Object Lock is enabled",
        violations: "SELECT COUNT(*) FROM buckets WHERE object_lock IS NOT NULL AND versioning <> 1",
    },
    Invariant {
        name: "a managed policy that is attached, or is a boundary, exists and is of the same account",
        violations: "SELECT COUNT(*) FROM
                         (SELECT holder_id, policy_id FROM policy_attachments
                          UNION ALL SELECT holder_id, boundary FROM holders WHERE boundary IS NOT NULL) AS uses
                     JOIN holders ON holders.holder_id = uses.holder_id
                     LEFT JOIN policies ON policies.policy_id = uses.policy_id
                     WHERE uses.policy_id >= 0 AND (policies.policy_id IS NULL
                           OR policies.account_number <> holders.account_number)",
    },
    Invariant {
        name: "a managed policy has its default version",
        violations: "SELECT COUNT(*) FROM policies
                     LEFT JOIN policy_versions
                         ON policy_versions.policy_id = policies.policy_id AND version = default_version
                     WHERE policy_versions.policy_id IS NULL",
    },
    Invariant {
        name: "a member of a group is a user of the same account",
        violations: "SELECT COUNT(*) FROM group_members
                     JOIN holders AS groups_ ON groups_.holder_id = group_id
                     JOIN holders AS users_ ON users_.holder_id = user_id
                     WHERE groups_.kind <> 1 OR users_.kind <> 0
                        OR groups_.account_number <> users_.account_number",
    },
    Invariant {
        name: "an access key is a user's, and of the user's account",
        violations: "SELECT COUNT(*) FROM access_keys JOIN holders ON holders.holder_id = access_keys.holder_id
                     WHERE kind <> 0 OR holders.account_number <> access_keys.account_number",
    },
    Invariant {
        name: "a role, and nothing else, has a trust document and a longest session",
        violations: "SELECT COUNT(*) FROM holders
                     WHERE (kind = 2) <> (trust IS NOT NULL) OR (kind = 2) <> (session_s_max IS NOT NULL)",
    },
    Invariant {
        name: "a block counts the versions, parts and entries of lists that refer to it",
        violations: "SELECT COUNT(*) FROM blocks WHERE refs <>
                         (SELECT COUNT(*) FROM (SELECT block_id FROM versions UNION ALL SELECT block_id FROM parts
                              UNION ALL SELECT block_id FROM retired UNION ALL SELECT block_id FROM list_entries)
                          AS referring WHERE referring.block_id = blocks.block_id)",
    },
    Invariant {
        name: "a block without references has no row",
        violations: "SELECT COUNT(*) FROM blocks WHERE refs < 1",
    },
    Invariant {
        name: "a list counts the versions, parts and entries of lists that refer to it",
        violations: "SELECT COUNT(*) FROM extent_lists WHERE refs <>
                         (SELECT COUNT(*) FROM (SELECT list_id FROM versions UNION ALL SELECT list_id FROM parts
                              UNION ALL SELECT list_id FROM retired UNION ALL SELECT child FROM list_entries)
                          AS referring WHERE referring.list_id = extent_lists.list_id)",
    },
    Invariant {
        name: "a single extent lies within a block that exists",
        violations: "SELECT COUNT(*) FROM (SELECT block_id, block_offset, length FROM versions
                           UNION ALL SELECT block_id, block_offset, length FROM parts
                           UNION ALL SELECT block_id, block_offset, length FROM retired) AS extents
                     LEFT JOIN blocks ON blocks.block_id = extents.block_id
                     WHERE extents.block_id IS NOT NULL AND (blocks.block_id IS NULL OR extents.length < 1
                        OR extents.block_offset < 0
                        OR COALESCE(extents.block_offset, 0) + extents.length > blocks.length)",
    },
    Invariant {
        name: "an entry of a list is of a block that exists, or of a lower list, and lies within it",
        violations: "SELECT COUNT(*) FROM list_entries
                     JOIN extent_lists AS own ON own.list_id = list_entries.list_id
                     LEFT JOIN blocks ON blocks.block_id = list_entries.block_id
                     LEFT JOIN extent_lists AS child ON child.list_id = list_entries.child
                     WHERE (list_entries.block_id IS NULL) = (list_entries.child IS NULL)
                        OR list_entries.length < 1 OR list_entries.start < 0
                        OR COALESCE(list_entries.start + list_entries.length > blocks.length,
                                    list_entries.start + list_entries.length > child.length
                                    OR child.height >= own.height, 1)",
    },
    Invariant {
        // A list without references is being removed from its beginning on.
        name: "the entries of a list have no gaps, do not overlap, and are as long as it is",
        violations: "SELECT (SELECT COUNT(*) FROM
                         (SELECT place, COALESCE(LAG(place + list_entries.length) OVER
                                     (PARTITION BY list_entries.list_id ORDER BY place), 0) AS expected
                          FROM list_entries JOIN extent_lists ON extent_lists.list_id = list_entries.list_id
                          WHERE refs > 0) AS places WHERE place <> expected)
                     + (SELECT COUNT(*) FROM extent_lists WHERE refs > 0 AND length <>
                            (SELECT COALESCE(SUM(list_entries.length), 0) FROM list_entries
                             WHERE list_entries.list_id = extent_lists.list_id))",
    },
    Invariant {
        name: "an entry belongs to a list",
        violations: "SELECT COUNT(*) FROM list_entries
                     WHERE list_id NOT IN (SELECT list_id FROM extent_lists)",
    },
    Invariant {
        name: "a list's replication is that of its blocks at most",
        violations: "SELECT COUNT(*) FROM extent_lists
                     JOIN list_entries ON list_entries.list_id = extent_lists.list_id
                     LEFT JOIN blocks ON blocks.block_id = list_entries.block_id
                     LEFT JOIN extent_lists AS child ON child.list_id = list_entries.child
                     WHERE extent_lists.replication > COALESCE(blocks.replication, child.replication)
                       AND extent_lists.refs > 0 AND child.list_id IS NULL",
    },
    Invariant {
        name: "no list is higher than reads follow",
        violations: "SELECT COUNT(*) FROM extent_lists WHERE height < 1 OR height > 4",
    },
    Invariant {
        name: "a version, a part and what is retired has as many bytes as it is long",
        violations: "SELECT COUNT(*) FROM (SELECT length, block_id, list_id FROM versions
                           UNION ALL SELECT length, block_id, list_id FROM parts
                           UNION ALL SELECT length, block_id, list_id FROM retired) AS known
                     LEFT JOIN extent_lists ON extent_lists.list_id = known.list_id
                     WHERE (known.list_id IS NOT NULL AND (known.length <> extent_lists.length OR block_id IS NOT NULL
                                OR extent_lists.list_id IS NULL))
                        OR (known.list_id IS NULL AND (known.length > 0) <> (block_id IS NOT NULL))",
    },
    Invariant {
        name: "a version or part that is retired is no version or part any more",
        violations: "SELECT COUNT(*) FROM retired WHERE owner_id IN (SELECT version_id FROM versions)
                        OR owner_id IN (SELECT part_id FROM parts)",
    },
    Invariant {
        name: "an id names one version or part",
        violations: "SELECT COUNT(*) FROM (SELECT 1 FROM (SELECT version_id AS id FROM versions
                           UNION ALL SELECT part_id FROM parts) AS ids GROUP BY id HAVING COUNT(*) > 1) AS twice",
    },
    Invariant {
        name: "a key has one null version at most",
        violations: "SELECT COUNT(*) FROM (SELECT 1 FROM versions WHERE null_state <> 0
                                           GROUP BY bucket_id, key HAVING COUNT(*) > 1) AS keys",
    },
    Invariant {
        name: "the index of null versions has each that is not the newest",
        violations: "SELECT COUNT(*) FROM versions WHERE null_state = 1 AND sequence <
                         (SELECT MAX(sequence) FROM versions AS newest
                          WHERE newest.bucket_id = versions.bucket_id AND newest.key = versions.key)",
    },
    Invariant {
        name: "a bucket without versioning has null versions only, and no delete markers",
        violations: "SELECT COUNT(*) FROM versions JOIN buckets ON buckets.bucket_id = versions.bucket_id
                     WHERE versioning = 0 AND (null_state <> 1 OR is_delete_marker <> 0)",
    },
    Invariant {
        name: "a delete marker has no bytes",
        violations: "SELECT COUNT(*) FROM versions
                     WHERE is_delete_marker <> 0 AND (length <> 0 OR part_count <> 0)",
    },
    Invariant {
        name: "a part belongs to an upload in progress",
        violations: "SELECT COUNT(*) FROM parts WHERE upload_id NOT IN
                         (SELECT upload_id FROM uploads WHERE completed_at IS NULL)",
    },
    Invariant {
        name: "a version, like an upload in progress, is in a bucket",
        violations: "SELECT (SELECT COUNT(*) FROM versions
                             WHERE bucket_id NOT IN (SELECT bucket_id FROM buckets))
                          + (SELECT COUNT(*) FROM uploads WHERE completed_at IS NULL
                             AND bucket_id NOT IN (SELECT bucket_id FROM buckets)
                             AND bucket_id NOT IN (SELECT bucket_id FROM deleted_buckets))",
    },
    Invariant {
        name: "a deleted bucket is no bucket any more",
        violations: "SELECT COUNT(*) FROM deleted_buckets JOIN buckets
                     ON buckets.bucket_id = deleted_buckets.bucket_id",
    },
    Invariant {
        name: "an object's parts belong to a list",
        violations: "SELECT COUNT(*) FROM list_parts
                     WHERE list_id NOT IN (SELECT list_id FROM extent_lists)",
    },
    Invariant {
        name: "an object's parts are as many as it says, and make its length",
        violations: "SELECT COUNT(*) FROM (SELECT list_id, part_count, length FROM versions
                           UNION ALL SELECT list_id, part_count, length FROM retired WHERE key IS NOT NULL) AS known
                     LEFT JOIN (SELECT list_id AS list, COUNT(*) AS parts, SUM(length) AS bytes
                                FROM list_parts GROUP BY list_id) AS counted ON list = list_id
                     WHERE part_count <> COALESCE(parts, 0) OR (part_count > 0 AND bytes <> length)",
    },
    Invariant {
        name: "an object's parts have no gaps and do not overlap",
        violations: "SELECT COUNT(*) FROM
                         (SELECT object_offset,
                                 COALESCE(LAG(object_offset + length) OVER
                                     (PARTITION BY list_id ORDER BY number), 0) AS expected
                          FROM list_parts) AS places
                     WHERE object_offset <> expected",
    },
    Invariant {
        name: "a replica is of a block that exists",
        violations: "SELECT COUNT(*) FROM replicas
                     LEFT JOIN blocks ON blocks.block_id = replicas.block_id WHERE blocks.block_id IS NULL",
    },
    Invariant {
        name: "a replica is on a node that registered",
        violations: "SELECT COUNT(*) FROM replicas
                     LEFT JOIN nodes ON nodes.ordinal = replicas.node WHERE nodes.node_id IS NULL",
    },
    Invariant {
        name: "a replica that is to be deleted does not count as one",
        violations: "SELECT COUNT(*) FROM deletions JOIN replicas
                     ON replicas.node = deletions.node AND replicas.block_id = deletions.block_id",
    },
    Invariant {
        name: "what waits for repair is a block that exists",
        violations: "SELECT COUNT(*) FROM repairs
                     LEFT JOIN blocks ON blocks.block_id = repairs.block_id WHERE blocks.block_id IS NULL",
    },
    Invariant {
        name: "a block that exists has no lease",
        violations: "SELECT COUNT(*) FROM leases JOIN blocks ON blocks.block_id = leases.block_id",
    },
    Invariant {
        // While the scan of all blocks runs, some blocks that lack replicas are not queued yet.
        name: "a block without all the copies that there can be waits for repair",
        violations: "SELECT COUNT(*) FROM blocks
                     WHERE block_id NOT IN (SELECT block_id FROM repairs)
                       AND NOT EXISTS (SELECT 1 FROM settings WHERE name = 'block_scan')
                       AND (SELECT COUNT(*) FROM replicas
                            WHERE replicas.block_id = blocks.block_id AND state = 0) <
                           (SELECT CASE WHEN COUNT(*) < blocks.replication THEN COUNT(*)
                                   ELSE blocks.replication END FROM nodes WHERE removed_at IS NULL)",
    },
    Invariant {
        name: "a block with a bad copy waits for repair",
        violations: "SELECT COUNT(DISTINCT block_id) FROM replicas
                     WHERE state = 1 AND block_id NOT IN (SELECT block_id FROM repairs)",
    },
    Invariant {
        name: "nodes' replicas and deletions are counted right",
        violations: "SELECT COUNT(*) FROM node_totals LEFT JOIN nodes ON nodes.node_id = node_totals.node_id
                     WHERE replicas <> (SELECT COUNT(*) FROM replicas WHERE replicas.node = nodes.ordinal)
                        OR bytes <> (SELECT COALESCE(SUM(length), 0) FROM replicas
                                     JOIN blocks ON blocks.block_id = replicas.block_id
                                     WHERE replicas.node = nodes.ordinal)
                        OR deletions <> (SELECT COUNT(*) FROM deletions WHERE deletions.node = nodes.ordinal)
                        OR deletion_bytes <> (SELECT COALESCE(SUM(deletions.bytes), 0) FROM deletions
                                              WHERE deletions.node = nodes.ordinal)",
    },
    Invariant {
        name: "every replica and deletion is counted at some node",
        violations: "SELECT COUNT(*) FROM (SELECT node FROM replicas UNION ALL SELECT node FROM deletions) AS counted
                     WHERE node NOT IN (SELECT ordinal FROM nodes
                                        JOIN node_totals ON node_totals.node_id = nodes.node_id)",
    },
    Invariant {
        name: "blocks are counted right",
        violations: "SELECT COUNT(*) FROM block_totals WHERE blocks <> (SELECT COUNT(*) FROM blocks)",
    },
    Invariant {
        name: "what waits for repair is counted right",
        violations: "SELECT (SELECT COUNT(*) FROM repair_totals WHERE repairs <>
                                (SELECT COUNT(*) FROM repairs WHERE repairs.live = repair_totals.live
                                    AND repairs.replication = repair_totals.replication))
                          + (SELECT CASE WHEN (SELECT COUNT(*) FROM repairs) =
                                (SELECT COALESCE(SUM(repairs), 0) FROM repair_totals) THEN 0 ELSE 1 END)",
    },
];

impl Store {
    /// The invariants that the tables break, in words; empty if none is broken. Reads all tables.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn verify_invariants(&self) -> Result<Vec<String>, StoreError> {
        let mut reader = self.read().await?;
        let mut broken = Vec::new();
        for invariant in INVARIANTS {
            let violations: i64 = sql::query_scalar(invariant.violations).fetch_one(&mut reader).await?;
            if violations != 0 {
                broken.push(format!("not true of {violations}: {}", invariant.name));
            }
        }
        Ok(broken)
    }
}
