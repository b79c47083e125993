//! Tables without drawings: columns, and a head in capitals.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// A table whose cells wrap within `width` columns; on one line each where the width is not known.
#[derive(Debug)]
pub(crate) struct Columns(Table);

impl Columns {
    pub(crate) fn new(head: &[&str], width: Option<u16>) -> Self {
        let mut table = Table::new();
        table.load_style(NOTHING).force_no_tty();
        match width {
            Some(width) => table
                .set_width(width)
                .set_content_arrangement(ContentArrangement::Dynamic),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(head.iter().map(|name| name.to_uppercase()));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    /// Adds a row. A cell is one line of printable text, whatever somebody once wrote into it.
    pub(crate) fn row<Cell: Into<String>>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let printable = |cell: Cell| cell.into().replace(char::is_control, " ");
        self.0
            .add_row(cells.into_iter().map(printable).collect::<Vec<String>>());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Columns {
    /// Every line ends with a line break and without blanks before it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in self.0.lines() {
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_no_drawings_and_wraps_only_where_the_width_is_known() {
        let table = |width| {
            let mut table = Columns::new(&["name", "details"], width);
            table.row(["api", "a sentence that is rather long for its place"]);
            table.row(["worker", "\u{1b}[2J\n"]);
            table.to_string()
        };
        insta::assert_snapshot!(table(None));
        insta::assert_snapshot!(table(Some(30)));
    }
}
