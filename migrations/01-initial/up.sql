-- Ids are the 16 bytes behind 32 hex digits: hex(id) shows them. Sizes are KiB unless the name says otherwise.
-- Lists and maps that are only ever read whole are JSON. `pending` names the operation that is making or removing the row:
-- such rows hold their space, but no client sees them.

CREATE TABLE clusters (
    id BLOB NOT NULL PRIMARY KEY,
    file INTEGER NOT NULL CHECK (file IN (0, 1)),
    block INTEGER NOT NULL CHECK (block IN (0, 1)),
    -- Kept by triggers, so that the limit on volumes needs no count.
    volume_count INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
    id BLOB NOT NULL PRIMARY KEY,
    cluster BLOB NOT NULL REFERENCES clusters (id),
    zone INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('online', 'offline', 'failed')),
    manage TEXT NOT NULL,
    storage TEXT NOT NULL,
    tags TEXT NOT NULL,
    pending BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX nodes_by_cluster ON nodes (cluster, id);

-- One host name serves one node, in all clusters together.
CREATE TABLE hostnames (
    kind TEXT NOT NULL CHECK (kind IN ('manage', 'storage')),
    host TEXT NOT NULL,
    node BLOB NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, host)
) STRICT, WITHOUT ROWID;
CREATE INDEX hostnames_by_node ON hostnames (node);

CREATE TABLE devices (
    id BLOB NOT NULL PRIMARY KEY,
    node BLOB NOT NULL REFERENCES nodes (id),
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('online', 'offline', 'failed')),
    tags TEXT NOT NULL,
    total INTEGER NOT NULL,
    free INTEGER NOT NULL CHECK (free >= 0),
    used INTEGER NOT NULL CHECK (used >= 0),
    extent INTEGER NOT NULL CHECK (extent > 0),
    pv_uuid TEXT NOT NULL,
    paths TEXT NOT NULL,
    pending BLOB,
    CHECK (total = free + used)
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_by_node ON devices (node, id);
CREATE INDEX devices_by_pv_uuid ON devices (pv_uuid);

CREATE TABLE volumes (
    id BLOB NOT NULL PRIMARY KEY,
    cluster BLOB NOT NULL REFERENCES clusters (id),
    name TEXT NOT NULL,
    size_gib INTEGER NOT NULL CHECK (size_gib >= 0),
    -- 'none', 'replicate' or 'disperse'; the numbers as the client sent them, whatever the durability.
    durability TEXT NOT NULL CHECK (durability IN ('none', 'replicate', 'disperse')),
    replica INTEGER,
    disperse_data INTEGER,
    disperse_redundancy INTEGER,
    gid INTEGER NOT NULL,
    options TEXT NOT NULL,
    block INTEGER NOT NULL CHECK (block IN (0, 1)),
    snapshot INTEGER NOT NULL CHECK (snapshot IN (0, 1)),
    snapshot_factor REAL NOT NULL,
    requested_clusters TEXT NOT NULL,
    -- Of a block hosting volume, in GiB.
    block_free_gib INTEGER NOT NULL DEFAULT 0 CHECK (block_free_gib >= 0),
    block_reserved_gib INTEGER NOT NULL DEFAULT 0 CHECK (block_reserved_gib >= 0),
    block_restriction TEXT NOT NULL DEFAULT '',
    pending BLOB
) STRICT, WITHOUT ROWID;
-- Not unique: clones and imported databases may hold a name twice.
CREATE INDEX volumes_by_name ON volumes (cluster, name);

CREATE TRIGGER volume_added AFTER INSERT ON volumes BEGIN
    UPDATE clusters SET volume_count = volume_count + 1 WHERE id = new.cluster;
END;
CREATE TRIGGER volume_removed AFTER DELETE ON volumes BEGIN
    UPDATE clusters SET volume_count = volume_count - 1 WHERE id = old.cluster;
END;

CREATE TABLE bricks (
    id BLOB NOT NULL PRIMARY KEY,
    volume BLOB NOT NULL REFERENCES volumes (id),
    device BLOB NOT NULL REFERENCES devices (id),
    size INTEGER NOT NULL,
    pool_size INTEGER NOT NULL,
    pool_metadata_size INTEGER NOT NULL,
    -- NULL: the name that follows from the ids. Only clones and old records have others.
    path TEXT,
    thin_pool TEXT,
    lv TEXT,
    kind INTEGER NOT NULL,
    pending BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX bricks_by_volume ON bricks (volume, id);
CREATE INDEX bricks_by_device ON bricks (device, id);

-- What is under way, with all that it could ever leave on a node.
CREATE TABLE operations (
    id BLOB NOT NULL PRIMARY KEY,
    kind INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('', 'stale', 'failed')),
    created_at INTEGER NOT NULL,
    plan TEXT NOT NULL,
    job BLOB
) STRICT, WITHOUT ROWID;

-- Answers of the queue: they outlive a restart, and can be read again.
CREATE TABLE jobs (
    id BLOB NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    -- 'running', 'resource' (text is its path), 'nothing', or 'error' (text says why).
    outcome TEXT NOT NULL CHECK (outcome IN ('running', 'resource', 'nothing', 'error')),
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_running ON jobs (id) WHERE outcome = 'running';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
