-- Partitions that move to other nodes while their database is used.

-- Nodes that may have rows of partitions which are another node's, by numbers in a JSON list: such
-- rows do not count, and are to be removed.
ALTER TABLE partitions ADD COLUMN foreign_nodes TEXT NOT NULL DEFAULT '[]';

-- Whether partitions are being moved: then the definitions of the database stay as they are.
ALTER TABLE partitions ADD COLUMN moving INTEGER NOT NULL DEFAULT 0 CHECK (moving IN (0, 1));
