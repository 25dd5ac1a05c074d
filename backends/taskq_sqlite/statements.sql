-- The statements, in a job's order of life. Each has a name, and a word on why it is as it is.
-- {wanted} stands for a list of values (place, queue's name), one for each queue that is looked at.

-- ---- queues

-- name: queue_id
SELECT id FROM taskq_queues WHERE name = ?;

-- name: add_queue
INSERT INTO taskq_queues (name) VALUES (?);

-- name: last_pos
-- Never min and max in one SELECT: that scans the queue.
SELECT coalesce(max(pos), 0) FROM taskq_jobs WHERE queue = ?;

-- name: first_pos
SELECT coalesce(min(pos), 1) FROM taskq_jobs WHERE queue = ?;

-- name: add_job
INSERT INTO taskq_jobs (queue, pos, body) VALUES (?, ?, ?);

-- name: size
-- Two steps in the index where no place is empty, which counting a million takes 60 ms for; below a gap it is counted.
SELECT coalesce((
  SELECT CASE
    WHEN low IS NULL THEN 0
    WHEN gap IS NULL OR gap < low THEN high - low + 1
    ELSE max(high - gap, 0) + (SELECT count(*) FROM taskq_jobs WHERE queue = one.id AND pos <= one.gap)
  END
  FROM (
    SELECT id, gap,
      (SELECT min(pos) FROM taskq_jobs WHERE queue = taskq_queues.id) AS low,
      (SELECT max(pos) FROM taskq_jobs WHERE queue = taskq_queues.id) AS high
    FROM taskq_queues WHERE name = ?
  ) AS one
), 0);

-- name: queues
SELECT name FROM taskq_queues;

-- name: peek
SELECT body FROM taskq_jobs WHERE queue = (SELECT id FROM taskq_queues WHERE name = ?)
ORDER BY pos LIMIT ? OFFSET ?;

-- name: unbroken
-- The place of a queue's first job, where no place behind it is empty: what is n behind it is found by its place.
SELECT queue, low FROM (
  SELECT id AS queue, gap, (SELECT min(pos) FROM taskq_jobs WHERE queue = taskq_queues.id) AS low
  FROM taskq_queues WHERE name = ?
) WHERE gap IS NULL OR gap < low;

-- name: peek_at
SELECT body FROM taskq_jobs WHERE queue = ? AND pos >= ? ORDER BY pos LIMIT ?;

-- name: equal_jobs
SELECT id, pos FROM taskq_jobs WHERE queue = (SELECT id FROM taskq_queues WHERE name = ?) AND body = ?
ORDER BY pos LIMIT ?;

-- name: first_jobs
SELECT id, body FROM taskq_jobs WHERE queue = (SELECT id FROM taskq_queues WHERE name = ?) ORDER BY pos LIMIT ?;

-- name: leave_gap
UPDATE taskq_queues SET gap = max(coalesce(gap, ?1), ?1) WHERE name = ?2;

-- name: close_gaps
-- Those that lie before a queue's first job by now, or in an empty queue.
UPDATE taskq_queues SET gap = NULL
WHERE gap IS NOT NULL AND NOT EXISTS (SELECT 1 FROM taskq_jobs WHERE queue = taskq_queues.id AND pos <= gap);

-- name: empty_queue
DELETE FROM taskq_jobs WHERE queue = (SELECT id FROM taskq_queues WHERE name = ?);

-- name: remove_queue
DELETE FROM taskq_queues WHERE name = ?;

-- ---- reserving

-- name: seat
-- A worker under its process part, with the places of those of its batch that have not ended; one row where it has none.
SELECT w.id, w.last, w.answer, w.batch, w.hand, b.place
FROM taskq_workers AS w LEFT JOIN taskq_batch AS b ON b.worker = w.id AND b.place >= coalesce(w.hand, 0)
WHERE w.name = ? AND w.process = ? ORDER BY b.place;

-- name: next_job_of
-- The first job of a queue that is not paused. For one queue this takes half of what the next one does.
SELECT 0, queue, id, pos, body FROM taskq_jobs
WHERE queue = (
  SELECT id FROM taskq_queues
  WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM taskq_paused WHERE queue = ?1)
)
AND NOT EXISTS (SELECT 1 FROM taskq_meta WHERE key = 'all paused')
ORDER BY pos LIMIT 1;

