//! Out and in again: the same gallery; and every export that is not whole.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::event::{EventFilter, EventKind, NewEvent};
use crate::subject::{NewSubject, Standing, Subject};
use crate::{DuplicateRule, Encoding, EnrolPolicy, Existing, GalleryError, Sample, Template};

fn room() -> (TempDir, impl Fn(&str) -> PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, move |name| path.join(name))
}

fn model() -> ModelId {
    ModelId::new("m").unwrap()
}

fn face(seed: usize) -> Vec<f32> {
    (0..20).map(|i| ((i * 37 + seed * 61 + i * i * seed) % 101) as f32 / 50.0 - 1.003).collect()
}

fn enrol(gallery: &mut Gallery, id: &str, seed: usize, encoding: Encoding) {
    let policy = EnrolPolicy {
        encoding,
        existing: Existing::AddSamples,
        allow_duplicate: DuplicateRule::Allow,
        min_agreement: crate::Threshold::MIN,
        ..EnrolPolicy::default()
    };
    let sample = Sample { vector: face(seed), quality: 0.7, source: format!("{seed}.jpg") };
    let mut new = NewSubject::new(id, format!("\u{201e}Name\u{201c} of\u{2028}{id}"));
    new.groups = vec!["staff".into(), format!("group of {id}")];
    new.valid_until = Some("2030-01-01T00:00:00.5Z".parse().unwrap());
    gallery.enrol(&new, &model(), &[sample], &policy).unwrap();
}

/// Three persons, one suspended, one without a template; three templates, three events.
fn filled(path: &Path) -> Gallery {
    let mut gallery = Gallery::open(path).unwrap();
    enrol(&mut gallery, "A", 1, Encoding::F32);
    enrol(&mut gallery, "A", 2, Encoding::Int8);
    enrol(&mut gallery, "B", 3, Encoding::F32);
    gallery.add_subject(&NewSubject::new("C", "Clara")).unwrap();
    let a = gallery.subject_by_external_id("A").unwrap().unwrap().id;
    gallery.set_standing(a, Standing::Suspended).unwrap();
    for kind in [EventKind::Started, EventKind::Granted, EventKind::Stopped] {
        let event =
            NewEvent { score: crate::Score::new(0.1).ok(), ..NewEvent::new(Timestamp::now(), kind).about(a) };
        gallery.append(&event).unwrap();
    }
    gallery
}

/// All that a gallery holds but the numbers of the templates in it.
fn all(gallery: &Gallery) -> (Vec<Subject>, Vec<Template>, Vec<crate::Event>) {
    let subjects = gallery.subjects().unwrap();
    let mut templates: Vec<Template> =
        subjects.iter().flat_map(|s| gallery.templates(s.id).unwrap()).collect();
    templates.iter_mut().for_each(|t| t.id = crate::TemplateId::new(0));
    (subjects, templates, gallery.events(&EventFilter::default()).unwrap())
}

#[test]
fn a_gallery_comes_back_bit_for_bit() {
    let (_folder, file) = room();
    let gallery = filled(&file("g.db"));
    let report = gallery.export(&file("out.jsonl"), Journal::Take).unwrap();
    assert_eq!((report.subjects, report.templates, report.events), (3, 3, 3));
    assert_eq!(report.models, [model()]);

    let mut back = Gallery::open(&file("back.db")).unwrap();
    let imported = back.import(&file("out.jsonl"), OnExisting::Skip).unwrap();
    assert_eq!(imported, ImportReport { added: 3, templates: 3, events: 3, ..Default::default() });
    assert_eq!(all(&back), all(&gallery));
    assert_eq!(
        back.identify(&model(), &face(9), 3).unwrap().as_slice()[0].score,
        gallery.identify(&model(), &face(9), 3).unwrap().as_slice()[0].score
    );
    back.export(&file("again.jsonl"), Journal::Take).unwrap();
    let without_header = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(file(name)).unwrap();
        text.lines().skip(1).map(|l| l[26..].to_owned()).collect()
    };
    assert_eq!(without_header("again.jsonl"), without_header("out.jsonl"));
    // The journal goes on where it was.
    assert_eq!(back.append(&NewEvent::new(Timestamp::now(), EventKind::Started)).unwrap().seq.number(), 4);
    // So does its chain, and the export tells where it was.
    let head = head_of(&file("out.jsonl")).unwrap().unwrap();
    assert_eq!((Some(head), head.seq.number()), (report.head, 3));
    assert_eq!(back.verify_journal(&[head]).unwrap().events, 4);

    let copy = filled(&file("h.db"));
    assert_eq!(copy.export(&file("people.jsonl"), Journal::Leave).unwrap().events, 0);
    assert!(!std::fs::read_to_string(file("people.jsonl")).unwrap().contains("\"entry\":"));
    assert!(head_of(&file("people.jsonl")).unwrap().is_some(), "though the journal is not in it");
}

