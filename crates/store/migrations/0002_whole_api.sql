-- What the rest of the API needs: endpoints on their way, public endpoints, business units,
-- tags, backup policies and sets, prices of orders, usage records, quotas of tenants.

-- OPENING endpoints are not shown yet, CLOSING ones no longer; ACTIVE ones with expires_at are
-- on their way out.
ALTER TABLE endpoints ADD COLUMN state TEXT NOT NULL DEFAULT 'ACTIVE';
-- The first label of a public endpoint's name, unique among all endpoints.
ALTER TABLE endpoints ADD COLUMN prefix TEXT;
CREATE UNIQUE INDEX endpoints_prefix ON endpoints (prefix) WHERE prefix IS NOT NULL;
CREATE INDEX endpoints_expiry ON endpoints (expires_at) WHERE expires_at IS NOT NULL;
-- Instances are looked up by connection string in memory.
DROP INDEX endpoints_connection_string;
DROP INDEX endpoints_default;
-- One default endpoint an instance: neither public, nor being opened, nor on its way out.
CREATE UNIQUE INDEX endpoints_default ON endpoints (instance_id)
    WHERE endpoint_type <> 'PUBLIC' AND state = 'ACTIVE' AND expires_at IS NULL;

ALTER TABLE instances ADD COLUMN business_unit TEXT;

-- What a database adds to its node. Until now an instance had one database, whose worth is
-- all that the node has.
ALTER TABLE databases ADD COLUMN settings TEXT NOT NULL DEFAULT
    '{"buffer_pool_bytes":0,"redo_log_bytes":0,"max_connections":0,"disk_quota_bytes":0}';
UPDATE databases SET settings = nodes.settings
    FROM nodes WHERE nodes.instance_id = databases.instance_id;

CREATE TABLE tags (
    instance_id  TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    tag_key      TEXT NOT NULL,
    tag_value    TEXT NOT NULL,
    PRIMARY KEY (instance_id, tag_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_key ON tags (tag_key, tag_value);

ALTER TABLE tenants ADD COLUMN database_quota INTEGER;
ALTER TABLE tenants ADD COLUMN account_quota INTEGER;

-- When an expired instance is released, for one that is locked because it expired.
ALTER TABLE instances ADD COLUMN release_at INTEGER;

-- What was ordered, what it cost, and what was paid for it; in hundredths of the currency.
ALTER TABLE orders ADD COLUMN db_name TEXT;
ALTER TABLE orders ADD COLUMN charge_type TEXT;
ALTER TABLE orders ADD COLUMN currency TEXT;
ALTER TABLE orders ADD COLUMN amount_cents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN paid_cents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN details TEXT;
-- When it came to nothing and what had been paid was given back.
ALTER TABLE orders ADD COLUMN cancelled_at INTEGER;
CREATE INDEX orders_instance ON orders (instance_id);

-- A stretch of time, within one hour, in which a PostPaid database existed with one spec. Each
-- begins where the one before ended. Rows outlive what they are about.
CREATE TABLE usage_records (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id    INTEGER NOT NULL,
    instance_id   TEXT    NOT NULL,
    db_name       TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL,
    node_spec     TEXT    NOT NULL,
    node_number   INTEGER NOT NULL,
    currency      TEXT    NOT NULL,
    amount_cents  INTEGER NOT NULL,
    paid_cents    INTEGER NOT NULL,
    UNIQUE (instance_id, db_name, created_at, started_at),
    CHECK (ended_at > started_at)
) STRICT;
CREATE INDEX usage_records_account ON usage_records (account_id, started_at);

CREATE TABLE backup_policies (
    instance_id     TEXT    NOT NULL,
    db_name         TEXT    NOT NULL,
    binlog_enabled  INTEGER NOT NULL,
    period          TEXT    NOT NULL,
    window          TEXT    NOT NULL,
    retention_days  INTEGER NOT NULL,
    PRIMARY KEY (instance_id, db_name),
    FOREIGN KEY (instance_id, db_name) REFERENCES databases ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- A set outlives nothing: it goes with the database, and its files follow.
CREATE TABLE backup_sets (
    backup_id        INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id       INTEGER NOT NULL,
    instance_id      TEXT    NOT NULL,
    db_name          TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    backup_type      TEXT    NOT NULL,
    mode             TEXT    NOT NULL,
    method           TEXT    NOT NULL,
    node_spec        TEXT    NOT NULL,
    node_number      INTEGER NOT NULL,
    size_bytes       INTEGER NOT NULL,
    manifest_sha256  TEXT,
    failure          TEXT,
    started_at       INTEGER NOT NULL,
    ended_at         INTEGER,
    FOREIGN KEY (instance_id, db_name) REFERENCES databases ON DELETE CASCADE
) STRICT;
CREATE INDEX backup_sets_database ON backup_sets (instance_id, db_name, started_at);
INSERT INTO sqlite_sequence (name, seq) VALUES ('backup_sets', 100000);
