//! What a person at the door sees: screens drawn as pure functions of their data, and the panels they are shown on.

pub mod canvas;
pub mod fonts;
pub mod icon;
pub mod keys;
pub mod language;
pub mod overlay;
pub mod palette;
pub mod panel;
pub mod scale;
pub mod screens;
pub mod sheet;
pub mod text;
pub mod theme;
pub mod words;

pub use fonts::FontSource;
pub use language::{Language, LanguageError, LanguageSource};
pub use panel::{Panel, PanelError, PanelSettings, PanelSource};
pub use screens::{Screen, ScreenKind};
pub use words::Words;

use crate::time::Millis;

/// Whether what is shown is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A camera looks at a door.
    Real,
    /// The camera or the door is simulated: every screen says so.
    Demo,
}

/// Draws `screen` on the panel's canvas and shows it.
pub fn show(
    panel: &mut dyn Panel,
    screen: &Screen<'_>,
    language: &Language,
    stage: Stage,
    at: Millis,
) -> Result<(), PanelError> {
    let Language { words, fonts } = language;
    let Ok(()) = match stage {
        Stage::Real => screens::draw(screen, fonts, panel.canvas()),
        Stage::Demo => screens::demo::draw(screen, &words.demo, fonts, panel.canvas()),
    };
    panel.present(at, screen.kind())
}
