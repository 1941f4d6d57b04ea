//! Pictures on disk: sets to train on, what is done to them on the way, and LFW's pair list.

pub mod augment;
pub mod cache;
pub mod crop;
pub mod decode;
pub mod dice;
pub mod exclude;
pub mod index;
pub mod loader;
pub mod order;
pub mod parallel;
pub mod prepare;
pub mod set;
pub mod source;
pub mod split;
pub mod survey;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// One person's pictures, in name order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Folder name.
    pub name: String,
    /// Files.
    pub images: Vec<PathBuf>,
}

/// Reads `root/identity/image`, both in name order. Files beside the identity folders are left alone.
pub fn identities(root: &Path) -> Result<Vec<Identity>> {
    let mut found = Vec::new();
    for folder in sorted(root)? {
        if folder.is_dir() {
            let images: Vec<_> = sorted(&folder)?.into_iter().filter(|p| is_image(p)).collect();
            if !images.is_empty() {
                let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                found.push(Identity { name, images });
            }
        }
    }
    ensure!(
        !found.is_empty(),
        "{}: no folder with pictures in it; IDENTITY/IMAGE.jpg is expected",
        root.display()
    );
    Ok(found)
}

/// The pictures of a folder, in name order: those in it, else those of its identity folders.
pub fn pictures(root: &Path) -> Result<Vec<PathBuf>> {
    let own: Vec<_> = sorted(root)?.into_iter().filter(|p| is_image(p)).collect();
    if !own.is_empty() {
        return Ok(own);
    }
    Ok(identities(root)?.into_iter().flat_map(|i| i.images).collect())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("{}: cannot be listed", folder.display()))?;
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| ["jpg", "jpeg", "png", "webp"].iter().any(|k| e.eq_ignore_ascii_case(k)))
}

/// Are both pictures of one person?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// Genuine.
    Same,
    /// Impostor.
    Different,
}

/// Two pictures to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// First picture, relative to the set's folder.
    pub left: PathBuf,
    /// Second picture.
    pub right: PathBuf,
    /// The answer.
    pub truth: Truth,
    /// Fold, from 0.
    pub fold: usize,
}

/// Parses LFW's `pairs.txt`: `folds TAB n`, then per fold n genuine lines (`name i j`) and n impostor lines
/// (`name i other j`). The fold is that of the line's place, as SphereFace counts it (`evaluation.m` L91-97).
pub fn lfw_pairs(text: &str) -> Result<Vec<Pair>> {
    let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    let header: Vec<usize> = match lines.next() {
        Some((_, l)) => l.split_whitespace().map(str::parse).collect::<Result<_, _>>().unwrap_or_default(),
        None => vec![],
    };
    let [folds, per_fold] = header[..] else {
        bail!("line 1: two numbers are expected, folds and pairs of each kind in a fold, as in \"10 300\"");
    };
    ensure!(folds >= 2 && per_fold >= 1, "line 1: at least 2 folds of at least 1 pair are needed");
    let image = |name: &str, number: &str, line: usize| -> Result<PathBuf> {
        let n: u32 =
            number.parse().with_context(|| format!("line {}: {number:?} is no picture number", line + 1))?;
        ensure!(
            !name.contains('/') && !name.starts_with('.'),
            "line {}: {name:?} is no plain folder name",
            line + 1
        );
        Ok(Path::new(name).join(format!("{name}_{n:04}.jpg")))
    };
    let mut pairs = Vec::with_capacity(folds * per_fold * 2);
    for (line, text) in lines {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (left, right, truth) = match words[..] {
            [name, i, j] => (image(name, i, line)?, image(name, j, line)?, Truth::Same),
            [a, i, b, j] => (image(a, i, line)?, image(b, j, line)?, Truth::Different),
            _ => bail!("line {}: three or four words are expected", line + 1),
        };
        let fold = pairs.len() / (2 * per_fold);
        pairs.push(Pair { left, right, truth, fold });
    }
    ensure!(
        pairs.len() == folds * per_fold * 2,
        "{} pairs found, {folds} folds of 2 x {per_fold} announced: the list is cut short or has extra lines",
        pairs.len()
    );
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_list_is_read_by_place() {
        let text = "2\t1\nA_B\t1\t4\nA_B\t2\tC\t10\nD\t1\t2\nD\t3\tE\t4\n";
        let p = lfw_pairs(text).unwrap();
        assert_eq!(p.len(), 4);
        assert_eq!(p[0].right, Path::new("A_B/A_B_0004.jpg"));
        assert_eq!(p[1].right, Path::new("C/C_0010.jpg"));
        assert_eq!((p[1].truth, p[1].fold, p[2].fold), (Truth::Different, 0, 1));
    }

    #[test]
    fn a_bad_pair_list_names_its_line() {
        assert!(lfw_pairs("").unwrap_err().to_string().contains("line 1"));
        assert!(lfw_pairs("2\t1\nA\t1\n").unwrap_err().to_string().contains("line 2"));
        assert!(lfw_pairs("2\t1\n../x\t1\t2\n").unwrap_err().to_string().contains("line 2"));
        assert!(lfw_pairs("2\t1\nA\t1\t2\n").unwrap_err().to_string().contains("1 pairs found"));
    }
}
