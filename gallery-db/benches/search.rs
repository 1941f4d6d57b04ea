//! Time of a search: the two people nearest to a probe, by every kernel of this CPU, on one thread.
//!
//!     ./x bench kernels [NAME...]
//!
//! Items are templates; of a probe and of eight in one pass. `--example scan` compares the results with the scores of
//! every row and goes up to 1,000,000 templates.

use divan::Bencher;
use divan::counter::ItemsCount;
use limen_gallery_db::{Index, Kernel, SubjectId, TemplateId};

fn main() {
    divan::main();
}

/// Values of a template.
const LENGTH: usize = 512;

/// Numbers in -1..1 without a pattern.
fn noise(seed: usize) -> Vec<f32> {
    let mut state = seed as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..LENGTH).map(|_| next()).collect()
}

/// Kernel, templates, probes.
fn cases() -> Vec<(Kernel, usize, usize)> {
    let sizes = [(10_000, 1), (100_000, 1), (100_000, 8)];
    Kernel::available().into_iter().rev().flat_map(|k| sizes.map(|(n, probes)| (k, n, probes))).collect()
}

#[divan::bench(args = cases(), max_time = 0.5)]
fn search(bencher: Bencher<'_, '_>, (kernel, templates, probes): (Kernel, usize, usize)) {
    let Ok(mut index) = Index::new(LENGTH) else { return };
    for i in 0..templates {
        let person = SubjectId::from_bytes((i as u128).to_be_bytes());
        let template = TemplateId::new(i as i64 + 1);
        // Even numbers only: the probes are odd.
        if index.insert(person, template, &noise(2 * i)).is_err() {
            return;
        }
    }
    let index = index.with_kernel(kernel);
    let all: Vec<Vec<f32>> = (0..probes).map(|i| noise(2 * i + 1)).collect();
    let all: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
    bencher.counter(ItemsCount::new(templates * probes)).bench_local(|| index.identify_all(&all, 2).is_ok());
}
