//! Tables for operators: a head, aligned columns, no frame, numbers to the right.

use std::fmt;

use comfy_table::{Cell, CellAlignment, Table as Layout, presets};

/// A table with the number of columns of its head.
#[derive(Debug)]
pub(crate) struct Table {
    layout: Layout,
    columns: usize,
}

impl Table {
    /// A table with this head and no rows.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        let mut layout = Layout::new();
        layout.load_preset(presets::NOTHING).set_header(head.map(Cell::new));
        Self { layout, columns: N }
    }

    /// A table of names and values, without a head.
    pub(crate) fn of_facts() -> Self {
        let mut layout = Layout::new();
        layout.load_preset(presets::NOTHING);
        Self { layout, columns: 2 }
    }

    /// Aligns these columns to the right: numbers and sizes.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        self.layout.set_header(self.layout.header().cloned().unwrap_or_default());
        for column in columns {
            if let Some(column) = self.layout.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns);
        self.layout.add_row(cells);
    }
}

impl fmt::Display for Table {
    /// Writes the table without spaces at the ends of lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.layout.to_string();
        let lines: Vec<_> =
            text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let mut table = Table::new(["NODE", "BLOCKS"]).right(&[1]);
        table.row(["a".to_owned(), "7".to_owned()]);
        table.row(["somewhat-longer".to_owned(), "1,000".to_owned()]);
        assert_eq!(
            table.to_string(),
            "NODE             BLOCKS\na                     7\nsomewhat-longer   1,000"
        );
    }

    #[test]
    fn facts_have_no_head() {
        let mut facts = Table::of_facts();
        facts.row(["blocks".to_owned(), "7".to_owned()]);
        assert_eq!(facts.to_string(), "blocks  7");
    }
}
