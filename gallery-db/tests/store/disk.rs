//! What a program asked of the disk, as strace saw it, and what may be on the disk when the power goes in the middle.
//!
//! What a file was told to sync is there. Of what was asked after that each sector may be there or not, each file may be as
//! long as it was or as it was to be, a new name may be missing, and a name taken away may be back: no file system's order
//! is counted on, only what `fsync` promises. A sector of 512 bytes is written whole or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use crate::crash::Dice;

const SECTOR: usize = 512;
/// What the program writes to its standard output when it has done something.
pub const DONE: &[u8] = b"done\n";

/// A file by its number; one that was taken away and made anew is another.
type File = usize;

/// One thing asked.
enum Asked {
    Write {
        file: File,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        file: File,
        length: usize,
    },
    Sync {
        file: File,
    },
    Make {
        name: String,
        file: File,
    },
    Remove {
        name: String,
    },
    SyncFolder,
    /// Something was acknowledged.
    Say,
}

/// All that was asked, in order.
#[derive(Default)]
pub struct Record {
    asked: Vec<Asked>,
    /// The files by the names that they have now.
    names: BTreeMap<String, File>,
    files: usize,
}

impl Record {
    /// Reads what `strace -f -qq -xx -y` wrote of the files in `folder`.
    pub fn read(log: &str, folder: &Path) -> Self {
        let mut record = Self::default();
        let mut unfinished: BTreeMap<&str, String> = BTreeMap::new();
        for line in log.lines() {
            let (thread, call) = line.split_once(' ').unwrap();
            let call = call.trim_start();
            if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, begun.to_owned());
            } else if let Some((_, rest)) = call.strip_prefix("<... ").and_then(|c| c.split_once(" resumed>"))
            {
                let begun = unfinished.remove(thread).unwrap();
                record.take(&(begun + rest), folder);
            } else {
                record.take(call, folder);
            }
        }
        record
    }

    fn take(&mut self, call: &str, folder: &Path) {
        let Some((name, rest)) = call.split_once('(') else { return };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return };
        if result.starts_with('-') {
            return;
        }
        let words: Vec<&str> = arguments.trim_end().trim_end_matches(')').split(", ").collect();
        // The file of a descriptor stands behind it in angle brackets.
        let path = |word: &str| {
            let (_, path) = word.split_once('<')?;
            String::from_utf8(unhex(path.split_once('>')?.0)).ok()
        };
        let inside = |path: String| {
            let name = Path::new(&path).strip_prefix(folder).ok()?.to_str()?.to_owned();
            // SQLite makes this one anew after every crash.
            (!name.is_empty() && !name.ends_with("-shm")).then_some(name)
        };
        let known = |names: &BTreeMap<String, File>| names.get(&inside(path(words[0])?)?).copied();
        let number = |word: &str| word.parse::<usize>().unwrap();
        match name {
            "write" if words[0].starts_with("1<") => {
                if unhex(words[1].trim_matches('"')).ends_with(DONE) {
                    self.asked.push(Asked::Say);
                }
            }
            "pwrite64" => {
                if let Some(file) = known(&self.names) {
                    let bytes = unhex(words[1].trim_matches('"'));
                    assert_eq!(bytes.len(), number(result), "written whole");
                    self.asked.push(Asked::Write { file, at: number(words[3]), bytes });
                }
            }
            "ftruncate" => {
                if let Some(file) = known(&self.names) {
                    self.asked.push(Asked::Cut { file, length: number(words[1]) });
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(file) = known(&self.names) {
                    self.asked.push(Asked::Sync { file });
                } else if path(words[0]).is_some_and(|p| Path::new(&p) == folder) {
                    self.asked.push(Asked::SyncFolder);
                }
            }
            "openat" if words[2].contains("O_CREAT") => {
                let Some(name) = path(result).and_then(inside) else { return };
                if !self.names.contains_key(&name) {
                    self.names.insert(name.clone(), self.files);
                    self.asked.push(Asked::Make { name, file: self.files });
                    self.files += 1;
                }
            }
            // ARM's Linux has the second alone; SQLite's names are whole paths.
            "unlink" | "unlinkat" => {
                let word = words[usize::from(name == "unlinkat")];
                let path = String::from_utf8(unhex(word.trim_matches('"'))).unwrap();
                if let Some(name) = inside(path)
                    && self.names.remove(&name).is_some()
                {
                    self.asked.push(Asked::Remove { name });
                }
            }
            "write" | "openat" => {}
            other => panic!("{other} is not known here: {call:.200}"),
        }
    }

    /// How many things were asked.
    pub fn len(&self) -> usize {
        self.asked.len()
    }

    /// How much was acknowledged before the `count`-th thing was asked.
    pub fn said(&self, count: usize) -> usize {
        self.asked[..count].iter().filter(|asked| matches!(asked, Asked::Say)).count()
    }

    /// The files that may be there when the power goes after `count` things were asked.
    pub fn cut(&self, count: usize, dice: &mut Dice) -> BTreeMap<String, Vec<u8>> {
        let asked = &self.asked[..count];
        let synced =
            |file: File| asked.iter().rposition(|a| matches!(a, Asked::Sync { file: f } if *f == file));
        let folder = asked.iter().rposition(|a| matches!(a, Asked::SyncFolder));
        let mut names = BTreeMap::new();
        for (i, asked) in asked.iter().enumerate() {
            let lasts = folder.is_some_and(|at| at > i);
            match asked {
                Asked::Make { name, file } if lasts || synced(*file).is_some() || dice.below(2) == 0 => {
                    names.insert(name.clone(), *file);
                }
                Asked::Remove { name } if lasts || dice.below(2) == 0 => {
                    names.remove(name);
                }
                _ => {}
            }
        }
        // Nothing of what was not synced, all of it, or any part.
        let mood = dice.below(4);
        let contents = |file| self.contents(count, file, synced(file), mood, dice);
        let files: Vec<File> = names.values().copied().collect();
        let contents: Vec<Vec<u8>> = files.into_iter().map(contents).collect();
        names.into_keys().zip(contents).collect()
    }

    fn contents(
        &self,
        count: usize,
        file: File,
        synced: Option<usize>,
        mood: u64,
        dice: &mut Dice,
    ) -> Vec<u8> {
        let mut disk = Vec::new();
        for (i, asked) in self.asked[..count].iter().enumerate() {
            let lasts = synced.is_some_and(|at| at > i);
            let mut there = || lasts || mood == 1 || (mood > 1 && dice.below(2) == 0);
            match asked {
                Asked::Write { file: f, at, bytes } if *f == file => {
                    for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                        let at = at + n * SECTOR;
                        if there() {
                            let end = at + sector.len();
                            disk.resize(disk.len().max(end), 0);
                            disk[at..end].copy_from_slice(sector);
                        }
                    }
                }
                Asked::Cut { file: f, length } if *f == file && there() => disk.resize(*length, 0),
                _ => {}
            }
        }
        disk
    }
}

/// The bytes of `\x41\x42...`.
fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|pair| u8::from_str_radix(&pair[..2], 16).unwrap()).collect()
}
