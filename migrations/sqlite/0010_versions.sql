-- Versions of objects. A key has several if versioning of its bucket was ever enabled.

-- 0: never enabled, 1: enabled, 2: suspended.
ALTER TABLE buckets ADD COLUMN versioning INTEGER NOT NULL DEFAULT 0;

-- All versions that clients can name, the newest of a key first: that one is the current version. Versions that were
-- overwritten or deleted for good are in `retired_versions`, so that no listing has to pass over them.
CREATE TABLE versions (
    bucket_id   INTEGER NOT NULL,
    key         BLOB    NOT NULL,
    -- The place in the order of versions, from `generation`. Rows of before this migration have 0.
    sequence    BIGINT  NOT NULL,
    -- Chosen by the gateway; it owns the extents.
    version_id  BLOB    NOT NULL,
    -- 0: a version with an id; 1: the null version, never followed by a version with an id; 2: the null version, followed by one.
    -- Buckets without versioning have 1 alone, and so no entry in the index below.
    null_state  INTEGER NOT NULL,
    is_delete_marker INTEGER NOT NULL,
    length      BIGINT  NOT NULL,
    etag        TEXT    NOT NULL,
    modified_at BIGINT  NOT NULL,
    part_count  INTEGER NOT NULL,
    attributes  TEXT    NOT NULL,
    tags        TEXT    NOT NULL,
    PRIMARY KEY (bucket_id, key, sequence DESC)
) WITHOUT ROWID;
CREATE UNIQUE INDEX versions_by_id ON versions (version_id);
-- Finds the null version among many, and keeps it from being there twice.
CREATE UNIQUE INDEX versions_null ON versions (bucket_id, key) WHERE null_state = 2;

-- Versions that were overwritten or deleted for good. They can be read until their grace period ends, by the gateways that have
-- begun to. When they were retired is in `garbage`.
CREATE TABLE retired_versions (
    version_id  BLOB    PRIMARY KEY NOT NULL,
    bucket_id   INTEGER NOT NULL,
    key         BLOB    NOT NULL,
    sequence    BIGINT  NOT NULL,
    null_state  INTEGER NOT NULL,
    length      BIGINT  NOT NULL,
    etag        TEXT    NOT NULL,
    modified_at BIGINT  NOT NULL,
    part_count  INTEGER NOT NULL,
    attributes  TEXT    NOT NULL,
    tags        TEXT    NOT NULL
) WITHOUT ROWID;

-- The rows of object_versions are moved step by step when the metanode starts, and then that table goes (in code). Who inserts
-- a version counts it as a change.
DROP TRIGGER object_versions_counted;
DROP INDEX object_versions_retired;
