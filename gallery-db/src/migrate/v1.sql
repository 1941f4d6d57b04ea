-- The data model of a Limen gallery as version 1 had it. Never changed again: the tests make old files of it.
-- Times are whole milliseconds since 1970 UTC.

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

-- The journal: what was seen and decided, in the order in which it was written down.
CREATE TABLE event (
    -- Rises by one with each row and never comes again.
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    time        INTEGER NOT NULL,
    -- Word of event.rs. A new word needs a new user_version.
    kind        TEXT NOT NULL,
    -- Whom it concerned, as long as that person is in the gallery.
    subject     BLOB REFERENCES subject (id) ON DELETE SET NULL,
    score       REAL CHECK (score BETWEEN -1 AND 1),
    threshold   REAL CHECK (threshold BETWEEN -1 AND 1),
    -- Kebab-case word for the cause.
    reason      TEXT,
    model       TEXT,
    -- Small JSON object.
    detail      TEXT CHECK (json_valid(detail))
) STRICT;
CREATE INDEX event_by_time ON event (time);
CREATE INDEX event_by_subject ON event (subject);
