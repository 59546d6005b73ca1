//! Tables for people: cells below each other.

/// The rows as lines, each with its line break; columns in `texts` begin below each other, and all others, numbers, end so.
pub(super) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]], texts: &[usize]) -> String {
    let width = |column: usize| rows.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut all = String::new();
    for cells in rows {
        let start = all.len();
        for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            all += &if texts.contains(&column) {
                format!("{cell:<width$}  ")
            } else {
                format!("{cell:>width$}  ")
            };
        }
        all.truncate(start + all[start..].trim_end().len());
        all.push('\n');
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_begin_and_numbers_end_below_each_other() {
        let rows = [["name", "B"], ["x", "1000"], ["long name", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows, &[0]), "name          B\nx          1000\nlong name\n");
    }
}
