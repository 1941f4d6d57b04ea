//! Every way a set may come, and every way it may be broken.

use std::os::unix::fs::symlink;

use super::*;
use crate::dataset::crop::Crops;
use crate::dataset::exclude::Exclusions;
use crate::dataset::set::Set;

fn png(width: usize, height: usize, shade: u8) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let data = vec![shade; width * height * 3];
    let buffer = image::RgbImage::from_raw(width as u32, height as u32, data).unwrap();
    buffer.write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// Two people: `ann` with two pictures, `bob` with one.
fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    vec![("bob/1.png", png(96, 112, 3)), ("ann/2.png", png(96, 112, 2)), ("ann/1.png", png(96, 112, 1))]
}

fn folder(root: &Path) {
    for (name, bytes) in pictures() {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn tar(path: &Path, prefix: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in pictures() {
        bytes.extend(shard::encode_member(&format!("{prefix}{name}"), &content).unwrap());
    }
    bytes.extend([0; 1024]);
    std::fs::write(path, &bytes).unwrap();
    bytes
}

fn open(paths: &[&Path]) -> Result<Index> {
    Index::open(&paths.iter().map(|p| p.to_path_buf()).collect::<Vec<_>>())
}

fn error(paths: &[&Path]) -> String {
    format!("{:#}", open(paths).unwrap_err())
}

fn contents(index: &Index) -> Vec<(String, Vec<u8>)> {
    let read = |s| {
        let mut bytes = Vec::new();
        index.read(s, &mut bytes).unwrap();
        (index.name(s), bytes)
    };
    index.samples().iter().map(read).collect()
}

#[test]
fn folder_shard_shards_and_list_are_the_same_set() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, tar_file, shards) =
        (dir.path().join("set"), dir.path().join("s.tar"), dir.path().join("shards"));
    folder(&plain);
    tar(&tar_file, "./deep/train/");
    std::fs::create_dir(&shards).unwrap();
    symlink(&tar_file, shards.join("faces-0.tar")).unwrap();
    let list = dir.path().join("list.txt");
    std::fs::write(&list, "set/ann/1.png\t0\nset/ann/2.png 0\r\n\ns.tar:bob/1.png\t1\n").unwrap();
    let base = open(&[&plain]).unwrap();
    let mut want = pictures();
    want.sort();
    let want: Vec<_> = want.into_iter().map(|(n, b)| (n.to_owned(), b)).collect();
    assert_eq!(contents(&base), want);
    assert_eq!(base.identities(), ["ann", "bob"]);
    for path in [&tar_file, &shards, &list] {
        let index = open(&[path]).unwrap();
        assert_eq!(contents(&index), want, "{}", path.display());
        assert_eq!(index.digest(), base.digest(), "{}", path.display());
    }
    assert!(error(&[&plain, &tar_file]).contains("twice"));
}

#[test]
fn long_names_in_shards_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}.png", "person".repeat(20), "picture".repeat(20));
    let mut bytes = shard::encode_member(&long, b"abc").unwrap();
    bytes.extend(shard::encode_member("short/1.png", b"defg").unwrap());
    bytes.extend([0; 1024]);
    let path = dir.path().join("s.tar");
    std::fs::write(&path, bytes).unwrap();
    let index = open(&[&path]).unwrap();
    assert_eq!(contents(&index), [(long, b"abc".to_vec()), ("short/1.png".into(), b"defg".to_vec())]);
}

#[test]
fn a_cut_shard_is_named_wherever_it_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.tar");
    let whole = tar(&path, "");
    assert!(open(&[&path]).is_ok());
    // Without end mark, inside the last picture, inside its header, at a member's border, inside the first picture.
    let border = whole.len() - 1024;
    for cut in [border, border - 512, border - 700, 1200, 700, 520, 300] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = error(&[&path]);
        assert!(error.contains("s.tar") && error.contains("cut short"), "cut at {cut}: {error}");
    }
}

#[test]
fn a_damaged_header_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.tar");
    let whole = tar(&path, "");
    let second = shard::encode_member("bob/1.png", &pictures()[0].1).unwrap().len();
    let mut bytes = whole.clone();
    bytes[second + 10] ^= 0x55;
    std::fs::write(&path, &bytes).unwrap();
    let error = error(&[&path]);
    assert!(error.contains(&format!("damaged at byte {second}")) && error.contains("bob/1.png"), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_damage_makes_it_panic(at in 0usize..4000, value: u8, cut in 0usize..4000) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.tar");
        let mut bytes = tar(&path, "");
        let n = bytes.len();
        bytes[at % n] = value;
        bytes.truncate(n - cut % n);
        std::fs::write(&path, &bytes).unwrap();
        let _ = open(&[&path]);
        let (_, _) = (shard::members(&path).is_ok(), shard::reopen(&path).is_ok());
    }

    #[test]
    fn any_list_is_answered(text in "[a-z0-9./:\t\n -]{0,200}") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        std::fs::write(&path, text).unwrap();
        let _ = open(&[&path]);
    }
}

