-- The data model of a Limen gallery, version 4. A new file is made by this text; an older one comes to the same tables
-- through migrate/, one step a file (a test compares the two). The version stands in user_version, "LIMN" in
-- application_id. Times are whole milliseconds since 1970 UTC.

-- A person who may be recognised.
CREATE TABLE subject (
    -- uuid v4, 16 bytes: identity inside Limen, kept through exports and imports.
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    -- The id that people use, such as a personnel number.
    external_id TEXT NOT NULL UNIQUE CHECK (length(external_id) BETWEEN 1 AND 64),
    name        TEXT NOT NULL,
    -- Denied before valid_from and from valid_until on; NULL = no such end.
    valid_from  INTEGER,
    valid_until INTEGER CHECK (valid_until > valid_from),
    -- 1 = known, but to be denied.
    suspended   INTEGER NOT NULL CHECK (suspended IN (0, 1)),
    -- When the person agreed to be recognised; NULL = no consent on record.
    consent     INTEGER,
    created     INTEGER NOT NULL
) STRICT;

-- Groups of a person; a group exists by having members.
CREATE TABLE subject_group (
    subject BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    PRIMARY KEY (subject, name)
) STRICT, WITHOUT ROWID;

-- An enrolled embedding. It goes with its person.
CREATE TABLE template (
    -- Never used again, so that an old number cannot come to mean another face.
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    subject  BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    -- Which way from frame to embedding; templates of two models never meet.
    model    TEXT NOT NULL,
    -- f32: 4 bytes a value, little-endian. i8: the f32 scale (4 bytes), then 1 byte a value. Unit length either way.
    encoding TEXT NOT NULL CHECK (encoding IN ('f32', 'i8')),
    vector   BLOB NOT NULL,
    -- Of the face image, 0 to 1.
    quality  REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
    -- File name or camera that it came from.
    source   TEXT NOT NULL,
    created  INTEGER NOT NULL
) STRICT;
CREATE INDEX template_by_subject ON template (subject);
CREATE INDEX template_by_model ON template (model);

-- The journal: what was seen and decided, in the order in which it was written down. Each event is bound to the one before
-- it by its hash (event/chain.rs has the formula).
CREATE TABLE event (
    -- Rises by one with each row and never comes again.
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    time      INTEGER NOT NULL,
    -- Word of event.rs. A new word needs a new user_version.
    kind      TEXT NOT NULL,
    -- Salted hash of whom it concerned; NULL = nobody.
    who       BLOB CHECK (length(who) = 32),
    score     REAL CHECK (score BETWEEN -1 AND 1),
    threshold REAL CHECK (threshold BETWEEN -1 AND 1),
    -- Kebab-case word for the cause.
    reason    TEXT,
    model     TEXT,
    -- Small JSON object.
    detail    TEXT CHECK (json_valid(detail)),
    -- Hash of the event before it, zeros for the first.
    prev      BLOB NOT NULL CHECK (length(prev) = 32),
    -- Over all of the above.
    hash      BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX event_by_time ON event (time);

-- Whom an event concerned. It stays when the person leaves; without its row the event has forgotten the person, and the
-- chain still holds.
CREATE TABLE event_subject (
    seq         INTEGER PRIMARY KEY REFERENCES event (seq) ON DELETE CASCADE,
    -- Of the hash in event.who, this event's own.
    salt        BLOB NOT NULL CHECK (length(salt) = 16),
    -- NULL = nobody in the gallery had that external id.
    subject     BLOB CHECK (length(subject) = 16),
    -- As it was then.
    external_id TEXT
) STRICT;
CREATE INDEX event_subject_by_subject ON event_subject (subject);
CREATE INDEX event_subject_by_external_id ON event_subject (external_id);

-- The journal is append-only: a row never changes ...
CREATE TRIGGER event_stays BEFORE UPDATE ON event
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
CREATE TRIGGER event_subject_stays BEFORE UPDATE ON event_subject
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

-- ... and it has no holes: it may be shortened at its old end only.
CREATE TRIGGER event_no_hole BEFORE DELETE ON event
WHEN EXISTS (SELECT 1 FROM event WHERE seq < OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'the journal may be shortened at its old end only');
END;
