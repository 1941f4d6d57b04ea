//! Drawn people: a warm disc on a cool background, with a face and a pattern of its own for every seed.
//!
//! Everything on a face is warm (red at least 110 above blue in full light) and nothing else in a scene is, which
//! is what the drawn detector looks for ([`crate::nets`]); who it is stands in green and in light and shade.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use limen_models::image::RgbImage;

use crate::dice::Dice;

/// Radius of the face's disc, in sides of its square.
pub const RADIUS: f64 = 0.375;
/// Eyes, nose and mouth corners from the middle of the square, in sides, in the order of SphereFace's template: the
/// template itself ([`limen_models::manifest::Alignment::SPHEREFACE_112X96`]), made symmetric, eyes 0.3 sides apart.
pub const LANDMARKS: [[f64; 2]; 5] =
    [[-0.15, -0.12], [0.15, -0.12], [0.0, 0.0515], [-0.1242, 0.2264], [0.1242, 0.2264]];
/// Skin in full light, red, green, blue; people differ a little.
pub const SKIN: [f64; 3] = [215.0, 125.0, 50.0];
/// Patches of paint along and down a face.
const PATCHES: usize = 8;

/// Somebody who does not exist.
#[derive(Debug, Clone)]
pub struct Person {
    skin: [f64; 3],
    hair: [f64; 3],
    hairline: [f64; 3],
    paint: [[f64; PATCHES]; PATCHES],
    shade: [[f64; PATCHES]; PATCHES],
    stripes: [f64; 4],
    eye: f64,
    brow: f64,
    mouth: [f64; 3],
}

impl Person {
    /// The person of `seed`, always the same.
    pub fn new(seed: u64) -> Self {
        let mut d = Dice::new(0x00FA_CE00 ^ seed.wrapping_mul(0x9E37_79B9));
        let grid = |d: &mut Dice| {
            let mut g = [[0.0; PATCHES]; PATCHES];
            g.iter_mut().flatten().for_each(|v| *v = d.between(-1.0, 1.0));
            g
        };
        Self {
            skin: [
                SKIN[0] + d.between(-10.0, 10.0),
                SKIN[1] + d.between(-8.0, 8.0),
                SKIN[2] + d.between(-10.0, 10.0),
            ],
            hair: [d.between(135.0, 160.0), d.between(40.0, 110.0), d.between(0.0, 15.0)],
            hairline: [d.between(-0.26, -0.18), d.between(-0.06, 0.06), d.between(4.0, 14.0)],
            paint: grid(&mut d),
            shade: grid(&mut d),
            stripes: [d.between(0.0, 3.1), d.between(12.0, 30.0), d.between(0.0, 6.0), d.between(0.0, 30.0)],
            eye: d.between(0.038, 0.062),
            brow: d.between(0.012, 0.03),
            mouth: [d.between(0.018, 0.045), d.between(-2.0, 2.0), d.between(5.0, 60.0)],
        }
    }

    /// Colour at `u` to the right and `v` down of the middle, in sides of the square; `None` beside the face.
    fn colour(&self, u: f64, v: f64) -> Option<[f64; 3]> {
        if u.hypot(v) > RADIUS {
            return None;
        }
        for (side, [x, y]) in [(-1.0, LANDMARKS[0]), (1.0, LANDMARKS[1])] {
            let (du, dv) = (u - x, v - y);
            match du.hypot(dv) / self.eye {
                r if r < 0.55 => return Some([130.0, 15.0, 0.0]),
                r if r < 1.0 => return Some([250.0, 238.0, 110.0]),
                _ => {}
            }
            if du.abs() < 0.07 && (dv + 0.075 - 0.15 * du * side).abs() < self.brow / 2.0 {
                return Some(self.hair);
            }
        }
        let [thick, curve, green] = self.mouth;
        let middle = LANDMARKS[3][1] + curve * (u * u - LANDMARKS[4][0].powi(2));
        if u.abs() < LANDMARKS[4][0] && (v - middle).abs() < thick / 2.0 {
            return Some([165.0, green, 15.0]);
        }
        if u.abs() < 0.022 && (-0.05..LANDMARKS[2][1]).contains(&v) {
            return Some([self.skin[0] - 55.0, self.skin[1] - 60.0, 20.0]);
        }
        let [height, wave, often] = self.hairline;
        if v < height + wave * (often * u).sin() {
            return Some(self.hair);
        }
        let [turn, often, phase, deep] = self.stripes;
        let stripe = ((u * turn.cos() + v * turn.sin()) * often + phase).sin();
        let green = 95.0 * smooth(&self.paint, u, v) - if stripe > 0.5 { deep } else { 0.0 };
        let shade = 30.0 * smooth(&self.shade, u, v);
        Some([self.skin[0] + shade, self.skin[1] + green + shade, self.skin[2]])
    }
}

