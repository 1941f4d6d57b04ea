//! Files as nobody wrote them: good ones cut, bent and put together by chance.

use crate::dice::Dice;

/// Numbers at which counting goes wrong, little- and big-endian alike where they are of one byte.
const EDGES: [&[u8]; 8] =
    [&[0], &[0xff], &[0x7f, 0xff], &[0x80, 0x00], &[0xff; 4], &[0x7f, 0xff, 0xff, 0xff], &[0; 8], &[0xff; 8]];

/// Bends a copy of one of the `seeds`, up to eight times; `words` are pieces that files of the kind are made of.
pub fn mutate(seeds: &[Vec<u8>], words: &[&[u8]], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(8) {
        bend(&mut bytes, seeds, words, dice);
    }
    bytes
}

fn bend(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    // Most faults lie near the beginning, where headers are.
    let at = if dice.below(2) == 0 { at } else { at.min(dice.below(256)) };
    let end = (at + 1 + dice.below(64)).min(bytes.len());
    match dice.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end.max(at))),
        4 => {
            let piece = bytes[at..end.max(at)].to_vec();
            let to = dice.below(bytes.len() + 1);
            bytes.splice(to..to, piece);
        }
        5 => {
            let edge = EDGES[dice.below(EDGES.len())];
            let over = (at + edge.len()).min(bytes.len());
            bytes.splice(at..over, edge.iter().copied());
        }
        6 if !words.is_empty() => {
            let word = words[dice.below(words.len())];
            let over = if dice.below(2) == 0 { at } else { end.max(at) };
            bytes.splice(at..over, word.iter().copied());
        }
        _ => {
            // The rest is another file's.
            let other = &seeds[dice.below(seeds.len())];
            let from = dice.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bent_in_many_ways_and_the_same_by_the_same_chance() {
        let seeds = [b"hello, world".to_vec(), Vec::new()];
        let all = |seed| {
            let mut dice = Dice::new(seed);
            (0..300).map(|_| mutate(&seeds, &[b"word"], &mut dice)).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(all(1), all(1));
        assert!(all(1).len() > 200);
    }
}
