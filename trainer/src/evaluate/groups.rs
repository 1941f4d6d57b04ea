//! Figures per group of people, from a table of who belongs where: does one threshold treat all alike?

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::evaluate::bootstrap::{Interval, Plan};
use crate::evaluate::comparisons::{Comparison, Comparisons};
use crate::evaluate::rates::{self, Operating};

/// Who belongs to which group, for one or more ways of grouping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The ways of grouping: the header's names after the first.
    pub columns: Vec<String>,
    /// By person: the group in each column; an empty field is no group.
    pub rows: BTreeMap<String, Vec<String>>,
}

impl Table {
    /// Reads CSV with a header line: the person's name, then one or more columns of groups.
    ///
    /// # Errors
    /// When there is no column of groups, a line has another number of fields, or a person stands twice.
    pub fn parse(text: &str) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let columns: Vec<String> = reader.headers()?.iter().skip(1).map(str::to_owned).collect();
        ensure!(!columns.is_empty(), "line 1: a header is expected, as in \"name,group\"");
        let mut rows = BTreeMap::new();
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            let name = record.get(0).with_context(|| format!("line {line}: empty"))?.to_owned();
            let groups = record.iter().skip(1).map(str::to_owned).collect();
            let twice = rows.insert(name.clone(), groups).is_some();
            ensure!(!twice, "line {line}: {name:?} stands twice; one line a person");
        }
        Ok(Self { columns, rows })
    }
}

/// The figures of one group: comparisons between two faces of its own people alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Which way of grouping.
    pub column: String,
    /// Which group.
    pub group: String,
    /// Its people with at least one picture.
    pub subjects: usize,
    /// At the threshold that stands for all.
    pub common: Operating,
    /// False match rate there, 0 to 1; none without impostor comparisons.
    pub fmr: Option<f64>,
    /// False non-match rate there, 0 to 1; none without genuine comparisons.
    pub fnmr: Option<f64>,
    /// Of `fnmr`, by resampling people.
    pub fnmr_interval: Option<Interval>,
    /// At the threshold that the group itself would need for the rate; none where its impostors cannot carry it.
    pub own: Option<Operating>,
}

/// The figures of every group of every column, at `threshold` for all, which was set for `fmr`. `names` are the
/// subjects' names, by number.
pub fn figures(
    all: &Comparisons,
    names: &[String],
    table: &Table,
    fmr: f64,
    threshold: f32,
    plan: Plan,
) -> Vec<Group> {
    let mut found = Vec::new();
    for (k, column) in table.columns.iter().enumerate() {
        let group_of: Vec<Option<&str>> = names
            .iter()
            .map(|n| table.rows.get(n).and_then(|g| g.get(k)).map(String::as_str).filter(|g| !g.is_empty()))
            .collect();
        let groups: BTreeSet<&str> = group_of.iter().copied().flatten().collect();
        for group in groups {
            let is_in = |s: u32| group_of.get(s as usize).copied().flatten() == Some(group);
            let own = |c: &&Comparison| {
                let (a, b) = all.subjects_of(c);
                is_in(a) && is_in(b)
            };
            // Filtering keeps the order: both ascend.
            let impostors: Vec<f32> = all.impostor().iter().filter(own).map(|c| c.score).collect();
            let mated: Vec<_> = all.genuine().iter().filter(own).collect();
            let genuine: Vec<f32> = mated.iter().map(|c| c.score).collect();
            let cases: Vec<_> = mated.iter().map(|c| (all.subjects_of(c).0, c.score < threshold)).collect();
            let common = rates::at(&genuine, &impostors, fmr, threshold);
            found.push(Group {
                column: column.clone(),
                group: group.to_owned(),
                subjects: group_of.iter().filter(|g| **g == Some(group)).count(),
                common,
                fmr: common.reached_fmr(),
                fnmr: common.fnmr(),
                fnmr_interval: plan.share(names.len(), &cases),
                own: rates::operating(&genuine, &impostors, fmr),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::comparisons::tests::face;

    #[test]
    fn tables_are_read_and_bad_ones_name_their_line() {
        let t = Table::parse("name, sex ,age\nAda_L,f,36\n\"Bob, the\",m,\n").unwrap();
        assert_eq!(t.columns, ["sex", "age"]);
        assert_eq!(t.rows["Bob, the"], ["m", ""]);
        assert!(Table::parse("name\nAda\n").is_err());
        assert!(Table::parse("name,g\nAda,f\nAda,m\n").unwrap_err().to_string().contains("line 3"));
        assert!(Table::parse("name,g\nAda,f,1\n").is_err());
    }

    #[test]
    fn only_comparisons_inside_a_group_count() {
        // Group p: A and B, close to each other: their impostors all pass. Group q: C, whose second face is far from
        // the first; D belongs nowhere.
        let faces = [
            face(0, &[1.0, 0.0]),
            face(0, &[1.0, 0.1]),
            face(1, &[1.0, -0.1]),
            face(2, &[0.0, 1.0]),
            face(2, &[-1.0, 0.0]),
            face(3, &[1.0, 0.0]),
        ];
        let all = Comparisons::all_pairs(&faces, 100, 1, 1).unwrap();
        let names = ["A", "B", "C", "D"].map(str::to_owned);
        let table = Table::parse("name,g\nA,p\nB,p\nC,q\nZ,q\n").unwrap();
        let f = figures(&all, &names, &table, 0.1, 0.5, Plan { replicates: 0, seed: 1 });
        assert_eq!(
            f.iter().map(|g| (g.group.as_str(), g.subjects)).collect::<Vec<_>>(),
            [("p", 2), ("q", 1)]
        );
        assert_eq!((f[0].common.false_matches, f[0].common.impostors, f[0].common.genuine), (2, 2, 1));
        assert_eq!((f[0].fmr, f[0].fnmr), (Some(1.0), Some(0.0)));
        assert_eq!((f[1].fmr, f[1].fnmr), (None, Some(1.0)));
        assert!(f[0].own.is_none(), "two impostors carry no rate");
    }
}