#[test]
fn known_persons_are_skipped_or_replaced() {
    let (_folder, file) = room();
    let source = filled(&file("g.db"));
    source.export(&file("out.jsonl"), Journal::Take).unwrap();

    // Here A has another id and face, and there is a journal.
    let mut here = Gallery::open(&file("here.db")).unwrap();
    enrol(&mut here, "A", 7, Encoding::F32);
    let a = here.subject_by_external_id("A").unwrap().unwrap();
    here.append(&NewEvent::new(Timestamp::now(), EventKind::Enrolled).about(a.id)).unwrap();
    here.identify(&model(), &face(7), 1).unwrap();

    let report = here.import(&file("out.jsonl"), OnExisting::Skip).unwrap();
    let expected =
        ImportReport { added: 2, skipped: 1, templates: 3, events_skipped: 3, ..Default::default() };
    assert_eq!(report, expected);
    assert_eq!(here.subject(a.id).unwrap().unwrap(), a);
    assert_eq!(here.verify(&model(), a.id, &face(7)).unwrap().unwrap(), crate::Score::MAX);

    let report = here.import(&file("out.jsonl"), OnExisting::Replace).unwrap();
    assert_eq!((report.added, report.replaced, report.skipped), (0, 3, 0));
    let now = here.subject_by_external_id("A").unwrap().unwrap();
    assert_eq!(
        (now.id, now.standing),
        (a.id, Standing::Suspended),
        "data of the export under the id that was here"
    );
    assert_eq!(
        here.verify(&model(), a.id, &face(1)).unwrap().unwrap(),
        crate::Score::MAX,
        "the index follows"
    );
    assert!(here.verify(&model(), a.id, &face(7)).unwrap().unwrap().value() < 0.99);
    assert_eq!(here.contents().unwrap().templates, [(model(), 3)]);
    assert_eq!(here.contents().unwrap().events, 1);

    // A person who got another external id meanwhile is still the same.
    let b = source.subject_by_external_id("B").unwrap().unwrap();
    here.update_subject(&Subject { external_id: "B2".into(), ..b.clone() }).unwrap();
    assert_eq!(here.import(&file("out.jsonl"), OnExisting::Skip).unwrap().skipped, 3);
    here.import(&file("out.jsonl"), OnExisting::Replace).unwrap();
    assert_eq!(here.subject(b.id).unwrap().unwrap().external_id, "B");
}

/// Tries to import `text` into a gallery with one person; must change nothing.
fn refused(text: &[u8]) -> GalleryError {
    let (_folder, file) = room();
    let mut gallery = Gallery::open(&file("g.db")).unwrap();
    enrol(&mut gallery, "Z", 5, Encoding::F32);
    let before = all(&gallery);
    std::fs::write(file("in.jsonl"), text).unwrap();
    let error = gallery.import(&file("in.jsonl"), OnExisting::Replace).unwrap_err();
    assert_eq!(all(&gallery), before);
    assert_eq!(gallery.identify(&model(), &face(5), 9).unwrap().as_slice().len(), 1);
    error
}

fn exported() -> String {
    let (_folder, file) = room();
    filled(&file("g.db")).export(&file("out.jsonl"), Journal::Take).unwrap();
    std::fs::read_to_string(file("out.jsonl")).unwrap()
}

