//! An enrolled embedding: whose, of which model, how good, from where.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::{Fault, GalleryError};
use crate::score::{Direction, VectorError, check_length, unit};
use crate::subject::SubjectId;
use crate::time::{from_ms, to_ms};

/// Most characters of a template's source.
pub const MAX_SOURCE: usize = 256;

/// Number of a template in its gallery, never used again after a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateId(i64);

impl TemplateId {
    /// The template with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number, from 1.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of the way from a frame to an embedding. Templates of two models never meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId(String);

impl ModelId {
    /// Takes 1 to 128 visible ASCII characters without spaces; errors on anything else.
    pub fn new(id: impl Into<String>) -> Result<Self, GalleryError> {
        let id = id.into();
        if (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic()) {
            return Ok(Self(id));
        }
        Err(GalleryError::Invalid {
            field: "model id",
            why: format!(
                "{id:?} is not 1 to 128 visible ASCII characters; take the id from the model's manifest"
            ),
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ModelId {
    type Error = GalleryError;

    fn try_from(id: String) -> Result<Self, GalleryError> {
        Self::new(id)
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> String {
        id.0
    }
}

/// How the numbers of a template are kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Encoding {
    /// 4 bytes a value, exact.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// 1 byte a value and one common scale: a quarter of the size, cosine to the original above 0.9999 at 128 to 512
    /// values.
    #[serde(rename = "i8")]
    Int8,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "i8",
        }
    }
}

#[derive(Clone, PartialEq)]
enum Stored {
    /// Unit length.
    F32(Vec<f32>),
    /// value = scale * number; the scale is positive and makes it unit length but for the rounding.
    Int8 { scale: f32, values: Vec<i8> },
}

/// The numbers of a template, 16 to 4096 of them, finite, of unit length but for rounding. `Debug` shows how many.
#[derive(Clone, PartialEq)]
pub struct TemplateVector(Stored);

impl TemplateVector {
    /// Normalises `vector` (any norm) and encodes it. Errors if it is no embedding.
    pub fn encode(vector: &[f32], encoding: Encoding) -> Result<Self, VectorError> {
        check_length(vector.len())?;
        let mut vector = vector.to_vec();
        unit(&mut vector)?;
        Ok(Self(match encoding {
            Encoding::F32 => Stored::F32(vector),
            Encoding::Int8 => {
                // Symmetric, so that zero stays zero; at unit length the maximum is at least 1/64, so scale > 0.
                let scale = vector.iter().fold(0f32, |m, x| m.max(x.abs())) / 127.0;
                let values = vector.iter().map(|x| (x / scale).round() as i8).collect();
                Stored::Int8 { scale, values }
            }
        }))
    }

    /// The numbers, of unit length but for rounding.
    pub fn decode(&self) -> Vec<f32> {
        match &self.0 {
            Stored::F32(values) => values.clone(),
            Stored::Int8 { scale, values } => values.iter().map(|q| f32::from(*q) * scale).collect(),
        }
    }

    /// How it is kept.
    pub fn encoding(&self) -> Encoding {
        match self.0 {
            Stored::F32(_) => Encoding::F32,
            Stored::Int8 { .. } => Encoding::Int8,
        }
    }

    /// How many values.
    pub fn length(&self) -> usize {
        match &self.0 {
            Stored::F32(values) => values.len(),
            Stored::Int8 { values, .. } => values.len(),
        }
    }

    /// Little-endian: f32 values, or the f32 scale and one byte a value.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Stored::F32(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Stored::Int8 { scale, values } => {
                scale.to_le_bytes().into_iter().chain(values.iter().map(|q| q.cast_unsigned())).collect()
            }
        }
    }

    /// The inverse of [`Self::to_bytes`], bit for bit; says what is wrong with bytes that it never wrote.
    pub(crate) fn from_bytes(encoding: Encoding, bytes: &[u8]) -> Result<Self, String> {
        let mut decoded = Vec::new();
        let (scale, _) = decode(encoding, bytes, &mut decoded)?;
        Ok(Self(match encoding {
            Encoding::F32 => Stored::F32(decoded),
            Encoding::Int8 => {
                let values = bytes.iter().skip(size_of::<f32>()).map(|b| b.cast_signed()).collect();
                Stored::Int8 { scale, values }
            }
        }))
    }
}

