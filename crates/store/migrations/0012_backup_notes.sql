-- What is to be known of a backup set: why it is of another kind than it was asked for.
ALTER TABLE backup_sets ADD COLUMN note TEXT;
