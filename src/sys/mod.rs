//! Floor 0: the only unsafe code, a few lines around one system call each.
//!
//! Linux only, as zonelet is. Socket options that socket2 knows are set through it; what is left
//! here are the batched system calls, the control messages that go with them, and a handful of
//! options and tricks that the drain rests on. Nothing above this room sees a raw pointer or a
//! descriptor.

#![allow(unsafe_code)]
// The widths of some fields differ between glibc and musl.
#![allow(clippy::unnecessary_cast)]

mod background;
mod boot;
mod control;
mod descriptors;
mod direct;
mod drain;
mod epoll;
mod ethtool;
mod handed;
mod limits;
mod memory;
mod near;
mod options;
mod peer;
mod recv;
mod rouse;
mod send;
mod slice;
mod slots;
#[cfg(feature = "doq")]
mod steer;

pub use background::in_background;
pub use boot::{boot_id, since_boot};
pub use control::Local;
pub use descriptors::{MAX_DESCRIPTORS, network_namespace, own_user, peer_user, recv_with, send_with};
pub use direct::{recv, send};
pub use drain::{drop_everything, leave_group, settle, wake};
pub use epoll::Epoll;
pub use ethtool::{devices, driver_counters};
pub use handed::{Estate, SocketName, duplicate};
pub use limits::raise_descriptor_limit;
pub use memory::release_freed_memory;
pub use near::prefetch;
pub use options::{ignore_path_mtu, lost_datagrams, readable_bytes, receive_buffer, report_local_address};
pub use recv::{Datagram, QUERY_MAX, RecvBatch, Wait};
pub use rouse::Sleeper;
pub use send::{RESPONSE_MAX, SendBatch, send_late};
pub use slice::take_short_turns;
#[cfg(feature = "doq")]
pub use steer::{is_alone, steer_by_tag};

/// Datagrams moved by one system call at most. Eight would do nearly as well; more buys nothing.
pub const BATCH: usize = 64;
