//! Axes with round numbers, a grid, a title and a legend: what every plot but the pictures stands on.

use super::{Anchor, Colour, Dash, Direction, GREY, GRID, INK, Place, Scene, Shape, Text, font};

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps add.
    Linear,
    /// Equal steps multiply; positive values only.
    Log,
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As they are.
    Plain,
    /// 0.5 as 50 %.
    Percent,
}

/// One axis: a range with round ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What is measured, with its unit.
    pub label: String,
    /// Left or lower end.
    pub low: f64,
    /// Right or upper end, greater than `low`.
    pub high: f64,
    /// Spread.
    pub scale: Scale,
    /// Writing.
    pub unit: Unit,
}

/// Ticks wanted on a linear axis.
const TICKS: f64 = 5.0;

impl Axis {
    /// An axis that holds all `values` that can stand on it; `None` where there is none.
    pub fn around(
        label: &str,
        scale: Scale,
        unit: Unit,
        values: impl IntoIterator<Item = f64>,
    ) -> Option<Self> {
        let fits = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let (min, max) = values
            .into_iter()
            .filter(fits)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if min > max {
            return None;
        }
        let (low, high) = match scale {
            Scale::Linear => {
                let (min, max) = if max - min > 1e-9 * max.abs().max(min.abs()) {
                    (min, max)
                } else {
                    let half = if min == 0.0 { 0.5 } else { min.abs() / 10.0 };
                    (min - half, max + half)
                };
                let step = step(max - min);
                ((min / step + 1e-9).floor() * step, (max / step - 1e-9).ceil() * step)
            }
            Scale::Log => {
                let low = (min.log10() + 1e-9).floor();
                (10f64.powf(low), 10f64.powf((max.log10() - 1e-9).ceil().max(low + 1.0)))
            }
        };
        Some(Self { label: label.to_owned(), low, high, scale, unit })
    }

    /// Where `value` lies between the ends, 0 to 1; what lies beyond an end stands at it.
    pub fn share(&self, value: f64) -> f32 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value.max(f64::MIN_POSITIVE) / self.low).log10() / (self.high / self.low).log10(),
        };
        share.clamp(0.0, 1.0) as f32
    }

    /// Round values and how they are written, from `low` to `high`.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let values: Vec<f64> = match self.scale {
            Scale::Linear => {
                let step = step(self.high - self.low);
                let (first, last) = ((self.low / step).round() as i64, (self.high / step).round() as i64);
                (first..=last).map(|i| i as f64 * step).collect()
            }
            Scale::Log => {
                let (first, last) = (self.low.log10().round() as i32, self.high.log10().round() as i32);
                let within: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let all = (first..=last).flat_map(|e| within.iter().map(move |m| m * 10f64.powi(e)));
                all.filter(|v| *v <= self.high * (1.0 + 1e-9)).collect()
            }
        };
        let powers =
            self.scale == Scale::Log && values.iter().any(|v| !(1e-3..1e5).contains(&(v * 1.000_001)));
        values.iter().map(|&v| (v, self.write(v, powers))).collect()
    }

    fn write(&self, value: f64, powers: bool) -> String {
        if powers && self.unit == Unit::Plain {
            return format!("{value:.0e}");
        }
        let (value, step, end) = match self.unit {
            Unit::Plain => (value, step(self.high - self.low), ""),
            Unit::Percent => (100.0 * value, 100.0 * step(self.high - self.low), " %"),
        };
        let text = match self.scale {
            Scale::Linear => {
                let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
                let text = format!("{value:.decimals$}");
                if text.trim_start_matches('-').bytes().all(|b| b == b'0' || b == b'.') {
                    text.replace('-', "")
                } else {
                    text
                }
            }
            Scale::Log => {
                let text = format!("{value:.9}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        };
        format!("{}{end}", grouped(&text))
    }
}

/// 1, 2 or 5 times a power of ten, so that a range gets about [`TICKS`] of them.
fn step(range: f64) -> f64 {
    let rough = range / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let m = rough / power;
    // The limits are geometric means of the neighbours.
    power
        * if m < 1.42 {
            1.0
        } else if m < 3.17 {
            2.0
        } else if m < 7.08 {
            5.0
        } else {
            10.0
        }
}

/// A number's text with commas between thousands.
pub fn grouped(number: &str) -> String {
    let (whole, rest) = number.find('.').map_or((number, ""), |at| number.split_at(at));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |d| ("-", d));
    let mut out = String::from(sign);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out + rest
}

/// Where a plot's data is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Left and top edge, px.
    pub origin: Place,
    /// Width and height, px.
    pub size: Place,
    x: Axis,
    y: Axis,
}

