//! The lines of an export: JSON, each with a running check sum over all lines so far.
//!
//! ```text
//! {"sum":"<16 hex>","header":{"format":"limen-gallery","version":2,...}}
//! {"sum":"<16 hex>","subject":{...}}     as many as the header says
//! {"sum":"<16 hex>","template":{...}}
//! {"sum":"<16 hex>","entry":{"event":{...},...}}
//! {"sum":"<16 hex>","end":{"lines":<lines before this one>}}
//! ```
//!
//! The sum is the first 8 bytes of the SHA-256 over the text of every line so far, each without its `"sum":"...",` and
//! with its line feed. So the first line that was changed, lost or moved is the one that does not fit.

use std::io::{BufRead, Read, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::chain::Head;
use crate::event::{Entry, Event};
use crate::hex;
use crate::subject::{Subject, SubjectId};
use crate::template::{Encoding, ModelId, Template, TemplateId, TemplateVector};

/// What the first line says that it is.
pub(super) const FORMAT: &str = "limen-gallery";
/// Version of this format.
pub(super) const VERSION: i64 = 2;
/// Longest line in bytes: a template of 4096 f32 has 32 KiB of hex, a subject with 64 groups of 64 characters less.
const MAX_LINE: u64 = 256 * 1024;

const BEFORE: &str = "{\"sum\":\"";
const AFTER: &str = "\",";
const SUM: usize = 16;

/// First line: what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: i64,
    /// When the export was made.
    pub(super) made: Timestamp,
    pub(super) subjects: u64,
    pub(super) templates: u64,
    /// 0 also where the journal was left out.
    pub(super) events: u64,
    /// Whose templates.
    pub(super) models: Vec<ModelId>,
    /// Where the journal ended, be it in the export or not; not in version 1.
    #[serde(default)]
    pub(super) head: Option<Head>,
}

/// A template, its numbers bit for bit in hex.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateLine {
    subject: SubjectId,
    model: ModelId,
    encoding: Encoding,
    vector: String,
    quality: f32,
    source: String,
    created: Timestamp,
}

/// Last line: proof that nothing is missing.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) lines: u64,
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    Header(Header),
    Subject(Box<Subject>),
    Template(Box<TemplateLine>),
    /// Of version 1, without what binds it to the journal.
    Event(Box<Event>),
    Entry(Box<Entry>),
    End(End),
}

impl From<Template> for TemplateLine {
    fn from(t: Template) -> Self {
        Self {
            subject: t.subject,
            model: t.model,
            encoding: t.vector.encoding(),
            vector: hex::encode(&t.vector.to_bytes()),
            quality: t.quality,
            source: t.source,
            created: t.created,
        }
    }
}

impl TemplateLine {
    /// Whose.
    pub(super) fn subject(&self) -> SubjectId {
        self.subject
    }

    /// The template of `subject`, without a number; errors with what is wrong.
    pub(super) fn template(self, subject: SubjectId) -> Result<Template, String> {
        let bytes = hex::decode(&self.vector).ok_or("vector: not an even number of hex digits")?;
        Ok(Template {
            id: TemplateId::new(0),
            subject,
            model: self.model,
            vector: TemplateVector::from_bytes(self.encoding, &bytes)
                .map_err(|why| format!("vector: {why}"))?,
            quality: self.quality,
            source: self.source,
            created: self.created,
        })
    }
}

/// The running check sum.
#[derive(Default)]
struct Chain(Sha256);

impl Chain {
    /// Takes a line without its sum in, says the sum that it must have.
    fn sum(&mut self, body: &str) -> String {
        self.0.update(body.as_bytes());
        self.0.update(b"\n");
        hex::encode(&self.0.clone().finalize()[..SUM / 2])
    }
}

/// Writes lines.
pub(super) struct Writer<W> {
    out: W,
    chain: Chain,
    lines: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, chain: Chain::default(), lines: 0 }
    }

    pub(super) fn put(&mut self, line: &Line) -> std::io::Result<()> {
        let body = serde_json::to_string(line)?;
        let sum = self.chain.sum(&body);
        self.lines += 1;
        writeln!(self.out, "{BEFORE}{sum}{AFTER}{}", &body[1..])
    }

    /// Closes the export; hands the sink back.
    pub(super) fn end(mut self) -> std::io::Result<W> {
        self.put(&Line::End(End { lines: self.lines }))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Why a line cannot be taken.
#[derive(Debug)]
pub(super) enum LineError {
    /// The system failed.
    Io(std::io::Error),
    /// The first line is none of ours.
    Foreign,
    /// Made by a program that knows more.
    Newer(i64),
    /// Damaged, cut short or made wrong: what is wrong.
    Bad(String),
}

impl LineError {
    fn bad(why: impl Into<String>) -> Self {
        Self::Bad(why.into())
    }
}

/// Reads lines, checking each.
pub(super) struct Reader<R> {
    input: R,
    chain: Chain,
    line: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, chain: Chain::default(), line: 0 }
    }

    /// Number of the line last read or tried, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next line; `None` after the closing one.
    pub(super) fn next(&mut self) -> Result<Option<Line>, LineError> {
        self.line += 1;
        let first = self.line == 1;
        let Some(text) = self.text(first)? else {
            return Err(LineError::bad("the file ends without its closing line: it was cut short"));
        };
        let parts = text.strip_prefix(BEFORE).and_then(|t| {
            let (sum, rest) = t.split_at_checked(SUM)?;
            Some((sum, rest.strip_prefix(AFTER)?))
        });
        let (sum, rest) = match parts {
            Some(parts) => parts,
            None if first => return Err(LineError::Foreign),
            None => return Err(LineError::bad("does not begin with its check sum: it was damaged")),
        };
        let body = format!("{{{rest}");
        if self.chain.sum(&body) != sum {
            return Err(LineError::bad(
                "does not fit its check sum: it was changed, or a line before it is lost",
            ));
        }
        if first {
            version(&body)?;
        }
        let line: Line = serde_json::from_str(&body).map_err(|e| LineError::Bad(without_place(&e)))?;
        if let Line::End(End { lines }) = line {
            return match self.text(false)? {
                _ if lines != self.line - 1 => {
                    Err(LineError::bad(format!("closes {lines} lines, not those before it")))
                }
                Some(_) => Err(LineError::bad("closes the export, but more follows")),
                None => Ok(None),
            };
        }
        Ok(Some(line))
    }

    /// A line without its line feed; `None` at the end of the file.
    fn text(&mut self, first: bool) -> Result<Option<String>, LineError> {
        let mut bytes = Vec::new();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(LineError::Io)?;
        if bytes.is_empty() {
            return if first { Err(LineError::Foreign) } else { Ok(None) };
        }
        if bytes.pop() != Some(b'\n') {
            return Err(match first {
                true if !bytes.starts_with(BEFORE.as_bytes()) => LineError::Foreign,
                _ => LineError::bad("ends in the middle: the file was cut short"),
            });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) if first => Err(LineError::Foreign),
            Err(_) => Err(LineError::bad("is not UTF-8: it was damaged")),
        }
    }
}

