-- What happened, what to tell of it, and whom.

-- Severity is 0 for info, 1 for warning, 2 for critical. Of the events with the same `once` there is
-- only one.
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
CREATE INDEX events_instance ON events (instance_id, id) WHERE instance_id IS NOT NULL;
CREATE INDEX events_kind ON events (kind, id);

-- Without an instance, for all.
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

-- Where a rule stands for an instance; no row while all is well.
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

-- Without kinds (a JSON array), all.
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

-- What webhooks have not taken yet, the event as it was.
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
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, seq);
