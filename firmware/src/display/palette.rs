//! The colour of each identity: the paper's six, then as many well-separated ones as are needed, grey for the unknown.

use std::sync::OnceLock;

/// A face without an identity.
pub const UNKNOWN: [u8; 3] = [0x9a, 0x9a, 0x9a];

/// The colours of the six identities in the paper's video demo, in order.
const PAPER: [[u8; 3]; 6] = [
    [0xff, 0x00, 0x00],
    [0xff, 0xff, 0x00],
    [0xff, 0x80, 0xff],
    [0x00, 0xff, 0xff],
    [0x00, 0x00, 0xff],
    [0x00, 0xff, 0x00],
];

/// Channel levels that generated colours are made of.
const LEVELS: [u8; 6] = [0, 51, 102, 153, 204, 255];

/// Colours in all before they repeat; eyes tell no more apart.
const COUNT: usize = 48;

/// The colour of identity `index` (0, 1, 2, ...), the same on every run; repeats after 48.
pub fn colour(index: usize) -> [u8; 3] {
    static TABLE: OnceLock<Vec<[u8; 3]>> = OnceLock::new();
    let table = TABLE.get_or_init(generate);
    table[index % table.len()]
}

/// The paper's six, then always the candidate that is farthest from all taken ones and from grey and black.
fn generate() -> Vec<[u8; 3]> {
    let mut table = PAPER.to_vec();
    let candidates: Vec<[u8; 3]> = LEVELS
        .iter()
        .flat_map(|&r| LEVELS.iter().flat_map(move |&g| LEVELS.iter().map(move |&b| [r, g, b])))
        // Dark lines are lost on a dark coat, and pale ones look like the grey of the unknown.
        .filter(|c| luma(*c) >= 72 && spread(*c) >= 77)
        .collect();
    while table.len() < COUNT {
        let nearest = |c: &[u8; 3]| {
            let taken = table.iter().chain([&UNKNOWN, &[0; 3]]);
            taken.map(|t| distance(*c, *t)).min().unwrap_or(0)
        };
        // `max_by_key` takes the last of equals: the order is fixed.
        let Some(best) = candidates.iter().max_by_key(|c| nearest(c)) else { break };
        table.push(*best);
    }
    table
}

/// From the weakest channel to the strongest, 0 (grey) to 255.
fn spread([r, g, b]: [u8; 3]) -> u8 {
    r.max(g).max(b) - r.min(g).min(b)
}

/// Squared perceived distance, the "redmean" approximation (compuphase.com/cmetric.htm) times 256, in whole numbers.
fn distance(a: [u8; 3], b: [u8; 3]) -> i64 {
    let [dr, dg, db] = [0, 1, 2].map(|i| i64::from(a[i]) - i64::from(b[i]));
    let mean = (i64::from(a[0]) + i64::from(b[0])) / 2;
    (512 + mean) * dr * dr + 1024 * dg * dg + (767 - mean) * db * db
}

/// BT.601 luma, 0 to 255.
fn luma([r, g, b]: [u8; 3]) -> u32 {
    (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000
}

/// Black or white, whichever reads better on `ground`.
pub fn ink_on(ground: [u8; 3]) -> [u8; 3] {
    // 140 instead of the middle, since bright letters on a mid tone tire less than dark ones.
    if luma(ground) > 140 { [0; 3] } else { [255; 3] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_colours_come_first_and_in_order() {
        let hex: Vec<String> =
            (0..6).map(|i| colour(i).iter().map(|b| format!("{b:02x}")).collect()).collect();
        assert_eq!(hex, ["ff0000", "ffff00", "ff80ff", "00ffff", "0000ff", "00ff00"]);
    }

    #[test]
    fn generated_colours_are_well_apart_and_away_from_unknown() {
        let all: Vec<_> = (0..COUNT).map(colour).collect();
        for (i, a) in all.iter().enumerate() {
            for b in all[i + 1..].iter().chain([&UNKNOWN]) {
                // 40 levels of green apart, or more.
                assert!(distance(*a, *b) >= 1024 * 40 * 40, "{a:?} {b:?} {}", distance(*a, *b));
            }
        }
        // The first twelve are very different.
        for (i, a) in all[..12].iter().enumerate() {
            for b in &all[i + 1..12] {
                assert!(distance(*a, *b) >= 1024 * 95 * 95, "{a:?} {b:?} {}", distance(*a, *b));
            }
        }
    }

    #[test]
    fn an_index_always_means_the_same_colour() {
        assert_eq!(colour(7), generate()[7]);
        assert_eq!(colour(COUNT), colour(0));
    }

    #[test]
    fn letters_on_a_colour_are_readable() {
        assert_eq!(ink_on([255, 255, 0]), [0; 3]);
        assert_eq!(ink_on([0, 0, 255]), [255; 3]);
        assert_eq!(ink_on(UNKNOWN), [0; 3]);
    }
}
