-- When lifecycle rules want to be looked at again, for each version and upload.

-- In milliseconds since the epoch, too early rather than too late: the worker decides exactly. NULL: no rule wants anything, unless the
-- version changes. Versions in buckets without rules have no entry in the index. The checksum of the row does not cover it.
ALTER TABLE versions ADD COLUMN due_at BIGINT;
CREATE INDEX versions_due ON versions (due_at) WHERE due_at IS NOT NULL;
ALTER TABLE uploads ADD COLUMN due_at BIGINT;
CREATE INDEX uploads_due ON uploads (due_at) WHERE due_at IS NOT NULL;

-- Buckets whose rules were put, changed or deleted, and whose versions and uploads do not all have the due times of the new rules yet.
-- A worker walks over them in steps; a row goes when its walk is done.
CREATE TABLE lifecycle_walks (
    bucket_id  INTEGER PRIMARY KEY NOT NULL,
    -- The last version that the walk has looked at: its key and sequence. Before the first one: the empty key.
    key        BLOB   NOT NULL,
    sequence   BIGINT NOT NULL,
    -- The last upload, by its key and id; NULL until all versions are done.
    upload_key BLOB,
    upload_id  BLOB,
    -- How many versions and uploads it has looked at.
    looked_at  BIGINT NOT NULL
);