-- name: next_job
-- The first job of the first queue that has one and is not paused. The inner min(pos) is one step in the index for each
-- queue; the sort is over queues, not over jobs. SQL does not promise the order of VALUES.
SELECT wanted.column1, j.queue, j.id, j.pos, j.body
FROM (VALUES {wanted}) AS wanted
JOIN taskq_queues AS q ON q.name = wanted.column2
JOIN taskq_jobs AS j ON j.queue = q.id AND j.pos = (SELECT min(pos) FROM taskq_jobs WHERE queue = q.id)
WHERE NOT EXISTS (SELECT 1 FROM taskq_paused WHERE queue = q.name)
AND NOT EXISTS (SELECT 1 FROM taskq_meta WHERE key = 'all paused')
ORDER BY wanted.column1 LIMIT 1;

-- name: more_jobs
-- Those behind it in the same queue.
SELECT pos, body FROM taskq_jobs WHERE queue = ? AND pos > ? ORDER BY pos LIMIT ?;

-- name: take_job
DELETE FROM taskq_jobs WHERE id = ?;

-- name: take_jobs
-- The first ones of a queue, up to a place.
DELETE FROM taskq_jobs WHERE queue = ? AND pos <= ?;

-- name: hold
INSERT INTO taskq_batch (worker, place, queue, run_at, body) VALUES (?, ?, ?, ?, ?);

-- name: held
SELECT hand AS place, 1, queue, run_at, body FROM taskq_workers WHERE id = ?1 AND queue IS NOT NULL
UNION ALL
SELECT b.place, b.place IS w.hand, b.queue, b.run_at, b.body
FROM taskq_workers AS w JOIN taskq_batch AS b ON b.worker = w.id AND b.place >= coalesce(w.hand, 0)
WHERE w.id = ?1
ORDER BY place;

-- name: ready
-- Whether there is work in one of the queues.
SELECT EXISTS (
  SELECT 1 FROM (VALUES {wanted}) AS wanted
  JOIN taskq_queues AS q ON q.name = wanted.column2
  WHERE EXISTS (SELECT 1 FROM taskq_jobs WHERE queue = q.id)
  AND NOT EXISTS (SELECT 1 FROM taskq_paused WHERE queue = q.name)
) AND NOT EXISTS (SELECT 1 FROM taskq_meta WHERE key = 'all paused');

-- name: ready_anywhere
SELECT EXISTS (
  SELECT 1 FROM taskq_queues AS q
  WHERE EXISTS (SELECT 1 FROM taskq_jobs WHERE queue = q.id)
  AND NOT EXISTS (SELECT 1 FROM taskq_paused WHERE queue = q.name)
) AND NOT EXISTS (SELECT 1 FROM taskq_meta WHERE key = 'all paused');

-- name: took
-- A reserve that took what there was: its token, how many jobs it ended, and the job that begins. That is here if it is
-- the only one, and else pointed to in the batch.
UPDATE taskq_workers
SET last = ?1, answer = 1, batch = ?1, processed = processed + ?2, changes = changes + 1,
  hand = ?3, queue = ?4, run_at = ?5, body = ?6
WHERE id = ?7;

-- ---- settling

-- name: settled
-- Any other call: its token and answer, how many jobs it ended, how many of those failed, whether the hand is kept.
UPDATE taskq_workers
SET last = ?1, answer = ?2, processed = processed + ?3, failed = failed + ?4, changes = changes + 1,
  hand = CASE WHEN ?5 THEN hand END, queue = CASE WHEN ?5 THEN queue END,
  run_at = CASE WHEN ?5 THEN run_at END, body = CASE WHEN ?5 THEN body END
WHERE id = ?6;

-- name: end
-- Those of a batch up to a place, and with them those that ended before.
DELETE FROM taskq_batch WHERE worker = ? AND place <= ?;

-- name: let_go
DELETE FROM taskq_batch WHERE worker = ? AND place = ?;

