//! Two pictures: what a query costs by server, and memory by the number of records.

use std::fmt::Write as _;

use super::memory::ZoneFigures;
use super::rounds::{Round, Workout};
use super::servers::{LIMIT, OURS};
use super::statistics::median;
use super::targets::mib;

const WIDTH: f64 = 760.0;
const NAMES: f64 = 150.0;
const BARS: f64 = 480.0;
const ROW: f64 = 22.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// A bar is cut where it would be longer than so many limits: the others could not be read beside it.
const MOST_LIMITS: f64 = 14.0;
const COLOURS: [&str; 8] =
    ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#332288"];

/// A server's bar: its name, CPU time and user time a query.
pub type Bar = (String, f64, f64);

/// CPU time a query by server, workload by workload.
pub fn cost(workouts: &[Workout]) -> String {
    let title = |workout: &Workout| format!("{:?}", workout.scenario).to_lowercase();
    chart(workouts.iter().map(|workout| (title(workout), bars(workout))))
}

/// A bar for each server, the user share dark; groups with their titles one below the other.
pub fn chart(groups: impl IntoIterator<Item = (String, Vec<Bar>)>) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for (title, mut bars) in groups {
        y += ROW;
        text(&mut body, (10.0, y), "start", "bold", &format!("{title}: CPU µs a query (dark: user)"));
        y += 8.0;
        bars.sort_by(|a, b| a.1.total_cmp(&b.1));
        let limit = bars.iter().find(|bar| bar.0 == LIMIT).map_or(f64::INFINITY, |bar| bar.1 * MOST_LIMITS);
        let longest = bars.iter().map(|bar| bar.1.min(limit)).fold(f64::MIN_POSITIVE, f64::max);
        for one in &bars {
            row(&mut body, y, one, (longest, limit));
            y += ROW;
        }
        y += 10.0;
    }
    svg(y + 10.0, &body)
}

fn row(body: &mut String, y: f64, (name, cpu, user): &Bar, (longest, limit): (f64, f64)) {
    let (whole, dark) = (cpu.min(limit) / longest * BARS, user.min(limit) / longest * BARS);
    let colour = if name == OURS {
        "#cc3311"
    } else if name.starts_with("limit-") {
        "#999999"
    } else {
        "#4477aa"
    };
    let weight = if name == OURS { "bold" } else { "normal" };
    text(body, (NAMES - 8.0, y + 15.0), "end", weight, name);
    for (width, opacity) in [(whole, 0.5), (dark, 1.0)] {
        let _ = writeln!(
            body,
            r#"<rect x="{NAMES}" y="{:.1}" width="{width:.1}" height="{:.1}" fill="{colour}" fill-opacity="{opacity}"/>"#,
            y + 3.0,
            ROW - 6.0
        );
    }
    let cut = if *cpu > limit { " (cut)" } else { "" };
    text(body, (NAMES + whole + 6.0, y + 15.0), "start", weight, &format!("{cpu:.2}{cut}"));
}

/// Name, CPU time and user time a query of each server that counts.
fn bars(workout: &Workout) -> Vec<Bar> {
    let middle = |rounds: &[Round], of: fn(&Round) -> f64| median(rounds.iter().map(of));
    let counting = workout.servers.iter().filter(|server| server.void.is_none());
    counting
        .filter_map(|server| {
            let cpu = middle(&server.rounds, |round| round.cpu)?;
            Some((server.name.clone(), cpu, middle(&server.rounds, |round| round.user)?))
        })
        .collect()
}

/// PSS by the number of records: a line each; both axes in powers of ten.
pub fn memory(figures: &[ZoneFigures]) -> String {
    let mut servers: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
    servers.dedup();
    servers.sort_unstable();
    servers.dedup();
    let records = range(figures.iter().map(|figure| figure.records as f64));
    let sizes = range(figures.iter().map(|figure| mib(figure.memory.pss)));
    let x = |value: f64| LEFT + along(value, records) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - along(value, sizes) * (HEIGHT - TOP - BOTTOM);
    let mut body = String::new();
    text(&mut body, (10.0, 22.0), "start", "bold", "PSS (MiB) by records of the zone");
    for (low, high) in [records, sizes] {
        let mut tick = low;
        while tick <= high * 1.001 {
            let is_records = (low, high) == records;
            let (from, to) = if is_records {
                text(&mut body, (x(tick), HEIGHT - BOTTOM + 20.0), "middle", "normal", &format!("{tick:.0}"));
                ((x(tick), y(sizes.0)), (x(tick), y(sizes.1)))
            } else {
                text(&mut body, (LEFT - 6.0, y(tick) + 4.0), "end", "normal", &format!("{tick:.0}"));
                ((x(records.0), y(tick)), (x(records.1), y(tick)))
            };
            let _ = writeln!(
                body,
                r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#dddddd"/>"##,
                from.0, from.1, to.0, to.1
            );
            tick *= 10.0;
        }
    }
    for (name, colour) in servers.iter().zip(COLOURS.iter().cycle()) {
        let line: Vec<(f64, f64)> = figures
            .iter()
            .filter(|figure| figure.name == *name)
            .map(|figure| (x(figure.records as f64), y(mib(figure.memory.pss))))
            .collect();
        let points: Vec<String> = line.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let width = if *name == OURS { 3.5 } else { 1.5 };
        let _ = writeln!(
            body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}"/>"#,
            points.join(" ")
        );
        if let Some((x, y)) = line.last() {
            text(&mut body, (x + 6.0, y + 4.0), "start", if *name == OURS { "bold" } else { "normal" }, name);
        }
    }
    svg(HEIGHT, &body)
}

/// The powers of ten around all values.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, 1.0), |(low, high), v| (f64::min(low, v), f64::max(high, v)));
    let low = low.clamp(1.0, high);
    (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil().max(low.log10().floor() + 1.0)))
}

/// Where a value lies between two powers of ten, 0 to 1.
fn along(value: f64, (low, high): (f64, f64)) -> f64 {
    (value.max(low) / low).log10() / (high / low).log10()
}

fn text(body: &mut String, (x, y): (f64, f64), anchor: &str, weight: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        body,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-weight="{weight}">{escaped}</text>"#
    );
}

fn svg(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         {body}</svg>\n"
    )
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::super::proc::Memory;
    use super::*;

    #[test]
    fn an_axis_holds_all_values() {
        assert_eq!(range([3.0, 1000.0].into_iter()), (1.0, 1000.0));
        assert_eq!(range([30.0, 1001.0].into_iter()), (10.0, 10_000.0));
        assert!((along(100.0, (10.0, 1000.0)) - 0.5).abs() < 1e-9);
        assert_eq!(range(std::iter::empty()), (1.0, 10.0));
    }

    #[test]
    fn every_server_has_its_line() {
        let figure = |name: &str, records, pss| ZoneFigures {
            name: name.into(),
            records,
            first_answer: 0.1,
            memory: Memory { rss: pss, pss },
        };
        let figures =
            [figure("a<b", 1000, 5 << 20), figure(OURS, 1000, 3 << 20), figure("a<b", 10_000, 9 << 20)];
        let picture = memory(&figures);
        assert_eq!(picture.matches("<polyline").count(), 2);
        assert!(picture.contains("a&lt;b") && picture.ends_with("</svg>\n"));
    }
}
