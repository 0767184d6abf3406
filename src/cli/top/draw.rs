//! A frame: headlines, tabs, a table that fits, keys. No colours, so that it is the same without them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::figures::Figures;
use super::pages::{Cell, Page, Table, headlines};

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);
const KEYS: &str = "q quit  tab page  up/down scroll  s sort  r reverse";
/// A column that gives way keeps so much.
const LEAST: usize = 12;
/// Columns of the frame that is printed.
const PRINTED: u16 = 132;

/// What is shown, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub page: Page,
    /// The column that is sorted by; `None` for the order in which it came.
    pub sorted: Option<usize>,
    pub is_reversed: bool,
    /// Rows above the first that is shown.
    pub offset: usize,
    /// Why there was no report the last time.
    pub trouble: Option<String>,
}

/// Draws a frame into `area`, however small it is.
pub(super) fn frame(view: &View, figures: &Figures, area: Rect, out: &mut Buffer) {
    let mut lines = Lines { area, out, y: area.top() };
    for line in headlines(figures) {
        lines.line(&line, Style::new());
    }
    lines.tabs(view.page);
    let mut table = view.page.table(figures);
    if let Some(column) = view.sorted {
        table.sort(column, view.is_reversed);
    }
    lines.table(&table, view);
    let bottom = view.trouble.as_deref().map_or_else(|| KEYS.to_owned(), |why| format!("no answer: {why}"));
    if area.height > 0 {
        lines.y = area.bottom() - 1;
        lines.line(&bottom, REVERSED);
    }
}

struct Lines<'b> {
    area: Rect,
    out: &'b mut Buffer,
    y: u16,
}

impl Lines<'_> {
    fn put(&mut self, x: usize, text: &str, width: usize, style: Style) {
        let width = width.min(usize::from(self.area.width).saturating_sub(x));
        let Ok(x) = u16::try_from(x) else { return };
        if self.y < self.area.bottom() && width > 0 {
            self.out.set_stringn(self.area.left() + x, self.y, text, width, style);
        }
    }

    fn line(&mut self, text: &str, style: Style) {
        self.put(0, text, usize::MAX, style);
        self.y = self.y.saturating_add(1);
    }

    fn tabs(&mut self, page: Page) {
        let mut x = 0;
        for (number, tab) in Page::ALL.into_iter().enumerate() {
            let text = if tab == page {
                format!("[{} {}]", number + 1, tab.title())
            } else {
                format!(" {} {} ", number + 1, tab.title())
            };
            self.put(x, &text, usize::MAX, if tab == page { BOLD } else { Style::new() });
            x += text.len() + 1;
        }
        self.y = self.y.saturating_add(1);
    }

    /// Between where it stands and the last line but one, which is the note's.
    fn table(&mut self, table: &Table, view: &View) {
        let widths = widths(table, usize::from(self.area.width));
        let head: Vec<Cell> = table.head.iter().map(|head| Cell::Text((*head).to_owned())).collect();
        self.row(&head, &widths, table, BOLD);
        let room =
            self.area.bottom().saturating_sub(self.y).saturating_sub(1 + u16::from(table.note.is_some()));
        let offset = view.offset.min(table.rows.len().saturating_sub(1));
        for row in table.rows.iter().skip(offset).take(room.into()) {
            self.row(row, &widths, table, Style::new());
        }
        if table.rows.is_empty() {
            self.line("nothing yet", Style::new());
        }
        if let Some(note) = &table.note {
            self.y = self.y.max(self.area.bottom().saturating_sub(2));
            self.line(note, Style::new());
        }
    }

    fn row(&mut self, row: &[Cell], widths: &[usize], table: &Table, style: Style) {
        let mut x = 0;
        for (column, (cell, &width)) in row.iter().zip(widths).enumerate() {
            let is_number =
                matches!(table.rows.first().and_then(|row| row.get(column)), Some(Cell::Number(..)));
            let text = cell.text();
            let pad = if is_number { width.saturating_sub(text.chars().count()) } else { 0 };
            self.put(x + pad, text, width - pad, style);
            x += width + 2;
        }
        self.y = self.y.saturating_add(1);
    }
}

