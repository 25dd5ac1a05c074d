-- Version 4: a job held ahead begins by moving a pointer, and nothing else.

-- Several jobs that a worker took at once, by their places, from 1 on. `hand` in the worker's row is the place of the one
-- that is in progress: those below it ended well and are counted, those above it are not begun. They stay here until
-- something is settled, so that a job's beginning writes one page. A single job is in the worker's row itself; where
-- `hand` points in here, its `queue` is NULL and its `body` empty.
CREATE TABLE taskq_batch (
  worker INTEGER NOT NULL,
  place INTEGER NOT NULL CHECK (place > 0),
  queue TEXT NOT NULL,
  run_at REAL NOT NULL,
  body BLOB NOT NULL CHECK (typeof(body) = 'blob'),
  PRIMARY KEY (worker, place)
) WITHOUT ROWID;
INSERT INTO taskq_batch (worker, place, queue, run_at, body)
SELECT worker, place, queue, run_at, body FROM taskq_ahead;
INSERT INTO taskq_batch (worker, place, queue, run_at, body)
SELECT id, hand, queue, run_at, body FROM taskq_workers
WHERE hand IS NOT NULL AND EXISTS (SELECT 1 FROM taskq_ahead WHERE worker = taskq_workers.id);
UPDATE taskq_workers SET queue = NULL, run_at = NULL, body = x''
WHERE hand IS NOT NULL AND EXISTS (SELECT 1 FROM taskq_ahead WHERE worker = taskq_workers.id);

-- A worker of an older version, which would take those that ended for held, ends here: it no longer finds this.
DROP TABLE taskq_ahead;
