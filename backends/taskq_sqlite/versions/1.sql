-- Version 1. All names begin with taskq_: the file may be the application's own.
-- Floor: SQLite 3.24, so no STRICT; CHECK says what types and promises matter.

-- What is said once: the schema's version, whether all is paused.
CREATE TABLE taskq_meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE taskq_queues (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- a queue that is made anew must never inherit another's jobs
  name TEXT NOT NULL UNIQUE CHECK (typeof(name) = 'text')
);

-- Paused queues by name: one may be paused before it is there.
CREATE TABLE taskq_paused (
  queue TEXT PRIMARY KEY CHECK (typeof(queue) = 'text')
) WITHOUT ROWID;

-- Jobs that wait. The next is the one with the smallest pos of its queue; the front is what is smaller still.
-- A plain rowid table beside an index: from 300 bytes a body it beats one table with a state column, and WITHOUT ROWID.
CREATE TABLE taskq_jobs (
  id INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  pos INTEGER NOT NULL,
  body BLOB NOT NULL CHECK (typeof(body) = 'blob')
);
CREATE UNIQUE INDEX taskq_jobs_in_order ON taskq_jobs (queue, pos);

-- Registered workers, each with the job that it has in hand: in one row, for a turn of the loop then writes three pages
-- and not four. `last` is the number of the last call's token and `answer` what it was answered; `batch` is the number of
-- the token that took what it holds. `changes` counts every write about it: what recovery is fenced by.
CREATE TABLE taskq_workers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (typeof(name) = 'text'),
  process TEXT NOT NULL CHECK (length(process) = 8),
  registration TEXT NOT NULL,
  started REAL NOT NULL,
  beat REAL NOT NULL,
  last INTEGER NOT NULL DEFAULT 0,
  answer INTEGER NOT NULL DEFAULT 0 CHECK (answer IN (0, 1)),
  batch INTEGER NOT NULL DEFAULT 0,
  changes INTEGER NOT NULL DEFAULT 0,
  processed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0 CHECK (failed <= processed),
  hand INTEGER, -- the place in its batch of the job that is in progress; NULL where none is
  queue TEXT,
  run_at REAL,
  body BLOB CHECK ((hand IS NULL) = (body IS NULL))
);

-- Jobs that a worker holds beside that one: reserved ahead, not begun.
CREATE TABLE taskq_ahead (
  worker INTEGER NOT NULL,
  place INTEGER NOT NULL CHECK (place > 0),
  queue TEXT NOT NULL,
  run_at REAL NOT NULL,
  body BLOB NOT NULL CHECK (typeof(body) = 'blob'),
  PRIMARY KEY (worker, place)
) WITHOUT ROWID;

-- The failed lists: queue NULL is the common one. AUTOINCREMENT: an id once seen never means another failure.
CREATE TABLE taskq_failed (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT,
  entry BLOB NOT NULL CHECK (typeof(entry) = 'blob')
);
CREATE INDEX taskq_failed_in_order ON taskq_failed (queue, id);

-- Totals of the workers that are gone; those that are here add their own.
CREATE TABLE taskq_stats (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO taskq_stats (name, value) VALUES ('processed', 0), ('failed', 0);

-- Who looks for dead workers now, since when (unix seconds), for how long.
CREATE TABLE taskq_claims (
  name TEXT PRIMARY KEY,
  worker TEXT NOT NULL,
  since REAL NOT NULL,
  seconds REAL NOT NULL
) WITHOUT ROWID;
