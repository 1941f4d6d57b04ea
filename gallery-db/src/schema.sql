-- The data model of a Limen gallery, version 5. A new file is made by this text; an older one comes to the same tables
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

-- What a person has or knows besides a face: a card, a PIN. It names one person, and goes with them.
CREATE TABLE credential (
    -- Never used again.
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    subject BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    -- Word of credential.rs.
    kind    TEXT NOT NULL,
    -- What it is found by, which is not the number itself (credential.rs has the formula).
    key     BLOB NOT NULL CHECK (length(key) = 32),
    created INTEGER NOT NULL,
    UNIQUE (kind, key)
) STRICT;
CREATE INDEX credential_by_subject ON credential (subject);

-- A pass that was issued, to be shown as a QR code. Without its row it opens nothing, whatever its signature says.
CREATE TABLE pass (
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    subject     BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    valid_from  INTEGER NOT NULL,
    valid_until INTEGER NOT NULL CHECK (valid_until > valid_from),
    -- 1 = it opens once.
    single_use  INTEGER NOT NULL CHECK (single_use IN (0, 1)),
    -- When it last opened; NULL = never.
    used        INTEGER,
    created     INTEGER NOT NULL
) STRICT;
CREATE INDEX pass_by_subject ON pass (subject);

-- In which area a person is, for anti-passback. No row = not known.
CREATE TABLE whereabouts (
    subject BLOB PRIMARY KEY NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    area    TEXT NOT NULL,
    since   INTEGER NOT NULL
) STRICT;

-- A probe that is not this person, as an admin said: what looks like it is not let in as them. It never trains anything.
CREATE TABLE veto (
    -- Never used again.
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    -- As whom it is not to be taken.
    subject  BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    model    TEXT NOT NULL,
    -- f32, 4 bytes a value, little-endian, of unit length.
    vector   BLOB NOT NULL,
    -- Why, in the admin's words.
    reason   TEXT NOT NULL,
    created  INTEGER NOT NULL,
    -- From here on it is no more.
    expires  INTEGER NOT NULL CHECK (expires > created)
) STRICT;
CREATE INDEX veto_by_subject ON veto (subject);

-- The probe of a decision, kept for a while where the person agreed to it, so that the decision can be gone through again.
CREATE TABLE probe (
    seq     INTEGER PRIMARY KEY REFERENCES event (seq) ON DELETE CASCADE,
    subject BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    model   TEXT NOT NULL,
    -- As in veto.
    vector  BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX probe_by_subject ON probe (subject);

-- What the house has set and the device must not forget: rules, the admin's PIN and its wrong tries, lockdown. Each value is
-- JSON that the program which reads it checks.
CREATE TABLE setting (
    key   TEXT PRIMARY KEY NOT NULL CHECK (length(key) BETWEEN 1 AND 64),
    value TEXT NOT NULL CHECK (json_valid(value))
) STRICT, WITHOUT ROWID;

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
