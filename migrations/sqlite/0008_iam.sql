-- Accounts, users, groups, roles, access keys and policies. Names are unique in an account whatever their case: `folded_name` is
-- the name in small letters.

CREATE TABLE accounts (
    -- Never used again after an account is deleted.
    account_number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- 12 digits.
    account_id     TEXT    NOT NULL UNIQUE,
    -- 64 hexadecimal digits, by which ACLs name the account.
    canonical_id   TEXT    NOT NULL UNIQUE,
    name           TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL
);

-- The account of the root credentials, which all buckets before belong to.
INSERT INTO accounts (account_id, canonical_id, name, created_at) VALUES
    ('000000000000', '4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2', 'root', 0);

-- What holds policies: users, groups and roles.
CREATE TABLE holders (
    -- Never used again after a holder is deleted.
    holder_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    account_number  INTEGER NOT NULL REFERENCES accounts (account_number),
    -- 0 for a user, 1 for a group, 2 for a role.
    kind            INTEGER NOT NULL,
    unique_id       TEXT    NOT NULL UNIQUE,
    path            TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    folded_name     TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    -- A policy's number; below 0 for one that is built in. Users and roles only.
    boundary        BIGINT,
    -- JSON. Users and roles only.
    tags            TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    -- Who may assume a role. NULL for users and groups.
    trust           TEXT,
    -- The longest session of a role, in seconds. NULL for users and groups.
    session_s_max   INTEGER,
    UNIQUE (account_number, kind, folded_name)
);
CREATE INDEX holders_by_boundary ON holders (boundary) WHERE boundary IS NOT NULL;

CREATE TABLE group_members (
    group_id INTEGER NOT NULL REFERENCES holders (holder_id),
    user_id  INTEGER NOT NULL REFERENCES holders (holder_id),
    PRIMARY KEY (user_id, group_id)
) WITHOUT ROWID;
CREATE INDEX group_members_by_group ON group_members (group_id, user_id);

CREATE TABLE access_keys (
    access_key     TEXT    PRIMARY KEY NOT NULL,
    account_number INTEGER NOT NULL REFERENCES accounts (account_number),
    -- The user. NULL: the root user of the account.
    holder_id      INTEGER REFERENCES holders (holder_id),
    is_active      INTEGER NOT NULL,
    -- The secret, sealed with the master key, which is not in the database.
    sealed         BLOB    NOT NULL,
    created_at     BIGINT  NOT NULL
) WITHOUT ROWID;
CREATE INDEX access_keys_by_owner ON access_keys (account_number, holder_id);

-- Managed policies. Those that are built in have numbers below 0, and no rows.
CREATE TABLE policies (
    -- Never used again after a policy is deleted.
    policy_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    account_number  INTEGER NOT NULL REFERENCES accounts (account_number),
    unique_id       TEXT    NOT NULL UNIQUE,
    path            TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    folded_name     TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    default_version INTEGER NOT NULL,
    -- The highest number of a version so far: no number is used twice.
    last_version    INTEGER NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    UNIQUE (account_number, folded_name)
);

CREATE TABLE policy_versions (
    policy_id  INTEGER NOT NULL REFERENCES policies (policy_id),
    version    INTEGER NOT NULL,
    document   TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (policy_id, version)
);

CREATE TABLE policy_attachments (
    holder_id INTEGER NOT NULL REFERENCES holders (holder_id),
    policy_id BIGINT  NOT NULL,
    PRIMARY KEY (holder_id, policy_id)
) WITHOUT ROWID;
CREATE INDEX policy_attachments_by_policy ON policy_attachments (policy_id, holder_id);

CREATE TABLE inline_policies (
    holder_id INTEGER NOT NULL REFERENCES holders (holder_id),
    name      TEXT    NOT NULL,
    document  TEXT    NOT NULL,
    PRIMARY KEY (holder_id, name)
);

CREATE TABLE oidc_providers (
    account_number INTEGER NOT NULL REFERENCES accounts (account_number),
    -- Without https://.
    url            TEXT    NOT NULL,
    -- JSON.
    client_ids     TEXT    NOT NULL,
    -- JSON.
    thumbprints    TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    PRIMARY KEY (account_number, url)
);
