-- Object Lock: what keeps versions from being deleted.

-- What the bucket locks, as JSON. NULL: it does not have Object Lock. Once set it never becomes NULL again.
ALTER TABLE buckets ADD COLUMN object_lock TEXT;

-- The locks of versions. A version without a lock has no row, and delete markers have none. The row goes with the version.
CREATE TABLE object_locks (
    bucket_id    INTEGER NOT NULL,
    key          BLOB    NOT NULL,
    -- Of the version.
    sequence     BIGINT  NOT NULL,
    -- 0: governance, 1: compliance. NULL: no retention.
    mode         INTEGER,
    -- In milliseconds since the epoch. The version may be deleted from then on, by the clock for locks.
    retain_until BIGINT,
    -- 0: off, 1: on. NULL: the version never had one.
    legal_hold   INTEGER,
    PRIMARY KEY (bucket_id, key, sequence)
) WITHOUT ROWID;
