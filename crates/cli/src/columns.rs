//! Text tables.
use std::fmt::Write as _;

use crate::output::visible;

/// Rows as aligned columns, two spaces apart, indented by two; the columns in `right` are aligned to the right.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) =
                if right.contains(&column) { (padding, String::new()) } else { (String::new(), padding) };
            // Writing to a String cannot fail. Each character stays one, so the columns stay aligned.
            let _ = write!(line, "  {before}{}{after}", visible(cell));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
