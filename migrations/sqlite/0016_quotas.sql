-- What buckets and users use, and how much they may use. Rows that are there already are counted step by step when the metanode
-- starts (in code); then usage_16 goes.

-- The user whose key wrote it (holders.holder_id); NULL for the root user of an account, roles and anonymous senders, and for rows of
-- earlier releases. Delete markers have none.
ALTER TABLE versions ADD COLUMN user_id INTEGER;
ALTER TABLE parts ADD COLUMN user_id INTEGER;
ALTER TABLE uploads ADD COLUMN user_id INTEGER;

-- NULL: no limit.
ALTER TABLE buckets ADD COLUMN quota_objects BIGINT;
ALTER TABLE buckets ADD COLUMN quota_bytes BIGINT;
ALTER TABLE holders ADD COLUMN quota_objects BIGINT;
ALTER TABLE holders ADD COLUMN quota_bytes BIGINT;

-- Counters (store/counters). The row of a bucket or user that is deleted stays until what it counts is gone too.
CREATE TABLE bucket_usage (
    bucket_id INTEGER PRIMARY KEY NOT NULL,
    -- Versions, delete markers, and uploads in progress.
    objects   BIGINT NOT NULL,
    -- Of versions, and of parts of uploads in progress.
    bytes     BIGINT NOT NULL
);
CREATE TABLE user_usage (
    user_id INTEGER PRIMARY KEY NOT NULL,
    -- Versions, and uploads in progress.
    objects BIGINT NOT NULL,
    -- Of versions, and of parts of uploads in progress.
    bytes   BIGINT NOT NULL
);

-- How far the rows of before are counted: one row.
CREATE TABLE usage_16 (
    -- The version that was counted last.
    bucket_id INTEGER NOT NULL,
    key       BLOB    NOT NULL,
    sequence  BIGINT  NOT NULL,
    -- The upload that was counted last. Empty bytes sort before all.
    upload_id BLOB    NOT NULL
);
INSERT INTO usage_16 VALUES (-1, x'', 0, x'');
