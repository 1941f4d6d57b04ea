//! MTCNN taught: three networks, each on what the ones before it let through.
//!
//! Source: Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016.
//! The way through: [`pictures`] with their faces, [`windows`] drawn at random ([`draw`]) or let through by the
//! stages before ([`mine`]), shown to a network in many lights ([`show`]), which learns three tasks at once ([`loss`],
//! [`fit`]); what has been learnt is a network like any other ([`nets`]).

pub mod config;
pub mod draw;
pub mod fit;
pub mod loss;
pub mod measure;
pub mod mine;
pub mod nets;
pub mod pictures;
pub mod run;
pub mod show;
pub mod windows;

use crate::import::role::Role;

/// A network of the cascade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Proposes.
    P,
    /// Refines.
    R,
    /// Gives the landmarks.
    O,
}

impl Stage {
    /// In running order.
    pub const ALL: [Self; 3] = [Self::P, Self::R, Self::O];

    /// Side of the square it looks at, px.
    pub const fn side(self) -> usize {
        match self {
            Self::P => 12,
            Self::R => 24,
            Self::O => 48,
        }
    }

    /// Weights of the losses: classification, box, landmarks. P- and R-Net's are those of the paper (section III-C).
    /// With its 1, 0.5, 1 O-Net's places, whose errors are small shares of the window, hardly learn beside the faces.
    pub const fn weights(self) -> [f64; 3] {
        match self {
            Self::P | Self::R => [1.0, 0.5, 0.5],
            Self::O => [1.0, 2.0, 10.0],
        }
    }

    /// The part it plays.
    pub const fn role(self) -> Role {
        match self {
            Self::P => Role::MtcnnP,
            Self::R => Role::MtcnnR,
            Self::O => Role::MtcnnO,
        }
    }
}
