//! The look of the screens: a dark, calm palette and the sizes everything else follows from.

use embedded_graphics::geometry::Size;
use embedded_graphics::pixelcolor::Rgb888;

/// Behind everything at rest.
pub const NIGHT: Rgb888 = Rgb888::new(0x10, 0x16, 0x1d);
/// Main text.
pub const SNOW: Rgb888 = Rgb888::new(0xf4, 0xf7, 0xf8);
/// Secondary text: 7:1 on [`NIGHT`].
pub const MIST: Rgb888 = Rgb888::new(0xa3, 0xb1, 0xbd);
/// The product's own accent.
pub const SKY: Rgb888 = Rgb888::new(0x5c, 0xb8, 0xe6);

/// What is still to be done, on [`NIGHT`].
pub const INK: Rgb888 = Rgb888::new(0x3a, 0x48, 0x55);

/// A key, on [`NIGHT`].
pub const SLATE: Rgb888 = Rgb888::new(0x29, 0x36, 0x42);

/// Granted: background and sign.
pub const FOREST: Rgb888 = Rgb888::new(0x0d, 0x2b, 0x20);
/// Granted: sign.
pub const LEAF: Rgb888 = Rgb888::new(0x2e, 0xb8, 0x72);
/// Denied: background.
pub const WINE: Rgb888 = Rgb888::new(0x2e, 0x14, 0x1a);
/// Denied: sign.
pub const CORAL: Rgb888 = Rgb888::new(0xe0, 0x4f, 0x5f);
/// Out of order, warnings: background.
pub const EARTH: Rgb888 = Rgb888::new(0x2b, 0x22, 0x12);
/// Out of order, warnings: sign.
pub const AMBER: Rgb888 = Rgb888::new(0xf0, 0xae, 0x3c);

/// How a screen is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Sign above text.
    Tall,
    /// Sign beside text.
    Wide,
}

/// Sizes derived from the panel's.
#[derive(Debug, Clone, Copy)]
pub struct Metrics {
    /// Panel width, px.
    pub width: f32,
    /// Panel height, px.
    pub height: f32,
    /// A 24th of the shorter side, px: the step of all distances and text sizes.
    pub unit: f32,
    /// Sign above or beside text.
    pub shape: Shape,
}

impl Metrics {
    /// For a panel of `size`.
    pub fn of(size: Size) -> Self {
        let (width, height) = (size.width as f32, size.height as f32);
        let shape = if width > height * 1.3 { Shape::Wide } else { Shape::Tall };
        Self { width, height, unit: width.min(height) / 24.0, shape }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::canvas::bytes;

    /// WCAG 2 contrast ratio, 1 to 21.
    fn contrast(a: Rgb888, b: Rgb888) -> f64 {
        let luminance = |c: Rgb888| {
            let lin = bytes(c).map(|v| {
                let v = f64::from(v) / 255.0;
                if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * lin[0] + 0.7152 * lin[1] + 0.0722 * lin[2]
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_is_readable_on_every_background() {
        for back in [NIGHT, FOREST, WINE, EARTH] {
            assert!(contrast(SNOW, back) > 12.0);
            assert!(contrast(MIST, back) > 6.0, "{back:?} {}", contrast(MIST, back));
        }
        assert!(contrast(SNOW, SLATE) > 10.0);
        // Signs are large: 3:1 is asked of them.
        for (sign, back) in [(LEAF, FOREST), (CORAL, WINE), (AMBER, EARTH), (SKY, NIGHT)] {
            assert!(contrast(sign, back) > 3.0);
        }
    }

    #[test]
    fn the_shape_follows_the_panel() {
        assert_eq!(Metrics::of(Size::new(240, 240)).shape, Shape::Tall);
        assert_eq!(Metrics::of(Size::new(320, 480)).shape, Shape::Tall);
        assert_eq!(Metrics::of(Size::new(800, 480)).shape, Shape::Wide);
        assert_eq!(Metrics::of(Size::new(800, 480)).unit, 20.0);
    }
}
