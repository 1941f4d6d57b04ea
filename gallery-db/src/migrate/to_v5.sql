-- From version 4 to 5: what the kiosk knows besides faces, and five more kinds of event: duress, door-mode, rules, credential,
-- veto.
CREATE TABLE credential (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    subject BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    kind    TEXT NOT NULL,
    key     BLOB NOT NULL CHECK (length(key) = 32),
    created INTEGER NOT NULL,
    UNIQUE (kind, key)
) STRICT;
CREATE INDEX credential_by_subject ON credential (subject);

CREATE TABLE pass (
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    subject     BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    valid_from  INTEGER NOT NULL,
    valid_until INTEGER NOT NULL CHECK (valid_until > valid_from),
    single_use  INTEGER NOT NULL CHECK (single_use IN (0, 1)),
    used        INTEGER,
    created     INTEGER NOT NULL
) STRICT;
CREATE INDEX pass_by_subject ON pass (subject);

CREATE TABLE whereabouts (
    subject BLOB PRIMARY KEY NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    area    TEXT NOT NULL,
    since   INTEGER NOT NULL
) STRICT;

CREATE TABLE veto (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    subject  BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    model    TEXT NOT NULL,
    vector   BLOB NOT NULL,
    reason   TEXT NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL CHECK (expires > created)
) STRICT;
CREATE INDEX veto_by_subject ON veto (subject);

CREATE TABLE probe (
    seq     INTEGER PRIMARY KEY REFERENCES event (seq) ON DELETE CASCADE,
    subject BLOB NOT NULL REFERENCES subject (id) ON DELETE CASCADE,
    model   TEXT NOT NULL,
    vector  BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX probe_by_subject ON probe (subject);

CREATE TABLE setting (
    key   TEXT PRIMARY KEY NOT NULL CHECK (length(key) BETWEEN 1 AND 64),
    value TEXT NOT NULL CHECK (json_valid(value))
) STRICT, WITHOUT ROWID;
