//! Tables and lists of facts, aligned.

use super::{
    Colour, Screen,
    columns::{first_columns, width},
    harmless,
};

/// What stands in a table at one place.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// Text in a colour.
    pub fn coloured(text: impl Into<String>, colour: Option<Colour>) -> Self {
        Self { text: harmless(&text.into()), colour }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::coloured(text.to_string(), None)
    }
}

/// Rows beneath a heading; each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: impl IntoIterator<Item = &'static str>) -> Self {
        Self { rows: vec![headings.into_iter().map(Cell::from).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has headings only.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The table as text; `nothing` if there are no rows.
    pub fn render(&self, screen: &Screen, nothing: &str) -> String {
        if self.is_empty() {
            return format!("{nothing}\n");
        }
        lines(&self.rows, screen, screen.columns())
    }
}

/// What is known about one thing: names and values.
#[derive(Debug, Default)]
pub struct Facts {
    rows: Vec<Vec<Cell>>,
}

impl Facts {
    /// Adds a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<Cell>) -> &mut Self {
        self.rows.push(vec![Cell::from(format!("{name}:")), value.into()]);
        self
    }

    /// Adds a fact if there is one.
    pub fn maybe<T: Into<Cell>>(&mut self, name: &str, value: Option<T>) -> &mut Self {
        if let Some(value) = value {
            self.fact(name, value);
        }
        self
    }

    /// Adds several values of one name, one a line; nothing if there are none.
    pub fn each<T: Into<Cell>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            let name = if index == 0 { format!("{name}:") } else { String::new() };
            self.rows.push(vec![Cell::from(name), value.into()]);
        }
        self
    }

    /// The facts as text.
    pub fn render(&self, screen: &Screen) -> String {
        // Whoever asks for one thing wants all of it.
        lines(&self.rows, screen, None)
    }
}

fn lines(rows: &[Vec<Cell>], screen: &Screen, columns: Option<usize>) -> String {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..longest)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| width(&cell.text)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let (mut at, mut gap) = (0, 0);
        for (index, (cell, column)) in row.iter().zip(&widths).enumerate() {
            if cell.text.is_empty() {
                gap += column + GAP;
                continue;
            }
            text.extend(std::iter::repeat_n(' ', gap));
            at += gap;
            let shown = match columns {
                Some(columns) if index + 1 == row.len() => fitting(&cell.text, columns.saturating_sub(at)),
                _ => cell.text.clone(),
            };
            match cell.colour {
                Some(colour) => text.push_str(&screen.coloured(colour, &shown)),
                None => text.push_str(&shown),
            }
            at += width(&shown);
            gap = column.saturating_sub(width(&shown)) + GAP;
        }
        text.push('\n');
    }
    text
}

/// Between two columns.
const GAP: usize = 3;

/// The least that is shown of a last cell; a narrower terminal wraps it.
const LEAST: usize = 20;

/// As much of the last cell as fits on the terminal.
fn fitting(text: &str, columns: usize) -> String {
    if width(text) <= columns.max(LEAST) {
        return text.to_owned();
    }
    format!("{}…", first_columns(text, columns.max(LEAST) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let (screen, _) = Screen::captured();
        let mut table = Table::new(["ID", "NAME", "WHY"]);
        assert_eq!(table.render(&screen, "nothing there"), "nothing there\n");
        table.row([1.into(), "日本".into(), "".into()]);
        table.row([100.into(), "".into(), "a\u{1b}[2J".into()]);
        assert_eq!(table.render(&screen, ""), "ID    NAME   WHY\n1     日本\n100          a^[[2J\n");
    }

    #[test]
    fn facts_are_named_once() {
        let (screen, _) = Screen::captured();
        let mut facts = Facts::default();
        facts.fact("name", "a").maybe("user", None::<String>).each("port", ["1/tcp", "2/udp"]);
        assert_eq!(facts.render(&screen), "name:   a\nport:   1/tcp\n        2/udp\n");
    }

    #[test]
    fn a_row_fits_on_the_terminal() {
        let (screen, _) = Screen::captured();
        let screen = screen.columns_of(30);
        let mut table = Table::new(["ID", "WHY"]);
        table.row([1.into(), "a reason that is longer than the line".into()]);
        assert_eq!(table.render(&screen, ""), "ID   WHY\n1    a reason that is longer …\n");
    }
}
