//! Lists in folders and ZIPs, and which picture is whose.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;

/// Files in memory.
struct Files(Vec<String>, Vec<Vec<u8>>);

impl Files {
    fn of(files: &[(&str, &str)]) -> Box<Self> {
        let (names, contents) = files.iter().map(|(n, c)| (n.to_string(), c.as_bytes().to_vec())).unzip();
        Box::new(Self(names, contents))
    }
}

impl Store for Files {
    fn names(&self) -> &[String] {
        &self.0
    }

    fn read(&mut self, at: usize, most: u64) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.1.get(at).ok_or(io::ErrorKind::NotFound)?;
        Ok((bytes.len() as u64 <= most).then(|| bytes.clone()))
    }
}

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn list(files: &[(&str, &str)]) -> Result<List, ListError> {
    List::of(Files::of(files), Path::new("day"), &TimeZone::UTC, now())
}

/// Names of each person's pictures.
fn pictures(list: &List) -> BTreeMap<String, Vec<String>> {
    list.entries.iter().map(|e| (e.id.clone(), e.pictures.iter().map(|p| p.name.clone()).collect())).collect()
}

fn map(all: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    all.iter().map(|(id, names)| (id.to_string(), names.iter().map(ToString::to_string).collect())).collect()
}

#[test]
fn pictures_are_found_by_the_id_in_their_name_or_by_the_column() {
    let people = "id,name,photos\n7,A,\n7-2,B,\nanna.b,C,\n9,D,set/9 | other.jpg\n";
    let found = list(&[
        ("in/people.csv", people),
        ("in/7.jpg", ""),
        ("in/7-1.jpg", ""),
        ("in/7_left.png", ""),
        ("in/7-2.jpg", ""),
        ("in/7-2-3.jpg", ""),
        ("in/7/a.jpg", ""),
        ("in/7/deep/a.jpg", ""),
        ("in/77.jpg", ""),
        ("in/anna.b.jpg", ""),
        ("in/set/9/1.jpg", ""),
        ("in/set/9/2.jpg", ""),
        ("in/9.jpg", ""),
        ("in/other.jpg", ""),
        ("outside.jpg", ""),
    ])
    .unwrap();
    assert_eq!(
        pictures(&found),
        map(&[
            ("7", &["7.jpg", "7-1.jpg", "7_left.png", "7/a.jpg"]),
            ("7-2", &["7-2.jpg", "7-2-3.jpg"]),
            ("anna.b", &["anna.b.jpg"]),
            // The column says all of it: the file with the id is not asked for.
            ("9", &["set/9/1.jpg", "set/9/2.jpg", "other.jpg"]),
        ])
    );
    assert_eq!(found.of_nobody, ["7/deep/a.jpg", "77.jpg", "9.jpg"]);
}

#[test]
fn a_picture_that_the_column_names_and_that_is_not_there_refuses_the_person() {
    for photos in ["b.jpg", "../secret.jpg", "/etc/passwd", "none/"] {
        let found =
            list(&[("people.csv", &format!("id,name,photos\n7,A,{photos}\n8,B,\n")), ("8.jpg", "")]).unwrap();
        let refusal = found.entries[0].person.as_ref().err().unwrap();
        assert_eq!(refusal.code, "no-pictures");
        assert!(refusal.why.contains("is not there"), "{}", refusal.why);
        assert!(found.entries[1].person.is_ok());
    }
    let found =
        list(&[("people.csv", "id,name,photos\n7,A,.\\set\\a.jpg|set\\\n"), ("set/a.jpg", "")]).unwrap();
    assert_eq!(pictures(&found), map(&[("7", &["set/a.jpg"])]));
}

#[test]
fn a_bad_cell_refuses_its_person_by_the_column_alone() {
    let refusals = |cells: &str| {
        let text = format!("id,name,groups,valid_from,valid_until,consent,pin,card\n{cells}\n8,Ben,,,,,,\n");
        let found = list(&[("people.csv", text.as_str())]).unwrap();
        assert!(found.entries[1].person.is_ok());
        found.entries.into_iter().next().unwrap().person.err().unwrap()
    };
    for (cells, words) in [
        ("a b,Ada,,,,,,", "external id: "),
        (",Ada,,,,,,", "external id: "),
        ("7,,,,,,,", "name: is empty"),
        ("7,Ada,,1.12.2026,,,,", "valid_from: is neither a day"),
        ("7,Ada,,2026-12-02,2026-12-01,,,", "valid until: "),
        ("7,Ada,,,,2026-12-02,,", "consent: lies in the future"),
        ("7,Ada,,,,yes,,", "consent: is neither a day"),
        ("7,Ada,,,,,1111,", "pin: all of its digits are the same"),
        ("7,Ada,,,,,,12-34", "card: a card's number"),
    ] {
        let refusal = refusals(cells);
        assert_eq!(refusal.code, "bad-data");
        assert!(refusal.why.contains(words), "{cells}: {}", refusal.why);
        assert!(!refusal.why.contains("Ada") && !refusal.why.contains("1111"), "{}", refusal.why);
    }
}