/// Between the patches, straight from middle to middle.
fn smooth(grid: &[[f64; PATCHES]; PATCHES], u: f64, v: f64) -> f64 {
    let last = (PATCHES - 1) as f64;
    let at = |w: f64| ((w / RADIUS + 1.0) / 2.0 * PATCHES as f64 - 0.5).clamp(0.0, last);
    let (x, y) = (at(u), at(v));
    let (i, j) = ((x as usize).min(PATCHES - 2), (y as usize).min(PATCHES - 2));
    let (fx, fy) = (x - i as f64, y - j as f64);
    let row = |j: usize| grid[j][i] * (1.0 - fx) + grid[j][i + 1] * fx;
    row(j) * (1.0 - fy) + row(j + 1) * fy
}

/// Where and how a person stands in a picture. Pixel `i` has its middle at `i`.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Middle of the face, px from the left.
    pub x: f64,
    /// Middle of the face, px from the top.
    pub y: f64,
    /// Side of its square, px; the disc is three quarters of it wide.
    pub side: f64,
    /// Lean, degrees, clockwise.
    pub lean_deg: f64,
    /// 1 is full light.
    pub light: f64,
}

impl Place {
    /// Upright and in full light.
    pub const fn at(x: f64, y: f64, side: f64) -> Self {
        Self { x, y, side, lean_deg: 0.0, light: 1.0 }
    }

    /// The place in a 96x112 crop where the landmarks meet the alignment template.
    pub const fn aligned() -> Self {
        // Template: eyes 35.24 px apart about (47.91, 51.60).
        Self::at(47.91, 51.60 + 0.12 * (35.24 / 0.3), 35.24 / 0.3)
    }
}

/// A picture in the making.
#[derive(Debug, Clone)]
pub struct Scene {
    image: RgbImage,
    dice: Dice,
}

impl Scene {
    /// Cool walls and furniture, nobody there.
    pub fn new(width: usize, height: usize, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let wall = dice.between(70.0, 130.0);
        let mut scene =
            Self { image: RgbImage::filled(width, height, [0; 3]).expect("a size within the limits"), dice };
        let fall = scene.dice.between(-40.0, 40.0) / height as f64;
        scene.paint(|_, y, _| Some([wall + fall * y, wall + 8.0 + fall * y, wall + 20.0 + fall * y]));
        for _ in 0..6 {
            let d = &mut scene.dice;
            let (x, y) = (d.between(0.0, width as f64), d.between(0.0, height as f64));
            let (w, h) = (d.between(0.05, 0.4) * width as f64, d.between(0.05, 0.4) * height as f64);
            let red = d.between(20.0, 160.0);
            let colour = [red, red + d.between(0.0, 60.0), red + d.between(0.0, 70.0)];
            scene = scene.bar(x, y, w, h, colour);
        }
        scene
    }

    /// A rectangle from (`x`, `y`) on, `w` x `h` px, in one colour.
    #[must_use]
    pub fn bar(mut self, x: f64, y: f64, w: f64, h: f64, colour: [f64; 3]) -> Self {
        self.paint(|px, py, _| ((x..x + w).contains(&px) && (y..y + h).contains(&py)).then_some(colour));
        self
    }

    /// `person` stands at `place`.
    #[must_use]
    pub fn with(mut self, person: &Person, place: Place) -> Self {
        let (sin, cos) = place.lean_deg.to_radians().sin_cos();
        let reach = RADIUS * place.side + 1.0;
        self.paint(|x, y, old| {
            let (dx, dy) = (x - place.x, y - place.y);
            if dx.abs() > reach || dy.abs() > reach {
                return None;
            }
            let mut sum = [0.0; 3];
            // Nine points a pixel make the edges soft.
            for i in 0..9 {
                let (sx, sy) = (dx + f64::from(i % 3 - 1) / 3.0, dy + f64::from(i / 3 - 1) / 3.0);
                let (u, v) = ((sx * cos + sy * sin) / place.side, (sy * cos - sx * sin) / place.side);
                let c = person.colour(u, v).map_or(old, |c| c.map(|v| v * place.light));
                sum.iter_mut().zip(c).for_each(|(s, v)| *s += v / 9.0);
            }
            Some(sum)
        });
        self
    }

