-- What exactly ran, container by container. What nobody reported is NULL.
CREATE TABLE session_attempts (
    session_id BIGINT NOT NULL REFERENCES sessions (id),
    attempt BIGINT NOT NULL CHECK (attempt >= 1),
    image_digest TEXT,
    spec_hash TEXT,
    manager_version TEXT,
    started_at BIGINT,
    ended_at BIGINT,
    exit_code INTEGER,
    reason TEXT CHECK (reason IS NULL OR reason::json IS NOT NULL),
    PRIMARY KEY (session_id, attempt)
);
