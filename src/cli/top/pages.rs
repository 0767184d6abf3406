//! The pages: what a table has in its rows, and the lines above it.

use std::cmp::Ordering;

use super::figures::{Figures, quantile};
use crate::cli::zones::{plain, span};

/// One view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Page {
    #[default]
    Sources,
    Clients,
    Names,
    Upstreams,
    Zones,
}

impl Page {
    /// In the order of their keys, 1 to 5.
    pub const ALL: [Self; 5] = [Self::Sources, Self::Clients, Self::Names, Self::Upstreams, Self::Zones];

    /// What its tab says.
    pub fn title(self) -> &'static str {
        ["sources", "clients", "names", "upstreams", "zones"][self as usize]
    }

    /// The page so many further on, round and round.
    pub fn step(self, by: isize) -> Self {
        let place = (self as isize + by).rem_euclid(Self::ALL.len() as isize);
        Self::ALL[place as usize]
    }

    /// Its table, in the order in which it came.
    pub fn table(self, figures: &Figures) -> Table {
        match self {
            Self::Sources => sources(figures),
            Self::Clients => clients(figures),
            Self::Names => names(figures),
            Self::Upstreams => upstreams(figures),
            Self::Zones => zones(figures),
        }
    }
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// To be set to the right.
    Number(f64, String),
}

impl Cell {
    /// What is shown.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(_, text) => text,
        }
    }
}

/// Rows below a head.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
    /// A line below.
    pub note: Option<String>,
}

impl Table {
    /// Sorts by a column: numbers from the greatest, texts by the alphabet; or the other way round.
    pub fn sort(&mut self, column: usize, is_reversed: bool) {
        let compare = |a: &Vec<Cell>, b: &Vec<Cell>| match (a.get(column), b.get(column)) {
            (Some(Cell::Number(a, _)), Some(Cell::Number(b, _))) => b.total_cmp(a),
            (Some(a), Some(b)) => a.text().cmp(b.text()),
            _ => Ordering::Equal,
        };
        self.rows.sort_by(|a, b| if is_reversed { compare(b, a) } else { compare(a, b) });
    }
}

/// The two lines above every page.
pub(super) fn headlines(figures: &Figures) -> [String; 2] {
    let now = &figures.now;
    let hits = figures.hits().map_or("-".to_owned(), |hits| format!("{:.1}%", hits * 100.0));
    let tcp = figures.queries.get("tcp").copied().unwrap_or(0.0);
    let size = |bytes: Option<u64>| bytes.map_or("-".to_owned(), mebibytes);
    [
        format!(
            "zonelet {}  up {}  {} q/s ({} tcp)  {hits} from memory  {} waiting  {} dropped/s",
            plain(&now.version),
            span(now.uptime_milliseconds / 1000),
            number(figures.query_rate()),
            number(tcp),
            now.waiting,
            number(figures.drops)
        ),
        format!(
            "cache {} in {}  memory {}  files {}  {} cut/s",
            now.cache.entries,
            mebibytes(now.cache.bytes),
            size(now.process.resident_bytes),
            now.process.open_fds.map_or("-".to_owned(), |fds| fds.to_string()),
            number(figures.truncated)
        ),
    ]
}

fn sources(figures: &Figures) -> Table {
    const CODES: [&str; 3] = ["NOERROR", "NXDOMAIN", "SERVFAIL"];
    let mut names: Vec<&String> = figures.responses.keys().map(|(source, _)| source).collect();
    names.dedup();
    let all = figures.response_rate();
    let row = |source: &&String| {
        let of =
            |code: &str| figures.responses.get(&((*source).clone(), code.to_owned())).copied().unwrap_or(0.0);
        let rate = figures.source_rate(source);
        let named: Vec<f64> = CODES.iter().map(|code| of(code)).collect();
        let others = (rate - named.iter().sum::<f64>()).max(0.0);
        let share = if all > 0.0 { rate / all } else { 0.0 };
        let mut row = vec![Cell::Text(plain(source)), rate_cell(rate), share_cell(share)];
        row.extend(named.into_iter().chain([others]).map(rate_cell));
        row
    };
    let mut rows: Vec<Vec<Cell>> = names.iter().map(row).collect();
    rows.sort_by(|a, b| match (&a[1], &b[1]) {
        (Cell::Number(a, _), Cell::Number(b, _)) => b.total_cmp(a),
        _ => Ordering::Equal,
    });
    let hint = figures.now.top.clients.iter().find_map(|c| c.hint.as_ref().map(|hint| (c.client, hint)));
    Table {
        head: vec!["SOURCE", "RATE", "SHARE", "NOERROR", "NXDOMAIN", "SERVFAIL", "OTHER"],
        rows,
        note: hint.map(|(client, hint)| format!("{client} {}", plain(hint))),
    }
}

/// Of what the figures of clients and names are, and how far they can be trusted.
fn sampled(figures: &Figures) -> Option<String> {
    let top = &figures.now.top;
    Some(match top.sample {
        0 => "nothing is looked at: top.sample is 0".to_owned(),
        sample => format!(
            "{} of the last {:.0} s; rates are at most {} too high, and as even as the draw",
            if sample == 1 { "every query".to_owned() } else { format!("one query in {sample}") },
            top.period_seconds,
            number(top.rate_error)
        ),
    })
}

/// Above what [`asked`] makes.
const ASKED: [&str; 6] = ["RATE", "ANSWERS", "NODATA", "NXDOMAIN", "TURNED AWAY", "FAILED"];

/// How often something is asked, and what comes of it.
fn asked(rate: f64, shares: [f64; 5]) -> impl Iterator<Item = Cell> {
    [rate_cell(rate)].into_iter().chain(shares.map(share_cell))
}

