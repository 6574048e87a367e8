//! What must be true of the tables after every transaction. Tests verify it after each of their steps.

use super::{Store, StoreError};

/// An invariant, with a statement that counts its violations.
struct Invariant {
    name: &'static str,
    violations: &'static str,
}

const INVARIANTS: &[Invariant] = &[
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
        name: "a block counts the extents that refer to it",
        violations: "SELECT COUNT(*) FROM blocks WHERE refs <>
                         (SELECT COUNT(*) FROM extents WHERE extents.block_id = blocks.block_id)",
    },
    Invariant {
        name: "a block without references has no row",
        violations: "SELECT COUNT(*) FROM blocks WHERE refs < 1",
    },
    Invariant {
        name: "an extent lies within a block that exists",
        violations: "SELECT COUNT(*) FROM extents LEFT JOIN blocks ON blocks.block_id = extents.block_id
                     WHERE blocks.block_id IS NULL OR extents.length < 1 OR extents.block_offset < 0
                        OR extents.block_offset + extents.length > blocks.length",
    },
    Invariant {
        // An owner whose extents are partly removed has no row as a version or a part any more.
        name: "the extents of a version or a part have no gaps and do not overlap",
        violations: "SELECT COUNT(*) FROM
                         (SELECT owner_id, object_offset,
                                 COALESCE(LAG(object_offset + length) OVER
                                     (PARTITION BY owner_id ORDER BY object_offset), 0) AS expected
                          FROM extents) AS places
                     WHERE object_offset <> expected
                       AND (owner_id IN (SELECT version_id FROM versions)
                         OR owner_id IN (SELECT version_id FROM retired_versions)
                         OR owner_id IN (SELECT part_id FROM parts))",
    },
    Invariant {
        name: "a version's extents are as long as it is",
        violations: "SELECT COUNT(*) FROM (SELECT version_id, length FROM versions
                                           UNION ALL SELECT version_id, length FROM retired_versions) AS known
                     WHERE length <>
                         (SELECT COALESCE(SUM(length), 0) FROM extents WHERE owner_id = version_id)",
    },
    Invariant {
        name: "a part's extents are as long as it is",
        violations: "SELECT COUNT(*) FROM parts WHERE length <>
                         (SELECT COALESCE(SUM(length), 0) FROM extents WHERE owner_id = part_id)",
    },
    Invariant {
        name: "extents belong to a version, a part, or garbage",
        violations: "SELECT COUNT(DISTINCT owner_id) FROM extents
                     WHERE owner_id NOT IN (SELECT version_id FROM versions)
                       AND owner_id NOT IN (SELECT part_id FROM parts)
                       AND owner_id NOT IN (SELECT owner_id FROM garbage)",
    },
    Invariant {
        name: "a version is garbage if it is retired, and only then",
        violations: "SELECT (SELECT COUNT(*) FROM versions
                             WHERE version_id IN (SELECT owner_id FROM garbage)
                                OR version_id IN (SELECT version_id FROM retired_versions))
                          + (SELECT COUNT(*) FROM retired_versions
                             WHERE version_id NOT IN (SELECT owner_id FROM garbage))",
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
        name: "a part of an upload is not garbage",
        violations: "SELECT COUNT(*) FROM parts WHERE part_id IN (SELECT owner_id FROM garbage)",
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
        name: "an object's parts belong to a version",
        violations: "SELECT COUNT(*) FROM object_parts
                     WHERE version_id NOT IN (SELECT version_id FROM versions)
                       AND version_id NOT IN (SELECT version_id FROM retired_versions)",
    },
    Invariant {
        name: "an object's parts are as many as it says, and make its length",
        violations: "SELECT COUNT(*) FROM (SELECT version_id, part_count, length FROM versions
                           UNION ALL SELECT version_id, part_count, length FROM retired_versions) AS known
                     LEFT JOIN (SELECT version_id AS owner, COUNT(*) AS parts, SUM(length) AS bytes
                                FROM object_parts GROUP BY version_id) AS counted ON owner = version_id
                     WHERE part_count <> COALESCE(parts, 0) OR (part_count > 0 AND bytes <> length)",
    },
    Invariant {
        name: "an object's parts have no gaps and do not overlap",
        violations: "SELECT COUNT(*) FROM
                         (SELECT object_offset,
                                 COALESCE(LAG(object_offset + length) OVER
                                     (PARTITION BY version_id ORDER BY number), 0) AS expected
                          FROM object_parts) AS places
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
                     LEFT JOIN nodes ON nodes.node_id = replicas.node_id WHERE nodes.node_id IS NULL",
    },
    Invariant {
        name: "a replica that is to be deleted does not count as one",
        violations: "SELECT COUNT(*) FROM deletions JOIN replicas
                     ON replicas.node_id = deletions.node_id AND replicas.block_id = deletions.block_id",
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
        violations: "SELECT COUNT(*) FROM node_totals
                     WHERE replicas <> (SELECT COUNT(*) FROM replicas
                                        WHERE replicas.node_id = node_totals.node_id)
                        OR bytes <> (SELECT COALESCE(SUM(length), 0) FROM replicas
                                     JOIN blocks ON blocks.block_id = replicas.block_id
                                     WHERE replicas.node_id = node_totals.node_id)
                        OR deletions <> (SELECT COUNT(*) FROM deletions
                                         WHERE deletions.node_id = node_totals.node_id)
                        OR deletion_bytes <> (SELECT COALESCE(SUM(deletions.bytes), 0) FROM deletions
                                              WHERE deletions.node_id = node_totals.node_id)",
    },
    Invariant {
        name: "every replica and deletion is counted at some node",
        violations: "SELECT (SELECT COUNT(*) FROM replicas
                             WHERE node_id NOT IN (SELECT node_id FROM node_totals))
                          + (SELECT COUNT(*) FROM deletions
                             WHERE node_id NOT IN (SELECT node_id FROM node_totals))",
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
            let violations: i64 = sqlx::query_scalar(invariant.violations).fetch_one(&mut *reader).await?;
            if violations != 0 {
                broken.push(format!("not true of {violations}: {}", invariant.name));
            }
        }
        Ok(broken)
    }
}
