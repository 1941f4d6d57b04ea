//! The service menu: what an installer wants to know, and what can be done about it.

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::Size;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::Rectangle;

use crate::display::Words;
use crate::display::fonts::Fonts;
use crate::display::icon::{self, Icon, Paint};
use crate::display::keys::{self, Label, Look};
use crate::display::text::{self, Align, CAP, Style};
use crate::display::theme::{AMBER, MIST, Metrics, NIGHT, SKY, SNOW, Shape};
use crate::menu::Item;

/// How things are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// People enrolled; `None`: not counted yet.
    pub people: Option<u64>,
    /// Their templates, likewise.
    pub templates: Option<u64>,
    /// The number of the journal's last event, likewise.
    pub events: Option<u64>,
    /// Whether the camera gives pictures.
    pub camera: Camera,
    /// Whether the bolt is drawn.
    pub door: Door,
    /// The model's id.
    pub model: String,
    /// Room for the journal, MiB, likewise.
    pub free_mib: Option<u64>,
}

/// Whether the camera gives pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Camera {
    /// It does.
    #[default]
    Seeing,
    /// It does not.
    Lost,
}

/// Whether the bolt is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Door {
    /// Nobody can open it.
    #[default]
    Locked,
    /// Everybody can.
    Open,
}

/// A line of two columns.
#[derive(Clone)]
pub struct Line {
    /// What it is of.
    pub what: String,
    /// How it is.
    pub how: String,
    /// Whether somebody should see to it: it has a sign.
    pub is_trouble: bool,
}

/// The lines and the items.
#[derive(Clone)]
pub struct ServiceMenu {
    /// Above all.
    pub title: String,
    /// How things are.
    pub lines: Vec<Line>,
    /// What can be done, from above.
    pub items: Vec<String>,
    /// The item that the ok button takes.
    pub focus: Option<usize>,
}

impl ServiceMenu {
    /// With the words for all of it.
    pub fn new(words: &Words, facts: &Facts, focus: Option<Item>) -> Self {
        let m = &words.menu;
        let number = |n: Option<u64>| n.map_or_else(|| "...".to_owned(), |n| n.to_string());
        let (camera, lost) = match facts.camera {
            Camera::Seeing => (&m.camera_sees, false),
            Camera::Lost => (&m.camera_lost, true),
        };
        let door = match facts.door {
            Door::Locked => &m.door_locked,
            Door::Open => &m.door_open,
        };
        let free = facts.free_mib.map_or_else(|| "...".to_owned(), |mib| format!("{mib} MiB"));
        let line = |what: &String, how: String| Line { what: what.clone(), how, is_trouble: false };
        Self {
            title: m.title.clone(),
            lines: vec![
                line(&m.people, number(facts.people)),
                line(&m.templates, number(facts.templates)),
                line(&m.events, number(facts.events)),
                Line { is_trouble: lost, ..line(&m.camera, camera.clone()) },
                line(&m.door, door.clone()),
                line(&m.model, facts.model.clone()),
                line(&m.version, env!("CARGO_PKG_VERSION").to_owned()),
                line(&m.free, free),
            ],
            items: Item::ALL.iter().map(|item| words.item(*item).to_owned()).collect(),
            focus: focus.and_then(|focus| Item::ALL.iter().position(|item| *item == focus)),
        }
    }
}

/// The room of the lines, and that of the items below or beside them.
fn rooms(size: Size) -> (Rectangle, Rectangle) {
    let lines = match Metrics::of(size).shape {
        Shape::Tall => size.height - size.height / 5,
        Shape::Wide => size.width * 2 / 3,
    };
    keys::split(size, lines)
}

/// Where item `at` of `items` lies on a screen of that size. Beside the lines an item is a quarter as high as the screen, or
/// less where there are more than four.
pub fn place(size: Size, items: usize, at: usize) -> Rectangle {
    let (_, room) = rooms(size);
    let (items, at) = (items.max(1) as u32, at as u32);
    match Metrics::of(size).shape {
        Shape::Tall => keys::part(room, (items, 1), (at, 0)),
        Shape::Wide => {
            let rows = items.max(4);
            keys::part(room, (1, rows), (0, rows - items + at))
        }
    }
}