/// Writes to `out` what [`TemplateVector::decode`] gives for these bytes, and returns the scale (1 where there is
/// none) and the direction; says what is wrong with bytes that were never written.
fn decode<'a>(
    encoding: Encoding,
    bytes: &[u8],
    out: &'a mut Vec<f32>,
) -> Result<(f32, Direction<'a>), String> {
    out.clear();
    let scale = match encoding {
        Encoding::F32 => {
            let (values, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(format!("{} bytes are no whole number of f32", bytes.len()));
            }
            out.extend(values.iter().map(|b| f32::from_le_bytes(*b)));
            1.0
        }
        Encoding::Int8 => {
            let Some((scale, values)) = bytes.split_first_chunk::<4>() else {
                return Err(format!("{} bytes are too few for a scale", bytes.len()));
            };
            let scale = f32::from_le_bytes(*scale);
            out.extend(values.iter().map(|b| f32::from(b.cast_signed()) * scale));
            scale
        }
    };
    check_length(out.len()).map_err(|e| e.to_string())?;
    // Rounding to int8 moves each value by at most 1/254 of the largest, so the norm of 4096 values by at most
    // sqrt(4095) / 254 < 0.252 times the largest, which is then well below 1; damage moves it anywhere.
    let tolerance = if encoding == Encoding::F32 { 1e-4 } else { 0.25 };
    let direction = Direction::of_unit(out, tolerance);
    direction.map(|d| (scale, d)).map_err(|norm| format!("its length is {norm}, not 1"))
}

impl fmt::Debug for TemplateVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values as {}", self.length(), self.encoding().name())
    }
}

/// An enrolled embedding. `Debug` shows number, model and length, never the numbers.
#[derive(Clone, PartialEq)]
pub struct Template {
    /// Number in the gallery.
    pub id: TemplateId,
    /// Whose.
    pub subject: SubjectId,
    /// Of which model.
    pub model: ModelId,
    /// The numbers.
    pub vector: TemplateVector,
    /// Quality of the face image, 0 to 1.
    pub quality: f32,
    /// File name or camera that it came from; at most 256 characters.
    pub source: String,
    /// When it was enrolled.
    pub created: Timestamp,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({}, {}, {:?})", self.id, self.model, self.vector)
    }
}

/// Checks quality and source as a template may carry them.
pub(crate) fn check_sample(quality: f32, source: &str) -> Result<(), GalleryError> {
    if !(0.0..=1.0).contains(&quality) {
        let why = format!("{quality} does not lie between 0 and 1");
        return Err(GalleryError::Invalid { field: "quality", why });
    }
    if source.chars().count() > MAX_SOURCE || source.chars().any(char::is_control) {
        let why = format!(
            "is not a text of at most {MAX_SOURCE} characters without control characters; shorten it"
        );
        return Err(GalleryError::Invalid { field: "source", why });
    }
    Ok(())
}

const SELECT: &str = "SELECT id, subject, model, encoding, vector, quality, source, created FROM template";

/// The columns `encoding` (at `column`) and `vector` (the next one).
fn vector<'a>(row: &'a Row<'_>, column: usize) -> Result<(Encoding, &'a [u8]), String> {
    let text = row.get_ref(column).map_err(|e| e.to_string())?;
    let encoding = match text.as_str().unwrap_or_default() {
        "f32" => Encoding::F32,
        "i8" => Encoding::Int8,
        other => return Err(format!("unknown encoding {other:?}")),
    };
    let blob = row.get_ref(column + 1).map_err(|e| e.to_string())?;
    Ok((encoding, blob.as_blob().map_err(|e| e.to_string())?))
}

fn damaged(id: TemplateId, why: impl fmt::Display) -> Fault {
    Fault::Damaged(format!("template {id}: {why}"))
}

fn read(row: &Row<'_>) -> Result<Template, Fault> {
    let id = TemplateId(row.get(0)?);
    let damaged = |why: String| damaged(id, why);
    let (encoding, bytes) = vector(row, 3).map_err(damaged)?;
    Ok(Template {
        id,
        subject: SubjectId::from_bytes(row.get(1)?),
        model: ModelId::new(row.get::<_, String>(2)?).map_err(|e| damaged(e.to_string()))?,
        vector: TemplateVector::from_bytes(encoding, bytes).map_err(damaged)?,
        quality: row.get(5)?,
        source: row.get(6)?,
        created: from_ms(row.get(7)?)?,
    })
}

/// Which templates.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    All,
    Of(SubjectId),
}

