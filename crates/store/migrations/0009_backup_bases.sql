-- Backup sets that go on from another one.

-- The set that it goes on from; it is kept for as long as this one is.
ALTER TABLE backup_sets ADD COLUMN base_id INTEGER;

CREATE INDEX backup_sets_base ON backup_sets (base_id) WHERE base_id IS NOT NULL;
