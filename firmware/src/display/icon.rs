//! Signs drawn as shapes, so that no state is told by colour alone: tick, cross, question mark, warning, information,
//! face, bell, struck camera, cog, arrow.
//!
//! Each is a signed distance (inside negative), which gives smooth edges at every size and needs no picture files.

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::Point;
use embedded_graphics::pixelcolor::Rgb888;

use super::canvas::mix;

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// Yes: a tick on a disc.
    Tick,
    /// No: a cross on a disc.
    Cross,
    /// Who is that: a question mark on a disc.
    Question,
    /// Something is wrong: an exclamation mark on a triangle.
    Warning,
    /// A word for you: an i on a disc.
    Info,
    /// Look here: a face between the corners of a view finder.
    Face,
    /// Alarm: a bell on a disc.
    Bell,
    /// No picture: a camera struck out, on a disc.
    NoCamera,
    /// Somebody works on it: a cog on a disc.
    Cog,
    /// One back: an arrow to the left, on a disc.
    Back,
}

/// Colours of a sign.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Disc or triangle; the lines of [`Icon::Face`].
    pub fill: Rgb888,
    /// The mark on it.
    pub ink: Rgb888,
    /// Flat colour behind it.
    pub on: Rgb888,
}

/// A place in the sign's own measure: the middle is (0, 0), the disc has radius 1, y points down.
type P = (f32, f32);

/// Draws a sign of `diameter` px around (`cx`, `cy`).
pub fn draw<D>(
    target: &mut D,
    icon: Icon,
    (cx, cy): (f32, f32),
    diameter: f32,
    paint: Paint,
) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    let r = (diameter / 2.0).max(1.0);
    let reach = r.ceil() as i32 + 1;
    let (mx, my) = (cx.round() as i32, cy.round() as i32);
    let pixels = (my - reach..=my + reach).flat_map(|y| (mx - reach..=mx + reach).map(move |x| (x, y)));
    target.draw_iter(pixels.filter_map(|(x, y)| {
        let p = ((x as f32 - cx) / r, (y as f32 - cy) / r);
        // Half a pixel to either side of the edge.
        let cover = |distance: f32| (0.5 - distance * r).clamp(0.0, 1.0);
        let (shape, mark) = (cover(plate(icon, p)), cover(mark(icon, p)));
        (shape > 0.0 || mark > 0.0).then(|| {
            let below = mix(paint.on, paint.fill, shape);
            let ink = if icon == Icon::Face { paint.fill } else { paint.ink };
            Pixel(Point::new(x, y), mix(below, ink, mark))
        })
    }))
}

/// Distance to the plate that carries the mark.
fn plate(icon: Icon, p: P) -> f32 {
    match icon {
        Icon::Tick
        | Icon::Cross
        | Icon::Question
        | Icon::Info
        | Icon::Bell
        | Icon::NoCamera
        | Icon::Cog
        | Icon::Back => length(p) - 1.0,
        Icon::Warning => {
            // Equilateral, its middle a little below the sign's, its corners rounded by 0.13.
            triangle(p, [(0.0, -0.78), (0.85, 0.69), (-0.85, 0.69)]) - 0.13
        }
        Icon::Face => f32::INFINITY,
    }
}

/// Distance to the mark.
fn mark(icon: Icon, p: P) -> f32 {
    match icon {
        Icon::Tick => {
            stroke(p, (-0.44, 0.04), (-0.13, 0.36), 0.11).min(stroke(p, (-0.13, 0.36), (0.45, -0.32), 0.11))
        }
        Icon::Cross => {
            stroke(p, (-0.34, -0.34), (0.34, 0.34), 0.11).min(stroke(p, (0.34, -0.34), (-0.34, 0.34), 0.11))
        }
        Icon::Question => {
            let bow = arc((p.0, p.1 + 0.24), 0.28) - 0.1;
            bow.min(stroke(p, (0.0, 0.04), (0.0, 0.2), 0.1)).min(length((p.0, p.1 - 0.5)) - 0.125)
        }
        Icon::Warning => stroke(p, (0.0, -0.3), (0.0, 0.18), 0.1).min(length((p.0, p.1 - 0.48)) - 0.12),
        Icon::Info => stroke(p, (0.0, -0.06), (0.0, 0.48), 0.115).min(length((p.0, p.1 + 0.46)) - 0.135),
        Icon::Face => face(p),
        Icon::Bell => bell(p),
        Icon::NoCamera => no_camera(p),
        Icon::Cog => cog(p),
        Icon::Back => {
            let (ax, ay) = (p.0, p.1.abs());
            stroke(p, (-0.46, 0.0), (0.48, 0.0), 0.11).min(stroke((ax, ay), (-0.46, 0.0), (-0.1, 0.36), 0.11))
        }
    }
}

/// A dome on a rim, with a knob above and a clapper below.
fn bell(p: P) -> f32 {
    let dome = (stroke(p, (0.0, -0.16), (0.0, 0.6), 0.31)).max(p.1 - 0.26);
    let rim = stroke(p, (-0.42, 0.3), (0.42, 0.3), 0.08);
    let knob = length((p.0, p.1 + 0.52)) - 0.09;
    let clapper = (length((p.0, p.1 - 0.44)) - 0.14).max(0.46 - p.1);
    dome.min(rim).min(knob).min(clapper)
}

