//! A picture in memory as an embedded-graphics draw target.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Dimensions, OriginDimensions, Point, Size};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::primitives::{PointsIter, Rectangle};
use limen_models::image::{ImageError, RgbImage};

/// A drawing surface that owns its picture. Drawing outside it is ignored.
pub struct Canvas(RgbImage);

impl Canvas {
    /// A black canvas of `width` x `height` px, each side 1 to [`limen_models::image::MAX_SIDE_PX`].
    pub fn new(width: usize, height: usize) -> Result<Self, ImageError> {
        RgbImage::filled(width, height, [0; 3]).map(Self)
    }

    /// What is drawn so far.
    pub fn image(&self) -> &RgbImage {
        &self.0
    }

    /// The picture itself.
    pub fn into_image(self) -> RgbImage {
        self.0
    }
}

impl From<RgbImage> for Canvas {
    /// Draws on top of `image`.
    fn from(image: RgbImage) -> Self {
        Self(image)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width() as u32, self.0.height() as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        Brush(&mut self.0).draw_iter(pixels)
    }

    fn fill_contiguous<I: IntoIterator<Item = Rgb888>>(
        &mut self,
        area: &Rectangle,
        colours: I,
    ) -> Result<(), Infallible> {
        Brush(&mut self.0).fill_contiguous(area, colours)
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        Brush(&mut self.0).fill_solid(area, colour)
    }
}

/// Draws on somebody else's picture. Drawing outside it is ignored.
pub struct Brush<'a>(pub &'a mut RgbImage);

impl OriginDimensions for Brush<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width() as u32, self.0.height() as u32)
    }
}

impl DrawTarget for Brush<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(p, colour) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(p.x), usize::try_from(p.y)) {
                self.0.set_pixel(x, y, bytes(colour));
            }
        }
        Ok(())
    }

    fn fill_contiguous<I: IntoIterator<Item = Rgb888>>(
        &mut self,
        area: &Rectangle,
        colours: I,
    ) -> Result<(), Infallible> {
        self.draw_iter(area.points().zip(colours).map(|(p, c)| Pixel(p, c)))
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        let area = area.intersection(&self.bounding_box());
        let Some(last) = area.bottom_right() else { return Ok(()) };
        let Point { x: x0, y: y0 } = area.top_left;
        let (rgb, stride) = (bytes(colour), self.0.width() * 3);
        for row in self.0.data_mut().chunks_exact_mut(stride).take(last.y as usize + 1).skip(y0 as usize) {
            for px in row[x0 as usize * 3..(last.x as usize + 1) * 3].chunks_exact_mut(3) {
                px.copy_from_slice(&rgb);
            }
        }
        Ok(())
    }
}

/// R, G, B of a colour.
pub fn bytes(colour: Rgb888) -> [u8; 3] {
    [colour.r(), colour.g(), colour.b()]
}

/// A colour from R, G, B.
pub const fn colour([r, g, b]: [u8; 3]) -> Rgb888 {
    Rgb888::new(r, g, b)
}

/// `top` laid over `bottom` with `coverage` 0 (nothing) to 1 (all).
pub fn mix(bottom: Rgb888, top: Rgb888, coverage: f32) -> Rgb888 {
    let a = (coverage.clamp(0.0, 1.0) * 256.0) as i32;
    let (b, t) = (bytes(bottom), bytes(top));
    let channel = |i: usize| {
        let (b, t) = (i32::from(b[i]), i32::from(t[i]));
        (b + (((t - b) * a + 128) >> 8)).clamp(0, 255) as u8
    };
    Rgb888::new(channel(0), channel(1), channel(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solid_areas_are_clipped_to_the_picture() {
        let mut c = Canvas::new(3, 2).unwrap();
        c.fill_solid(&Rectangle::new(Point::new(-2, 1), Size::new(4, 9)), Rgb888::new(1, 2, 3)).unwrap();
        assert_eq!(c.image().data(), &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 2, 3, 0, 0, 0]);
        c.fill_solid(&Rectangle::new(Point::new(5, 5), Size::new(4, 4)), Rgb888::WHITE).unwrap();
        c.draw_iter([Pixel(Point::new(-1, 0), Rgb888::WHITE), Pixel(Point::new(3, 0), Rgb888::WHITE)])
            .unwrap();
        assert!(!c.image().data().contains(&255));
    }

    #[test]
    fn contiguous_colours_fill_row_by_row() {
        let mut c = Canvas::new(2, 2).unwrap();
        let area = Rectangle::new(Point::new(1, 0), Size::new(2, 2));
        let grey = |g| Rgb888::new(g, g, g);
        c.fill_contiguous(&area, [grey(1), grey(2), grey(3), grey(4)]).unwrap();
        assert_eq!(c.into_image().data(), &[0, 0, 0, 1, 1, 1, 0, 0, 0, 3, 3, 3]);
    }

    #[test]
    fn mixing_reaches_both_ends_exactly() {
        let (a, b) = (Rgb888::new(10, 200, 0), Rgb888::new(250, 0, 255));
        assert_eq!((mix(a, b, 0.0), mix(a, b, 1.0)), (a, b));
        assert_eq!(mix(Rgb888::BLACK, Rgb888::WHITE, 0.5), Rgb888::new(128, 128, 128));
    }
}