-- name: begin
-- The job at a place of the batch begins, if it is held there and has not; those before it ended. One statement that
-- writes one page, for it is done for each job that was taken ahead.
UPDATE taskq_workers
SET hand = ?1, body = x'', changes = changes + 1, processed = processed + (
  SELECT count(*) FROM taskq_batch AS b
  WHERE b.worker = taskq_workers.id AND b.place >= coalesce(taskq_workers.hand, 0) AND b.place < ?1
)
WHERE name = ?2 AND process = ?3 AND batch = ?4 AND coalesce(hand, 0) < ?1
AND EXISTS (SELECT 1 FROM taskq_batch AS b WHERE b.worker = taskq_workers.id AND b.place = ?1);

-- name: add_failure
INSERT INTO taskq_failed (queue, entry) VALUES (?, ?);

-- name: count_failures
-- So many entries more, or less, and how many of these were removed.
INSERT INTO taskq_failed_lists (name, count, removed) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET count = count + ?2, removed = removed + ?3;

-- name: oldest_failures
-- The so many oldest of a failed list: those beyond what it keeps.
DELETE FROM taskq_failed WHERE id IN (SELECT id FROM taskq_failed WHERE queue IS ? ORDER BY id LIMIT ?);

-- ---- workers

-- name: owner
SELECT process FROM taskq_workers WHERE name = ?;

-- name: register
INSERT INTO taskq_workers (name, process, registration, started, beat) VALUES (?, ?, ?, ?, ?);

-- name: heartbeat
UPDATE taskq_workers SET beat = ?, changes = changes + 1 WHERE name = ? AND process = ?;

-- name: idle_worker
SELECT id FROM taskq_workers AS w
WHERE name = ? AND process = ? AND hand IS NULL AND NOT EXISTS (SELECT 1 FROM taskq_batch WHERE worker = w.id);

-- name: fold_stats
-- What a worker counted, kept beyond its end.
UPDATE taskq_stats SET value = value + (
  SELECT CASE taskq_stats.name WHEN 'failed' THEN failed ELSE processed END FROM taskq_workers WHERE id = ?
);

-- name: forget_worker
DELETE FROM taskq_workers WHERE id = ?;

-- name: workers
-- One statement, so that it is one picture: a job is in nobody's hands twice.
SELECT w.name, w.process, w.registration, w.started, w.beat, w.batch, w.changes, w.processed, w.failed,
  w.hand, w.queue, w.run_at, w.body, b.place, b.queue, b.run_at, b.body
FROM taskq_workers AS w LEFT JOIN taskq_batch AS b ON b.worker = w.id AND b.place >= coalesce(w.hand, 0)
ORDER BY w.name, b.place;

-- name: worker
SELECT w.name, w.process, w.registration, w.started, w.beat, w.batch, w.changes, w.processed, w.failed,
  w.hand, w.queue, w.run_at, w.body, b.place, b.queue, b.run_at, b.body
FROM taskq_workers AS w LEFT JOIN taskq_batch AS b ON b.worker = w.id AND b.place >= coalesce(w.hand, 0)
WHERE w.name = ? ORDER BY b.place;

-- name: claim
-- One that lies in the future is of a clock that was set back, and holds nobody up.
SELECT worker FROM taskq_claims WHERE name = ?1 AND since <= ?2 AND since + seconds > ?2;

-- name: set_claim
INSERT OR REPLACE INTO taskq_claims (name, worker, since, seconds) VALUES (?, ?, ?, ?);

-- name: as_seen
-- The worker, if nobody wrote anything about it since.
SELECT id FROM taskq_workers WHERE name = ? AND process = ? AND changes = ?;

-- name: count_lost
UPDATE taskq_workers SET processed = processed + 1, failed = failed + 1 WHERE id = ?;

-- name: drop_batch
DELETE FROM taskq_batch WHERE worker = ?;

-- ---- pause

-- name: pause_all
INSERT OR REPLACE INTO taskq_meta (key, value) VALUES ('all paused', 'yes');

-- name: unpause_all
DELETE FROM taskq_meta WHERE key = 'all paused';

-- name: pause
INSERT OR IGNORE INTO taskq_paused (queue) VALUES (?);

-- name: unpause
DELETE FROM taskq_paused WHERE queue = ?;

-- name: all_paused
SELECT EXISTS (SELECT 1 FROM taskq_meta WHERE key = 'all paused');

-- name: paused
SELECT queue FROM taskq_paused;

-- ---- failures

-- name: failed_list
-- How many entries it has, and how many were ever removed from it.
SELECT count, removed FROM taskq_failed_lists WHERE name = ?;

