-- Instances that hold what another one served before a restore in place. They are released by
-- themselves when their time has come.
CREATE TABLE replaced_content (
    instance_id  TEXT    NOT NULL PRIMARY KEY REFERENCES instances (instance_id) ON DELETE CASCADE,
    -- The instance that served it.
    served_by    TEXT    NOT NULL,
    replaced_at  INTEGER NOT NULL,
    release_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX replaced_content_release ON replaced_content (release_at);
