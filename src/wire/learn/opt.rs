//! What an upstream's OPT record says of its answer.

use crate::wire::EdeCode;
use crate::wire::read::{Record, u16_at};

/// Longest extended error text that is kept, in bytes.
const MAX_EDE_TEXT: usize = 200;

/// The upper bits of the response code and the first extended error of an OPT record.
pub(super) fn read(message: &[u8], opt: &Record) -> (u16, Option<(EdeCode, Box<str>)>) {
    const EDE: u16 = 15;
    let mut data = message.get(opt.rdata.clone()).unwrap_or_default();
    let mut ede = None;
    while let (Some(code), Some(len)) = (u16_at(data, 0), u16_at(data, 2)) {
        let Some(option) = data.get(4..4 + usize::from(len)) else { break };
        if code == EDE
            && let Some(info) = u16_at(option, 0)
        {
            ede = Some((EdeCode(info), clean_text(option.get(2..).unwrap_or_default())));
            break;
        }
        data = data.get(4 + usize::from(len)..).unwrap_or_default();
    }
    ((opt.ttl >> 24) as u16, ede)
}

/// An extended error's text as it may be logged and passed on: UTF-8, no control characters, cut.
fn clean_text(bytes: &[u8]) -> Box<str> {
    let bytes = bytes.get(..MAX_EDE_TEXT).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect::<String>().into()
}
