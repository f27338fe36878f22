-- Which of the operator's keys a set is encrypted with.
ALTER TABLE backup_sets ADD COLUMN key_id TEXT;
