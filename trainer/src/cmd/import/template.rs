//! The crops that embedders take, and where the landmarks lie in them.

use anyhow::{Result, bail};
use clap::ValueEnum;
use limen_models::manifest::{Alignment, Input};

use crate::graph::Size2;

/// A crop's size, height x width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Template {
    /// SphereFace's.
    #[value(name = "112x96")]
    Narrow,
    /// InsightFace's and OpenSphere's: the same with 8 px more on each side (reference section 2.2).
    #[value(name = "112x112")]
    Square,
}

impl Template {
    /// The template of a network that takes `input`.
    ///
    /// # Errors
    /// When no template of that size is known, or `wanted` is another one.
    pub(super) fn of(input: &Input, wanted: Option<Self>) -> Result<Self> {
        let (h, w) = (input.height, input.width);
        let found = [Self::Narrow, Self::Square].into_iter().find(|t| t.size() == Size2::new(h, w));
        match (found, wanted) {
            (None, _) => bail!("no alignment template is known for {h}x{w}; 112x96 and 112x112 are"),
            (Some(found), Some(wanted)) if found != wanted => {
                let wanted = wanted.size();
                bail!("--template {}x{}, but the network takes {h}x{w}", wanted.height, wanted.width)
            }
            (Some(found), _) => Ok(found),
        }
    }

    /// Rows and columns.
    pub(super) const fn size(self) -> Size2 {
        match self {
            Self::Narrow => Size2::new(112, 96),
            Self::Square => Size2::square(112),
        }
    }

    /// Where the landmarks lie, px.
    pub(super) fn alignment(self) -> Alignment {
        let mut template = Alignment::SPHEREFACE_112X96;
        let shift = if self == Self::Square { 8.0 } else { 0.0 };
        template.points.iter_mut().for_each(|p| p[0] += shift);
        template
    }
}
