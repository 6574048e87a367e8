-- Cairn's metadata. Keys are BLOBs: they compare as the bytes of their UTF-8. Ids are UUIDs in 16
-- bytes. Times are milliseconds since the Unix epoch. Documents that SQL never looks into are JSON.

-- What the cluster is: its id, its root credentials.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE buckets (
    -- Never used again after a bucket is deleted: its retired versions are still there for a while.
    bucket_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL UNIQUE,
    region      TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    -- NULL: the cluster's default.
    replication INTEGER,
    block_size  BIGINT
);

-- Every version of every object, retired ones too until their grace period is over.
CREATE TABLE object_versions (
    version_id  BLOB    PRIMARY KEY NOT NULL,
    bucket_id   INTEGER NOT NULL,
    key         BLOB    NOT NULL,
    -- 1 for the version that a request without a version id sees.
    is_current  INTEGER NOT NULL,
    is_delete_marker INTEGER NOT NULL DEFAULT 0,
    -- When it was overwritten or deleted: its extents are given up a grace period later.
    retired_at  BIGINT,
    length      BIGINT  NOT NULL,
    etag        TEXT    NOT NULL,
    modified_at BIGINT  NOT NULL,
    part_count  INTEGER NOT NULL,
    attributes  TEXT    NOT NULL,
    tags        TEXT    NOT NULL
) WITHOUT ROWID;

-- Listings walk this index; it also keeps two versions from being current.
CREATE UNIQUE INDEX object_versions_current ON object_versions (bucket_id, key) WHERE is_current = 1;
CREATE INDEX object_versions_retired ON object_versions (retired_at) WHERE retired_at IS NOT NULL;

-- The parts that a version was completed from.
CREATE TABLE object_parts (
    version_id    BLOB    NOT NULL,
    number        INTEGER NOT NULL,
    object_offset BIGINT  NOT NULL,
    length        BIGINT  NOT NULL,
    checksum      TEXT,
    PRIMARY KEY (version_id, number)
) WITHOUT ROWID;

-- The bytes of an owner (a version or a part): pieces of blocks, in order, without gaps.
CREATE TABLE extents (
    owner_id      BLOB   NOT NULL,
    object_offset BIGINT NOT NULL,
    block_id      BLOB   NOT NULL,
    block_offset  BIGINT NOT NULL,
    length        BIGINT NOT NULL,
    PRIMARY KEY (owner_id, object_offset)
) WITHOUT ROWID;

CREATE TABLE blocks (
    block_id    BLOB    PRIMARY KEY NOT NULL,
    length      BIGINT  NOT NULL,
    crc32c      BIGINT  NOT NULL,
    -- How many copies it should have.
    replication INTEGER NOT NULL,
    -- How many extents refer to it. At 0 the row goes and its replicas are queued for deletion.
    refs        BIGINT  NOT NULL
) WITHOUT ROWID;

CREATE TABLE replicas (
    block_id BLOB    NOT NULL,
    node_id  BLOB    NOT NULL,
    -- 0: good as far as is known; 1: quarantined as corrupt.
    state    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (block_id, node_id)
) WITHOUT ROWID;
CREATE INDEX replicas_by_node ON replicas (node_id, block_id);

-- Blocks that were seen below their replication factor, until they are at it again.
CREATE TABLE repairs (
    block_id  BLOB    PRIMARY KEY NOT NULL,
    -- Good copies on nodes that are not dead when it was queued: fewest first.
    live      INTEGER NOT NULL,
    queued_at BIGINT  NOT NULL
) WITHOUT ROWID;
CREATE INDEX repairs_by_urgency ON repairs (live, queued_at, block_id);

-- Owners of extents (versions, parts) that were retired; given up after the grace period.
CREATE TABLE garbage (
    owner_id   BLOB   PRIMARY KEY NOT NULL,
    retired_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX garbage_by_time ON garbage (retired_at, owner_id);

-- Replicas to be deleted from their nodes, until the nodes say that it is done.
CREATE TABLE deletions (
    node_id   BLOB   NOT NULL,
    block_id  BLOB   NOT NULL,
    queued_at BIGINT NOT NULL,
    PRIMARY KEY (node_id, block_id)
) WITHOUT ROWID;

-- Leases that were renewed: a block that nobody refers to is kept until then. A lease that was
-- never renewed needs no row, for the block's id tells its age.
CREATE TABLE leases (
    block_id   BLOB   PRIMARY KEY NOT NULL,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX leases_by_expiry ON leases (expires_at);

CREATE TABLE uploads (
    upload_id    BLOB    PRIMARY KEY NOT NULL,
    bucket_id    INTEGER NOT NULL,
    key          BLOB    NOT NULL,
    initiated_at BIGINT  NOT NULL,
    attributes   TEXT    NOT NULL,
    tags         TEXT    NOT NULL,
    checksum     TEXT,
    -- What it was completed to, and when: remembered for a while, so that a repeated completion
    -- gets the same answer.
    completed    TEXT,
    completed_at BIGINT
) WITHOUT ROWID;
CREATE INDEX uploads_in_progress ON uploads (bucket_id, key, upload_id) WHERE completed_at IS NULL;
CREATE INDEX uploads_completed ON uploads (completed_at) WHERE completed_at IS NOT NULL;

CREATE TABLE parts (
    upload_id   BLOB    NOT NULL,
    number      INTEGER NOT NULL,
    part_id     BLOB    NOT NULL UNIQUE,
    length      BIGINT  NOT NULL,
    etag        TEXT    NOT NULL,
    checksum    TEXT,
    modified_at BIGINT  NOT NULL,
    PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;

CREATE TABLE nodes (
    node_id       BLOB   PRIMARY KEY NOT NULL,
    address       TEXT   NOT NULL,
    zone          TEXT,
    incarnation   BIGINT NOT NULL,
    -- As told at the last registration: enough to place blocks before the first heartbeat.
    volumes       TEXT   NOT NULL,
    version       TEXT   NOT NULL,
    registered_at BIGINT NOT NULL
) WITHOUT ROWID;
