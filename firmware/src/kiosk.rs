//! What people do at the device besides standing before it. Pure state machines; what they ask for is done elsewhere.

use anyhow::{Result, anyhow};
use limen_gallery_db::score::Threshold;
use limen_gallery_db::{EnrolPolicy, Existing};

pub mod enrol;
pub mod poses;

/// What samples must be like at a door that lets in from `threshold` on.
pub fn policy(threshold: f32, existing: Existing) -> Result<EnrolPolicy> {
    let threshold =
        Threshold::new(threshold).map_err(|_| anyhow!("the threshold {threshold} is no cosine"))?;
    Ok(EnrolPolicy {
        // Whoever reaches the door's own threshold on somebody else would be let in as that person.
        duplicate: threshold,
        min_agreement: threshold,
        // The quality gate has already refused what cannot be used.
        min_quality: 0.0,
        existing,
        ..EnrolPolicy::default()
    })
}
