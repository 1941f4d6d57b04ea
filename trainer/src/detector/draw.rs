//! Windows at random, as the paper crops them: about faces, and where no face is.

use limen_models::geometry::BBox;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::pictures::Picture;
use super::windows::{Kind, Window, judge};

/// Tries for one window before another picture is taken.
const TRIES: usize = 30;
/// Smallest window, px: what a network of 12 px sees without magnification.
const LEAST: f32 = 12.0;

/// Draws from some pictures.
#[derive(Debug)]
pub struct Draw<'a> {
    pictures: &'a [Picture],
    /// Pictures with a sure face, and those without any.
    with: Vec<u32>,
    without: Vec<u32>,
    sure: f32,
}

impl<'a> Draw<'a> {
    /// From `pictures`, whose faces count from the confidence `sure` on.
    pub fn new(pictures: &'a [Picture], sure: f32) -> Self {
        let of = |wanted: fn(&Picture, f32) -> bool| {
            pictures.iter().zip(0..).filter(|(p, _)| wanted(p, sure)).map(|(_, i)| i).collect()
        };
        Self {
            pictures,
            with: of(|p, sure| p.faces.iter().any(|f| f.confidence >= sure)),
            without: of(|p, _| p.faces.is_empty()),
            sure,
        }
    }

    /// A window of `kind`; `None` where the pictures hardly have one.
    pub fn draw(&self, kind: Kind, rng: &mut ChaCha8Rng) -> Option<Window> {
        (0..TRIES).find_map(|_| {
            let from = if kind == Kind::Negative && !self.without.is_empty() && rng.random_bool(0.5) {
                &self.without
            } else {
                &self.with
            };
            let picture = *from.get(rng.random_range(0..from.len().max(1)))?;
            (0..TRIES).find_map(|_| {
                let bbox = if kind == Kind::Negative {
                    self.anywhere(picture, rng)
                } else {
                    self.about(picture, rng)
                }?;
                let (found, face) = judge(&bbox, &self.pictures[picture as usize].faces, self.sure)?;
                (found == kind).then_some(Window { picture, bbox, kind, face })
            })
        })
    }

    /// A square of any size anywhere, or in half of the cases beside a face: what nearly is one is hardest to tell.
    fn anywhere(&self, picture: u32, rng: &mut ChaCha8Rng) -> Option<BBox> {
        let Picture { image, faces, .. } = &self.pictures[picture as usize];
        let (w, h) = (image.width() as f32, image.height() as f32);
        let most = w.min(h);
        if most <= LEAST {
            return None;
        }
        if faces.is_empty() || rng.random_bool(0.5) {
            // As many small ones as large ones, in octaves.
            let side = LEAST * (most / LEAST).powf(rng.random_range(0.0..1.0));
            let x = rng.random_range(0.0..=w - side);
            return Some(square(x, rng.random_range(0.0..=h - side), side));
        }
        let face = faces[rng.random_range(0..faces.len())].bbox;
        let side = face.width().max(face.height()) * 4f32.powf(rng.random_range(-1.0..0.6));
        let off = |extent: f32, rng: &mut ChaCha8Rng| rng.random_range(-1.0..=1.0) * (side + extent) / 2.0;
        let (x, y) = (face.centre().x + off(face.width(), rng), face.centre().y + off(face.height(), rng));
        (side >= LEAST).then(|| square(x - side / 2.0, y - side / 2.0, side))
    }

    /// A square of nearly a face's size nearly upon it.
    fn about(&self, picture: u32, rng: &mut ChaCha8Rng) -> Option<BBox> {
        let faces = &self.pictures[picture as usize].faces;
        let face = faces.get(rng.random_range(0..faces.len().max(1)))?.bbox;
        let (w, h) = (face.width(), face.height());
        let side = rng.random_range(0.8 * w.min(h)..=1.25 * w.max(h));
        let x = face.centre().x + rng.random_range(-0.2..=0.2) * w;
        let y = face.centre().y + rng.random_range(-0.2..=0.2) * h;
        (side >= LEAST).then(|| square(x - side / 2.0, y - side / 2.0, side))
    }
}

