-- Instances with several nodes, over which databases are spread.

-- Which of its instance's nodes it is. Number 0 is the one that has every database, which the
-- instance's row names; a database with n nodes is on the first n.
ALTER TABLE nodes ADD COLUMN number INTEGER NOT NULL DEFAULT 0;

-- A row for each database that is spread: on which node each of its partitions is, by numbers
-- in a JSON list. There is none while the database is being made in an instance that clients use.
CREATE TABLE partitions (
    instance_id  TEXT NOT NULL,
    db_name      TEXT NOT NULL,
    nodes        TEXT NOT NULL,
    PRIMARY KEY (instance_id, db_name),
    FOREIGN KEY (instance_id, db_name) REFERENCES databases ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