/// `text` with line `at` (from 0) changed by `edit`, with right check sums again.
fn edited(text: &str, at: usize, edit: impl Fn(&str) -> String) -> String {
    let lines = text.lines().enumerate().map(|(i, line)| {
        let body = format!("{{{}", &line[26..]);
        if i == at { edit(&body) } else { body }
    });
    line::tests::summed(lines)
}

#[test]
fn an_export_that_is_not_whole_is_refused_by_line() {
    let whole = exported();
    assert_eq!(whole.lines().count(), 11);
    for lines in [1, 4, 7, 10] {
        let cut: String = whole.split_inclusive('\n').take(lines).collect();
        let error = refused(cut.as_bytes());
        assert!(matches!(error, GalleryError::Import { line, .. } if line == lines as u64 + 1), "{error}");
        assert!(
            error.to_string().contains("cut short") && error.to_string().contains("in.jsonl, line"),
            "{error}"
        );
        let torn = refused(&cut.as_bytes()[..cut.len() - 5]);
        assert!(matches!(torn, GalleryError::Import { line, .. } if line == lines as u64), "{torn}");
    }
    let mut bytes = whole.clone().into_bytes();
    let at = whole.find("\"vector\":\"").unwrap() + 20;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    let error = refused(&bytes);
    assert!(matches!(error, GalleryError::Import { line: 5, .. }), "{error}");
    assert!(error.to_string().contains("check sum"), "{error}");
}

#[test]
fn lines_that_fit_their_sum_but_not_a_gallery_are_refused() {
    let whole = exported();
    assert_eq!(edited(&whole, 0, str::to_owned), whole);
    for (at, from, to, words) in [
        (0, "\"subjects\":3", "\"subjects\":4", "the header promises 4, there are 3"),
        (0, "\"templates\":3", "\"templates\":2", "the header promises 2, there are 3"),
        (0, "\"events\":3", "\"events\":2", "the header promises 2, there are 3"),
        (0, "\"made\"", "\"maid\"", "unknown field `maid`"),
        (1, "\"external_id\":\"A\"", "\"external_id\":\"A A\"", "external id: "),
        (2, "\"external_id\":\"B\"", "\"external_id\":\"A\"", "the same person comes twice"),
        (2, "\"subject\"", "\"header\"", "unknown field `id`"),
        (4, "\"vector\":\"", "\"vector\":\"0", "not an even number of hex digits"),
        (4, "\"vector\":\"", "\"vector\":\"zz", "not an even number of hex digits"),
        (4, "\"vector\":\"", "\"vector\":\"00000000", "21 values where this model's embeddings have 20"),
        (4, "\"f32\"", "\"i8\"", "its length is"),
        (4, "\"f32\"", "\"f64\"", "unknown variant `f64`"),
        (4, "\"quality\":0.7", "\"quality\":7", "does not lie between 0 and 1"),
        (5, "\"model\":\"m\"", "\"model\":\"m m\"", "model id"),
        (8, "\"seq\":2", "\"seq\":1", "event 2 is missing"),
        (8, "\"granted\"", "\"denied\"", "event 2 was changed"),
        (8, "\"external_id\":\"A\"", "\"external_id\":\"B\"", "event 2 names another person than it did"),
        (8, "\"granted\"", "\"opened\"", "unknown variant `opened`"),
        (8, "\"score\":0.1", "\"score\":1.5", "not a cosine"),
    ] {
        let text = edited(&whole, at, |line| {
            assert!(line.contains(from), "{line} has no {from}");
            line.replacen(from, to, 1)
        });
        let error = refused(text.as_bytes());
        assert!(matches!(error, GalleryError::Import { .. }), "{error}");
        assert!(error.to_string().contains(words), "{from} -> {to}: {error}");
    }
    // Whose template is it?
    let text = edited(&whole, 4, |line| {
        let at = line.find("\"subject\":\"").unwrap() + 11;
        format!("{}00000000-0000-4000-8000-000000000000{}", &line[..at], &line[at + 36..])
    });
    assert!(refused(text.as_bytes()).to_string().contains("is not among the persons before this line"));
    assert!(matches!(refused(b"hello\n"), GalleryError::Foreign { .. }));
    let newer = edited(&whole, 0, |line| line.replacen("\"version\":2", "\"version\":3", 1));
    assert!(matches!(refused(newer.as_bytes()), GalleryError::Newer { found: 3, known: 2, .. }));
}

