-- Who may call. Of a token only its SHA-256 is kept: it is random all through.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (json_valid(role)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    -- The digest of the host token that a join token was used for.
    spent_on BLOB CHECK (spent_on IS NULL OR length(spent_on) = 32),
    spent_at INTEGER,
    CHECK ((spent_on IS NULL) = (spent_at IS NULL))
) STRICT;
