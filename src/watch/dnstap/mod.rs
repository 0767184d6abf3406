//! dnstap: each query and its response as Protocol Buffers, framed and sent to a receiver.

mod frames;
mod message;
mod sender;

pub(super) use message::Encoder;
pub(super) use sender::Tap;