#[test]
fn an_export_of_format_1_gets_its_chain_when_it_is_taken_over() {
    let whole = exported();
    // As version 1 wrote it: no head, no hashes.
    let lines = whole.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(&format!("{{{}", &line[26..])).unwrap();
        if let Some(header) = line.get_mut("header").and_then(|h| h.as_object_mut()) {
            header["version"] = 1.into();
            header.remove("head").unwrap();
        }
        if let Some(mut entry) = line.as_object_mut().and_then(|l| l.remove("entry")) {
            entry["event"].as_object_mut().unwrap().remove("hash").unwrap();
            line["event"] = entry["event"].take();
        }
        line.to_string()
    });
    let (_folder, file) = room();
    std::fs::write(file("old.jsonl"), line::tests::summed(lines)).unwrap();
    assert_eq!(head_of(&file("old.jsonl")).unwrap(), None);
    let mut gallery = Gallery::open(&file("g.db")).unwrap();
    assert_eq!(gallery.import(&file("old.jsonl"), OnExisting::Skip).unwrap().events, 3);
    let told: Vec<_> = all(&gallery).2.into_iter().map(|e| (e.kind, e.external_id)).collect();
    let a = || Some("A".to_owned());
    let expected = [(EventKind::Started, a()), (EventKind::Granted, a()), (EventKind::Stopped, a())];
    assert_eq!(told, expected);
    assert_eq!(gallery.verify_journal(&[]).unwrap().events, 3);
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_by_halves() {
    let (_folder, file) = room();
    let gallery = filled(&file("g.db"));
    for target in ["g.db", "other.txt"] {
        std::fs::OpenOptions::new().create(true).append(true).open(file(target)).unwrap();
        let before = std::fs::read(file(target)).unwrap();
        for error in [
            gallery.export(&file(target), Journal::Take).unwrap_err(),
            gallery.backup_to(&file(target)).unwrap_err(),
        ] {
            assert!(matches!(error, GalleryError::Io { .. }), "{error}");
        }
        assert_eq!(std::fs::read(file(target)).unwrap(), before);
    }
    let nowhere = file("no/such/folder.jsonl");
    assert!(matches!(gallery.export(&nowhere, Journal::Take), Err(GalleryError::Open { .. })));
    // A template that cannot be read, in the middle of the export.
    let db = Connection::open(file("g.db")).unwrap();
    db.execute("UPDATE template SET vector = zeroblob(80) WHERE id = 3", []).unwrap();
    let error = gallery.export(&file("half.jsonl"), Journal::Take).unwrap_err();
    assert!(matches!(error, GalleryError::Corrupt { .. }) && !file("half.jsonl").exists(), "{error}");
    // A device that is always full.
    let full = Path::new("/dev/full");
    let mut out = Writer::new(std::fs::OpenOptions::new().write(true).open(full).unwrap());
    let error = gallery.read(|db| write(db, &mut out, Journal::Take, full)).unwrap_err();
    assert!(matches!(error, GalleryError::Full { .. }), "{error}");
    let missing = Gallery::open(&file("n.db")).unwrap().import(&file("missing.jsonl"), OnExisting::Skip);
    assert!(matches!(missing, Err(GalleryError::Open { .. })));
}

#[test]
fn a_backup_is_a_gallery() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, file) = room();
    let mut gallery = filled(&file("g.db"));
    gallery.backup_to(&file("b.db")).unwrap();
    assert_eq!(std::fs::metadata(file("b.db")).unwrap().permissions().mode() & 0o777, 0o600);
    let before = all(&gallery);
    enrol(&mut gallery, "D", 11, Encoding::F32);
    let back = Gallery::open(&file("b.db")).unwrap();
    back.check(crate::Check::Full).unwrap();
    assert_eq!(all(&back), before);
}
