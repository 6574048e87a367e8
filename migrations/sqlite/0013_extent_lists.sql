-- Extent lists are immutable and counted as a whole. A version or part has its single extent in its row, or refers to a list.

-- The rows of before are moved to the tables below step by step when the metanode starts (in code); then these tables go.
ALTER TABLE versions RENAME TO versions_10;
ALTER TABLE retired_versions RENAME TO retired_versions_10;
ALTER TABLE parts RENAME TO parts_10;
ALTER TABLE object_parts RENAME TO object_parts_10;
ALTER TABLE extents RENAME TO extents_10;
ALTER TABLE garbage RENAME TO garbage_10;
DROP INDEX versions_by_id;
DROP INDEX versions_null;
DROP INDEX garbage_by_time;
DROP INDEX extents_by_block;
DROP TRIGGER parts_counted;

CREATE TABLE extent_lists (
    -- Never used again after a list is gone.
    list_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    length      BIGINT  NOT NULL,
    -- 1: all entries are of blocks; otherwise one more than the highest list that an entry is of.
    height      INTEGER NOT NULL,
    -- Versions and parts, retired ones too, and entries of other lists that refer to it. At 0 nothing can reach it any more, and
    -- its entries are removed step by step.
    refs        BIGINT  NOT NULL,
    -- All blocks of the list have this replication at least.
    replication INTEGER NOT NULL
);
CREATE INDEX extent_lists_unreferenced ON extent_lists (list_id) WHERE refs = 0;
-- Lists that lost their last reference in the transaction that is open. Empty between transactions.
CREATE INDEX extent_lists_released ON extent_lists (list_id) WHERE refs < 0;

CREATE TABLE list_entries (
    list_id  INTEGER NOT NULL,
    -- The offset in the list.
    place    BIGINT  NOT NULL,
    -- The target: one of both. It counts the entry as one reference.
    block_id BLOB,
    child    INTEGER,
    -- The offset in the target.
    start    BIGINT  NOT NULL,
    length   BIGINT  NOT NULL,
    -- CRC32C; see ListEntry in protocol/src/metadata/content.rs.
    checksum BIGINT  NOT NULL,
    PRIMARY KEY (list_id, place)
) WITHOUT ROWID;

-- The parts that an object was completed from. They belong to its list, so that copies of the object share them.
CREATE TABLE list_parts (
    list_id       INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    object_offset BIGINT  NOT NULL,
    length        BIGINT  NOT NULL,
    checksum      TEXT,
    -- The part's MD5; NULL for parts of before it was kept.
    etag          TEXT,
    PRIMARY KEY (list_id, number)
) WITHOUT ROWID;

-- All versions that clients can name, the newest of a key first: that one is the current version.
CREATE TABLE versions (
    bucket_id    INTEGER NOT NULL,
    key          BLOB    NOT NULL,
    -- The place in the order of versions, from `generation`. Rows of the release before versions have 0.
    sequence     BIGINT  NOT NULL,
    -- Chosen by the gateway.
    version_id   BLOB    NOT NULL,
    -- 0: a version with an id; 1: the null version, never followed by a version with an id; 2: the null version, followed by one.
    -- Buckets without versioning have 1 alone, and so no entry in the index below.
    null_state   INTEGER NOT NULL,
    is_delete_marker INTEGER NOT NULL,
    length       BIGINT  NOT NULL,
    -- In the form of store/etags.rs.
    etag         BLOB    NOT NULL,
    modified_at  BIGINT  NOT NULL,
    part_count   INTEGER NOT NULL,
    -- In the form of store/attributes.rs; NULL for none.
    attributes   BLOB,
    -- JSON; NULL for none.
    tags         TEXT,
    -- The bytes: a single extent, or a list, or neither for an empty version.
    block_id     BLOB,
    block_offset BIGINT,
    list_id      BIGINT,
    -- CRC32C; see ObjectVersion::computed_checksum in protocol/src/metadata/content.rs.
    checksum     BIGINT  NOT NULL,
    PRIMARY KEY (bucket_id, key, sequence DESC)
) WITHOUT ROWID;
-- Finds the null version among many, and keeps it from being there twice.
CREATE UNIQUE INDEX versions_null ON versions (bucket_id, key) WHERE null_state = 2;

-- The parts of uploads in progress.
CREATE TABLE parts (
    upload_id    BLOB    NOT NULL,
    number       INTEGER NOT NULL,
    part_id      BLOB    NOT NULL,
    length       BIGINT  NOT NULL,
    etag         TEXT    NOT NULL,
    checksum     TEXT,
    modified_at  BIGINT  NOT NULL,
    block_id     BLOB,
    block_offset BIGINT,
    list_id      BIGINT,
    PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;

-- Versions that were overwritten or deleted for good, and parts that were replaced or aborted, in the order in which they were
-- retired. Their references go when their grace period is over; until then gateways that have begun to read them go on.
CREATE TABLE retired (
    retired_at   BIGINT  NOT NULL,
    -- The version's or part's id.
    owner_id     BLOB    NOT NULL,
    length       BIGINT  NOT NULL,
    block_id     BLOB,
    block_offset BIGINT,
    list_id      BIGINT,
    -- NULL for parts, like all below.
    bucket_id    INTEGER,
    key          BLOB,
    sequence     BIGINT,
    null_state   INTEGER,
    etag         BLOB,
    modified_at  BIGINT,
    part_count   INTEGER,
    attributes   BLOB,
    tags         TEXT,
    checksum     BIGINT,
    PRIMARY KEY (retired_at, owner_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX retired_by_owner ON retired (owner_id);
