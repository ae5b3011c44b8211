//! `tablerow` and `tablerender`: columns side by side, cut to the terminal's width as gh cuts them.

use super::text;

/// Between two columns.
const GAP: &str = "  ";

/// Rows that wait to be rendered.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn add(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The rows as text, and an empty table again. The first row decides how many columns there are.
    pub(super) fn render(&mut self, total_width: usize) -> String {
        let rows = std::mem::take(&mut self.rows);
        let columns = rows.first().map_or(0, Vec::len);
        let widths = column_widths(&rows, columns, total_width);
        let mut out = String::new();
        for row in rows.iter().filter(|row| !row.is_empty()) {
            push_row(&mut out, row, &widths);
        }
        out
    }
}

fn push_row(out: &mut String, row: &[String], widths: &[usize]) {
    for (column, (field, width)) in row.iter().zip(widths).enumerate() {
        if column > 0 {
            out.push_str(GAP);
        }
        out.push_str(&text::truncated_line(*width, field));
        if column + 1 < widths.len() {
            let padding = width.saturating_sub(text::width(field));
            out.extend(std::iter::repeat_n(' ', padding));
        }
    }
    out.push('\n');
}

/// Short columns keep their width, long ones share what is left, and what then remains goes to the leftmost.
fn column_widths(rows: &[Vec<String>], columns: usize, total_width: usize) -> Vec<usize> {
    let widest: Vec<usize> = (0..columns).map(|column| widest_field(rows, column)).collect();
    let available = total_width.saturating_sub(GAP.len() * columns.saturating_sub(1));
    let mut widths = vec![0; columns];
    let share = available.checked_div(columns).unwrap_or(0);
    for (width, widest) in widths.iter_mut().zip(&widest).filter(|(_, widest)| **widest < share) {
        *width = *widest;
    }
    let flexible = widths.iter().filter(|width| **width == 0).count();
    let share = (available - widths.iter().sum::<usize>()).checked_div(flexible).unwrap_or(0);
    for (width, widest) in widths.iter_mut().zip(&widest).filter(|(width, _)| **width == 0) {
        *width = share.min(*widest);
    }
    let mut left = available - widths.iter().sum::<usize>();
    for (width, widest) in widths.iter_mut().zip(&widest) {
        let more = left.min(widest - *width);
        *width += more;
        left -= more;
    }
    widths
}

fn widest_field(rows: &[Vec<String>], column: usize) -> usize {
    rows.iter().filter_map(|row| row.get(column)).map(|field| text::width(field)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_columns_share_what_short_ones_leave() {
        let mut table = Table::default();
        table.add(vec!["ID".into(), "a".repeat(50), "b".repeat(60)]);
        table.add(vec!["1".into(), "x\ny".into(), "z".into()]);
        let text = table.render(80);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.first().map(|line| text::width(line)), Some(80));
        assert_eq!(lines.get(1).copied(), Some("1   x...                                     z"));
        assert_eq!(table.render(80), "");
    }

    #[test]
    fn a_terminal_of_no_width_and_uneven_rows_do_no_harm() {
        let mut table = Table::default();
        table.add(vec!["a".into(), "b".into()]);
        table.add(vec![]);
        table.add(vec!["c".into(), "d".into(), "e".into()]);
        assert_eq!(table.render(0).lines().count(), 2);
    }
}
