-- What is counted for operators, kept by triggers so that it is exact and costs nothing to ask: counting the
-- tables themselves would cost a scan of every replica each time somebody looks.

-- Replicas of a node and their bytes; what it is to delete, and the bytes of that as far as they are known.
CREATE TABLE node_totals (
    node_id        BLOB   PRIMARY KEY NOT NULL,
    replicas       BIGINT NOT NULL DEFAULT 0,
    bytes          BIGINT NOT NULL DEFAULT 0,
    deletions      BIGINT NOT NULL DEFAULT 0,
    deletion_bytes BIGINT NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- One row: blocks that extents refer to.
CREATE TABLE block_totals (
    singleton INTEGER PRIMARY KEY NOT NULL CHECK (singleton = 1),
    blocks    BIGINT  NOT NULL
);

-- Queued repairs, by how many good copies there are and how many there should be.
CREATE TABLE repair_totals (
    live        INTEGER NOT NULL,
    replication INTEGER NOT NULL,
    repairs     BIGINT  NOT NULL,
    PRIMARY KEY (live, replication)
) WITHOUT ROWID;

-- A block's row may be gone before what is left of it, so what is left knows its length.
ALTER TABLE deletions ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repairs ADD COLUMN replication INTEGER NOT NULL DEFAULT 0;
UPDATE repairs SET replication =
    COALESCE((SELECT replication FROM blocks WHERE blocks.block_id = repairs.block_id), 0);

-- When a node was removed. What is left of it is forgotten bit by bit, unless it comes back; the row
-- stays, so that no incarnation is used twice.
ALTER TABLE nodes ADD COLUMN removed_at BIGINT;

INSERT INTO block_totals SELECT 1, COUNT(*) FROM blocks;
INSERT INTO repair_totals SELECT live, replication, COUNT(*) FROM repairs GROUP BY live, replication;
INSERT INTO node_totals (node_id, replicas, bytes)
    SELECT node_id, COUNT(*), COALESCE(SUM(length), 0)
    FROM replicas LEFT JOIN blocks ON blocks.block_id = replicas.block_id GROUP BY node_id;
INSERT INTO node_totals (node_id, deletions)
    SELECT node_id, COUNT(*) FROM deletions WHERE 1 = 1 GROUP BY node_id
    ON CONFLICT (node_id) DO UPDATE SET deletions = excluded.deletions;

CREATE TRIGGER blocks_inserted AFTER INSERT ON blocks BEGIN
    UPDATE block_totals SET blocks = blocks + 1;
END;
CREATE TRIGGER blocks_deleted AFTER DELETE ON blocks BEGIN
    UPDATE block_totals SET blocks = blocks - 1;
END;

CREATE TRIGGER replicas_inserted AFTER INSERT ON replicas BEGIN
    INSERT INTO node_totals (node_id, replicas, bytes)
    VALUES (NEW.node_id, 1, COALESCE((SELECT length FROM blocks WHERE block_id = NEW.block_id), 0))
    ON CONFLICT (node_id) DO UPDATE SET replicas = replicas + 1, bytes = bytes + excluded.bytes;
END;
-- A block's replicas go before the block.
CREATE TRIGGER replicas_deleted AFTER DELETE ON replicas BEGIN
    UPDATE node_totals SET replicas = replicas - 1,
        bytes = bytes - COALESCE((SELECT length FROM blocks WHERE block_id = OLD.block_id), 0)
    WHERE node_id = OLD.node_id;
END;

CREATE TRIGGER deletions_inserted AFTER INSERT ON deletions BEGIN
    INSERT INTO node_totals (node_id, deletions, deletion_bytes) VALUES (NEW.node_id, 1, NEW.bytes)
    ON CONFLICT (node_id) DO UPDATE SET deletions = deletions + 1,
        deletion_bytes = deletion_bytes + excluded.deletion_bytes;
END;
CREATE TRIGGER deletions_deleted AFTER DELETE ON deletions BEGIN
    UPDATE node_totals SET deletions = deletions - 1, deletion_bytes = deletion_bytes - OLD.bytes
    WHERE node_id = OLD.node_id;
END;

CREATE TRIGGER repairs_inserted AFTER INSERT ON repairs BEGIN
    INSERT INTO repair_totals (live, replication, repairs) VALUES (NEW.live, NEW.replication, 1)
    ON CONFLICT (live, replication) DO UPDATE SET repairs = repairs + 1;
END;
CREATE TRIGGER repairs_deleted AFTER DELETE ON repairs BEGIN
    UPDATE repair_totals SET repairs = repairs - 1 WHERE live = OLD.live AND replication = OLD.replication;
END;
CREATE TRIGGER repairs_changed AFTER UPDATE ON repairs
WHEN OLD.live <> NEW.live OR OLD.replication <> NEW.replication BEGIN
    UPDATE repair_totals SET repairs = repairs - 1 WHERE live = OLD.live AND replication = OLD.replication;
    INSERT INTO repair_totals (live, replication, repairs) VALUES (NEW.live, NEW.replication, 1)
    ON CONFLICT (live, replication) DO UPDATE SET repairs = repairs + 1;
END;
