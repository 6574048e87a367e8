-- What operators want of nodes: 0 service, 1 draining, 2 maintenance until a time.
ALTER TABLE nodes ADD COLUMN duty INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN maintenance_until BIGINT;

-- From a block to what refers to it: whose bytes are in danger, and what nothing refers to.
CREATE INDEX extents_by_block ON extents (block_id);
