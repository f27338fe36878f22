CREATE TABLE access_keys (
    access_key_id   TEXT    NOT NULL PRIMARY KEY,
    account_id      INTEGER NOT NULL REFERENCES tenants,
    ram_user        TEXT,
    secret_sealed   BLOB    NOT NULL,
    status          TEXT    NOT NULL,
    token_sealed    BLOB,
    expires_at      INTEGER,
    created_at      INTEGER NOT NULL,
    FOREIGN KEY (account_id, ram_user) REFERENCES ram_users ON DELETE CASCADE,
    CHECK ((token_sealed IS NULL) = (expires_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE account_limits (
    instance_id             TEXT    NOT NULL,
    name                    TEXT    NOT NULL,
    max_connections         INTEGER NOT NULL,
    max_queries_per_second  INTEGER NOT NULL,
    PRIMARY KEY (instance_id, name),
    FOREIGN KEY (instance_id, name) REFERENCES accounts ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (
    instance_id   TEXT    NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    account_type  TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    description   TEXT,
    login_sealed  BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (instance_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE alert_rules (
    rule_id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name              TEXT    NOT NULL UNIQUE,
    instance_id       TEXT,
    item              TEXT    NOT NULL,
    comparison        TEXT    NOT NULL,
    threshold         REAL    NOT NULL,
    duration_seconds  INTEGER NOT NULL,
    severity          INTEGER NOT NULL,
    no_data           TEXT    NOT NULL,
    repeat_seconds    INTEGER,
    is_paused         INTEGER NOT NULL,
    created_at        INTEGER NOT NULL
) STRICT;
CREATE TABLE alert_states (
    rule_id      INTEGER NOT NULL REFERENCES alert_rules ON DELETE CASCADE,
    instance_id  TEXT    NOT NULL,
    phase        TEXT    NOT NULL,
    since        INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    told_at      INTEGER,
    value        REAL,
    PRIMARY KEY (rule_id, instance_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    at             INTEGER NOT NULL,
    account_id     INTEGER,
    ram_user       TEXT,
    access_key_id  TEXT,
    action         TEXT    NOT NULL,
    instance_id    TEXT,
    source_ip      TEXT,
    user_agent     TEXT,
    request_id     TEXT    NOT NULL,
    parameters     TEXT    NOT NULL,
    outcome        TEXT    NOT NULL,
    task_id        INTEGER
) STRICT;
CREATE TABLE backup_policies (
    instance_id     TEXT    NOT NULL,
    db_name         TEXT    NOT NULL,
    binlog_enabled  INTEGER NOT NULL,
    period          TEXT    NOT NULL,
    window          TEXT    NOT NULL,
    retention_days  INTEGER NOT NULL, effective_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, db_name),
    FOREIGN KEY (instance_id, db_name) REFERENCES databases ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
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
    ended_at         INTEGER, is_protected INTEGER NOT NULL DEFAULT 0, verified_at INTEGER, verify_failure TEXT, key_id TEXT, base_id INTEGER, note TEXT,
    FOREIGN KEY (instance_id, db_name) REFERENCES databases ON DELETE CASCADE
) STRICT;
CREATE TABLE cut_overs (
    task_id    INTEGER NOT NULL PRIMARY KEY REFERENCES tasks (task_id) ON DELETE CASCADE,
    asked_at   INTEGER NOT NULL,
    -- Why the last attempt came to nothing; it is tried again only when somebody asks again.
    refused    TEXT
) STRICT;
CREATE TABLE databases (
    instance_id         TEXT    NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    db_name             TEXT    NOT NULL,
    node_spec           TEXT    NOT NULL,
    node_number         INTEGER NOT NULL,
    charge_type         TEXT    NOT NULL,
    status              TEXT    NOT NULL,
    created_at          INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,
    source_instance_id  TEXT, settings TEXT NOT NULL DEFAULT
    '{"buffer_pool_bytes":0,"redo_log_bytes":0,"max_connections":0,"disk_quota_bytes":0}',
    PRIMARY KEY (instance_id, db_name)
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery_id  TEXT    NOT NULL UNIQUE,
    webhook_id   INTEGER NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event_id     INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    severity     INTEGER NOT NULL,
    instance_id  TEXT,
    db_name      TEXT,
    text         TEXT    NOT NULL,
    details      TEXT    NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL,
    last_error   TEXT
) STRICT;
CREATE TABLE endpoints (
    endpoint_id        TEXT    NOT NULL PRIMARY KEY,
    instance_id        TEXT    NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    endpoint_type      TEXT    NOT NULL,
    connection_string  TEXT    NOT NULL,
    address            TEXT    NOT NULL,
    port               INTEGER NOT NULL,
    vpc_id             TEXT    REFERENCES vpcs,
    vswitch_id         TEXT    REFERENCES vswitches,
    expires_at         INTEGER, state TEXT NOT NULL DEFAULT 'ACTIVE', prefix TEXT,
    UNIQUE (address, port)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    severity     INTEGER NOT NULL,
    instance_id  TEXT,
    db_name      TEXT,
    text         TEXT    NOT NULL,
    details      TEXT    NOT NULL,
    once         TEXT    UNIQUE
) STRICT;
CREATE TABLE grants (
    instance_id  TEXT NOT NULL,
    name         TEXT NOT NULL,
    db_name      TEXT NOT NULL,
    privilege    TEXT NOT NULL,
    PRIMARY KEY (instance_id, name, db_name),
    FOREIGN KEY (instance_id, name) REFERENCES accounts ON DELETE CASCADE,
    FOREIGN KEY (instance_id, db_name) REFERENCES databases ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    account_id  INTEGER NOT NULL,
    action      TEXT    NOT NULL,
    token       TEXT    NOT NULL,
    digest      BLOB    NOT NULL,
    response    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account_id, action, token)
) STRICT, WITHOUT ROWID;
CREATE TABLE instances (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id   TEXT    NOT NULL UNIQUE,
    account_id    INTEGER NOT NULL REFERENCES tenants,
    name          TEXT,
    region_id     TEXT    NOT NULL,
    zone_id       TEXT    NOT NULL,
    network_type  TEXT    NOT NULL,
    vpc_id        TEXT    REFERENCES vpcs,
    vswitch_id    TEXT    REFERENCES vswitches,
    charge_type   TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    lock_mode     TEXT    NOT NULL,
    lock_reason   TEXT,
    node_id       TEXT    REFERENCES nodes ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
, business_unit TEXT, release_at INTEGER, slow_log_ms INTEGER) STRICT;
CREATE TABLE migrations (
            number      INTEGER PRIMARY KEY,
            name        TEXT    NOT NULL,
            checksum    BLOB    NOT NULL,
            applied_at  INTEGER NOT NULL
        ) STRICT;
CREATE TABLE nodes (
    node_id      TEXT    NOT NULL PRIMARY KEY,
    instance_id  TEXT    REFERENCES instances (instance_id) DEFERRABLE INITIALLY DEFERRED,
    node_spec    TEXT,
    settings     TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    restarts     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL
, number INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
    order_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   INTEGER NOT NULL,
    instance_id  TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL
, db_name TEXT, charge_type TEXT, currency TEXT, amount_cents INTEGER NOT NULL DEFAULT 0, paid_cents INTEGER NOT NULL DEFAULT 0, details TEXT, cancelled_at INTEGER) STRICT;
CREATE TABLE partitions (
    instance_id  TEXT NOT NULL,
    db_name      TEXT NOT NULL,
    nodes        TEXT NOT NULL, foreign_nodes TEXT NOT NULL DEFAULT '[]', moving INTEGER NOT NULL DEFAULT 0 CHECK (moving IN (0, 1)),
    PRIMARY KEY (instance_id, db_name),
    FOREIGN KEY (instance_id, db_name) REFERENCES databases ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE policy_attachments (
    account_id   INTEGER NOT NULL,
    user_name    TEXT    NOT NULL,
    policy_name  TEXT    NOT NULL,
    document     TEXT    NOT NULL,
    PRIMARY KEY (account_id, user_name, policy_name),
    FOREIGN KEY (account_id, user_name) REFERENCES ram_users ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE ram_users (
    account_id  INTEGER NOT NULL REFERENCES tenants,
    user_name   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account_id, user_name)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE replaced_content (
    instance_id  TEXT    NOT NULL PRIMARY KEY REFERENCES instances (instance_id) ON DELETE CASCADE,
    -- The instance that served it.
    served_by    TEXT    NOT NULL,
    replaced_at  INTEGER NOT NULL,
    release_at   INTEGER NOT NULL
) STRICT;
CREATE TABLE tags (
    instance_id  TEXT NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    tag_key      TEXT NOT NULL,
    tag_value    TEXT NOT NULL,
    PRIMARY KEY (instance_id, tag_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE task_counts (
    status  TEXT    NOT NULL,
    phase   TEXT    NOT NULL,
    tasks   INTEGER NOT NULL,
    PRIMARY KEY (status, phase)
) STRICT, WITHOUT ROWID;
CREATE TABLE task_steps (
    task_id        INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    step_index     INTEGER NOT NULL,
    name           TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    output_sealed  BLOB,
    attempts       INTEGER NOT NULL,
    error          TEXT,
    started_at     INTEGER,
    finished_at    INTEGER,
    PRIMARY KEY (task_id, step_index)
) STRICT, WITHOUT ROWID;
CREATE TABLE tasks (
    task_id             INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id          INTEGER NOT NULL,
    instance_id         TEXT,
    db_name             TEXT,
    action              TEXT    NOT NULL,
    workflow            TEXT    NOT NULL,
    params_sealed       BLOB    NOT NULL,
    status              TEXT    NOT NULL,
    phase               TEXT    NOT NULL,
    progress            INTEGER NOT NULL,
    current_step        TEXT,
    message             TEXT,
    cause               TEXT,
    cancel_requested    INTEGER NOT NULL,
    begin_at            INTEGER NOT NULL,
    started_at          INTEGER,
    finish_at           INTEGER,
    expected_finish_at  INTEGER
, trace TEXT) STRICT;
CREATE TABLE tenants (
    account_id          INTEGER PRIMARY KEY,
    name                TEXT    NOT NULL UNIQUE,
    balance_cents       INTEGER NOT NULL,
    real_name_verified  INTEGER NOT NULL,
    finance             INTEGER NOT NULL,
    instance_quota      INTEGER,
    created_at          INTEGER NOT NULL
, database_quota INTEGER, account_quota INTEGER) STRICT;
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
CREATE TABLE vpcs (
    vpc_id      TEXT    NOT NULL PRIMARY KEY,
    account_id  INTEGER REFERENCES tenants,
    region_id   TEXT    NOT NULL,
    cidr        TEXT    NOT NULL,
    name        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE vswitches (
    vswitch_id  TEXT NOT NULL PRIMARY KEY,
    vpc_id      TEXT NOT NULL REFERENCES vpcs,
    zone_id     TEXT NOT NULL,
    cidr        TEXT NOT NULL,
    name        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE webhooks (
    webhook_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    name           TEXT    NOT NULL UNIQUE,
    url            TEXT    NOT NULL,
    secret_sealed  BLOB    NOT NULL,
    ca_file        TEXT,
    kinds          TEXT,
    min_severity   INTEGER NOT NULL,
    instance_id    TEXT,
    dropped        INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
) STRICT;
CREATE TABLE whitelist_groups (
    instance_id  TEXT    NOT NULL REFERENCES instances (instance_id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    position     INTEGER NOT NULL,
    attribute    TEXT    NOT NULL,
    entries      TEXT    NOT NULL,
    PRIMARY KEY (instance_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_expiry ON access_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX access_keys_owner ON access_keys (account_id, ram_user);
CREATE INDEX audit_account ON audit (account_id);
CREATE INDEX audit_instance ON audit (instance_id);
CREATE INDEX backup_sets_base ON backup_sets (base_id) WHERE base_id IS NOT NULL;
CREATE INDEX backup_sets_database ON backup_sets (instance_id, db_name, started_at);
CREATE INDEX backup_sets_ended ON backup_sets (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, seq);
CREATE UNIQUE INDEX endpoints_default ON endpoints (instance_id)
    WHERE endpoint_type <> 'PUBLIC' AND state = 'ACTIVE' AND expires_at IS NULL;
CREATE INDEX endpoints_expiry ON endpoints (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX endpoints_instance ON endpoints (instance_id);
CREATE UNIQUE INDEX endpoints_prefix ON endpoints (prefix) WHERE prefix IS NOT NULL;
CREATE INDEX endpoints_vswitch ON endpoints (vswitch_id) WHERE vswitch_id IS NOT NULL;
CREATE INDEX events_instance ON events (instance_id, id) WHERE instance_id IS NOT NULL;
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX grants_database ON grants (instance_id, db_name);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX instances_node ON instances (node_id) WHERE node_id IS NOT NULL;
CREATE INDEX nodes_instance ON nodes (instance_id);
CREATE INDEX orders_account ON orders (account_id);
CREATE INDEX orders_instance ON orders (instance_id);
CREATE INDEX recycle_bin_purge ON recycle_bin (purge_at);
CREATE INDEX replaced_content_release ON replaced_content (release_at);
CREATE INDEX tags_key ON tags (tag_key, tag_value);
CREATE INDEX tasks_instance ON tasks (instance_id);
CREATE INDEX tasks_unfinished ON tasks (task_id) WHERE status IN ('0', '1');
CREATE INDEX tasks_workflow ON tasks (workflow, finish_at) WHERE status = '2';
CREATE INDEX usage_records_account ON usage_records (account_id, started_at);
CREATE INDEX vswitches_vpc ON vswitches (vpc_id);
CREATE TRIGGER tasks_added AFTER INSERT ON tasks BEGIN
    INSERT INTO task_counts VALUES (new.status, new.phase, 1)
        ON CONFLICT DO UPDATE SET tasks = tasks + 1;
END;
CREATE TRIGGER tasks_changed AFTER UPDATE OF status, phase ON tasks
    WHEN old.status <> new.status OR old.phase <> new.phase BEGIN
    UPDATE task_counts SET tasks = tasks - 1 WHERE status = old.status AND phase = old.phase;
    INSERT INTO task_counts VALUES (new.status, new.phase, 1)
        ON CONFLICT DO UPDATE SET tasks = tasks + 1;
END;
CREATE TRIGGER tasks_removed AFTER DELETE ON tasks BEGIN
    UPDATE task_counts SET tasks = tasks - 1 WHERE status = old.status AND phase = old.phase;
END;
