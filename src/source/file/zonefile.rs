//! RFC 1035 zone files.

use crate::source::recordset::MAX_TTL;
use crate::source::text::{self, Dialect, fields, fields::Field};
use crate::wire::{Name, Rtype};
use crate::zone::{Body, DeferredReason, RecordSet, SkipReason, Skipped};

use super::FileError;
use super::entries::{Entries, Entry};

/// What a zone file holds; a bad record is left out by itself.
#[derive(Debug, Default)]
pub struct ZoneFile {
    /// The owner of the first SOA.
    pub soa: Option<Name>,
    /// The first `$ORIGIN`.
    pub first_origin: Option<Name>,
    /// One record each, with its line.
    pub records: Vec<(usize, RecordSet)>,
    /// The bad ones; `detail` begins with the line.
    pub skipped: Vec<Skipped>,
}

/// Reads a zone file. `origin` completes relative names until the first `$ORIGIN`.
///
/// Known are `$ORIGIN`, `$TTL` (RFC 2308 §4), generic data (RFC 3597 §5), and times with units.
///
/// # Errors
/// [`FileError`] with the line, where nothing behind it can be read rightly: a directive that is
/// not known or not permitted here (`$INCLUDE`, `$GENERATE`), parentheses left open all over.
pub fn parse(content: &[u8], origin: Option<Name>) -> Result<ZoneFile, FileError> {
    let mut reader = Reader { origin, ..Reader::default() };
    for entry in Entries::new(content) {
        match entry {
            Ok(entry) if !entry.is_indented && entry.text.starts_with('$') => reader.directive(&entry)?,
            Ok(entry) => reader.record(&entry),
            Err(bad) if bad.is_fatal => return Err(FileError::new(bad.line, bad.problem)),
            // The owner that later lines would inherit may stand in this one.
            Err(bad) => {
                reader.owner = None;
                reader.skip(bad.line, "", "", Problem::value(bad.problem));
            }
        }
    }
    Ok(reader.file)
}

/// Why one record is left out.
struct Problem {
    reason: SkipReason,
    text: String,
}

impl Problem {
    fn new(reason: SkipReason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }

    fn value(text: impl Into<String>) -> Self {
        Self::new(SkipReason::BadValue, text)
    }
}

/// What a record said of itself before it turned out bad.
#[derive(Default)]
struct Told<'e> {
    /// The text of the owner.
    owner: &'e str,
    /// The owner was read, or inherited.
    has_owner: bool,
    rtype: &'e str,
}

#[derive(Default)]
struct Reader {
    file: ZoneFile,
    origin: Option<Name>,
    /// `$TTL`.
    default_ttl: Option<u32>,
    /// The last TTL that was stated in a record, the default without `$TTL` (RFC 1035 §5.1).
    last_ttl: Option<u32>,
    /// The owner of the record before.
    owner: Option<Name>,
}

impl Reader {
    fn directive(&mut self, entry: &Entry<'_>) -> Result<(), FileError> {
        let fail = |problem: String| FileError::new(entry.line, problem);
        let fields = fields::split(&entry.text).map_err(fail)?;
        let mut texts = fields.iter().map(|f| f.text);
        let name = texts.next().unwrap_or_default().to_ascii_uppercase();
        let argument = texts.next().ok_or_else(|| fail(format!("{name} says nothing")))?;
        match name.as_str() {
            "$ORIGIN" => {
                let origin = self.name(argument).map_err(fail)?;
                self.file.first_origin.get_or_insert_with(|| origin.clone());
                self.origin = Some(origin);
            }
            "$TTL" => {
                let ttl = text::seconds(argument).filter(|&ttl| ttl <= MAX_TTL);
                self.default_ttl = Some(ttl.ok_or_else(|| fail(format!("{argument:?} is not a TTL")))?);
            }
            "$INCLUDE" => return Err(fail(format!("$INCLUDE of {argument:?}: other files are not read"))),
            _ => return Err(fail(format!("directive {name} is not known"))),
        }
        Ok(())
    }

    fn record(&mut self, entry: &Entry<'_>) {
        let mut told = Told::default();
        if let Err(problem) = self.try_record(entry, &mut told) {
            let owner = match &self.owner {
                Some(owner) if told.has_owner => owner.to_string(),
                _ => told.owner.to_owned(),
            };
            self.skip(entry.line, &owner, told.rtype, problem);
            self.keep_name(entry.line, told.rtype);
        }
    }

    /// A record that cannot be read still says that its owner exists, and its type perhaps.
    fn keep_name(&mut self, line: usize, rtype: &str) {
        let Some(owner) = self.owner.clone() else { return };
        let rtype = Rtype::from_text(rtype).filter(|t| !t.is_meta()).unwrap_or(Rtype::ANY);
        let body = Body::Deferred(DeferredReason::Unknown);
        self.file.records.push((line, RecordSet { owner, rtype, body }));
    }

