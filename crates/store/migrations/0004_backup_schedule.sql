-- Backups that follow the policy of their database, are kept for its time, and are proven.

-- From when on days and window hold: no backup is owed for a time before it.
ALTER TABLE backup_policies ADD COLUMN effective_at INTEGER NOT NULL DEFAULT 0;

-- A protected set is removed with its database only.
ALTER TABLE backup_sets ADD COLUMN is_protected INTEGER NOT NULL DEFAULT 0;

-- When the set was last restored and compared for proof, and what was wrong then.
ALTER TABLE backup_sets ADD COLUMN verified_at INTEGER;
ALTER TABLE backup_sets ADD COLUMN verify_failure TEXT;

CREATE INDEX backup_sets_ended ON backup_sets (ended_at) WHERE ended_at IS NOT NULL;