/// As wide as what is in them; where that is too much, the first column gives way, then the last gets what is left.
fn widths(table: &Table, room: usize) -> Vec<usize> {
    let wide = |column: usize| {
        let cells =
            table.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text().chars().count());
        cells.chain([table.head[column].len()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..table.head.len()).map(wide).collect();
    let gaps = 2 * widths.len().saturating_sub(1);
    let last = widths.last().copied().unwrap_or(0).min(LEAST * 2);
    let fixed: usize = widths.iter().take(widths.len().saturating_sub(1)).sum::<usize>() + gaps + last;
    if let Some(first) = widths.first_mut().filter(|_| fixed > room) {
        *first = first.saturating_sub(fixed - room).max(LEAST.min(*first));
    }
    widths
}

/// Every page as text, with all its rows.
pub(super) fn text(figures: &Figures) -> String {
    let mut text = String::new();
    for line in headlines(figures) {
        text.push_str(&line);
        text.push('\n');
    }
    for page in Page::ALL {
        let table = page.table(figures);
        let height = u16::try_from(table.rows.len() + 4).unwrap_or(u16::MAX);
        let area = Rect::new(0, 0, PRINTED, height);
        let mut buffer = Buffer::empty(area);
        let mut lines = Lines { area, out: &mut buffer, y: 0 };
        lines.table(&table, &View::default());
        text.push_str(&format!("\n{}\n", page.title()));
        text.extend(rows(&buffer).into_iter().filter(|row| !row.is_empty()).map(|row| row + "\n"));
    }
    text
}

/// What stands in a buffer, line by line.
fn rows(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::{before, now};
    use super::*;

    fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        frame(view, &Figures::new(now(), Some(&before())), area, &mut buffer);
        rows(&buffer)
    }

    #[test]
    fn a_frame_of_80_columns_has_everything() {
        let frame = drawn(&View::default(), 80, 12);
        println!("{}", frame.join("\n"));
        assert_eq!(frame, GOLDEN);
    }

    const GOLDEN: [&str; 12] = [
        "zonelet 0.1.0  up 2h  1010 q/s (10 tcp)  66.7% from memory  3 waiting  4.0 dropp",
        "cache 12345 in 5.0 MiB  memory 85.0 MiB  files 300  0 cut/s",
        "[1 sources]  2 clients   3 names   4 upstreams   5 zones",
        "SOURCE    RATE  SHARE  NOERROR  NXDOMAIN  SERVFAIL  OTHER",
        "zone       600    67%      600         0         0      0",
        "upstream   300    33%      180         0       120      0",
        "cache        0     0%        0         0         0      0",
        "",
        "",
        "",
        "10.0.0.7 gets 8 NXDOMAIN for each answer, mostly below cluster.local.: ndots and",
        "q quit  tab page  up/down scroll  s sort  r reverse",
    ];

    #[test]
    fn every_page_shows_its_rows_in_the_order_asked_for() {
        let view = |page, sorted| View { page, sorted, ..View::default() };
        let clients = drawn(&view(Page::Clients, None), 80, 10);
        assert!(
            clients[4].starts_with("10.0.0.7   400      11%      0%       89%           0%      0%  gets 8"),
            "{clients:#?}"
        );
        assert!(clients[3].contains("NXDOMAIN  TURNED AWAY  FAILED  HINT"), "{clients:#?}");
        assert_eq!(
            clients[8],
            "one query in 32 of the last 45 s; rates are at most 5.7 too high, and as even as"
        );
        let upstreams = drawn(&view(Page::Upstreams, None), 100, 10);
        assert!(
            upstreams[4].contains("10.0.0.3     0  -       -") || upstreams[4].contains("fails, tried in 7s")
        );
        assert!(upstreams[5].contains("1 ms") && upstreams[5].ends_with("in use"), "{upstreams:#?}");
        let zones = drawn(&view(Page::Zones, Some(5)), 100, 10);
        assert!(
            zones[4].starts_with("b.internal.") && zones[4].contains("throttled\\u{1b}[2J"),
            "{zones:#?}"
        );
        assert_eq!(zones[8], "and 5 more zones");
        let names = drawn(&View { is_reversed: true, ..view(Page::Names, Some(2)) }, 100, 10);
        assert!(names[4].starts_with("db.corp.internal."), "{names:#?}");
        let scrolled = drawn(&View { offset: 9, ..view(Page::Names, None) }, 100, 10);
        assert!(scrolled[4].starts_with("db.corp.internal.") && scrolled[5].is_empty(), "{scrolled:#?}");
    }

    #[test]
    fn any_terminal_is_large_enough() {
        for width in 0..90 {
            for height in 0..14 {
                for page in Page::ALL {
                    let trouble = Some("gone".to_owned());
                    let frame = drawn(&View { page, trouble, ..View::default() }, width, height);
                    assert!(
                        height == 0 || width < 16 || frame.last().unwrap().starts_with("no answer: gone")
                    );
                }
            }
        }
    }

    #[test]
    fn the_printed_text_has_all_pages() {
        let text = text(&Figures::new(now(), Some(&before())));
        for words in [
            "zonelet 0.1.0  up 2h",
            "\nsources\nSOURCE ",
            "\nclients\nCLIENT ",
            "ndots and search list",
            "\nnames\nNAME ",
            "\nupstreams\nDOMAIN ",
            "\nzones\nZONE ",
            "and 5 more zones\n",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }
}