    /// Reads one record; `told` gets its owner and type as far as they were read.
    fn try_record<'e>(&mut self, entry: &'e Entry<'_>, told: &mut Told<'e>) -> Result<(), Problem> {
        let fields = fields::split(&entry.text).map_err(|problem| {
            self.owner = self.owner.take().filter(|_| entry.is_indented);
            Problem::value(problem)
        })?;
        let mut rest = fields.as_slice();
        if !entry.is_indented {
            let first = take(&mut rest).map_or("", |f| f.text);
            told.owner = first;
            // Set first: after a bad owner, lines that inherit it are not read as another's.
            self.owner = None;
            self.owner = Some(self.name(first).map_err(|p| Problem::new(SkipReason::BadOwner, p))?);
        }
        let owner = self.owner.clone().ok_or_else(|| {
            Problem::new(SkipReason::BadOwner, "there is no owner before this line to inherit")
        })?;
        told.has_owner = true;
        let (ttl, rtype) = ttl_class_type(&mut rest, &mut told.rtype)?;
        let dialect = Dialect::ZoneFile { origin: self.origin.as_ref().map(Name::as_ref) };
        let rdata = text::rdata(rtype, rest, dialect).map_err(Problem::value)?;
        let ttl = self.ttl(ttl, rtype, &rdata)?;
        if rtype == Rtype::SOA {
            self.file.soa.get_or_insert_with(|| owner.clone());
        }
        let body = Body::Records { ttl, rdata: vec![rdata] };
        self.file.records.push((entry.line, RecordSet { owner, rtype, body }));
        Ok(())
    }

    /// The TTL of a record: its own, `$TTL`, the last stated one, or for the SOA its MINIMUM.
    fn ttl(&mut self, stated: Option<u32>, rtype: Rtype, rdata: &[u8]) -> Result<u32, Problem> {
        let minimum = rdata.last_chunk().filter(|_| rtype == Rtype::SOA).map(|b| u32::from_be_bytes(*b));
        let ttl = stated.or(self.default_ttl).or(self.last_ttl).or(minimum);
        let ttl = ttl.ok_or_else(|| Problem::new(SkipReason::BadTtl, "no TTL here, before, or in $TTL"))?;
        if ttl > MAX_TTL {
            return Err(Problem::new(SkipReason::BadTtl, format!("TTL {ttl} is out of range")));
        }
        if stated.is_some() || self.last_ttl.is_none() {
            self.last_ttl = Some(ttl);
        }
        Ok(ttl)
    }

    fn name(&self, text: &str) -> Result<Name, String> {
        let wire = Dialect::ZoneFile { origin: self.origin.as_ref().map(Name::as_ref) }.name(text)?;
        Name::from_wire(&wire).map_err(|error| error.to_string())
    }

    fn skip(&mut self, line: usize, owner: &str, rtype: &str, problem: Problem) {
        self.file.skipped.push(Skipped {
            owner: owner.to_owned(),
            rtype: rtype.to_owned(),
            reason: problem.reason,
            detail: format!("line {line}: {}", problem.text),
        });
    }
}

fn take<'a>(fields: &mut &[Field<'a>]) -> Option<Field<'a>> {
    let (first, rest) = fields.split_first()?;
    *fields = rest;
    Some(*first)
}

/// Takes `[TTL] [class] type` or `[class] [TTL] type` from the front.
fn ttl_class_type<'e>(rest: &mut &[Field<'e>], told: &mut &'e str) -> Result<(Option<u32>, Rtype), Problem> {
    let mut ttl = None;
    let mut has_class = false;
    loop {
        let field = take(rest).ok_or_else(|| Problem::value("there is no type"))?.text;
        if ttl.is_none() && field.starts_with(|c: char| c.is_ascii_digit()) {
            let seconds = text::seconds(field);
            let problem = || Problem::new(SkipReason::BadTtl, format!("{field:?} is not a TTL"));
            ttl = Some(seconds.ok_or_else(problem)?);
        } else if !has_class && field.eq_ignore_ascii_case("IN") {
            has_class = true;
        } else {
            *told = field;
            let known = Rtype::from_text(field).filter(|t| !t.is_meta());
            return known.map(|rtype| (ttl, rtype)).ok_or_else(|| {
                Problem::new(SkipReason::UnsupportedType, format!("{field:?} is no type of class IN"))
            });
        }
    }
}

#[cfg(test)]
#[path = "zonefile_tests.rs"]
mod tests;