fn clients(figures: &Figures) -> Table {
    let row = |told: &crate::watch::ClientTold| {
        let mut row = vec![Cell::Text(told.client.to_string())];
        row.extend(asked(told.queries_per_second, told.shares()));
        row.push(Cell::Text(told.hint.as_deref().map_or_else(String::new, plain)));
        row
    };
    Table {
        head: [&["CLIENT"][..], &ASKED, &["HINT"]].concat(),
        rows: figures.now.top.clients.iter().map(row).collect(),
        note: sampled(figures),
    }
}

fn names(figures: &Figures) -> Table {
    let row = |told: &crate::watch::NameTold| {
        let mut row = vec![Cell::Text(plain(&told.name)), Cell::Text(plain(&told.rtype))];
        row.extend(asked(told.queries_per_second, told.shares()));
        row
    };
    Table {
        head: [&["NAME", "TYPE"][..], &ASKED].concat(),
        rows: figures.now.top.names.iter().map(row).collect(),
        note: sampled(figures),
    }
}

fn upstreams(figures: &Figures) -> Table {
    let row = |report: &crate::admin::top::UpstreamReport| {
        let told = &report.upstream;
        let none = (0.0, Vec::new());
        let (rate, buckets) = figures.answers.get(&told.upstream).unwrap_or(&none);
        let within = |share| match quantile(buckets, &report.bounds, share) {
            None => Cell::Number(-1.0, "-".to_owned()),
            Some(seconds) => Cell::Number(seconds, milliseconds(seconds)),
        };
        let state = match (told.is_open, told.isolated.len()) {
            (true, _) => format!("fails, tried in {}s", told.trial_seconds),
            (false, 0) => "in use".to_owned(),
            (false, domains) => format!("loops: {domains} domains kept from it"),
        };
        let mut row =
            vec![Cell::Text(plain(&report.domain)), Cell::Text(plain(&told.upstream)), rate_cell(*rate)];
        row.extend([0.5, 0.95, 0.99].map(within));
        row.push(Cell::Number(told.failures.into(), told.failures.to_string()));
        row.push(Cell::Text(state));
        row
    };
    Table {
        head: vec!["DOMAIN", "UPSTREAM", "RATE", "P50", "P95", "P99", "FAILURES", "STATE"],
        rows: figures.now.upstreams.iter().map(row).collect(),
        note: left_off(figures.now.upstreams_left_off, "upstreams"),
    }
}

fn zones(figures: &Figures) -> Table {
    let row = |zone: &crate::admin::top::ZoneBrief| {
        let none = || "-".to_owned();
        let age = zone.age_seconds;
        let count = |count: u64| Cell::Number(count as f64, count.to_string());
        vec![
            Cell::Text(plain(&zone.zone)),
            Cell::Text(plain(&zone.kind)),
            Cell::Text(plain(&zone.state)),
            count(zone.records),
            zone.serial.map_or_else(|| Cell::Number(-1.0, none()), |serial| count(serial.into())),
            Cell::Number(age.map_or(-1.0, |age| age as f64), age.map_or_else(none, span)),
            Cell::Text(zone.error.as_deref().map_or_else(String::new, plain)),
        ]
    };
    Table {
        head: vec!["ZONE", "KIND", "STATE", "RECORDS", "SERIAL", "AGE", "LAST ERROR"],
        rows: figures.now.zones.iter().map(row).collect(),
        note: left_off(figures.now.zones_left_off, "zones"),
    }
}

fn left_off(count: u64, what: &str) -> Option<String> {
    (count > 0).then(|| format!("and {count} more {what}"))
}

fn rate_cell(rate: f64) -> Cell {
    Cell::Number(rate, number(rate))
}

fn share_cell(share: f64) -> Cell {
    Cell::Number(share, format!("{:.0}%", share * 100.0))
}

/// A rate as short as it can be without hiding what is rare.
fn number(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        _ if rate >= 10.0 => format!("{rate:.0}"),
        _ if rate < 0.05 => "<0.1".to_owned(),
        _ => format!("{rate:.1}"),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn milliseconds(seconds: f64) -> String {
    if seconds.is_finite() { format!("{} ms", seconds * 1000.0) } else { "long".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_round() {
        assert_eq!(Page::Zones.step(1), Page::Sources);
        assert_eq!(Page::Sources.step(-1), Page::Zones);
        assert_eq!(Page::ALL.map(|page| page as usize), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn numbers_sort_from_the_greatest_and_texts_by_the_alphabet() {
        let row = |name: &str, rate| vec![Cell::Text(name.into()), rate_cell(rate)];
        let mut table = Table { head: vec!["A", "B"], rows: vec![row("b", 2.0), row("a", 10.0)], note: None };
        let order = |table: &Table| table.rows.iter().map(|row| row[0].text().to_owned()).collect::<String>();
        table.sort(1, false);
        assert_eq!(order(&table), "ab");
        table.sort(1, true);
        assert_eq!(order(&table), "ba");
        table.sort(0, false);
        assert_eq!(order(&table), "ab");
        table.sort(9, false);
        assert_eq!(order(&table), "ab");
    }

    #[test]
    fn rare_things_are_not_rounded_away() {
        let rates = [0.0, 0.01, 0.26, 9.94, 10.2, 1234.5];
        assert_eq!(rates.map(number), ["0", "<0.1", "0.3", "9.9", "10", "1234"]);
        assert_eq!([0.0005, 2.0, f64::INFINITY].map(milliseconds), ["0.5 ms", "2000 ms", "long"]);
    }
}
