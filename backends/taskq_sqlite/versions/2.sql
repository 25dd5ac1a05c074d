-- Version 2: jobs that wait for a time, recurring ones, and keys that expire.

-- Jobs that wait for a time. Within one time the order is that of the ids, which only grow: a new one is above all there.
-- One index, by time. To find a job by its bytes all are read, without any lock: 80 ms for 1,000,000; an index for that
-- would double what it costs to schedule one.
CREATE TABLE taskq_delayed (
  id INTEGER PRIMARY KEY,
  at REAL NOT NULL CHECK (typeof(at) = 'real'),
  queue TEXT NOT NULL CHECK (typeof(queue) = 'text'),
  body BLOB NOT NULL CHECK (typeof(body) = 'blob')
);
CREATE INDEX taskq_delayed_in_order ON taskq_delayed (at);

-- The last tick of a schedule that was fired or skipped, unix seconds.
CREATE TABLE taskq_ticks (
  schedule TEXT PRIMARY KEY,
  tick REAL NOT NULL
) WITHOUT ROWID;

-- Schedules that were put here; how often that changed stands in taskq_meta, so that who waits sees it.
CREATE TABLE taskq_schedules (
  name TEXT PRIMARY KEY,
  body BLOB NOT NULL CHECK (typeof(body) = 'blob')
) WITHOUT ROWID;
INSERT INTO taskq_meta (key, value) VALUES ('schedules changed', '0');

-- Keys: until when, unix seconds. One that is over is as good as gone, and is removed by whoever sets another.
CREATE TABLE taskq_keys (
  name TEXT NOT NULL UNIQUE CHECK (typeof(name) = 'text'),
  value BLOB NOT NULL CHECK (typeof(value) = 'blob'),
  until REAL NOT NULL
);
CREATE INDEX taskq_keys_by_end ON taskq_keys (until);
