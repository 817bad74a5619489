-- What exactly ran, container by container. What nobody reported is NULL.
CREATE TABLE session_attempts (
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    image_digest TEXT,
    spec_hash TEXT,
    manager_version TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    exit_code INTEGER,
    reason TEXT CHECK (reason IS NULL OR json_valid(reason)),
    PRIMARY KEY (session_id, attempt)
) STRICT, WITHOUT ROWID;