-- name: failed_ends
SELECT
  (SELECT min(id) FROM taskq_failed WHERE queue IS ?1), (SELECT max(id) FROM taskq_failed WHERE queue IS ?1);

-- name: failures_from
-- Entries from an id on; OFFSET walks the index alone: 50 ms for half a million.
SELECT id, entry FROM taskq_failed WHERE queue IS ? AND id >= ? ORDER BY id LIMIT ? OFFSET ?;

-- name: failure_before
-- The id of the entry so many before one.
SELECT id FROM taskq_failed WHERE queue IS ? AND id <= ? ORDER BY id DESC LIMIT 1 OFFSET ?;

-- name: failed_queues
-- A step of the index for each queue; DISTINCT would walk every entry.
WITH RECURSIVE seen (queue) AS (
  SELECT min(queue) FROM taskq_failed
  UNION ALL
  SELECT (SELECT min(queue) FROM taskq_failed WHERE queue > seen.queue) FROM seen WHERE seen.queue IS NOT NULL
)
SELECT queue FROM seen WHERE queue IS NOT NULL;

-- name: failure_anywhere
SELECT id FROM taskq_failed WHERE queue IS ? AND entry = ? ORDER BY id LIMIT 1;

-- name: failure_begins
-- Whether there is an entry that begins like this.
SELECT EXISTS (SELECT 1 FROM taskq_failed WHERE queue IS ?1 AND substr(entry, 1, length(?2)) = ?2);

-- name: replace_failure
UPDATE taskq_failed SET entry = ? WHERE id = ? AND entry = ?;

-- name: remove_failure
DELETE FROM taskq_failed WHERE id = ? AND entry = ?;

-- name: clear_failures
DELETE FROM taskq_failed WHERE queue IS ?;

-- ---- delayed jobs

-- name: delay
INSERT INTO taskq_delayed (at, queue, body) VALUES (?, ?, ?);

-- name: due
-- In order; the same transaction drops them and puts them into their queues.
SELECT id, queue, body FROM taskq_delayed WHERE at <= ? ORDER BY at, id LIMIT ?;

-- name: drop_delayed
-- By the id, one after the other: of many for one time a range would be walked as a whole for each page of it.
DELETE FROM taskq_delayed WHERE id = ?;

-- name: next_due
SELECT min(at) FROM taskq_delayed;

-- name: delayed_at
-- Where the page begins is found in the index alone: to pass over 250,000 rows takes three times as long.
SELECT at, queue, body FROM taskq_delayed
WHERE at = ?1 AND id >= (SELECT id FROM taskq_delayed WHERE at = ?1 ORDER BY id LIMIT 1 OFFSET ?3)
ORDER BY id LIMIT ?2;

-- name: delayed_of
SELECT id, queue, body FROM taskq_delayed WHERE at = ? ORDER BY id;

-- name: delayed_after
SELECT at, queue, body FROM taskq_delayed WHERE at > ? ORDER BY at, id LIMIT ?;

-- name: delayed_times
-- A step of the index for each time; DISTINCT would walk all of them.
WITH RECURSIVE times (at) AS (
  SELECT min(at) FROM taskq_delayed WHERE at >= ?1
  UNION ALL
  SELECT (SELECT min(at) FROM taskq_delayed WHERE at > times.at) FROM times WHERE times.at IS NOT NULL LIMIT ?2
)
SELECT at, (SELECT count(*) FROM taskq_delayed AS d WHERE d.at = times.at) FROM times WHERE at IS NOT NULL;

-- name: delayed_time_count
-- Walks the index: 50 ms for 1,000,000 jobs of 630,000 times.
SELECT count(DISTINCT at) FROM taskq_delayed;

-- name: delayed_time_count_to
-- A step of the index for each time, and so many at most.
WITH RECURSIVE times (at) AS (
  SELECT min(at) FROM taskq_delayed
  UNION ALL
  SELECT (SELECT min(at) FROM taskq_delayed WHERE at > times.at) FROM times WHERE times.at IS NOT NULL LIMIT ?1
)
SELECT count(at) FROM times;

-- name: find_delayed
-- Reads all of them: 80 ms for 1,000,000.
SELECT id, at FROM taskq_delayed WHERE queue = ? AND body = ? ORDER BY at, id;

