//! From the text of a file to a scenario. Strict: what is not known is an error.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use zonelet::wire::Name;

use crate::entry;
use crate::model::{Action, Entry, Failure, Range, Scenario, Step, ZoneText};

/// The client of queries that name none: on the default access list, and no upstream.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7));

/// The lines of a file, one after the other.
pub struct Lines<'t> {
    file: &'t str,
    rest: std::str::Lines<'t>,
    /// The number of the line taken last.
    pub number: usize,
}

/// What is wrong in a line.
pub type Problem = String;

impl<'t> Lines<'t> {
    /// The next line as it stands.
    fn raw(&mut self) -> Result<&'t str, Failure> {
        self.number += 1;
        self.rest.next().ok_or_else(|| self.fail("the file ends too early"))
    }

    /// The next line that says something, without its comment.
    pub fn next(&mut self) -> Result<&'t str, Failure> {
        loop {
            let line = uncommented(self.raw()?);
            if !line.is_empty() {
                return Ok(line);
            }
        }
    }

    pub fn fail(&self, what: impl Into<String>) -> Failure {
        Failure { place: format!("{}:{}", self.file, self.number), what: what.into() }
    }

    /// Places a problem in the line taken last.
    pub fn place<T>(&self, result: Result<T, Problem>) -> Result<T, Failure> {
        result.map_err(|what| self.fail(what))
    }

    /// The text up to `ZONE_END`.
    fn zone(&mut self, file: &str) -> Result<ZoneText, Failure> {
        let mut text = String::new();
        loop {
            let line = self.raw()?;
            if line.trim() == "ZONE_END" {
                return Ok(ZoneText { file: file.to_owned(), text });
            }
            text.push_str(line);
            text.push('\n');
        }
    }
}

/// The line up to a semicolon outside quotes.
fn uncommented(line: &str) -> &str {
    let mut quoted = false;
    let end = line.find(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    line[..end.unwrap_or(line.len())].trim()
}

/// Reads a file.
pub fn scenario(file: &str, text: &str) -> Result<Scenario, Failure> {
    let mut lines = Lines { file, rest: text.lines(), number: 0 };
    let mut scenario = Scenario {
        file: file.to_owned(),
        config: String::new(),
        zones: Vec::new(),
        carved_out: Vec::new(),
        ranges: Vec::new(),
        steps: Vec::new(),
    };
    header(&mut lines, &mut scenario)?;
    if !lines.next()?.starts_with("SCENARIO_BEGIN ") {
        return Err(lines.fail("SCENARIO_BEGIN with a title is missing"));
    }
    loop {
        let line = lines.next()?;
        match words(line).as_slice() {
            ["SCENARIO_END"] => break,
            ["RANGE_BEGIN", first, last] => {
                let ends = number(first).and_then(|first| Ok((first, number(last)?)));
                let ends = lines.place(ends)?;
                scenario.ranges.push(range(&mut lines, ends)?);
            }
            ["STEP", at, action, rest @ ..] => {
                let at = lines.place(number(at))?;
                if let Some(last) = scenario.steps.last().filter(|last| last.number >= at) {
                    return Err(lines.fail(format!("step {at} does not come after step {}", last.number)));
                }
                let line = lines.number;
                let action = action_of(&mut lines, action, rest)?;
                scenario.steps.push(Step { line, number: at, action });
            }
            _ => return Err(lines.fail(format!("{line} is not known here"))),
        }
    }
    match lines.next() {
        Ok(line) => Err(lines.fail(format!("{line} stands behind SCENARIO_END"))),
        Err(_) => Ok(scenario),
    }
}

pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn number(text: &str) -> Result<u32, Problem> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

fn header(lines: &mut Lines<'_>, scenario: &mut Scenario) -> Result<(), Failure> {
    loop {
        let line = lines.raw()?;
        match words(line).as_slice() {
            ["CONFIG_END"] => return Ok(()),
            ["ZONE_BEGIN", file] => scenario.zones.push(lines.zone(file)?),
            ["CARVED_OUT", apex] => {
                let apex = apex.parse::<Name>().map_err(|e| e.to_string());
                scenario.carved_out.push(lines.place(apex)?);
            }
            [first, ..] if first.starts_with(';') => {}
            _ => scenario.config.push_str(line),
        }
        // Problems of the configuration name its lines.
        while scenario.config.matches('\n').count() < lines.number {
            scenario.config.push('\n');
        }
    }
}

fn range(lines: &mut Lines<'_>, (first, last): (u32, u32)) -> Result<Range, Failure> {
    let mut address = None;
    let mut entries = Vec::new();
    loop {
        let line = lines.next()?;
        match words(line).as_slice() {
            ["ADDRESS", text] => address = Some(lines.place(ip(text))?),
            ["ENTRY_BEGIN"] => entries.push(entry::entry(lines)?),
            ["RANGE_END"] => break,
            _ => return Err(lines.fail(format!("{line} is not known in a range"))),
        }
    }
    let address = address.ok_or_else(|| lines.fail("the range has no ADDRESS"))?;
    Ok(Range { first, last, address, entries })
}

fn ip(text: &str) -> Result<IpAddr, Problem> {
    text.parse().map_err(|_| format!("{text} is not an address"))
}

fn action_of(lines: &mut Lines<'_>, action: &str, rest: &[&str]) -> Result<Action, Failure> {
    match (action, rest) {
        ("QUERY", []) => Ok(Action::Query(SocketAddr::new(CLIENT, 40_000), begun_entry(lines)?)),
        ("QUERY", ["ADDRESS", text]) => {
            let client = lines.place(ip(text))?;
            Ok(Action::Query(SocketAddr::new(client, 40_000), begun_entry(lines)?))
        }
        ("CHECK_ANSWER", []) => Ok(Action::CheckAnswer(begun_entry(lines)?)),
        ("CHECK_OUT_QUERY", []) => Ok(Action::CheckOutQuery(begun_entry(lines)?)),
        ("REPLY", []) => Ok(Action::Reply(begun_entry(lines)?)),
        ("TIME_PASSES", ["ELAPSE", text]) => {
            let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            span.map(Action::TimePasses).ok_or_else(|| lines.fail(format!("{text} is not a time")))
        }
        ("TIMEOUT", []) => Ok(Action::Timeout),
        ("NOTHING", []) => Ok(Action::Nothing),
        ("IMPORT", []) => import(lines).map(Action::Import),
        _ => Err(lines.fail(format!("step {} is not known", [&[action], rest].concat().join(" ")))),
    }
}

fn begun_entry(lines: &mut Lines<'_>) -> Result<Entry, Failure> {
    match lines.next()? {
        "ENTRY_BEGIN" => entry::entry(lines),
        line => Err(lines.fail(format!("{line} stands where ENTRY_BEGIN is expected"))),
    }
}

/// The zone of an import: one block.
fn import(lines: &mut Lines<'_>) -> Result<ZoneText, Failure> {
    let line = lines.next()?;
    match words(line).as_slice() {
        ["ZONE_BEGIN", file] => lines.zone(file),
        _ => Err(lines.fail(format!("{line} stands where ZONE_BEGIN is expected"))),
    }
}
