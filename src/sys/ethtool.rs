//! What the drivers of network interfaces count (`SIOCETHTOOL`).

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;

use libc::{c_char, c_ulong};

const SIOCETHTOOL: c_ulong = 0x8946;
/// The commands and the set of strings of `linux/ethtool.h`.
const GSSET_INFO: u32 = 0x37;
const GSTRINGS: u32 = 0x1b;
const GSTATS: u32 = 0x1d;
const SS_STATS: u32 = 1;
/// Bytes of a name (`ETH_GSTRING_LEN`).
const NAME: usize = 32;
/// Counters that there is room for, whatever the kernel said before: it writes as many as the
/// driver has by then. The most of any driver, with a queue for each processor, is a tenth of it.
const ROOM: usize = 1 << 16;
/// Counters that are asked for at most.
const MAX_COUNTERS: usize = ROOM / 4;

/// The interfaces of this network namespace that have a device behind them, as `/sys` lists them.
/// Those of pods and bridges have none; their drivers count nothing of interest.
pub fn devices() -> Vec<String> {
    devices_in(Path::new("/sys/class/net"))
}

fn devices_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let real = entries.flatten().filter(|entry| entry.path().join("device").exists());
    let mut names: Vec<String> = real.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The counters of an interface's driver whose name `wants`. Empty where the driver has none.
///
/// Cost: three system calls and, where there are counters, some 2 MiB for a moment. Needs no
/// privilege.
///
/// # Errors
/// The kernel's: there is no such interface, or it has gone meanwhile.
pub fn driver_counters(interface: &str, wants: impl Fn(&str) -> bool) -> io::Result<Vec<(String, u64)>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let Some(count) = unless_unsupported(counters(&socket, interface))?.filter(|&count| count > 0) else {
        return Ok(Vec::new());
    };
    if count > MAX_COUNTERS {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    // cmd, string_set, len, then the names.
    let mut names = vec![0_u32; 3 + ROOM * NAME / 4];
    names[..3].copy_from_slice(&[GSTRINGS, SS_STATS, count as u32]);
    ask(&socket, interface, &mut names)?;
    // cmd and n_stats in the first word, then the counters.
    let mut values = vec![0_u64; 1 + ROOM];
    values[0] = u64::from_ne_bytes(join(GSTATS.to_ne_bytes(), (count as u32).to_ne_bytes()));
    ask(&socket, interface, &mut values)?;
    let names: Vec<u8> = names[3..].iter().flat_map(|word| word.to_ne_bytes()).take(count * NAME).collect();
    Ok(pair(&names, &values[1..=count], wants))
}

/// How many counters the driver has.
fn counters(socket: &UdpSocket, interface: &str) -> io::Result<usize> {
    // cmd, reserved, the mask of sets (64 bits), and a count for the one set asked for.
    let mut info = [GSSET_INFO, 0, 0, 0, 0, 0];
    let mask = (1_u64 << SS_STATS).to_ne_bytes();
    info[2] = u32::from_ne_bytes([mask[0], mask[1], mask[2], mask[3]]);
    info[3] = u32::from_ne_bytes([mask[4], mask[5], mask[6], mask[7]]);
    ask(socket, interface, &mut info)?;
    // A set that the driver does not have is taken out of the mask.
    let has_set = info[2] != 0 || info[3] != 0;
    Ok(if has_set { info[4] as usize } else { 0 })
}

fn join(a: [u8; 4], b: [u8; 4]) -> [u8; 8] {
    [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]
}

/// `None` for what the driver does not know.
fn unless_unsupported<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOTTY)) => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Has the kernel read a command from `buffer` and write what it has to say behind it.
fn ask<T>(socket: &UdpSocket, interface: &str, buffer: &mut [T]) -> io::Result<()> {
    // SAFETY: all of an ifreq may be zero: a name, and a union of plain numbers and pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero: the name's end.
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *slot = byte as c_char;
    }
    request.ifr_ifru.ifru_data = buffer.as_mut_ptr().cast();
    // SAFETY: `request` and `buffer` outlive the call. The kernel writes one count for the one bit
    // of GSSET_INFO's mask, which fits; for the others as many names or counters as the driver has
    // now: there is room for `ROOM`, and not a quarter was there a moment ago (`MAX_COUNTERS`).
    // Any bytes are numbers.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Puts names of [`NAME`] bytes, filled up with zeros, and values together.
fn pair(names: &[u8], values: &[u64], wants: impl Fn(&str) -> bool) -> Vec<(String, u64)> {
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
    };
    let all = names.chunks_exact(NAME).map(name).zip(values.iter().copied());
    all.filter(|(name, _)| wants(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<u8> {
        list.iter().flat_map(|name| name.bytes().chain(std::iter::repeat(0)).take(NAME)).collect()
    }

    #[test]
    fn names_and_values_are_paired_and_chosen() {
        let names = names(&["tx_timeout", "bw_in_allowance_exceeded", &"x".repeat(40)]);
        let all = pair(&names, &[1, 2, 3], |_| true);
        assert_eq!(all[..2], [("tx_timeout".to_owned(), 1), ("bw_in_allowance_exceeded".to_owned(), 2)]);
        assert_eq!(all[2], ("x".repeat(32), 3), "a name may fill its place");
        assert_eq!(pair(&names, &[1, 2, 3], |name| name.starts_with("bw")).len(), 1);
        assert_eq!(pair(&names[..40], &[1, 2], |_| true).len(), 1, "half a name is none");
        assert_eq!(pair(&names, &[1], |_| true).len(), 1);
    }

    #[test]
    fn an_interface_without_counters_is_no_error_and_a_missing_one_is() {
        assert_eq!(driver_counters("lo", |_| true).unwrap(), []);
        assert!(driver_counters("no-such-if", |_| true).is_err());
        assert!(driver_counters("a-name-that-is-too-long", |_| true).is_err());
    }

    #[test]
    fn every_interface_of_this_host_can_be_asked() {
        for entry in std::fs::read_dir("/sys/class/net").unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let counters = driver_counters(&name, |_| true).unwrap();
            assert!(counters.iter().all(|(counter, _)| !counter.is_empty()), "{name}: {counters:?}");
        }
    }

    #[test]
    fn only_interfaces_with_a_device_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["ens6/device", "ens5/device", "veth1", "lo"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        assert_eq!(devices_in(dir.path()), ["ens5", "ens6"]);
        assert!(devices_in(Path::new("/nowhere")).is_empty());
    }
}