    /// A camera's noise: bell-shaped, of this deviation in each colour.
    #[must_use]
    pub fn noise(mut self, deviation: f64) -> Self {
        for v in self.image.data_mut() {
            *v = (f64::from(*v) + deviation * self.dice.bell()).round().clamp(0.0, 255.0) as u8;
        }
        self
    }

    /// The picture.
    pub fn done(self) -> RgbImage {
        self.image
    }

    /// Gives pixels new colours, where `colour(x, y, old)` says so.
    fn paint(&mut self, colour: impl Fn(f64, f64, [f64; 3]) -> Option<[f64; 3]>) {
        for y in 0..self.image.height() {
            for x in 0..self.image.width() {
                let old = self.image.pixel(x, y).map(f64::from);
                if let Some(new) = colour(x as f64, y as f64, old) {
                    self.image.set_pixel(x, y, new.map(|v| v.round().clamp(0.0, 255.0) as u8));
                }
            }
        }
    }
}

/// A portrait, 320x240: `person` alone and near, each `take` a little different in place, size, lean, light, noise.
pub fn portrait(person: &Person, take: u64) -> RgbImage {
    let mut d = Dice::new(take.wrapping_mul(7919) + 1);
    let place = Place {
        x: d.between(140.0, 180.0),
        y: d.between(110.0, 130.0),
        side: d.between(120.0, 180.0),
        lean_deg: d.between(-3.0, 3.0),
        light: d.between(0.85, 1.05),
    };
    Scene::new(320, 240, take).with(person, place).noise(d.between(0.0, 4.0)).done()
}

/// A picture of up to six people, 640x480, in two rows from the left, none touching another.
pub fn group(people: &[Person], seed: u64) -> RgbImage {
    let mut d = Dice::new(seed.wrapping_mul(104_729) + 2);
    let mut scene = Scene::new(640, 480, seed);
    for (i, person) in people.iter().enumerate().take(6) {
        let place = Place {
            x: 107.0 + 213.0 * (i % 3) as f64 + d.between(-12.0, 12.0),
            y: 120.0 + 240.0 * (i / 3) as f64 + d.between(-15.0, 15.0),
            side: d.between(115.0, 180.0),
            lean_deg: d.between(-3.0, 3.0),
            light: d.between(0.85, 1.05),
        };
        scene = scene.with(person, place);
    }
    scene.noise(2.0).done()
}

/// Writes a JPEG of quality 95.
pub fn save_jpeg(image: &RgbImage, path: &Path) {
    std::fs::write(path, jpeg(image, None)).expect("the picture is written");
}

/// A JPEG of quality 95, with an EXIF orientation (1 to 8) if wished.
pub fn jpeg(image: &RgbImage, orientation: Option<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut out, 95);
    if let Some(o) = orientation {
        // A minimal EXIF block: little-endian TIFF, one IFD with the orientation tag 0x0112.
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        tiff.extend_from_slice(&[o, 0, 0, 0, 0, 0, 0, 0]);
        encoder.set_exif_metadata(tiff).expect("JPEG takes EXIF");
    }
    let (w, h) = (image.width() as u32, image.height() as u32);
    encoder.write_image(image.data(), w, h, ExtendedColorType::Rgb8).expect("the picture is encoded");
    out
}

/// Writes a PNG.
pub fn save_png(image: &RgbImage, path: &Path) {
    let (w, h) = (image.width() as u32, image.height() as u32);
    image::save_buffer_with_format(
        path,
        image.data(),
        w,
        h,
        ExtendedColorType::Rgb8,
        image::ImageFormat::Png,
    )
    .expect("the picture is written");
}

/// `image` turned by 90 degrees against the clock.
pub fn turned(image: &RgbImage) -> RgbImage {
    let (w, h) = (image.width(), image.height());
    let mut out = RgbImage::filled(h, w, [0; 3]).expect("a picture has a size");
    for y in 0..w {
        for x in 0..h {
            out.set_pixel(x, y, image.pixel(w - 1 - y, x));
        }
    }
    out
}
