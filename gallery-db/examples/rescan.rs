//! Searches one gallery as often as it is told to, for cross/arm-model.py, which counts instructions.
//!
//!     rescan TEMPLATES RUNS

use std::error::Error;

use limen_gallery_db::{Index, SubjectId, TemplateId};

/// Values of a template.
const LENGTH: usize = 512;
/// Candidates asked for, as at the door.
const K: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|n| n.parse()).collect::<Result<_, _>>()?;
    let [templates, runs] = numbers[..] else { return Err("usage: rescan TEMPLATES RUNS".into()) };
    let mut seed = 1u64;
    let mut direction = || -> Vec<f32> {
        let number = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..LENGTH).map(number).collect()
    };
    let mut index = Index::new(LENGTH)?;
    for i in 0..templates {
        index.insert(
            SubjectId::from_bytes((i as u128).to_be_bytes()),
            TemplateId::new(i as i64 + 1),
            &direction(),
        )?;
    }
    let probe = direction();
    for _ in 0..runs {
        let found = index.identify(&probe, K)?;
        println!("best score {}", found.best().ok_or("no templates")?.score.value());
    }
    Ok(())
}