/// A body with a lens, and a line through it that keeps its distance.
fn no_camera(p: P) -> f32 {
    let body = block(p, (0.46, 0.26), 0.08).min(block((p.0, p.1 + 0.34), (0.16, 0.06), 0.04));
    let lens = (length(p) - 0.2).abs() - 0.05;
    let line = stroke(p, (-0.52, -0.52), (0.52, 0.52), 0.07);
    body.max(-lens).max(0.09 - line).min(line)
}

/// A ring with eight teeth.
fn cog(p: P) -> f32 {
    let eighth = std::f32::consts::FRAC_PI_4;
    let turn = (p.1.atan2(p.0) / eighth).round() * eighth;
    let (sin, cos) = turn.sin_cos();
    let tooth = block((p.0 * cos + p.1 * sin - 0.5, p.1 * cos - p.0 * sin), (0.1, 0.07), 0.03);
    ((length(p) - 0.34).abs() - 0.12).min(tooth)
}

/// Distance to a rectangle around the middle with half the sides `half`, grown by `round` on all sides.
fn block(p: P, half: P, round: f32) -> f32 {
    let (dx, dy) = (p.0.abs() - half.0, p.1.abs() - half.1);
    length((dx.max(0.0), dy.max(0.0))) + dx.max(dy).min(0.0) - round
}

/// Corners of a view finder, and a head with eyes and a mouth.
fn face(p: P) -> f32 {
    let (ax, ay) = (p.0.abs(), p.1.abs());
    let corner = stroke((ax, ay), (0.9, 0.52), (0.9, 0.9), 0.055).min(stroke(
        (ax, ay),
        (0.52, 0.9),
        (0.9, 0.9),
        0.055,
    ));
    let head = (length((p.0, p.1)) - 0.58).abs() - 0.055;
    let eyes = length((ax - 0.21, p.1 + 0.13)) - 0.08;
    // The lower part of a circle, between its ends at 45 degrees.
    let (mx, my) = (p.0, p.1 + 0.02);
    let mouth = if my > mx.abs() { (length((mx, my)) - 0.3).abs() } else { length((ax - 0.212, my - 0.212)) };
    corner.min(head).min(eyes).min(mouth - 0.05)
}

fn length(p: P) -> f32 {
    (p.0 * p.0 + p.1 * p.1).sqrt()
}

/// Distance to a line with round ends and half the width `half`.
fn stroke(p: P, a: P, b: P, half: f32) -> f32 {
    let (ab, ap) = ((b.0 - a.0, b.1 - a.1), (p.0 - a.0, p.1 - a.1));
    let t = ((ap.0 * ab.0 + ap.1 * ab.1) / (ab.0 * ab.0 + ab.1 * ab.1)).clamp(0.0, 1.0);
    length((ap.0 - t * ab.0, ap.1 - t * ab.1)) - half
}

/// Distance to a triangle with its corners in clockwise order (y points down).
fn triangle(p: P, corners: [P; 3]) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = true;
    for (i, a) in corners.into_iter().enumerate() {
        let b = corners[(i + 1) % 3];
        nearest = nearest.min(stroke(p, a, b, 0.0));
        inside &= (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0) >= 0.0;
    }
    if inside { -nearest } else { nearest }
}

/// Distance to three quarters of a circle: from the left over the top and the right to the bottom.
fn arc(p: P, radius: f32) -> f32 {
    if p.0 < 0.0 && p.1 > 0.0 {
        length((p.0 + radius, p.1)).min(length((p.0, p.1 - radius)))
    } else {
        (length(p) - radius).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::canvas::Canvas;
    use embedded_graphics::pixelcolor::RgbColor;
    use limen_models::image::RgbImage;

    const ALL: [Icon; 10] = [
        Icon::Tick,
        Icon::Cross,
        Icon::Question,
        Icon::Warning,
        Icon::Info,
        Icon::Face,
        Icon::Bell,
        Icon::NoCamera,
        Icon::Cog,
        Icon::Back,
    ];

    /// Everything in one colour: what remains is shape.
    fn white(icon: Icon, diameter: f32) -> RgbImage {
        let mut c = Canvas::new(101, 101).unwrap();
        let paint = Paint { fill: Rgb888::new(90, 90, 90), ink: Rgb888::WHITE, on: Rgb888::BLACK };
        draw(&mut c, icon, (50.0, 50.0), diameter, paint).unwrap();
        c.into_image()
    }

    #[test]
    fn signs_differ_in_shape_and_not_only_in_colour() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                let (a, b) = (white(*a, 100.0), white(*b, 100.0));
                let differ = a.data().iter().zip(b.data()).filter(|(x, y)| x.abs_diff(**y) > 100).count();
                assert!(differ > 600, "{differ}");
            }
        }
    }

    #[test]
    fn a_disc_has_the_size_asked_for() {
        let im = white(Icon::Tick, 80.0);
        let lit = (0..101).filter(|x| im.pixel(*x, 50)[0] > 45).count();
        assert!((79..=81).contains(&lit), "{lit}");
        assert_eq!(im.pixel(50, 5), [0; 3]);
    }

    #[test]
    fn a_sign_at_the_border_or_of_no_size_is_drawn_without_a_panic() {
        let mut c = Canvas::new(5, 5).unwrap();
        let paint = Paint { fill: Rgb888::RED, ink: Rgb888::WHITE, on: Rgb888::BLACK };
        for icon in ALL {
            draw(&mut c, icon, (-3.0, 7.0), 40.0, paint).unwrap();
            draw(&mut c, icon, (2.0, 2.0), 0.0, paint).unwrap();
        }
    }
}
