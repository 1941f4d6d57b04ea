-- From version 2 to 3: each event is bound to the one before it by a hash, and whom it concerned stands in a row of its own.
-- The rows are taken over by to_v3.rs, which knows how to hash.

DROP TRIGGER event_stays;
DROP TRIGGER event_no_hole;
DROP INDEX event_by_time;
DROP INDEX event_by_subject;
ALTER TABLE event RENAME TO event_v2;

CREATE TABLE event (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    time      INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    who       BLOB CHECK (length(who) = 32),
    score     REAL CHECK (score BETWEEN -1 AND 1),
    threshold REAL CHECK (threshold BETWEEN -1 AND 1),
    reason    TEXT,
    model     TEXT,
    detail    TEXT CHECK (json_valid(detail)),
    prev      BLOB NOT NULL CHECK (length(prev) = 32),
    hash      BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX event_by_time ON event (time);

CREATE TABLE event_subject (
    seq         INTEGER PRIMARY KEY REFERENCES event (seq) ON DELETE CASCADE,
    salt        BLOB NOT NULL CHECK (length(salt) = 16),
    subject     BLOB CHECK (length(subject) = 16),
    external_id TEXT
) STRICT;
CREATE INDEX event_subject_by_subject ON event_subject (subject);
CREATE INDEX event_subject_by_external_id ON event_subject (external_id);

CREATE TRIGGER event_stays BEFORE UPDATE ON event
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
CREATE TRIGGER event_subject_stays BEFORE UPDATE ON event_subject
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER event_no_hole BEFORE DELETE ON event
WHEN EXISTS (SELECT 1 FROM event WHERE seq < OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'the journal may be shortened at its old end only');
END;
