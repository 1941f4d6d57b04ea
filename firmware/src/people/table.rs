//! `people.csv`: bytes to rows. It looks at the form alone, not at what the cells say.

use std::collections::HashMap;

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

/// Most bytes of a list.
pub const MAX_BYTES: u64 = 16 << 20;
/// Most people on a list.
pub const MAX_PEOPLE: usize = 20_000;
/// U+FEFF in UTF-8, which some programs put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A column, by its name in the first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The person's id.
    Id,
    /// The name shown.
    Name,
    /// Groups, parted by `|` or `;`.
    Groups,
    /// First day or moment.
    ValidFrom,
    /// Last day, or end.
    ValidUntil,
    /// When the person agreed.
    Consent,
    /// Digits known to the person.
    Pin,
    /// Number of a card.
    Card,
    /// Files or a folder, parted by `|` or `;`.
    Photos,
}

impl Column {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Id,
        Self::Name,
        Self::Groups,
        Self::ValidFrom,
        Self::ValidUntil,
        Self::Consent,
        Self::Pin,
        Self::Card,
        Self::Photos,
    ];

    /// As it stands in the first line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Groups => "groups",
            Self::ValidFrom => "valid_from",
            Self::ValidUntil => "valid_until",
            Self::Consent => "consent",
            Self::Pin => "pin",
            Self::Card => "card",
            Self::Photos => "photos",
        }
    }
}

/// A line with something in it. No `Debug`: it holds names and PINs.
pub struct Row {
    /// From 1.
    pub line: u64,
    /// In the order of [`Column::ALL`].
    cells: [String; Column::ALL.len()],
}

impl Row {
    /// What stands in a column, without spaces around it; empty where there is no such column.
    pub fn cell(&self, column: Column) -> &str {
        &self.cells[column as usize]
    }

    /// The parts of a cell that has several.
    pub fn parts(&self, column: Column) -> impl Iterator<Item = &str> {
        self.cell(column).split(['|', ';']).map(str::trim).filter(|part| !part.is_empty())
    }
}

/// What is wrong with a list as a whole. It repeats no cell but an id and the name of a column.
#[derive(Debug, PartialEq, Eq)]
pub struct TableFault {
    /// From 1.
    pub line: u64,
    /// What, and the cure.
    pub why: String,
}

/// The rows of a list, in their order; empty lines are left out.
pub fn read(bytes: &[u8]) -> Result<Vec<Row>, TableFault> {
    let fault = |line, why: String| Err(TableFault { line, why });
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return fault(1, "is UTF-16; save it as CSV in UTF-8".into());
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |sign| first.iter().filter(|b| **b == sign).count();
    let delimiter = if count(b';') > count(b',') { b';' } else { b',' };
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).flexible(true).from_reader(bytes);
    let columns = match reader.headers() {
        Ok(header) => columns(header).map_err(|why| TableFault { line: 1, why })?,
        Err(e) => return Err(unreadable(&e, 1)),
    };
    let mut place = Place { bytes, at: 0, line: 1 };
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| {
            let line = place.line(e.position());
            unreadable(&e, line)
        })?;
        let line = place.line(record.position());
        if record.iter().all(str::is_empty) {
            continue;
        }
        if record.len() != columns.len() {
            return fault(
                line,
                format!(
                    "has {} fields where the first line has {}; put a text with a comma or semicolon in it into \"quotes\"",
                    record.len(),
                    columns.len()
                ),
            );
        }
        let mut row = Row { line, cells: Default::default() };
        for (column, cell) in columns.iter().zip(&record) {
            cell.clone_into(&mut row.cells[*column as usize]);
        }
        if let Some(before) = lines.insert(row.cell(Column::Id).to_owned(), line) {
            return fault(line, format!("has the id of line {before}; a person has one line and one id"));
        }
        rows.push(row);
        if rows.len() > MAX_PEOPLE {
            return fault(line, format!("has more than {MAX_PEOPLE} people before it; part the list"));
        }
    }
    if rows.is_empty() {
        return fault(1, "has nobody below it; write a line for each person".into());
    }
    Ok(rows)
}

/// Where a reader is, in lines: its own number is that of the first of the empty lines before a record.
struct Place<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Place<'_> {
    /// The line of a record, from 1; records come in their order.
    fn line(&mut self, record: Option<&Position>) -> u64 {
        let begin = record.map_or(self.at, |p| p.byte() as usize).clamp(self.at, self.bytes.len());
        let empty = self.bytes[begin..].iter().take_while(|b| b"\r\n".contains(b)).count();
        let passed = &self.bytes[self.at..begin + empty];
        self.line += passed.iter().filter(|b| **b == b'\n').count() as u64;
        self.at = begin + empty;
        self.line
    }
}

/// Which column each field of the first line is.
fn columns(header: &StringRecord) -> Result<Vec<Column>, String> {
    let known = || Column::ALL.map(Column::name).join(", ");
    let named = |name: &str| Column::ALL.into_iter().find(|c| c.name().eq_ignore_ascii_case(name));
    let columns: Vec<Option<Column>> = header.iter().map(named).collect();
    for wanted in [Column::Id, Column::Name] {
        if !columns.contains(&Some(wanted)) {
            // It is not repeated: without its first line a list begins with somebody.
            return Err(format!(
                "the first line names the columns, and there is no column {}; known are {}",
                wanted.name(),
                known()
            ));
        }
    }
    let mut seen = Vec::new();
    for (column, name) in columns.into_iter().zip(header) {
        match column {
            None => return Err(format!("{name:?} is no column that is known; known are {}", known())),
            Some(column) if seen.contains(&column) => {
                return Err(format!("the column {} is there twice; leave one", column.name()));
            }
            Some(column) => seen.push(column),
        }
    }
    Ok(seen)
}

/// What the reader says, without what it read.
fn unreadable(error: &csv::Error, line: u64) -> TableFault {
    let why = match error.kind() {
        ErrorKind::Utf8 { .. } => "is not UTF-8; save the list as CSV in UTF-8",
        _ => "cannot be read as CSV; save the list as CSV in UTF-8",
    };
    TableFault { line, why: why.into() }
}

#[cfg(test)]
mod tests;
