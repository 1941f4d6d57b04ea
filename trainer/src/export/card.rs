//! The model card: what a reader must know of a model file, as Markdown beside it.

use std::fmt;
use std::path::{Path, PathBuf};

use limen_models::manifest::{Colour, ModelEntry};

/// A model card. Written by `Display` as Markdown.
#[derive(Debug, Clone)]
pub struct Card<'a> {
    /// The manifest's entry: preprocessing, terms, thresholds.
    pub entry: &'a ModelEntry,
    /// One sentence: what the file is.
    pub summary: String,
    /// Size of the file, bytes.
    pub bytes: usize,
    /// Further rows of the first table: what, and the figure.
    pub figures: Vec<(&'static str, String)>,
    /// What follows the table.
    pub sections: Vec<Section>,
}

/// A part of a card under its own heading.
#[derive(Debug, Clone)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// A paragraph before the table; may be empty.
    pub text: String,
    /// Headings of the table's columns; without any there is no table.
    pub columns: Vec<&'static str>,
    /// The table's rows, one cell a column.
    pub rows: Vec<Vec<String>>,
}

impl Card<'_> {
    /// Where the card of `entry` goes: beside the file, under the model's id.
    pub fn path(folder: &Path, entry: &ModelEntry) -> PathBuf {
        folder.join(format!("{}.md", entry.id))
    }
}

impl fmt::Display for Card<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = self.entry;
        writeln!(f, "# {}\n\n{}\n", e.id, self.summary)?;
        let colour = match e.input.colour {
            Colour::Rgb => "RGB",
            Colour::Bgr => "BGR",
        };
        let input = format!(
            "{} x {} {colour}, (pixel - {}) * {}",
            e.input.width, e.input.height, e.input.offset, e.input.scale
        );
        let mut rows = vec![
            vec!["kind".into(), e.kind.word().into()],
            vec!["file".into(), format!("`{}`, {} bytes", e.file, self.bytes)],
            vec!["sha256".into(), format!("`{}`", e.sha256)],
            vec!["source".into(), e.source.clone()],
            vec!["licence".into(), e.licence.clone()],
            vec!["input (width x height)".into(), input],
        ];
        if let Some(a) = &e.alignment {
            let points: Vec<String> = a.points.iter().map(|[x, y]| format!("({x}, {y})")).collect();
            rows.push(vec!["landmarks of the crop, px".into(), points.join(" ")]);
        }
        if let Some(spec) = &e.embedding {
            rows.push(vec![
                "embedding".into(),
                format!("{} values, mirror rule {:?}", spec.length, spec.mirror),
            ]);
        }
        rows.extend(self.figures.iter().map(|(what, figure)| vec![(*what).into(), figure.clone()]));
        table(f, &["", ""], &rows)?;
        section(f, "Thresholds")?;
        if e.operating_points.is_empty() {
            writeln!(f, "None yet: `limen-train calibrate` estimates them.")?;
        } else {
            let row = |p: &limen_models::manifest::OperatingPoint| {
                vec![
                    format!("{:e}", p.fmr),
                    format!("{:.4}", p.threshold),
                    p.impostor_pairs.to_string(),
                    p.evidence.clone(),
                ]
            };
            let rows: Vec<_> = e.operating_points.iter().map(row).collect();
            table(f, &["false match rate", "threshold", "impostor pairs", "evidence"], &rows)?;
        }
        for s in &self.sections {
            section(f, &s.title)?;
            if !s.text.is_empty() {
                writeln!(f, "{}", s.text)?;
            }
            if !s.columns.is_empty() {
                if !s.text.is_empty() {
                    writeln!(f)?;
                }
                table(f, &s.columns, &s.rows)?;
            }
        }
        Ok(())
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
    writeln!(f, "\n## {title}\n")
}

fn table(f: &mut fmt::Formatter<'_>, columns: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    writeln!(f, "| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()))?;
    for row in rows {
        // A bar or a line's end inside a cell would end it.
        let cells: Vec<String> = row.iter().map(|c| c.replace('|', "\\|").replace('\n', " ")).collect();
        writeln!(f, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use limen_models::manifest::{Alignment, EmbeddingSpec, Input, Kind, Mirror, OperatingPoint};

    #[test]
    fn a_card_says_what_the_manifest_says() {
        let mut entry = ModelEntry {
            id: "mine-int8".into(),
            kind: Kind::Embedder,
            file: "mine-int8.onnx".into(),
            sha256: "ab".repeat(32),
            licence: "own | research".into(),
            source: "run 7".into(),
            input: Input::sphereface(96, 112, Colour::Bgr),
            face_threshold: None,
            landmark_looks: None,
            alignment: Some(Alignment::SPHEREFACE_112X96),
            embedding: Some(EmbeddingSpec { length: 128, mirror: Mirror::Sum }),
            operating_points: vec![],
        };
        fn card(entry: &ModelEntry) -> String {
            let section = Section {
                title: "Layers".into(),
                text: "Each alone.".into(),
                columns: vec!["layer", "cosine"],
                rows: vec![vec!["conv1".into(), "0.99".into()]],
            };
            let figures = vec![("parameters", "12".to_string())];
            Card { entry, summary: "A test.".into(), bytes: 34, figures, sections: vec![section] }.to_string()
        }
        let text = card(&entry);
        for line in [
            "# mine-int8\n\nA test.\n",
            "| file | `mine-int8.onnx`, 34 bytes |",
            "| licence | own \\| research |",
            "| input (width x height) | 96 x 112 BGR, (pixel - 127.5) * 0.0078125 |",
            "| parameters | 12 |",
            "None yet: `limen-train calibrate`",
            "## Layers\n\nEach alone.\n\n| layer | cosine |\n|---|---|\n| conv1 | 0.99 |\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        entry.operating_points =
            vec![OperatingPoint { fmr: 1e-3, threshold: 0.4, impostor_pairs: 9000, evidence: "set".into() }];
        assert!(card(&entry).contains("| 1e-3 | 0.4000 | 9000 | set |"));
        assert_eq!(Card::path(Path::new("m"), &entry), Path::new("m/mine-int8.md"));
    }
}
