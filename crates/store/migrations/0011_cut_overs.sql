-- Imports that follow a live server, and that were told to take its place.
CREATE TABLE cut_overs (
    task_id    INTEGER NOT NULL PRIMARY KEY REFERENCES tasks (task_id) ON DELETE CASCADE,
    asked_at   INTEGER NOT NULL,
    -- Why the last attempt came to nothing; it is tried again only when somebody asks again.
    refused    TEXT
) STRICT;
