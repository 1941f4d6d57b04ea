//! A panel made of PNG files, for a laptop, the tests and a look from afar.

use std::path::{Path, PathBuf};

use super::{Panel, PanelError};
use crate::display::canvas::Canvas;
use crate::display::screens::ScreenKind;
use crate::display::sheet::write_png;
use crate::time::Millis;

enum Files {
    Numbered { folder: PathBuf, next: u64 },
    Latest(PathBuf),
}

/// Writes screens as PNG. A screen that equals the one before is not written again.
pub struct PngPanel {
    canvas: Canvas,
    files: Files,
    shown: Option<Vec<u8>>,
}

impl PngPanel {
    /// Every new screen into `folder` (made if it is missing) as `NUMBER-TIMEms-KIND.png`, for example
    /// `000007-0000012400ms-granted.png`.
    pub fn numbered(folder: &Path, canvas: Canvas) -> Result<Self, PanelError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| PanelError::Write { path: folder.to_owned(), source })?;
        Ok(Self { canvas, files: Files::Numbered { folder: folder.to_owned(), next: 0 }, shown: None })
    }

    /// The current screen in `file`.
    pub fn latest(file: &Path, canvas: Canvas) -> Self {
        Self { canvas, files: Files::Latest(file.to_owned()), shown: None }
    }
}

impl Panel for PngPanel {
    fn canvas(&mut self) -> &mut Canvas {
        &mut self.canvas
    }

    fn present(&mut self, at: Millis, kind: ScreenKind) -> Result<(), PanelError> {
        let image = self.canvas.image();
        if self.shown.as_deref() == Some(image.data()) {
            return Ok(());
        }
        let path = match &self.files {
            Files::Numbered { folder, next } => {
                folder.join(format!("{next:06}-{:010}ms-{}.png", at.0, kind.name()))
            }
            Files::Latest(file) => file.clone(),
        };
        write_png(image, &path).map_err(|source| PanelError::Write { path, source })?;
        if let Files::Numbered { next, .. } = &mut self.files {
            *next += 1;
        }
        self.shown = Some(image.data().to_vec());
        Ok(())
    }

    fn describe(&self) -> String {
        let size = (self.canvas.image().width(), self.canvas.image().height());
        match &self.files {
            Files::Numbered { folder, .. } => {
                format!("PNG files in {} ({}x{} px)", folder.display(), size.0, size.1)
            }
            Files::Latest(file) => format!("{} ({}x{} px)", file.display(), size.0, size.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Denial;
    use crate::display::screens::{Denied, Granted, Screen};
    use crate::display::{Language, Stage};

    fn english() -> Language {
        Language::open(&"en".parse().unwrap(), &Default::default()).unwrap()
    }

    fn show(panel: &mut PngPanel, screen: &Screen<'_>, at: Millis) -> Result<(), PanelError> {
        crate::display::show(panel, screen, &english(), Stage::Real, at)
    }

    fn canvas() -> Canvas {
        Canvas::new(240, 240).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut v: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        v.sort();
        v
    }

    #[test]
    fn screens_are_numbered_and_a_repeated_one_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/screens");
        let mut panel = PngPanel::numbered(&folder, canvas()).unwrap();
        let granted = Screen::Granted(Granted::new(&english().words, "Ann"));
        show(&mut panel, &granted, Millis(100)).unwrap();
        show(&mut panel, &granted, Millis(200)).unwrap();
        show(&mut panel, &Screen::Denied(Denied::new(&english().words, Denial::Expired)), Millis(12_400))
            .unwrap();
        assert_eq!(names(&folder), ["000000-0000000100ms-granted.png", "000001-0000012400ms-denied.png"]);
    }

    #[test]
    fn the_latest_screen_replaces_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("now.png");
        let mut panel = PngPanel::latest(&file, canvas());
        show(&mut panel, &Screen::Granted(Granted::new(&english().words, "Ann")), Millis(1)).unwrap();
        let first = std::fs::read(&file).unwrap();
        show(&mut panel, &Screen::Granted(Granted::new(&english().words, "Bob")), Millis(2)).unwrap();
        assert_ne!(std::fs::read(&file).unwrap(), first);
        assert_eq!(names(dir.path()), ["now.png"]);
    }

    #[test]
    fn a_folder_that_goes_away_is_reported_and_the_screen_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("screens");
        let mut panel = PngPanel::numbered(&folder, canvas()).unwrap();
        std::fs::remove_dir(&folder).unwrap();
        let granted = Screen::Granted(Granted::new(&english().words, "Ann"));
        assert!(matches!(show(&mut panel, &granted, Millis(1)), Err(PanelError::Write { .. })));
        std::fs::create_dir(&folder).unwrap();
        show(&mut panel, &granted, Millis(2)).unwrap();
        assert_eq!(names(&folder).len(), 1);
    }
}