/// A name beside a sample of its colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Legend {
    /// What is drawn so.
    pub name: String,
    /// In which colour.
    pub colour: Colour,
    /// With which line.
    pub dash: Dash,
}

/// Em of titles, of labels and of ticks, px.
const TITLE: f32 = 18.0;
const LABEL: f32 = 14.0;
const TICK: f32 = 13.0;
/// Between two lines of the legend, px.
const LEGEND_LINE: f32 = 21.0;
const MARGIN: f32 = 22.0;

impl Panel {
    /// Draws title, legend, grid and axes over the whole scene, and gives the place left for the data.
    pub fn draw(scene: &mut Scene, title: &str, legend: &[Legend], x: Axis, y: Axis) -> Self {
        let y_ticks = y.ticks();
        let widest =
            y_ticks.iter().map(|(_, t)| font::width(t, TICK, font::Weight::Regular)).fold(0.0, f32::max);
        // From the left: margin, the axis' name, its ticks.
        let left = MARGIN + LABEL + 14.0 + widest + 8.0;
        let right = scene.width - 34.0;
        scene.heading((left, 32.0), &shortened(title, right - left, TITLE), TITLE);
        let below_legend = draw_legend(scene, legend, left, right, 56.0);
        let (top, bottom) = (below_legend + 4.0, scene.height - 62.0);
        let panel = Self { origin: (left, top), size: (right - left, bottom - top), x, y };

        for (value, text) in &y_ticks {
            let at = panel.at(panel.x.low, *value).1;
            scene.line(vec![(left, at), (right, at)], GRID, 1.0);
            scene.text((left - 8.0, at + TICK * 0.36), text, TICK, Anchor::End, INK);
        }
        let mut free_from = f32::NEG_INFINITY;
        for (value, text) in panel.x.ticks() {
            let at = panel.at(value, panel.y.low).0;
            scene.line(vec![(at, top), (at, bottom)], GRID, 1.0);
            let half = font::width(&text, TICK, font::Weight::Regular) / 2.0;
            // A label without room beside the one before it is left out; its grid line stays.
            if at - half > free_from {
                scene.text((at, bottom + 20.0), &text, TICK, Anchor::Middle, INK);
                free_from = at + half + 8.0;
            }
        }
        scene.line(vec![(left, top), (left, bottom), (right, bottom)], GREY, 1.2);
        scene.text(((left + right) / 2.0, bottom + 46.0), &panel.x.label, LABEL, Anchor::Middle, INK);
        scene.shapes.push(Shape::Text(Text {
            at: (MARGIN + LABEL * 0.8, (top + bottom) / 2.0),
            text: shortened(&panel.y.label, bottom - top, LABEL),
            size: LABEL,
            anchor: Anchor::Middle,
            weight: font::Weight::Regular,
            colour: INK,
            direction: Direction::Up,
        }));
        panel
    }

    /// Where a value pair lies; beyond the axes it stands at their end.
    pub fn at(&self, x: f64, y: f64) -> Place {
        (self.origin.0 + self.x.share(x) * self.size.0, self.origin.1 + (1.0 - self.y.share(y)) * self.size.1)
    }
}