/// What serde_json found, without its "at line 1 column 15": for it each line is line 1.
fn without_place(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

/// Looks at format and version before anything else, which a later version may have changed.
fn version(body: &str) -> Result<(), LineError> {
    #[derive(Deserialize)]
    struct Only {
        header: Said,
    }
    #[derive(Deserialize)]
    struct Said {
        format: String,
        version: i64,
    }
    match serde_json::from_str::<Only>(body) {
        Ok(Only { header }) if header.format != FORMAT => Err(LineError::Foreign),
        Ok(Only { header }) if header.version > VERSION => Err(LineError::Newer(header.version)),
        Ok(Only { header }) if header.version < 1 => Err(LineError::bad("version: there is none below 1")),
        Ok(_) => Ok(()),
        Err(_) => Err(LineError::Foreign),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Lines given without sums, with sums.
    pub(in crate::backup) fn summed(bodies: impl Iterator<Item = String>) -> String {
        let mut chain = Chain::default();
        bodies.map(|body| format!("{BEFORE}{}{AFTER}{}\n", chain.sum(&body), &body[1..])).collect()
    }

    fn header() -> Line {
        Line::Header(Header {
            format: FORMAT.into(),
            version: VERSION,
            made: Timestamp::UNIX_EPOCH,
            subjects: 0,
            templates: 0,
            events: 0,
            models: vec![],
            head: None,
        })
    }

    fn written(lines: &[Line]) -> String {
        let mut writer = Writer::new(Vec::new());
        lines.iter().for_each(|l| writer.put(l).unwrap());
        String::from_utf8(writer.end().unwrap()).unwrap()
    }

    fn read(text: &[u8]) -> Result<u64, (u64, LineError)> {
        let mut reader = Reader::new(text);
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(reader.line()),
                Err(e) => return Err((reader.line(), e)),
            }
        }
    }

    #[test]
    fn the_sum_is_that_of_sha256() {
        // printf '%s\n' '{"end":{"lines":0}}' | sha256sum | cut -c-16
        assert_eq!(written(&[]), "{\"sum\":\"9743128cb3f1b07d\",\"end\":{\"lines\":0}}\n");
    }

    #[test]
    fn lines_come_back_until_the_end() {
        assert_eq!(read(written(&[header(), header()]).as_bytes()).unwrap(), 3);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let whole = written(&[header(), header()]);
        for cut in 0..whole.len() {
            assert!(read(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        let starts: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at).collect();
        for at in 0..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[at] ^= 1;
            let (line, _) = read(&bytes).unwrap_err();
            let own = starts.iter().filter(|s| **s < at).count() as u64 + 1;
            assert!(line <= own, "byte {at} of line {own} noticed in line {line}");
        }
        assert!(read(format!("{whole}x\n").as_bytes()).is_err());
    }

    #[test]
    fn a_lost_line_is_noticed_at_the_next() {
        let whole = written(&[header(), header(), header()]);
        let without: String =
            whole.split_inclusive('\n').enumerate().filter(|(i, _)| *i != 1).map(|(_, l)| l).collect();
        assert_eq!(read(without.as_bytes()).unwrap_err().0, 2);
    }

    #[test]
    fn other_files_and_later_versions_are_told_apart() {
        for other in ["", "\n", "hello", "hello\n", "{\"a\":1}\n", "\u{0}\u{1}\n"] {
            assert!(matches!(read(other.as_bytes()), Err((1, LineError::Foreign))), "{other:?}");
        }
        let first = |body: &str| {
            let sum = Chain::default().sum(&format!("{{{body}"));
            format!("{BEFORE}{sum}{AFTER}{body}\n")
        };
        let newer = first("\"header\":{\"format\":\"limen-gallery\",\"version\":3,\"moon\":1}}");
        assert!(matches!(read(newer.as_bytes()), Err((1, LineError::Newer(3)))));
        let other = first("\"header\":{\"format\":\"another\",\"version\":1}}");
        assert!(matches!(read(other.as_bytes()), Err((1, LineError::Foreign))));
        let long = format!("{}{}", written(&[header()]).lines().next().unwrap(), " ".repeat(300_000));
        assert!(matches!(read(long.as_bytes()), Err((1, LineError::Bad(_)))), "no line is read without end");
    }
}
