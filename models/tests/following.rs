//! Faces that are followed from frame to frame are those that the whole frame shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use limen_models::detect::mtcnn::{Mtcnn, Scratch, Settings};
use limen_models::geometry::Detection;
use limen_models::image::RgbImage;

#[path = "support/rooms.rs"]
mod rooms;
use rooms::{cascade, half, person, room};

struct Video {
    cascade: Mtcnn,
    settings: Settings,
    scratch: Scratch,
    faces: Vec<Detection>,
}

impl Video {
    fn new() -> Self {
        Self {
            cascade: cascade(),
            settings: Settings::door(),
            scratch: Scratch::default(),
            faces: Vec::new(),
        }
    }

    fn next(&mut self, frame: &RgbImage) -> &[Detection] {
        self.cascade.follow_in(frame.view(), &self.settings, &mut self.scratch, &mut self.faces).unwrap();
        &self.faces
    }

    fn search(&mut self, frame: &RgbImage) -> &[Detection] {
        self.cascade.detect_in(frame.view(), &self.settings, &mut self.scratch, &mut self.faces).unwrap();
        &self.faces
    }

    fn whole(&self, frame: &RgbImage) -> Vec<Detection> {
        self.cascade.detect(frame.view(), &self.settings).unwrap()
    }
}

#[test]
fn a_walking_person_is_seen_as_in_the_whole_frame() {
    let (ada, ben) = (half(&person("Ada")), half(&person("Ben")));
    let mut video = Video::new();
    for step in 0..8 {
        // Ben comes with the second frame: that he is not seen tells that only Ada's surroundings were searched.
        let mut people = vec![(&ada, [10 + 20 * step, 20 + 6 * step])];
        people.extend((step > 0).then_some((&ben, [400, 220])));
        let frame = room(&people);
        let want = video.whole(&frame);
        let got = video.next(&frame);
        assert_eq!((got.len(), want.len()), (1, people.len()), "step {step}");
        let near = |d: &&Detection| d.bbox.centre().distance(got[0].bbox.centre());
        let want = want.iter().min_by(|a, b| near(a).total_cmp(&near(b))).unwrap();
        let eyes = want.landmarks.eye_distance();
        for (a, b) in got[0].landmarks.0.iter().zip(&want.landmarks.0) {
            assert!(a.distance(*b) < 0.06 * eyes, "step {step}: {a:?} is not {b:?}");
        }
    }
}

#[test]
fn who_jumps_is_found_in_the_same_frame() {
    let (ada, ben) = (half(&person("Ada")), half(&person("Ben")));
    let mut video = Video::new();
    assert_eq!(video.next(&room(&[(&ada, [10, 20]), (&ben, [330, 20])])).len(), 2);
    let frame = room(&[(&ada, [10, 20]), (&ben, [330, 240])]);
    assert_eq!(video.next(&frame).len(), 2);
}

#[test]
fn who_comes_is_seen_at_the_next_search_and_who_leaves_at_once() {
    let (ada, ben) = (half(&person("Ada")), half(&person("Ben")));
    let mut video = Video::new();
    let alone = room(&[(&ada, [30, 60])]);
    let both = room(&[(&ada, [30, 60]), (&ben, [380, 150])]);
    assert_eq!(video.next(&alone).len(), 1);
    assert_eq!(video.next(&both).len(), 1);
    assert_eq!(video.search(&both).len(), 2);
    assert_eq!(video.next(&both).len(), 2);
    let gone = video.next(&room(&[(&ben, [380, 150])])).to_vec();
    assert!(gone.len() == 1 && gone[0].bbox.centre().x > 380.0, "{gone:?}");
    assert_eq!(video.next(&room(&[])).len(), 0);
}

#[test]
fn another_camera_begins_with_a_search() {
    let ada = person("Ada");
    let mut video = Video::new();
    assert_eq!(video.next(&room(&[(&ada, [30, 60])])).len(), 1);
    // Where the face was is nothing of it now; the picture has another size.
    let small = RgbImage::filled(320, 240, [110; 3]).unwrap();
    assert_eq!(video.next(&small).len(), 0);
    assert_eq!(video.next(&ada).len(), 1);
}