/// Which of `items` is touched at `at`.
pub fn hit(size: Size, items: usize, at: (u32, u32)) -> Option<usize> {
    keys::hit((0..items).map(|item| place(size, items, item)), at)
}

pub(super) fn draw<D>(s: &ServiceMenu, fonts: &Fonts, target: &mut D) -> Result<(), D::Error>
where
    D: DrawTarget<Color = Rgb888>,
{
    target.clear(NIGHT)?;
    let size = target.bounding_box().size;
    let u = Metrics::of(size).unit;
    let (room, _) = rooms(size);
    let (width, height) = (room.size.width as f32, room.size.height as f32);
    let margin = u;
    let head = (3.2 * u).min(height / 6.0);
    let title = text::fit_line(&s.title, width - 3.0 * margin - head, (1.3 * u, 2.1 * u), &fonts.bold);
    let paint = Paint { fill: SKY, ink: NIGHT, on: NIGHT };
    icon::draw(target, Icon::Cog, (margin + head / 2.0, 0.4 * u + head / 2.0), 0.8 * head, paint)?;
    let style = Style { size: title.size, typeface: &fonts.bold, ink: SNOW, on: NIGHT };
    let baseline = 0.4 * u + head / 2.0 + title.size * CAP / 2.0;
    for l in &title.lines {
        text::draw(target, l, 1.6 * margin + head, baseline, Align::Left, style)?;
    }
    let top = 0.4 * u + head;
    let step = (height - top - 0.4 * u) / s.lines.len().max(1) as f32;
    let em = (step / 1.2).min(1.6 * u).floor().max(1.0);
    let widest = s.lines.iter().map(|l| text::width(&l.what, em, &fonts.regular)).fold(0.0, f32::max);
    let column = margin + widest.min(0.45 * width) + 0.8 * u;
    for (i, line) in s.lines.iter().enumerate() {
        let middle = top + step * (i as f32 + 0.5);
        let baseline = middle + em * CAP / 2.0;
        let what = text::cut(&line.what, column - margin - 0.4 * u, em, &fonts.regular);
        let style = Style { size: em, typeface: &fonts.regular, ink: MIST, on: NIGHT };
        text::draw(target, &what, margin, baseline, Align::Left, style)?;
        let mut left = column;
        if line.is_trouble {
            let paint = Paint { fill: AMBER, ink: NIGHT, on: NIGHT };
            icon::draw(target, Icon::Warning, (left + em / 2.0, middle), 1.05 * em, paint)?;
            left += 1.4 * em;
        }
        let how = text::fit_line(&line.how, width - left - 0.4 * u, (0.6 * em, em), &fonts.bold);
        let style = Style { size: how.size, typeface: &fonts.bold, ink: SNOW, on: NIGHT };
        for l in &how.lines {
            text::draw(target, l, left, baseline, Align::Left, style)?;
        }
    }
    for (i, item) in s.items.iter().enumerate() {
        let area = place(size, s.items.len(), i);
        let look = (Label::Words(item), Look::Ready, s.focus == Some(i));
        keys::draw(target, area, look, (2.1 * u, u), fonts)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use embedded_graphics::geometry::Point;

    use super::*;

    #[test]
    fn items_lie_where_they_were_worked_out() {
        let item = |x, y, w, h| Rectangle::new(Point::new(x, y), Size::new(w, h));
        // Below the lines: a fifth of the height; several share the width.
        assert_eq!(place(Size::new(240, 240), 1, 0), item(0, 192, 240, 48));
        assert_eq!(place(Size::new(320, 480), 2, 1), item(160, 384, 160, 96));
        // Beside them: from 533 on, the last of four rows of 120, or the last two.
        assert_eq!(place(Size::new(800, 480), 1, 0), item(533, 360, 267, 120));
        assert_eq!(place(Size::new(800, 480), 2, 0), item(533, 240, 267, 120));
        let hit = |x, y| hit(Size::new(800, 480), 2, (x, y));
        assert_eq!(
            (hit(532, 400), hit(533, 239), hit(533, 240), hit(799, 479)),
            (None, None, Some(0), Some(1))
        );
    }
}
