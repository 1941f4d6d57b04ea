//! Lists as people and their programs write them.

use proptest::prelude::*;

use super::*;

fn read_text(text: &str) -> Result<Vec<Row>, TableFault> {
    read(text.as_bytes())
}

fn refused(text: &str, line: u64, words: &[&str]) {
    let Err(fault) = read_text(text) else { panic!("taken: {text}") };
    assert_eq!(fault.line, line, "{fault:?}");
    for word in words {
        assert!(fault.why.contains(word), "no {word:?} in {fault:?}");
    }
}

#[test]
fn columns_stand_in_any_order_with_commas_or_semicolons() {
    let tabled = |text: &str| {
        let rows = read_text(text).unwrap();
        rows.iter()
            .map(|r| (r.line, r.cell(Column::Id).to_owned(), r.cell(Column::Name).to_owned()))
            .collect::<Vec<_>>()
    };
    let want = [(2, "7".to_owned(), "Ada, Countess".to_owned()), (4, "8".to_owned(), "Ben".to_owned())];
    assert_eq!(tabled("id,name\n7,\"Ada, Countess\"\n\n8,Ben\n"), want);
    assert_eq!(tabled("\u{feff}Name;ID\r\nAda, Countess;7\r\n;\r\nBen ; 8\r\n"), want);
    let rows = read_text("id;name;groups;photos\n7;Ada;\"staff; lab|\";a.jpg | b").unwrap();
    assert_eq!(rows[0].parts(Column::Groups).collect::<Vec<_>>(), ["staff", "lab"]);
    assert_eq!(rows[0].parts(Column::Photos).collect::<Vec<_>>(), ["a.jpg", "b"]);
    assert_eq!(rows[0].cell(Column::Pin), "");
}

#[test]
fn what_is_no_list_is_told_with_its_line_and_without_its_cells() {
    refused("", 1, &["no column id"]);
    refused("id,name\n", 1, &["nobody below it"]);
    refused("id,name,salary\n7,Ada,1", 1, &["\"salary\" is no column", "valid_until"]);
    refused("id,name,id\n7,Ada,8", 1, &["id is there twice"]);
    refused("id,name\n7,Ada\n8,Ben,staff\n", 3, &["has 3 fields where the first line has 2", "quotes"]);
    refused("id,name\n7,Ada\n8,Ben\n7,Carl\n", 4, &["the id of line 2"]);
    assert_eq!(
        read(b"id,name\n7,\xC4da\n").err().unwrap().why,
        "is not UTF-8; save the list as CSV in UTF-8"
    );
    assert!(read(b"\xFF\xFEi\0d\0").err().unwrap().why.contains("UTF-16"));
    // A list without its first line begins with somebody, who is not repeated.
    let Err(fault) = read_text("7,Ada Example\n8,Ben\n") else { panic!("taken") };
    assert!(!fault.why.contains("Ada") && fault.why.contains("names the columns"), "{fault:?}");
    let many: String = (0..=MAX_PEOPLE).map(|i| format!("{i},A\n")).collect();
    refused(&format!("id,name\n{many}"), MAX_PEOPLE as u64 + 2, &["part the list"]);
}

fn cell() -> impl Strategy<Value = String> {
    "([a-zä,;\"|]([a-zä,;\"|\n ]{0,6}[a-zä,;\"|])?)?"
}

proptest! {
    #[test]
    fn a_list_is_read_as_it_was_written(
        cells in prop::collection::vec(prop::array::uniform9(cell()), 1..8),
        order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(),
        columns in 2..=9usize,
        semicolon: bool,
        mark: bool,
        windows: bool,
    ) {
        // Id and name are there always.
        let mut order = order;
        order.retain(|i| *i > 1);
        order.truncate(columns - 2);
        order.insert(order.len() / 2, 0);
        order.insert(0, 1);
        let mut text = if mark { BYTE_ORDER_MARK.to_vec() } else { Vec::new() };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(if semicolon { b';' } else { b',' })
            .terminator(if windows { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .from_writer(&mut text);
        writer.write_record(order.iter().map(|i| Column::ALL[*i].name())).unwrap();
        let value = |row: usize, i: usize| if i == 0 { format!("id{row}") } else { cells[row][i].clone() };
        for row in 0..cells.len() {
            writer.write_record(order.iter().map(|i| value(row, *i))).unwrap();
        }
        drop(writer);
        let rows = read(&text).unwrap();
        prop_assert_eq!(rows.len(), cells.len());
        for (at, row) in rows.iter().enumerate() {
            for (i, column) in Column::ALL.into_iter().enumerate() {
                let want = if order.contains(&i) { value(at, i) } else { String::new() };
                prop_assert_eq!(row.cell(column), want);
            }
        }
    }

    #[test]
    fn any_bytes_are_answered_by_rows_or_a_line(bytes in prop::collection::vec(0u8..=255, 0..300)) {
        for head in [&b""[..], b"id,name\n", b"id;name;pin\n7;A;"] {
            let text = [head, &bytes].concat();
            match read(&text) {
                Ok(rows) => prop_assert!(!rows.is_empty()),
                Err(fault) => prop_assert!(fault.line >= 1 && !fault.why.is_empty()),
            }
        }
    }
}