-- name: delayed_ids_after
-- Two steps in the table: max() and min() together would be a walk through all of it.
SELECT
  (SELECT min(id) FROM taskq_delayed WHERE id > ?1),
  (SELECT max(id) FROM taskq_delayed);

-- name: find_delayed_among
SELECT at FROM taskq_delayed WHERE id BETWEEN ? AND ? AND queue = ? AND body = ?;

-- name: find_delayed_at
SELECT id, at FROM taskq_delayed WHERE at = ? AND queue = ? AND body = ? ORDER BY id;

-- name: unschedule
-- The one that was found, if it is that one still: ids come again.
DELETE FROM taskq_delayed WHERE id = ? AND queue = ? AND body = ?;

-- name: take_delayed
DELETE FROM taskq_delayed WHERE id = (
  SELECT id FROM taskq_delayed WHERE at = ? AND queue = ? AND body = ? ORDER BY id LIMIT 1
);

-- name: first_delayed
SELECT id, at, queue, body FROM taskq_delayed ORDER BY at, id LIMIT ?;

-- name: clear_delayed
DELETE FROM taskq_delayed;

-- name: give_up_claim
DELETE FROM taskq_claims WHERE name = ? AND worker = ?;

-- ---- recurring jobs

-- name: tick
-- One row more or changed where this tick lies behind the last; none where it does not.
INSERT INTO taskq_ticks (schedule, tick) VALUES (?, ?)
ON CONFLICT (schedule) DO UPDATE SET tick = excluded.tick WHERE excluded.tick > taskq_ticks.tick;

-- name: last_tick
SELECT tick FROM taskq_ticks WHERE schedule = ?;

-- name: schedules
SELECT name, body FROM taskq_schedules;

-- name: put_schedule
INSERT OR REPLACE INTO taskq_schedules (name, body) VALUES (?, ?);

-- name: has_schedule
SELECT EXISTS (SELECT 1 FROM taskq_schedules WHERE name = ?);

-- name: remove_schedule
DELETE FROM taskq_schedules WHERE name = ?;

-- name: schedules_change
UPDATE taskq_meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'schedules changed';

-- name: schedules_changed
SELECT CAST(value AS INTEGER) FROM taskq_meta WHERE key = 'schedules changed';

-- ---- keys

-- name: key
SELECT value, until FROM taskq_keys WHERE name = ? AND until > ?;

-- name: set_key
INSERT OR REPLACE INTO taskq_keys (name, value, until) VALUES (?, ?, ?);

-- name: drop_key
DELETE FROM taskq_keys WHERE name = ?;

-- name: drop_ended_keys
-- Some of them: nobody should pay for all at once.
DELETE FROM taskq_keys WHERE rowid IN (SELECT rowid FROM taskq_keys WHERE until <= ? ORDER BY until LIMIT 10);

-- ---- statistics

-- name: stats
SELECT
  (SELECT value FROM taskq_stats WHERE name = 'processed') + (SELECT coalesce(sum(processed), 0) FROM taskq_workers),
  (SELECT value FROM taskq_stats WHERE name = 'failed') + (SELECT coalesce(sum(failed), 0) FROM taskq_workers);

-- name: add_sample
INSERT INTO taskq_samples (series, sample) VALUES (?, ?);

-- name: trim_samples
DELETE FROM taskq_samples WHERE series = ?1 AND id <= (
  SELECT id FROM taskq_samples WHERE series = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2
);

-- name: samples
SELECT sample FROM (SELECT id, sample FROM taskq_samples WHERE series = ? ORDER BY id DESC LIMIT ?) ORDER BY id;

-- ---- the file

-- name: databases
-- As bytes, for what a connection's text_factory makes of texts may be anything.
SELECT CAST(name AS BLOB), CAST(file AS BLOB) FROM pragma_database_list;

-- name: has_schema
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'taskq_meta');

-- name: other_tables
-- Those that whoever shares the file with taskq has in it.
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name;

-- name: schema_version
SELECT CAST(value AS INTEGER) FROM taskq_meta WHERE key = 'schema';

-- name: set_schema_version
INSERT OR REPLACE INTO taskq_meta (key, value) VALUES ('schema', ?);

-- name: touch
-- A write that changes nothing but the log: done at FULL it puts all before it on the disk.
UPDATE taskq_meta SET value = value WHERE key = 'schema';
