-- Which state of the database this is, so that datanodes, which remember the latest one that they have seen, can
-- tell that an older copy was put back, or one that went another way.

-- One row.
CREATE TABLE generation (
    singleton INTEGER PRIMARY KEY NOT NULL CHECK (singleton = 1),
    -- The start of a metanode that writes now; named at random in its first transaction.
    opening   BLOB,
    -- Changes so far, over all starts.
    sequence  BIGINT NOT NULL,
    -- The start that made the latest change; NULL before the first.
    changed_by BLOB
);
INSERT INTO generation (singleton, opening, sequence, changed_by) VALUES (1, NULL, 0, NULL);

-- Earlier starts that made changes, each with the number of its last one.
CREATE TABLE openings (
    opening BLOB   PRIMARY KEY NOT NULL,
    last    BIGINT NOT NULL
) WITHOUT ROWID;

-- Whatever makes bytes an object's or a part's passes here: it is what an older copy would not know. Deletions that
-- datanodes have carried out count too (in code): an older copy may still have them queued.
CREATE TRIGGER object_versions_counted AFTER INSERT ON object_versions BEGIN
    UPDATE generation SET sequence = sequence + 1, changed_by = opening;
END;
CREATE TRIGGER parts_counted AFTER INSERT ON parts BEGIN
    UPDATE generation SET sequence = sequence + 1, changed_by = opening;
END;