/// The templates in the order of their numbers, handed to `each` one by one.
pub(crate) fn for_each(
    db: &Connection,
    which: Which,
    mut each: impl FnMut(Template) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let clause = match which {
        Which::All => "",
        Which::Of(_) => "WHERE subject = ?1",
    };
    let mut query = db.prepare_cached(&format!("{SELECT} {clause} ORDER BY id"))?;
    let mut rows = match which {
        Which::All => query.query([])?,
        Which::Of(id) => query.query([id.as_bytes()])?,
    };
    while let Some(row) = rows.next()? {
        each(read(row)?)?;
    }
    Ok(())
}

/// A vector as the file holds it, not looked at yet.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) id: TemplateId,
    pub(crate) subject: SubjectId,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: &'a [u8],
}

impl Raw<'_> {
    /// Decodes it into `out`. Errors if it was never written.
    pub(crate) fn decode<'a>(&self, out: &'a mut Vec<f32>) -> Result<Direction<'a>, Fault> {
        let decoded = decode(self.encoding, self.bytes, out).map_err(|why| damaged(self.id, why))?;
        Ok(decoded.1)
    }
}

/// The vectors of `model` in the order of their numbers, handed to `each` one by one.
pub(crate) fn for_each_vector(
    db: &Connection,
    model: &ModelId,
    mut each: impl FnMut(Raw<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut query =
        db.prepare_cached("SELECT id, subject, encoding, vector FROM template WHERE model = ?1 ORDER BY id")?;
    let mut rows = query.query([model.as_str()])?;
    while let Some(row) = rows.next()? {
        let id = TemplateId(row.get(0)?);
        let (encoding, bytes) = vector(row, 2).map_err(|why| damaged(id, why))?;
        each(Raw { id, subject: SubjectId::from_bytes(row.get(1)?), encoding, bytes })?;
    }
    Ok(())
}

/// The vector of a template, decoded. Errors if it is not there.
pub(crate) fn vector_of(db: &Connection, id: TemplateId) -> Result<Vec<f32>, Fault> {
    let mut query = db.prepare_cached("SELECT encoding, vector FROM template WHERE id = ?1")?;
    let mut rows = query.query([id.0])?;
    let row = rows.next()?.ok_or_else(|| damaged(id, "it is not in the file any more"))?;
    let (encoding, bytes) = vector(row, 0).map_err(|why| damaged(id, why))?;
    let mut values = Vec::new();
    decode(encoding, bytes, &mut values).map_err(|why| damaged(id, why))?;
    Ok(values)
}

/// The template, if there.
pub(crate) fn find(db: &Connection, id: TemplateId) -> Result<Option<Template>, Fault> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    query.query_row([id.0], |row| Ok(read(row))).optional()?.transpose()
}

/// How many templates `model` has, and how many subjects they can be of at most.
pub(crate) fn count(db: &Connection, model: &ModelId) -> Result<(usize, usize), Fault> {
    let mut query = db.prepare_cached(
        "SELECT (SELECT count(*) FROM template WHERE model = ?1), (SELECT count(*) FROM subject)",
    )?;
    let (templates, subjects): (usize, usize) =
        query.query_row([model.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((templates, subjects.min(templates)))
}

/// How many values the templates of `model` have; `None` if there are none.
pub(crate) fn length_of(db: &Connection, model: &ModelId) -> Result<Option<usize>, Fault> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE model = ?1 LIMIT 1"))?;
    let found = query.query_row([model.as_str()], |row| Ok(read(row))).optional()?.transpose()?;
    Ok(found.map(|t| t.vector.length()))
}

/// Adds a template; its `id` is replaced by the number that it gets, which is returned.
/// Refuses a length other than that of the model's templates.
pub(crate) fn insert(db: &Connection, t: &Template) -> Result<TemplateId, Fault> {
    check_sample(t.quality, &t.source)?;
    if let Some(expected) = length_of(db, &t.model)?
        && expected != t.vector.length()
    {
        return Err(Fault::invalid("vector", VectorError::OtherLength { got: t.vector.length(), expected }));
    }
    db.prepare_cached(
        "INSERT INTO template (subject, model, encoding, vector, quality, source, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        t.subject.as_bytes(),
        t.model.as_str(),
        t.vector.encoding().name(),
        t.vector.to_bytes(),
        t.quality,
        t.source,
        to_ms(t.created),
    ])?;
    Ok(TemplateId(db.last_insert_rowid()))
}