/// A square of whole pixels.
fn square(x: f32, y: f32, side: f32) -> BBox {
    let (x1, y1, side) = (x.round(), y.round(), side.round());
    BBox { x1, y1, x2: x1 + side - 1.0, y2: y1 + side - 1.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::backbone::init::stream;
    use limen_models::geometry::{Detection, Landmarks, Point};
    use limen_models::image::RgbImage;

    /// A grey picture with a bright disc with two dark eyes and a mouth, labelled as a face, and one without.
    pub fn pictures() -> Vec<Picture> {
        let mut all = vec![];
        for (k, (cx, cy, r)) in
            [(60.0f32, 55.0f32, 24.0f32), (40.0, 70.0, 18.0), (80.0, 50.0, 30.0)].into_iter().enumerate()
        {
            let points = [(-0.4, -0.3), (0.4, -0.3), (0.0, 0.1), (-0.3, 0.5), (0.3, 0.5)];
            let points = points.map(|(x, y)| Point::new(cx + x * r, cy + y * r));
            let mut image = RgbImage::filled(130, 120, [70 + 10 * k as u8; 3]).unwrap();
            for y in 0..120 {
                for x in 0..130 {
                    let at = Point::new(x as f32, y as f32);
                    if at.distance(Point::new(cx, cy)) < r {
                        let dark = points.iter().any(|p| p.distance(at) < 0.17 * r);
                        image.set_pixel(x, y, if dark { [30, 20, 20] } else { [220, 190, 170] });
                    }
                }
            }
            let bbox = BBox { x1: cx - r, y1: cy - r, x2: cx + r, y2: cy + r };
            let face = Detection { bbox, landmarks: Landmarks(points), confidence: 0.999 };
            all.push(Picture { path: format!("{k}.png").into(), image, faces: vec![face] });
        }
        for k in 0..2 {
            let mut image = RgbImage::filled(100, 90, [90; 3]).unwrap();
            (0..90).for_each(|y| {
                (0..100).for_each(|x| image.set_pixel(x, y, [((x * 7 + y * 3 * (k + 1)) % 200) as u8; 3]))
            });
            all.push(Picture { path: format!("empty{k}.png").into(), image, faces: vec![] });
        }
        all
    }

    #[test]
    fn what_is_drawn_is_of_its_kind_and_follows_from_the_seed() {
        let pictures = pictures();
        let draw = Draw::new(&pictures, 0.98);
        for kind in [Kind::Negative, Kind::Part, Kind::Positive] {
            let mut seen = [0; 5];
            for i in 0..200 {
                let once = draw.draw(kind, &mut stream(i, "t")).unwrap();
                assert_eq!(Some(once), draw.draw(kind, &mut stream(i, "t")));
                let faces = &pictures[once.picture as usize].faces;
                assert_eq!(judge(&once.bbox, faces, 0.98), Some((kind, once.face)));
                assert_eq!(once.bbox.width(), once.bbox.height());
                assert!(once.bbox.width() >= 12.0);
                seen[once.picture as usize] += 1;
            }
            let empty = if kind == Kind::Negative { 20 } else { 0 };
            assert!(
                seen[..3].iter().all(|n| *n > 10) && seen[3..].iter().all(|n| *n >= empty),
                "{kind:?} {seen:?}"
            );
        }
    }

    #[test]
    fn pictures_without_a_sure_face_give_nothing_to_learn_from() {
        let mut pictures = pictures();
        pictures.iter_mut().flat_map(|p| &mut p.faces).for_each(|f| f.confidence = 0.9);
        let draw = Draw::new(&pictures, 0.98);
        assert_eq!(draw.draw(Kind::Positive, &mut stream(1, "t")), None);
        assert!(draw.draw(Kind::Negative, &mut stream(1, "t")).is_some());
    }
}
