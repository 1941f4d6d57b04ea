//! Looks at every picture of a set once: unreadable, there twice, tiny; identities with too few.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::dataset::crop::Crops;
use crate::dataset::decode;
use crate::dataset::index::Index;
use crate::dataset::parallel::{self, Progress};

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A picture with a side below this is tiny, px.
    pub min_side_px: usize,
    /// An identity with fewer pictures is poor.
    pub min_pictures: usize,
}

/// What was found; pictures are places in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Pictures that cannot be decoded, and why.
    pub unreadable: Vec<(u32, String)>,
    /// Groups of pictures with the very same pixels, all of one identity.
    pub duplicates: Vec<Vec<u32>>,
    /// Groups of pictures with the very same pixels under several identities: at most one label is right.
    pub contradictions: Vec<Vec<u32>>,
    /// Pictures with a side below the limit.
    pub tiny: Vec<u32>,
    /// Pictures of another size than the set's crops; none for photographs.
    pub other_size: Vec<u32>,
    /// Identities with too few readable pictures, and how many they have.
    pub poor: Vec<(u32, usize)>,
    /// How many pictures have which size (width, height).
    pub sizes: BTreeMap<(usize, usize), usize>,
    /// Fewest, median and most readable pictures of an identity.
    pub per_identity: [usize; 3],
}

/// A picture as the survey sees it: size and hash of the pixels.
type Looked = Result<((usize, usize), [u8; 32]), String>;

/// Decodes all of `index` on `workers` threads. `crops` tells what the pictures should be, where they are crops.
///
/// # Errors
/// When a thread dies; bad pictures are no error but a finding.
pub fn survey(index: &Index, crops: Option<&Crops>, limits: Limits, workers: usize) -> Result<Report> {
    let samples = index.samples();
    let progress = Progress::new(samples.len() as u64, "pictures");
    let looked: Vec<Looked> = parallel::map(samples.len(), workers, &progress, |i| {
        Ok(match decode::picture(index, crops, &samples[i], &mut Vec::new()) {
            Ok(image) => Ok(((image.width(), image.height()), Sha256::digest(image.data()).into())),
            Err(e) => Err(format!("{e:#}")),
        })
    })?;
    let mut report = Report {
        unreadable: vec![],
        duplicates: vec![],
        contradictions: vec![],
        tiny: vec![],
        other_size: vec![],
        poor: vec![],
        sizes: BTreeMap::new(),
        per_identity: [0; 3],
    };
    let mut twins: HashMap<_, Vec<u32>> = HashMap::new();
    let mut readable = vec![0usize; index.identities().len()];
    for (i, look) in (0u32..).zip(looked) {
        let ((w, h), hash) = match look {
            Ok(seen) => seen,
            Err(why) => {
                report.unreadable.push((i, why));
                continue;
            }
        };
        readable[samples[i as usize].identity as usize] += 1;
        *report.sizes.entry((w, h)).or_default() += 1;
        twins.entry(((w, h), hash)).or_default().push(i);
        if w.min(h) < limits.min_side_px {
            report.tiny.push(i);
        }
        if crops.is_some_and(|c| (c.width, c.height) != (w, h)) {
            report.other_size.push(i);
        }
    }
    for group in twins.into_values().filter(|g| g.len() > 1) {
        let who = |i: u32| samples[i as usize].identity;
        let one = group.iter().all(|i| who(*i) == who(group[0]));
        if one { report.duplicates.push(group) } else { report.contradictions.push(group) }
    }
    report.duplicates.sort_unstable();
    report.contradictions.sort_unstable();
    report.poor =
        (0u32..).zip(&readable).filter(|(_, n)| **n < limits.min_pictures).map(|(i, n)| (i, *n)).collect();
    readable.sort_unstable();
    if let (Some(least), Some(most)) = (readable.first(), readable.last()) {
        report.per_identity = [*least, readable[readable.len() / 2], *most];
    }
    Ok(report)
}

impl Report {
    /// Names for a list of exclusions, each with its reason: what cannot be read, what has another size, all of a
    /// contradiction, and of each group of duplicates all but the first.
    pub fn to_leave_out(&self, index: &Index) -> Vec<(String, String)> {
        let name = |i: u32| index.name(&index.samples()[i as usize]);
        let mut out: Vec<_> = self.unreadable.iter().map(|(i, why)| (name(*i), why.clone())).collect();
        out.extend(self.other_size.iter().map(|i| (name(*i), "another size than the set's crops".into())));
        for group in &self.contradictions {
            out.extend(group.iter().map(|i| (name(*i), "the same picture under another identity".into())));
        }
        for group in &self.duplicates {
            let why = format!("the same picture as {}", name(group[0]));
            out.extend(group[1..].iter().map(|i| (name(*i), why.clone())));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::exclude::Exclusions;

    #[test]
    fn each_fault_is_found_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, side: u32, shade: u8| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::GrayImage::from_pixel(side, 70, image::Luma([shade])).save(path).unwrap();
        };
        put("ann/1.png", 70, 1);
        put("ann/2.png", 70, 2);
        put("ann/3.png", 70, 1); // as ann/1
        put("bob/1.png", 70, 2); // as ann/2
        put("bob/2.png", 20, 3);
        put("cid/1.png", 70, 4);
        std::fs::write(dir.path().join("cid/2.png"), b"\x89PNG\r\n\x1a\n").unwrap();
        let index = Index::open(&[dir.path().to_owned()]).unwrap();
        let limits = Limits { min_side_px: 64, min_pictures: 2 };
        let report = survey(&index, None, limits, 2).unwrap();
        assert_eq!(report.unreadable.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [6]);
        assert!(report.unreadable[0].1.contains("cid/2.png"));
        assert_eq!(report.duplicates, [[0, 2]]);
        assert_eq!(report.contradictions, [[1, 3]]);
        assert_eq!(report.tiny, [4]);
        assert_eq!(report.other_size, [] as [u32; 0]);
        assert_eq!(report.poor, [(2, 1)]);
        assert_eq!(report.sizes, BTreeMap::from([((20, 70), 1), ((70, 70), 5)]));
        assert_eq!(report.per_identity, [1, 2, 3]);
        let names: Vec<_> = report.to_leave_out(&index).into_iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["cid/2.png", "ann/2.png", "bob/1.png", "ann/3.png"]);
        let left = index.without(&Exclusions::parse(&names.join("\n"))).unwrap().0;
        let again = survey(&left, None, limits, 1).unwrap();
        assert!(
            again.unreadable.is_empty() && again.duplicates.is_empty() && again.contradictions.is_empty()
        );
    }
}