#[test]
fn an_unfinished_shard_is_gone_on_with_after_its_last_whole_member() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.tar.part");
    let whole = tar(&path, "");
    // As a kill leaves it: no mark, the last picture half there.
    std::fs::write(&path, &whole[..whole.len() - 1024 - 512]).unwrap();
    let (mut file, members) = shard::reopen(&path).unwrap();
    let names: Vec<_> = members.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(names, ["bob/1.png", "ann/2.png"]);
    assert_eq!(shard::content(&path, &members[1]), pictures()[1].1);
    use std::io::Write;
    file.write_all(&shard::encode_member("ann/1.png", &pictures()[2].1).unwrap()).unwrap();
    file.write_all(&[0; 1024]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    // A finished one opens again, without its mark.
    assert_eq!(shard::reopen(&path).unwrap().1.len(), 3);
    assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, whole.len() - 1024);
}

#[test]
fn what_is_no_set_is_told_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(error(&[&empty]).contains("no pictures in it"));
    assert!(error(&[&dir.path().join("nowhere")]).contains("nowhere: cannot be read"));
    assert!(error(&[&at("e.tar", b"")]).contains("is empty"));
    assert!(error(&[&at("z.tar.gz", b"\x1f\x8b\x08\0\0")]).contains("gunzip"));
    assert!(error(&[&at("x.bin", b"\x00\x01\x02")]).contains("neither a folder"));
    assert!(error(&[&at("l.txt", b"a.png\n")]).contains("line 1: a path and a label"));
    assert!(error(&[&at("l.txt", b"a.png x\n")]).contains("\"x\" is no label"));
    assert!(error(&[&at("l.txt", b"nowhere.png 0\n")]).contains("line 1: "));
    let top = shard::encode_member("1.png", b"x").unwrap();
    assert!(error(&[&at("t.tar", &[&top[..], &[0; 1024]].concat())]).contains("belongs to no identity"));
    let text = shard::encode_member("a/readme.txt", b"x").unwrap();
    assert!(error(&[&at("t.tar", &[&text[..], &[0; 1024]].concat())]).contains("no pictures in it"));
    folder(&dir.path().join("set"));
    let gap = at("l.txt", b"set/ann/1.png 0\nset/bob/1.png 2\n");
    assert!(error(&[&gap]).contains("no picture has label 1"));
    let two = at("l.txt", b"set/ann/1.png 0\nset/ann/2.png 1\n");
    assert!(error(&[&two]).contains("\"ann\" has two labels, 0 and 1"));
    let list = at("l.txt", b"set/ann/1.png 0\nset/bob/1.png 1\n");
    assert!(error(&[&list, &dir.path().join("set")]).contains("stands alone"));
}

#[test]
fn a_set_to_train_on_is_made_of_aligned_crops_of_two_people() {
    let dir = tempfile::tempdir().unwrap();
    let none = Exclusions::default();
    let root = dir.path().join("set");
    folder(&root);
    let set = Set::open(std::slice::from_ref(&root), &none).unwrap().0;
    assert_eq!(set.crops(), &Crops::with_margin(0));
    let error = |root: &Path, e: &Exclusions| format!("{:#}", Set::open(&[root.to_owned()], e).unwrap_err());
    assert!(error(&root, &Exclusions::parse("bob")).contains("1 identity: at least two"));
    // A description that does not fit the pictures is found at the first of them.
    std::fs::write(root.join("crops.toml"), Crops::with_margin(8).to_toml().unwrap()).unwrap();
    let set = Set::open(std::slice::from_ref(&root), &none).unwrap().0;
    let wrong = format!("{:#}", set.crop(&set.index().samples()[0], &mut Vec::new()).unwrap_err());
    assert!(wrong.contains("ann/1.png: 96x112 px where the set's crops have 112x128"), "{wrong}");
    std::fs::write(root.join("crops.toml"), "format = 9").unwrap();
    assert!(error(&root, &none).contains("crops.toml"));
    std::fs::remove_file(root.join("crops.toml")).unwrap();
    std::fs::write(root.join("ann/1.png"), png(136, 156, 0)).unwrap();
    assert!(error(&root, &none).contains("limen-train preprocess"));
}