#[test]
fn a_row_becomes_a_person_whose_last_day_is_whole() {
    let text = "id,name,groups,valid_from,valid_until,consent\n7,Ada,staff|lab|staff,2026-12-01,2026-12-31,2026-11-30\n";
    let found = list(&[("people.csv", text)]).unwrap();
    let person = found.entries[0].person.as_ref().ok().unwrap();
    let s = &person.subject;
    assert_eq!(
        (s.name.as_str(), s.groups.as_slice()),
        ("Ada", ["lab".to_owned(), "staff".to_owned()].as_slice())
    );
    let text = |t: Option<Timestamp>| t.unwrap().to_string();
    assert_eq!(text(s.valid_from), "2026-12-01T00:00:00Z");
    assert_eq!(text(s.valid_until), "2027-01-01T00:00:00Z");
    assert_eq!(text(s.consent), "2026-11-30T00:00:00Z");
    assert!(person.credentials.is_empty());
}

#[test]
fn the_list_is_the_one_that_lies_highest() {
    let one = "id,name\n7,A\n";
    let two = list(&[("a/b/people.csv", one), ("a/people.csv", one), ("a/7.jpg", "")]).unwrap();
    assert_eq!(pictures(&two), map(&[("7", &["7.jpg"])]));
    assert_eq!(two.of_nobody, ["b/people.csv"]);
    for (files, words) in [
        (vec![("a/people.csv", one), ("b/people.csv", one)], "two lists, a/people.csv and b/people.csv"),
        (vec![("People.CSV", one), ("7.jpg", "")], "has no people.csv"),
    ] {
        let error = list(&files).err().unwrap().to_string();
        assert!(error.starts_with("day: ") && error.contains(words), "{error}");
    }
    let error = list(&[("a/people.csv", "id\n7\n")]).err().unwrap().to_string();
    assert!(error.starts_with("day/a/people.csv, line 1: "), "{error}");
}

#[test]
fn a_folder_and_a_zip_of_it_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("day/7")).unwrap();
    std::fs::create_dir_all(path("day/.hidden")).unwrap();
    let files =
        [("people.csv", "id,name\n7,A\n8,B\n"), ("7/a.jpg", "first"), ("8.jpg", "second"), ("x.jpg", "")];
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files.iter().copied().chain([(".hidden/a.jpg", ""), ("Thumbs.db", "")]) {
        std::fs::write(path("day").join(name), content).unwrap();
        zip.start_file(format!("day/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.add_directory("day/7", zip::write::SimpleFileOptions::default()).unwrap();
    std::fs::write(path("day.zip"), zip.finish().unwrap().into_inner()).unwrap();
    // What would never end is not followed, and what is no file is not read.
    std::os::unix::fs::symlink(path("day"), path("day/7/again")).unwrap();
    for from in ["day", "day.zip"] {
        let mut found = List::open(&path(from), &TimeZone::UTC, now()).unwrap();
        assert_eq!(pictures(&found), map(&[("7", &["7/a.jpg"]), ("8", &["8.jpg"])]), "{from}");
        assert_eq!(found.of_nobody, ["x.jpg"], "{from}");
        let picture = found.entries[0].pictures[0].clone();
        assert_eq!(found.read(&picture).unwrap().unwrap(), b"first", "{from}");
    }
    for (from, words) in
        [("none", "cannot be read"), ("day/7", "has no people.csv"), ("day/8.jpg", "is no ZIP")]
    {
        let error = List::open(&path(from), &TimeZone::UTC, now()).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
}

proptest! {
    #[test]
    fn each_file_is_the_picture_of_the_longest_id_that_its_name_begins_with(
        ids in prop::collection::btree_set("[ab]([ab_-]{0,3}[ab])?", 1..6),
        names in prop::collection::btree_set("[ab][ab_-]{0,5}(/[ab]{1,2}){0,2}", 0..12),
    ) {
        let text: String = ids.iter().map(|id| format!("{id},N\n")).collect();
        let text = format!("id,name\n{text}");
        let named: Vec<String> = names.iter().map(|n| format!("{n}.jpg")).collect();
        let files: Vec<(&str, &str)> =
            [("people.csv", text.as_str())].into_iter().chain(named.iter().map(|n| (n.as_str(), ""))).collect();
        let found = list(&files).unwrap();
        for name in &names {
            let parts: Vec<&str> = name.split('/').collect();
            let fits = |id: &&String| match parts[..] {
                [stem] => {
                    let rest = stem.strip_prefix(id.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
                }
                [folder, _] => folder == id.as_str(),
                _ => false,
            };
            let want = ids.iter().filter(fits).max_by_key(|id| id.len());
            let file = format!("{name}.jpg");
            let owners: Vec<&String> = found
                .entries
                .iter()
                .filter(|e| e.pictures.iter().any(|p| p.name == file))
                .map(|e| &e.id)
                .collect();
            prop_assert_eq!(owners, want.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(found.of_nobody.contains(&file), want.is_none());
        }
    }
}
