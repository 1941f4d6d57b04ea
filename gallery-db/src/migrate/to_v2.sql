-- From version 1 to 2: the journal keeps the external id of the person that an event concerned, so that it still says
-- who came in after that person has been removed; and it becomes append-only in the file itself.

ALTER TABLE event ADD COLUMN external_id TEXT;

-- Whoever is already gone cannot be named any more.
UPDATE event SET external_id = (SELECT s.external_id FROM subject s WHERE s.id = event.subject)
WHERE subject IS NOT NULL;

CREATE TRIGGER event_stays BEFORE UPDATE ON event
WHEN NEW.subject IS NOT NULL
  OR (OLD.seq, OLD.time, OLD.kind) IS NOT (NEW.seq, NEW.time, NEW.kind)
  OR (OLD.score, OLD.threshold, OLD.reason) IS NOT (NEW.score, NEW.threshold, NEW.reason)
  OR (OLD.model, OLD.detail, OLD.external_id) IS NOT (NEW.model, NEW.detail, NEW.external_id)
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER event_no_hole BEFORE DELETE ON event
WHEN EXISTS (SELECT 1 FROM event WHERE seq < OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'the journal may be shortened at its old end only');
END;
