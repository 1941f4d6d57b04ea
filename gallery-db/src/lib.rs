//! Who is enrolled and what happened: subjects, templates, search and the journal, on one SQLite file.
//!
//! ```
//! use limen_gallery_db::{EnrolPolicy, Gallery, ModelId, NewSubject, Sample};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let mut gallery = Gallery::open(&folder.path().join("gallery.db"))?;
//! let model = ModelId::new("sphereface-128")?;
//! let sample = Sample { vector: vec![0.5; 128], quality: 0.9, source: "front.jpg".into() };
//! gallery.enrol(&NewSubject::new("17", "Anna"), &model, &[sample], &EnrolPolicy::default())?;
//!
//! let found = gallery.identify(&model, &[0.1; 128], 3)?;
//! let best = found.best().ok_or("nobody")?;
//! assert_eq!(best.score.value(), 1.0);
//! assert_eq!(gallery.subject(best.subject)?.ok_or("gone")?.external_id, "17");
//! # Ok(())
//! # }
//! ```
//!
//! This crate says how similar two faces are, never whether that is enough: it gives candidates, scores and a margin,
//! and whoever decides compares them with its thresholds and looks at the subject's standing and validity.

pub mod backup;
pub mod credential;
pub mod enrol;
pub mod error;
pub mod event;
mod file;
mod gallery;
mod hex;
mod migrate;
pub mod pass;
pub mod score;
pub mod search;
pub mod secret;
pub mod setting;
pub mod subject;
pub mod template;
mod time;
pub mod whereabouts;

pub use backup::{ExportReport, ImportReport, Journal, OnExisting};
pub use credential::{Credential, CredentialId, CredentialKey, CredentialKind};
pub use enrol::{DuplicateRule, EnrolPolicy, EnrolRefusal, Enrolment, Existing, Sample, SampleFault};
pub use error::{GalleryError, Remedy};
pub use event::chain::{Digest, Head};
pub use event::verify::Verified;
pub use event::{Event, EventFilter, EventKind, EventRow, NewEvent, Order, Seq};
pub use file::{Check, Options};
pub use gallery::{Contents, Gallery, Noting, Refresh};
pub use pass::{NewPass, Pass, PassId, PassRefusal, PassText, Use};
pub use score::{Score, Threshold, VectorError, cosine};
pub use search::{Candidate, Candidates, Index, Kernel, Workspace};
pub use secret::Secret;
pub use setting::Setting;
pub use subject::{NewSubject, Standing, Subject, SubjectId};
pub use template::{Encoding, ModelId, Template, TemplateId, TemplateVector};
pub use whereabouts::Whereabouts;
