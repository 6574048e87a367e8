-- What decides about public access.

-- One document for each thing that an account configures for all of its buckets.
CREATE TABLE account_configurations (
    account_id TEXT NOT NULL REFERENCES accounts (account_id) ON DELETE CASCADE,
    -- The kind's name, such as 'public_access_block'.
    kind       TEXT NOT NULL,
    document   TEXT NOT NULL,
    PRIMARY KEY (account_id, kind)
);

-- Buckets of earlier releases have no documents, and nothing in them was public. From now on a missing document means that ACLs count
-- and that nothing is blocked, as at AWS. So they get what a new bucket has.
INSERT INTO bucket_configurations (bucket_id, kind, revision, document)
    SELECT bucket_id, 'ownership_controls', configuration_revision + 1, '"BucketOwnerEnforced"'
    FROM buckets WHERE 1 = 1
    ON CONFLICT (bucket_id, kind) DO NOTHING;
INSERT INTO bucket_configurations (bucket_id, kind, revision, document)
    SELECT bucket_id, 'public_access_block', configuration_revision + 2,
           '{"block_public_acls":true,"ignore_public_acls":true,"block_public_policy":true,"restrict_public_buckets":true}'
    FROM buckets WHERE 1 = 1
    ON CONFLICT (bucket_id, kind) DO NOTHING;
UPDATE buckets SET configuration_revision = configuration_revision + 2;