/// As many names a line as there is room for; gives the lower edge of the last line.
fn draw_legend(scene: &mut Scene, legend: &[Legend], left: f32, right: f32, first: f32) -> f32 {
    let (mut x, mut y) = (left, first);
    for Legend { name, colour, dash } in legend {
        let name = shortened(name, right - left - 30.0, TICK);
        let width = 30.0 + font::width(&name, TICK, font::Weight::Regular);
        if x > left && x + width > right {
            (x, y) = (left, y + LEGEND_LINE);
        }
        let points = vec![(x, y - 4.5), (x + 22.0, y - 4.5)];
        scene.shapes.push(Shape::Line { points, colour: *colour, width: 3.0, opacity: 1.0, dash: *dash });
        scene.text((x + 30.0, y), &name, TICK, Anchor::Start, INK);
        x += width + 22.0;
    }
    if legend.is_empty() { first - 10.0 } else { y + 8.0 }
}

/// `text`, or its beginning and an ellipsis where it is wider than `room` px.
pub fn shortened(text: &str, room: f32, size: f32) -> String {
    // Bold is the wider of the two.
    let fits = |t: &str| font::width(t, size, font::Weight::Bold) <= room;
    if fits(text) {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let short: String = kept.iter().collect::<String>().trim_end().to_owned() + "…";
        if fits(&short) {
            return short;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(a: &Axis) -> Vec<String> {
        a.ticks().into_iter().map(|(_, t)| t).collect()
    }

    #[test]
    fn linear_axes_have_round_ends_and_steps() {
        let a = Axis::around("step", Scale::Linear, Unit::Plain, [0.0, 28_000.0]).unwrap();
        assert_eq!(labels(&a), ["0", "5,000", "10,000", "15,000", "20,000", "25,000", "30,000"]);
        let a = Axis::around("LFW", Scale::Linear, Unit::Percent, [0.952, 0.9925]).unwrap();
        assert_eq!(labels(&a), ["95 %", "96 %", "97 %", "98 %", "99 %", "100 %"]);
        assert!((a.share(0.975) - 0.5).abs() < 1e-6);
        let a = Axis::around("x", Scale::Linear, Unit::Plain, [-0.2, 0.93]).unwrap();
        assert_eq!(labels(&a), ["-0.2", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        // One value only.
        let a = Axis::around("x", Scale::Linear, Unit::Plain, [5.0]).unwrap();
        assert!(a.low < 5.0 && a.high > 5.0);
    }

    #[test]
    fn log_axes_end_at_powers_of_ten() {
        let a = Axis::around("FMR", Scale::Log, Unit::Plain, [3e-5, 0.0, 0.4]).unwrap();
        assert_eq!(labels(&a), ["1e-5", "1e-4", "1e-3", "1e-2", "1e-1", "1e0"]);
        assert!((a.share(1e-3) - 0.4).abs() < 1e-6);
        assert_eq!(a.share(0.0), 0.0, "what lies beyond an end stands at it");
        let a = Axis::around("lambda", Scale::Log, Unit::Plain, [5.0, 892.0]).unwrap();
        assert_eq!(labels(&a), ["1", "10", "100", "1,000"]);
        let a = Axis::around("lr", Scale::Log, Unit::Plain, [0.1]).unwrap();
        assert_eq!(labels(&a), ["0.1", "0.2", "0.5", "1"]);
        let a = Axis::around("FNMR", Scale::Log, Unit::Percent, [0.0005, 0.4]).unwrap();
        assert_eq!(labels(&a), ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"]);
    }

    #[test]
    fn nothing_to_show_is_no_axis() {
        assert!(Axis::around("loss", Scale::Linear, Unit::Plain, [f64::NAN]).is_none());
        assert!(Axis::around("loss", Scale::Log, Unit::Plain, [0.0, -1.0]).is_none());
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(shortened("loss", 100.0, 13.0), "loss");
        let s = shortened("a very long name of a very long run", 100.0, 13.0);
        assert!(s.ends_with('…') && font::width(&s, 13.0, font::Weight::Bold) <= 100.0, "{s}");
    }
}
