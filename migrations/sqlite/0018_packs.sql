-- Small objects share blocks, so that what a block costs is not paid for each of them.

-- The CRC32C of the bytes of an object that shares a block is kept with its extent, so that a read checks them without the rest of
-- the block. It is NULL for other extents, and for those of earlier releases.
ALTER TABLE versions ADD COLUMN block_crc32c BIGINT;
ALTER TABLE retired ADD COLUMN block_crc32c BIGINT;

-- The version whose bytes were moved to a pack, of a reference to where they were. A gateway that reads them there renews the version.
-- NULL for other references.
ALTER TABLE retired ADD COLUMN moved_version BLOB;
CREATE INDEX retired_by_moved_version ON retired (moved_version) WHERE moved_version IS NOT NULL;

-- Bytes of a pack that objects refer to; NULL for other blocks. It falls when objects are deleted, and tells which packs are worth
-- another packing. Bytes to which several objects refer count once, so it may be too low.
ALTER TABLE blocks ADD COLUMN live BIGINT;
