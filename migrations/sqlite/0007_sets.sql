-- What the background work takes in steps of many rows.

-- Buckets that were deleted while uploads into them were in progress. Their names are free; their uploads are given
-- up bit by bit, and then the row goes. (Ids of buckets are never used again.)
CREATE TABLE deleted_buckets (
    bucket_id  INTEGER PRIMARY KEY NOT NULL,
    name       TEXT    NOT NULL,
    deleted_at BIGINT  NOT NULL
);

-- Blocks that lost their last reference in the transaction that is open: it has set `refs` below 0, and removes them
-- before it ends. So the index is empty between transactions, and within one it finds them without a scan.
CREATE INDEX blocks_unreferenced ON blocks (block_id) WHERE refs < 0;

-- No owner is in the garbage twice. That the index knows it lets a walk over owners and their extents be read in the
-- order of time without sorting.
DROP INDEX garbage_by_time;
CREATE UNIQUE INDEX garbage_by_time ON garbage (retired_at, owner_id);

-- The same of uploads in progress, which are listed, checked and given up in this order, each with its parts.
DROP INDEX uploads_in_progress;
CREATE UNIQUE INDEX uploads_in_progress ON uploads (bucket_id, key, upload_id) WHERE completed_at IS NULL;
