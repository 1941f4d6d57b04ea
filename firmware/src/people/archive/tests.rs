//! ZIPs as they should be, and as somebody might bend them.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// A ZIP of these files.
fn zip(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn deflated(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip(files, CompressionMethod::Deflated)
}

fn open(bytes: &[u8]) -> Result<Archive<Cursor<Vec<u8>>>, String> {
    Archive::open(Cursor::new(bytes.to_vec()))
}

fn refused(bytes: &[u8], words: &str) {
    let why = open(bytes).err().unwrap_or_else(|| panic!("taken, where it should say {words:?}"));
    assert!(why.contains(words), "{why}");
}

/// Where the `n`-th header of a file begins in the ZIP's own list (APPNOTE 4.3.12).
fn header(bytes: &[u8], n: usize) -> usize {
    bytes.windows(4).enumerate().filter(|(_, w)| w == b"PK\x01\x02").nth(n).unwrap().0
}

#[test]
fn files_are_read_by_their_position_and_no_further_than_is_allowed() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let mut archive =
            open(&zip(&[("a/1.jpg", b"one"), ("__MACOSX/a", b""), ("b", b"two")], method)).unwrap();
        assert_eq!(archive.names(), ["a/1.jpg", "b"]);
        assert_eq!(archive.read(1, 3).unwrap().unwrap(), b"two");
        assert_eq!(archive.read(1, 2).unwrap(), None);
        assert!(archive.read(2, 9).is_err());
    }
}

#[test]
fn a_name_that_leads_out_is_refused() {
    for name in ["../a.jpg", "a/../../b.jpg", "/etc/passwd", "..\\a.jpg"] {
        refused(&deflated(&[("people.csv", b"id,name\n"), (name, b"x")]), "leads out of it");
    }
    assert!(open(&deflated(&[("a..b/..c.jpg", b"x")])).is_ok());
}

#[test]
fn what_unpacks_to_far_more_is_refused_before_it_is_unpacked() {
    let bomb = deflated(&[("a.jpg", &vec![0; 64 << 20])]);
    assert!(bomb.len() < 1 << 20);
    refused(&bomb, "far more than it is");
    // Small things shrink as they like.
    assert!(open(&deflated(&[("people.csv", &vec![b'a'; 1 << 20])])).is_ok());
    // Two names for one and the same bytes.
    let mut twice = zip(&[("a.jpg", b"1234567"), ("b.jpg", b"1234567")], CompressionMethod::Stored);
    let second = header(&twice, 1);
    // Where the file begins: 42 bytes into its header.
    twice[second + 42..second + 46].fill(0);
    refused(&twice, "far more than it is");
}

#[test]
fn a_file_that_says_less_than_it_is_cannot_be_read() {
    let content = vec![7; 100_000];
    let mut lies = deflated(&[("a.jpg", &content)]);
    let at = header(&lies, 0);
    // The size unpacked: 24 bytes into the header.
    lies[at + 24..at + 28].copy_from_slice(&10u32.to_le_bytes());
    let read = open(&lies).unwrap().read(0, 1 << 20);
    assert!(read.is_err(), "{:?}", read.map(|b| b.map(|b| b.len())));
    let mut changed = zip(&[("a.jpg", b"1234567")], CompressionMethod::Stored);
    let at = changed.windows(7).position(|w| w == b"1234567").unwrap();
    changed[at] = b'9';
    assert!(open(&changed).unwrap().read(0, 100).is_err(), "its check sum is another");
}

#[test]
fn a_password_and_other_ways_to_pack_are_told_by_name() {
    let whole = deflated(&[("people.csv", b"id,name\n")]);
    let at = header(&whole, 0);
    let bent = |offset: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at + offset] = value;
        bytes
    };
    // Flags stand 8 bytes into the header, the method 10.
    refused(&bent(8, 1), "encrypted; make it again without a password");
    refused(&bent(10, 12), "packed in a way that limen does not read (Bzip2)");
    refused(b"", "is no ZIP");
    refused(b"id,name\n7,Ada\n", "is no ZIP");
}

#[test]
fn too_many_files_and_too_long_a_list_of_them_are_refused() {
    let names = |count: usize, length: usize| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for i in 0..count {
            zip.start_file(format!("{i:0length$}"), SimpleFileOptions::default()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    refused(&names(MAX_FILES + 1, 6), "more than 50000; part it");
    refused(&names(9_000, 2_000), "its list of files is too long");
    // A large ZIP with a short list is read.
    let large = zip(&[("a.jpg", &vec![7; 20 << 20]), ("b", b"x")], CompressionMethod::Stored);
    assert_eq!(open(&large).unwrap().read(1, 1).unwrap().unwrap(), b"x");
}

proptest! {
    #[test]
    fn a_zip_that_is_cut_or_bent_is_refused_or_read_within_bounds(
        cut in 0..400usize,
        bends in prop::collection::vec((0..400usize, 0u8..=255), 0..6),
    ) {
        let mut bytes = deflated(&[("people.csv", b"id,name\n7,Ada\n"), ("7.jpg", &[5; 500]), ("7/b.jpg", b"b")]);
        for (at, value) in bends {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut.saturating_sub(200).min(bytes.len()));
        if let Ok(mut archive) = open(&bytes) {
            for at in 0..archive.names().len() {
                prop_assert!(archive.names()[at].split('/').all(|part| part != ".."));
                if let Ok(Some(file)) = archive.read(at, 300) {
                    prop_assert!(file.len() <= 300);
                }
            }
        }
    }
}
