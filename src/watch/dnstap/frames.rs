//! Frame Streams (fstrm): length-prefixed data frames, and control frames behind a length of zero.
//!
//! Bidirectional: READY, ACCEPT, START, data, STOP, FINISH.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What the data frames hold.
const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";
/// A control frame is refused beyond this.
const MAX_CONTROL: u32 = 512;
const FIELD_CONTENT_TYPE: u32 = 1;

/// Types of control frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Control {
    Accept = 1,
    Start = 2,
    Stop = 3,
    Ready = 4,
    Finish = 5,
}

/// A control frame of this type, with the content type where it has one.
fn control(control: Control) -> Vec<u8> {
    let mut body = (control as u32).to_be_bytes().to_vec();
    if matches!(control, Control::Ready | Control::Start | Control::Accept) {
        body.extend_from_slice(&FIELD_CONTENT_TYPE.to_be_bytes());
        body.extend_from_slice(&(CONTENT.len() as u32).to_be_bytes());
        body.extend_from_slice(CONTENT);
    }
    [&0u32.to_be_bytes()[..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

/// Agrees with the receiver that dnstap is sent.
///
/// # Errors
/// The connection's, or what came is no agreement.
pub async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(&control(Control::Ready)).await?;
    let body = read(stream).await?;
    let (kind, fields) = body.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_be_bytes(*kind) != Control::Accept as u32 || !takes_dnstap(fields)? {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the receiver does not take dnstap"));
    }
    stream.write_all(&control(Control::Start)).await
}

/// Ends the stream in order: says so, and waits until the receiver has it.
///
/// # Errors
/// The connection's, or what came is no end.
pub async fn part(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(&control(Control::Stop)).await?;
    match read(stream).await?.first_chunk::<4>() {
        Some(kind) if u32::from_be_bytes(*kind) == Control::Finish as u32 => Ok(()),
        _ => Err(damaged()),
    }
}

/// The body of the next control frame, which is all that a receiver sends.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let (escape, len) = (stream.read_u32().await?, stream.read_u32().await?);
    if escape != 0 || len > MAX_CONTROL {
        return Err(damaged());
    }
    let mut body = vec![0; len as usize];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// Whether a receiver's content types have ours; one that names none takes all.
fn takes_dnstap(mut fields: &[u8]) -> io::Result<bool> {
    let mut is_choosy = false;
    while let Some((head, rest)) = fields.split_first_chunk::<8>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let (kind, len) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let (content, behind) = rest.split_at_checked(len as usize).ok_or_else(damaged)?;
        if kind == FIELD_CONTENT_TYPE {
            if content == CONTENT {
                return Ok(true);
            }
            is_choosy = true;
        }
        fields = behind;
    }
    if fields.is_empty() { Ok(!is_choosy) } else { Err(damaged()) }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the receiver does not speak Frame Streams")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn greeted(answer: &[u8]) -> (io::Result<()>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(answer).await.unwrap();
            theirs.shutdown().await.unwrap();
            let result = greet(&mut ours).await;
            drop(ours);
            let mut sent = Vec::new();
            theirs.read_to_end(&mut sent).await.unwrap();
            (result, sent)
        })
    }

    #[test]
    fn a_receiver_of_dnstap_is_greeted_and_told_to_start() {
        let (result, sent) = greeted(&control(Control::Accept));
        result.unwrap();
        assert_eq!(sent, [control(Control::Ready), control(Control::Start)].concat());
        assert_eq!(sent[..12], [0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 4]);
        greeted(&[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]).0.expect("it takes whatever comes");
    }

    #[test]
    fn who_wants_something_else_or_ends_early_is_not_written_to() {
        let mut other = control(Control::Accept);
        *other.last_mut().unwrap() = b'x';
        let whole = control(Control::Accept);
        let others = [
            &other[..],
            &control(Control::Finish),
            b"",
            &whole[..whole.len() - 1],
            b"HTTP/1.1 400 Bad Request\r\n",
        ];
        for answer in others {
            let (result, sent) = greeted(answer);
            assert!(result.is_err(), "{answer:?}");
            assert_eq!(sent, control(Control::Ready));
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic_or_take_much(answer in prop::collection::vec(any::<u8>(), 0..64)) {
            let (_, sent) = greeted(&answer);
            prop_assert!(sent.starts_with(&control(Control::Ready)));
        }

        #[test]
        fn no_fields_make_the_reader_panic(kind in 0u32..3, len in 0u32..40, content in prop::collection::vec(any::<u8>(), 0..40)) {
            let fields = [&kind.to_be_bytes()[..], &len.to_be_bytes(), &content].concat();
            let _ = takes_dnstap(&fields);
        }
    }
}
