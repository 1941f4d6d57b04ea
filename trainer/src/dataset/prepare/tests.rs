//! Destinations that are gone on with, and names that meet; the detector itself is tested with the models.

use super::*;
use crate::dataset::index::tests::people;

#[test]
fn shards_hold_whole_identities_and_are_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let put = |sink: &Sink, who: u32, i: u32| {
        sink.put(who, &format!("p{who}"), &format!("{i}.jpg"), &[who as u8, i as u8]).unwrap();
    };
    let sink = Sink::shards(dir.path(), 2, 4).unwrap();
    put(&sink, 0, 0);
    put(&sink, 3, 0);
    drop(sink); // a kill
    assert!(Index::open(&[dir.path().to_owned()]).is_err(), "an unfinished shard is no data");
    let sink = Sink::shards(dir.path(), 2, 4).unwrap();
    assert_eq!(sink.done(), &["p0/0.jpg", "p3/0.jpg"].map(String::from).into());
    put(&sink, 1, 0);
    put(&sink, 2, 0);
    sink.finish().unwrap();
    let index = Index::open(&[dir.path().to_owned()]).unwrap();
    assert_eq!(index.identities(), ["p0", "p1", "p2", "p3"]);
    let shard = |i: usize| index.place(&index.samples()[i]).contains("crops-001.tar");
    assert_eq!([0, 1, 2, 3].map(shard), [false, false, true, true]);
    // Finished shards open again for what came later.
    let sink = Sink::shards(dir.path(), 2, 4).unwrap();
    put(&sink, 2, 1);
    sink.finish().unwrap();
    let index = Index::open(&[dir.path().to_owned()]).unwrap();
    let mut bytes = Vec::new();
    index.read(&index.samples()[3], &mut bytes).unwrap();
    assert_eq!((index.samples().len(), bytes), (5, vec![2, 1]));
    assert!(Sink::shards(dir.path(), 1, 4).unwrap_err().to_string().contains("crops-001.tar"));
}

#[test]
fn files_that_are_there_are_done_and_half_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::files(dir.path()).unwrap();
    sink.put(0, "ann", "1.jpg", b"x").unwrap();
    std::fs::write(dir.path().join("ann/.2.jpg.part"), b"ha").unwrap();
    let sink = Sink::files(dir.path()).unwrap();
    assert!(sink.done().contains("ann/1.jpg") && !sink.done().contains("ann/2.jpg"));
}

#[test]
fn names_that_would_meet_are_kept_apart() {
    let index = people(&[2]);
    let samples = [("a.jpg", 0), ("a.png", 0), ("b.png", 0), ("a.webp", 1)];
    let entries = samples.map(|(name, who)| crate::dataset::index::Entry {
        identity: format!("p{who}"),
        name: name.into(),
        size: 1,
        location: index.samples()[0].location.clone(),
    });
    let index = Index::build(entries.into(), vec![], None).unwrap();
    let done: HashSet<String> = ["p0/b.jpg".to_owned()].into();
    let names = |failed: &[&str]| -> Vec<String> {
        let failed = failed.iter().map(|f| f.to_string()).collect();
        jobs(&index, Encoding::Jpeg(92), &done, &failed).into_iter().map(|j| j.name).collect()
    };
    assert_eq!(names(&[]), ["a.jpg.jpg", "a.png.jpg", "a.jpg"]);
    assert_eq!(names(&["p0/a.png"]), ["a.jpg.jpg", "a.jpg"]);
}
