-- What the latest mutations answered: a gateway whose answer was lost asks again under the same id, and gets
-- the first outcome. Written in the transaction of the mutation; kept for minutes, and bounded in number.
CREATE TABLE mutations (
    -- Counts the answers that were given: a row of many answers takes as many numbers.
    sequence    INTEGER PRIMARY KEY NOT NULL,
    -- The id of the mutation itself, or of the version, part or upload that it made.
    mutation_id BLOB    NOT NULL UNIQUE,
    done_at     BIGINT  NOT NULL,
    outcome     TEXT    NOT NULL
);

-- The parts' MD5: a later copy of exactly this part needs no look at its bytes. NULL for what was completed before.
ALTER TABLE object_parts ADD COLUMN etag TEXT;

-- Uploads that began long ago, and may lie abandoned.
CREATE INDEX uploads_by_initiation ON uploads (initiated_at, upload_id) WHERE completed_at IS NULL;
