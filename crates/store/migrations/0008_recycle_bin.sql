-- Backup sets of databases that are gone. The files lie where they lay.
CREATE TABLE recycle_bin (
    -- The number that the set had; none is given twice.
    backup_id        INTEGER NOT NULL PRIMARY KEY,
    account_id       INTEGER NOT NULL,
    instance_id      TEXT    NOT NULL,
    db_name          TEXT    NOT NULL,
    -- Whether it was taken when the database was deleted, and is no earlier one.
    is_final         INTEGER NOT NULL,
    started_at       INTEGER NOT NULL,
    size_bytes       INTEGER NOT NULL,
    manifest_sha256  TEXT    NOT NULL,
    key_id           TEXT,
    deleted_at       INTEGER NOT NULL,
    purge_at         INTEGER NOT NULL,
    -- What else a restore needs: the instance's attributes, accounts, grants, whitelist, policy.
    content_sealed   BLOB    NOT NULL
) STRICT;
CREATE INDEX recycle_bin_purge ON recycle_bin (purge_at);
