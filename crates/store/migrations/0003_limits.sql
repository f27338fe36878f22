-- What the operator limits: sessions and statements of an account, and from when on statements of
-- an instance are slow.

-- Accounts without a row have no limits; 0 is none either.
CREATE TABLE account_limits (
    instance_id             TEXT    NOT NULL,
    name                    TEXT    NOT NULL,
    max_connections         INTEGER NOT NULL,
    max_queries_per_second  INTEGER NOT NULL,
    PRIMARY KEY (instance_id, name),
    FOREIGN KEY (instance_id, name) REFERENCES accounts ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- In milliseconds; 0 for never, NULL for what is configured.
ALTER TABLE instances ADD COLUMN slow_log_ms INTEGER;
