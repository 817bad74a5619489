-- Times are microseconds since 1970-01-01T00:00:00Z. Ids are AUTOINCREMENT: never given
-- twice, also after a deletion. What no query looks into is JSON text.

CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    cluster TEXT NOT NULL,
    secret BLOB NOT NULL CHECK (length(secret) = 32),
    -- How many reports could not be applied, those included that are not kept any more.
    refused INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE servers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('online', 'offline', 'stale')),
    last_seen INTEGER,
    away_until INTEGER,
    environment TEXT NOT NULL,
    capacity TEXT NOT NULL CHECK (json_valid(capacity)),
    public_address TEXT,
    epoch INTEGER NOT NULL CHECK (epoch >= 1),
    machine_id TEXT NOT NULL,
    engine_id TEXT NOT NULL,
    labels TEXT NOT NULL CHECK (json_valid(labels)),
    created_at INTEGER NOT NULL
) STRICT;

-- Games, configs and deployments stay for what refers to them; deleted_at hides them
-- and frees their names.
CREATE TABLE games (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    steam_app_id TEXT,
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX games_name ON games (name) WHERE deleted_at IS NULL;

CREATE TABLE game_configs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    game_id INTEGER NOT NULL REFERENCES games (id),
    name TEXT NOT NULL,
    body TEXT NOT NULL CHECK (json_valid(body)),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX game_configs_name ON game_configs (game_id, name) WHERE deleted_at IS NULL;

CREATE TABLE deployments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    server_id INTEGER NOT NULL REFERENCES servers (id),
    config_id INTEGER NOT NULL REFERENCES game_configs (id),
    ports TEXT NOT NULL CHECK (json_valid(ports)),
    status TEXT NOT NULL CHECK (status IN ('active', 'draining', 'deleting')),
    labels TEXT NOT NULL CHECK (json_valid(labels)),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX deployments_name ON deployments (name) WHERE deleted_at IS NULL;
CREATE INDEX deployments_server ON deployments (server_id);
CREATE INDEX deployments_config ON deployments (config_id);

-- Each port of a machine has one holder.
CREATE TABLE server_ports (
    server_id INTEGER NOT NULL REFERENCES servers (id),
    port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    protocol TEXT NOT NULL CHECK (protocol IN ('TCP', 'UDP')),
    sgc_id INTEGER NOT NULL REFERENCES deployments (id),
    allocated_at INTEGER NOT NULL,
    PRIMARY KEY (server_id, port, protocol)
) STRICT, WITHOUT ROWID;
CREATE INDEX server_ports_sgc ON server_ports (sgc_id);

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sgc_id INTEGER NOT NULL REFERENCES deployments (id),
    server_id INTEGER NOT NULL REFERENCES servers (id),
    want TEXT NOT NULL CHECK (json_valid(want)),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    state TEXT NOT NULL CHECK (state IN ('pending', 'starting', 'running', 'stopping', 'lost',
                                         'stopped', 'completed', 'crashed', 'failed')),
    phase TEXT CHECK (phase IS NULL OR state = 'starting'),
    progress TEXT,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    reason TEXT NOT NULL CHECK (json_valid(reason)),
    revision INTEGER NOT NULL CHECK (revision >= 1),
    created_at INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    started_at INTEGER,
    ready_at INTEGER,
    ended_at INTEGER,
    exit_code INTEGER,
    out_of_memory INTEGER NOT NULL CHECK (out_of_memory IN (0, 1)),
    last_lines TEXT NOT NULL CHECK (json_valid(last_lines)),
    -- The latest report that was applied.
    last_epoch INTEGER,
    last_sequence INTEGER,
    CHECK ((ended_at IS NOT NULL) = (state IN ('stopped', 'completed', 'crashed', 'failed')))
) STRICT;
-- One live session per deployment, lost ones included.
CREATE UNIQUE INDEX sessions_live ON sessions (sgc_id)
    WHERE state IN ('pending', 'starting', 'running', 'stopping', 'lost');
CREATE INDEX sessions_live_server ON sessions (server_id)
    WHERE state IN ('pending', 'starting', 'running', 'stopping', 'lost');
CREATE INDEX sessions_pending ON sessions (not_after) WHERE state = 'pending';
CREATE INDEX sessions_sgc ON sessions (sgc_id, id);
CREATE INDEX sessions_server ON sessions (server_id, id);
CREATE TRIGGER sessions_end_stands BEFORE UPDATE ON sessions
    WHEN OLD.state IN ('stopped', 'completed', 'crashed', 'failed')
BEGIN
    SELECT RAISE(ABORT, 'an end is never changed');
END;

CREATE TABLE session_timeline (
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    revision INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    phase TEXT,
    attempt INTEGER NOT NULL,
    not_seen INTEGER NOT NULL CHECK (not_seen IN (0, 1)),
    reason TEXT NOT NULL CHECK (json_valid(reason)),
    PRIMARY KEY (session_id, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    attempt INTEGER NOT NULL,
    server_id INTEGER NOT NULL REFERENCES servers (id),
    not_after INTEGER NOT NULL,
    outcome TEXT CHECK (outcome IS NULL OR json_valid(outcome))
) STRICT, WITHOUT ROWID;
CREATE INDEX commands_open ON commands (not_after) WHERE outcome IS NULL;
CREATE INDEX commands_settled ON commands (not_after) WHERE outcome IS NOT NULL;
CREATE INDEX commands_session ON commands (session_id);

-- What is to leave for the broker; place is the order of commits.
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    exchange TEXT NOT NULL CHECK (exchange IN ('internal', 'external')),
    key TEXT NOT NULL,
    class TEXT NOT NULL CHECK (class IN ('command', 'report', 'event', 'telemetry')),
    body BLOB NOT NULL,
    -- The session that it is a hint for.
    hints INTEGER,
    -- Whether a relay was ever handed it.
    has_left INTEGER NOT NULL DEFAULT 0 CHECK (has_left IN (0, 1)),
    tries INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX outbox_key ON outbox (key, place);
CREATE INDEX outbox_hints ON outbox (hints) WHERE hints IS NOT NULL;

-- What has arrived.
CREATE TABLE inbox (
    message TEXT PRIMARY KEY,
    server_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (server_id, epoch, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_at ON inbox (at);

CREATE TABLE refused_reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    message TEXT NOT NULL,
    server_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    session_id INTEGER NOT NULL,
    why TEXT NOT NULL,
    report TEXT NOT NULL CHECK (json_valid(report))
) STRICT;

CREATE TABLE idempotency_keys (
    actor TEXT NOT NULL,
    rpc TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL CHECK (length(request) = 32),
    answer TEXT NOT NULL CHECK (json_valid(answer)),
    at INTEGER NOT NULL,
    PRIMARY KEY (actor, rpc, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    deed TEXT NOT NULL,
    object TEXT NOT NULL
) STRICT;