/// Removes a template. Errors if it is not there.
pub(crate) fn remove(db: &Connection, id: TemplateId) -> Result<(), Fault> {
    let removed = db.prepare_cached("DELETE FROM template WHERE id = ?1")?.execute([id.0])?;
    if removed == 0 { Err(GalleryError::UnknownTemplate { id: id.0 }.into()) } else { Ok(()) }
}

/// Removes the templates that `subject` has of `model`.
pub(crate) fn remove_of(db: &Connection, subject: SubjectId, model: &ModelId) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM template WHERE subject = ?1 AND model = ?2")?
        .execute(params![subject.as_bytes(), model.as_str()])?;
    Ok(())
}

/// Removes all templates of `subject`.
pub(crate) fn remove_all(db: &Connection, subject: SubjectId) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM template WHERE subject = ?1")?.execute([subject.as_bytes()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::cosine;
    use proptest::prelude::*;

    #[test]
    fn eight_bits_worked_by_hand() {
        // (3, -4, 12, 0, ...) / 13: scale (12/13)/127; 3 * 127/12 = 31.75 -> 32, -4 * 127/12 = -42.3 -> -42, 12 -> 127.
        let mut v = [0.0; 16];
        (v[0], v[1], v[2]) = (3.0, -4.0, 12.0);
        let t = TemplateVector::encode(&v, Encoding::Int8).unwrap();
        let bytes = t.to_bytes();
        assert_eq!(bytes[..4], (12f32 / 13.0 / 127.0).to_le_bytes());
        assert_eq!(bytes[4..8], [32, 256u16.wrapping_sub(42) as u8, 127, 0]);
        assert_eq!(bytes.len(), 20);
        assert_eq!(format!("{t:?}"), "16 values as i8");
    }

    #[test]
    fn bytes_that_were_never_written_are_refused() {
        let of = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        for (encoding, bytes, why) in [
            (Encoding::F32, vec![0; 63], "no whole number"),
            (Encoding::F32, of(&[1.0; 15]), "15 values"),
            (Encoding::F32, of(&[0.0; 16]), "not 1"),
            (Encoding::F32, of(&[0.26; 16]), "not 1"),
            (Encoding::F32, of(&[f32::NAN; 16]), "not 1"),
            (Encoding::Int8, vec![0; 3], "too few"),
            (Encoding::Int8, [of(&[f32::INFINITY]), vec![1; 16]].concat(), "not 1"),
            (Encoding::Int8, [of(&[0.01]), vec![1; 16]].concat(), "not 1"),
        ] {
            let error = TemplateVector::from_bytes(encoding, &bytes).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(TemplateVector::from_bytes(Encoding::F32, &of(&[0.25; 16])).is_ok());
    }

    #[test]
    fn model_ids_and_samples_are_checked() {
        for bad in ["", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert!(ModelId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ModelId::new("sphereface-128@ab12").unwrap().as_str(), "sphereface-128@ab12");
        assert!(serde_json::from_str::<ModelId>("\"a b\"").is_err());
        assert!(check_sample(0.0, "").is_ok() && check_sample(1.0, "a.jpg").is_ok());
        for quality in [-0.1, 1.1, f32::NAN] {
            assert!(check_sample(quality, "").is_err());
        }
        assert!(check_sample(0.5, "a\nb").is_err() && check_sample(0.5, &"x".repeat(257)).is_err());
    }

    #[test]
    fn debug_shows_model_and_length_only() {
        let t = Template {
            id: TemplateId(4),
            subject: SubjectId::from_bytes([1; 16]),
            model: ModelId::new("m").unwrap(),
            vector: TemplateVector::encode(&[0.25; 16], Encoding::F32).unwrap(),
            quality: 0.5,
            source: "anna.jpg".into(),
            created: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(format!("{t:?}"), "Template(4, m, 16 values as f32)");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            values in prop::collection::vec(-1f32..1.0, 16..600)
                .prop_filter("a direction", |v| v.iter().any(|x| x.abs() > 0.1)),
        ) {
            for (encoding, least) in [(Encoding::F32, 0.999_999), (Encoding::Int8, 0.995)] {
                let t = TemplateVector::encode(&values, encoding).unwrap();
                let back = TemplateVector::from_bytes(encoding, &t.to_bytes()).unwrap();
                prop_assert_eq!(&back, &t);
                prop_assert_eq!(back.to_bytes(), t.to_bytes());
                prop_assert!(cosine(&t.decode(), &values).value() >= least);
            }
        }
    }
}
