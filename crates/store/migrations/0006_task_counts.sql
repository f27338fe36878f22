-- How many tasks there are, without reading them all; and where the trace of a task goes on.

-- A W3C traceparent: the call that asked for the task.
ALTER TABLE tasks ADD COLUMN trace TEXT;

CREATE TABLE task_counts (
    status  TEXT    NOT NULL,
    phase   TEXT    NOT NULL,
    tasks   INTEGER NOT NULL,
    PRIMARY KEY (status, phase)
) STRICT, WITHOUT ROWID;
INSERT INTO task_counts SELECT status, phase, count(*) FROM tasks GROUP BY status, phase;

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
