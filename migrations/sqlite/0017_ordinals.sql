-- Replicas and deletions refer to nodes by a small number. A replica's row had the node's id of 16 bytes twice, in its key and in
-- its index, and there are more replicas than anything else.

ALTER TABLE nodes RENAME TO nodes_1;
CREATE TABLE nodes (
    -- Given at the first registration, and never used again. The row of a removed node stays, and a node that comes back has the
    -- number that it had.
    ordinal       INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id       BLOB   NOT NULL UNIQUE,
    address       TEXT   NOT NULL,
    zone          TEXT,
    incarnation   BIGINT NOT NULL,
    -- As told at the last registration: enough to place blocks before the first heartbeat.
    volumes       TEXT   NOT NULL,
    version       TEXT   NOT NULL,
    registered_at BIGINT NOT NULL,
    -- What operators want of it: 0 service, 1 draining, 2 maintenance until a time.
    duty          INTEGER NOT NULL DEFAULT 0,
    maintenance_until BIGINT,
    -- When it was removed. What is left of it is forgotten bit by bit, unless it comes back; the row stays, so that no
    -- incarnation and no ordinal is used twice.
    removed_at    BIGINT
);
INSERT INTO nodes (node_id, address, zone, incarnation, volumes, version, registered_at, duty, maintenance_until, removed_at)
    SELECT node_id, address, zone, incarnation, volumes, version, registered_at, duty, maintenance_until, removed_at
    FROM nodes_1 ORDER BY registered_at, node_id;
DROP TABLE nodes_1;

-- The rows of before are moved to the tables below step by step when the metanode starts (in code); then these tables go.
ALTER TABLE replicas RENAME TO replicas_1;
ALTER TABLE deletions RENAME TO deletions_1;
DROP INDEX replicas_by_node;

CREATE TABLE replicas (
    block_id BLOB    NOT NULL,
    -- The node's ordinal.
    node     INTEGER NOT NULL,
    -- 0: good as far as is known; 1: quarantined as corrupt.
    state    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (block_id, node)
) WITHOUT ROWID;
CREATE INDEX replicas_by_node ON replicas (node, block_id);

-- Replicas to be deleted from their nodes, until the nodes say that it is done.
CREATE TABLE deletions (
    -- The node's ordinal.
    node      INTEGER NOT NULL,
    block_id  BLOB    NOT NULL,
    queued_at BIGINT  NOT NULL,
    -- The block's length, because its row may be gone before; 0 if it is not known.
    bytes     BIGINT  NOT NULL DEFAULT 0,
    PRIMARY KEY (node, block_id)
) WITHOUT ROWID;
