-- Which account owns a bucket, and what the bucket is configured to do.

-- The account's 12 digits, its canonical user id, by which ACLs and listings name it, and its name for people. Buckets of
-- earlier releases belong to the account of the root credentials.
ALTER TABLE buckets ADD COLUMN owner_account TEXT NOT NULL DEFAULT '000000000000';
ALTER TABLE buckets ADD COLUMN owner_canonical_id TEXT NOT NULL
    DEFAULT '4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2';
ALTER TABLE buckets ADD COLUMN owner_name TEXT NOT NULL DEFAULT 'root';

-- The buckets of an account in the order of their names, a page at a time.
CREATE INDEX buckets_by_owner ON buckets (owner_account, name);

-- One document for each thing that a bucket is configured to do. The rows of a bucket go with it.
CREATE TABLE bucket_configurations (
    bucket_id INTEGER NOT NULL REFERENCES buckets (bucket_id),
    -- The kind's name, such as 'policy'.
    kind      TEXT    NOT NULL,
    -- Grows with each change of the document, and never repeats for a bucket.
    revision  BIGINT  NOT NULL,
    document  TEXT    NOT NULL,
    PRIMARY KEY (bucket_id, kind)
) WITHOUT ROWID;

-- The highest revision that a bucket's documents had, so that a document that was deleted and put again has a new one.
ALTER TABLE buckets ADD COLUMN configuration_revision BIGINT NOT NULL DEFAULT 0;
