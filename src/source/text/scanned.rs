//! RDATA of every other type, through the `domain` crate's zone-file scanner.

use domain::base::Rtype as ScannedType;
use domain::base::rdata::ComposeRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};

use crate::wire::{NameRef, Rtype};

use super::Dialect;
use super::fields::Field;

/// Encodes one record's data by scanning it as the only record of a zone file.
///
/// # Errors
/// A text that says what is wrong with it.
pub(super) fn encode(rtype: Rtype, fields: &[Field<'_>], dialect: Dialect<'_>) -> Result<Vec<u8>, String> {
    if fields.len() < least_fields(rtype) && fields.first().is_none_or(|f| f.text != "\\#") {
        return Err(format!("{} fields are too few", fields.len()));
    }
    let origin = match dialect {
        Dialect::Api => Some(NameRef::from_checked(&[0])),
        Dialect::ZoneFile { origin } => origin,
    };
    let mut text = String::new();
    if let Some(origin) = origin {
        text = format!("$ORIGIN {origin}\n");
    }
    // The number rather than the mnemonic: both sides agree on numbers.
    text.push_str(&format!(". 0 IN TYPE{}", rtype.0));
    for field in fields {
        text.push(' ');
        append(&mut text, field, dialect)?;
    }
    text.push('\n');
    scan(&text, rtype)
}

/// How many fields a record has at least; the scanner takes missing trailing data for empty data.
fn least_fields(rtype: Rtype) -> usize {
    match rtype {
        Rtype::DS | Rtype::CDS | Rtype::TLSA => 4,
        Rtype::SSHFP | Rtype::CAA => 3,
        _ => 1,
    }
}

/// Adds a field as the scanner must see it: quotes back in place, escapes decimal.
fn append(text: &mut String, field: &Field<'_>, dialect: Dialect<'_>) -> Result<(), String> {
    if !field.text.is_ascii() {
        return Err(format!("{:?} is not ASCII", field.text));
    }
    if field.text.bytes().any(|b| b.is_ascii_control()) {
        return Err(format!("control characters in {:?}", field.text));
    }
    if !field.quoted && has_syntax(field.text) {
        return Err(format!("{:?} is not one field: `;`, `(` or `)` stands outside quotes", field.text));
    }
    let quote = if field.quoted { "\"" } else { "" };
    text.push_str(quote);
    match dialect {
        Dialect::Api => push_decimal(text, field.text)?,
        Dialect::ZoneFile { .. } => text.push_str(field.text),
    }
    text.push_str(quote);
    Ok(())
}

/// Whether a bare field holds characters that mean something to the scanner outside quotes.
fn has_syntax(text: &str) -> bool {
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => quoted = !quoted,
            ';' | '(' | ')' if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// Appends `text` with octal escapes turned into decimal ones of the same byte.
fn push_decimal(out: &mut String, text: &str) -> Result<(), String> {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c != '\\' {
            continue;
        }
        let rest = chars.as_str();
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            out.extend(chars.next());
            continue;
        }
        let byte = rest.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let byte = byte.ok_or_else(|| format!("bad octal escape in {text:?}"))?;
        out.push_str(&format!("{byte:03}"));
        chars = rest.get(3..).unwrap_or_default().chars();
    }
    Ok(())
}

/// Scans a zone file that is to hold exactly one record.
fn scan(text: &str, rtype: Rtype) -> Result<Vec<u8>, String> {
    let mut file = Zonefile::from(text);
    let found = match file.next_entry() {
        Ok(Some(Entry::Record(record))) => record,
        Ok(_) => return Err("this is not a record".into()),
        Err(error) => return Err(reason(&error.to_string())),
    };
    if found.rtype() != ScannedType::from_int(rtype.0) || !matches!(file.next_entry(), Ok(None)) {
        return Err("this is more than one record".into());
    }
    let mut wire = Vec::new();
    found.data().compose_rdata(&mut wire).map_err(|_| "the data is too long".to_owned())?;
    Ok(wire)
}

/// The scanner's complaint without its position, which is one in our made-up file.
fn reason(error: &str) -> String {
    error.split_once(' ').map_or(error, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_escapes_become_decimal_ones_of_the_same_byte() {
        let mut out = String::new();
        push_decimal(&mut out, r#"a\052\\\344\"\."#).unwrap();
        assert_eq!(out, r#"a\042\\\228\"\."#);
        for bad in [r"\400", r"\08x", r"\12", r"\9"] {
            assert!(push_decimal(&mut String::new(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn syntax_of_zone_files_is_seen_outside_quotes_only() {
        assert!(has_syntax("a;b") && has_syntax("(") && has_syntax(r#"a="x")"#));
        assert!(!has_syntax(r#"a="x;y""#) && !has_syntax(r"a\;b"));
    }
}
