//! What a person at the door sees: screens drawn as pure functions of their data, and the panels they are shown on.

pub mod canvas;
pub mod icon;
pub mod overlay;
pub mod palette;
pub mod panel;
pub mod scale;
pub mod screens;
pub mod sheet;
pub mod text;
pub mod theme;

pub use panel::{Panel, PanelError, PanelSettings, PanelSource};
pub use screens::{Screen, ScreenKind};

use crate::time::Millis;

/// Draws `screen` on the panel's canvas and shows it.
pub fn show(panel: &mut dyn Panel, screen: &Screen<'_>, at: Millis) -> Result<(), PanelError> {
    let Ok(()) = screens::draw(screen, panel.canvas());
    panel.present(at, screen.kind())
}
