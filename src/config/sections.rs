//! The sections of single tables, each into the settings of its rooms.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::answer::settings::Keeping;
use crate::{admin, cache, import, server, upstream};

use super::address::is_private;
use super::encrypted::{encrypted, listeners};
use super::environment::Environment;
use super::problem::Place;
use super::read::{Item, Section};
use super::{Drain, Log};

const MINUTE: Duration = Duration::from_secs(60);

fn times(least: Duration, most: Duration) -> RangeInclusive<Duration> {
    least..=most
}

/// `[server]` and the transports' part of `[limits]`.
pub(super) fn server(section: &Section<'_>, limits: &Section<'_>, base: &Path) -> server::Settings {
    let default = server::Settings::default();
    let listen = |item: &Item<'_>| item.filled_list(|i| i.listen_address(), "[\"127.0.0.1:5300\"]");
    let workers = |item: &Item<'_>| match item.as_text() {
        Some("auto") => Some(default.workers),
        Some(text) if text.trim().parse::<u64>().is_err() => {
            item.reject(format!("{text:?} is not a number of threads"), Some("write \"auto\" or 2".into()));
            None
        }
        _ => item.count(1..=256),
    };
    let mut settings = server::Settings {
        listen: section.read("listen", default.listen, listen),
        workers: section.read("workers", default.workers, workers),
        tcp_connections: limits.read("tcp_connections", default.tcp_connections, |i| i.count(1..=1 << 20)),
        tcp_connections_per_client: limits.read(
            "tcp_connections_per_client",
            default.tcp_connections_per_client,
            |i| i.count(1..=1 << 20),
        ),
        tcp_idle: limits.read("tcp_idle", default.tcp_idle, |i| {
            i.duration(times(Duration::from_millis(100), 60 * MINUTE))
        }),
        tcp_stall: limits.read("tcp_stall", default.tcp_stall, |i| {
            i.duration(times(Duration::from_millis(100), 5 * MINUTE))
        }),
        tcp_in_flight: limits.read("tcp_in_flight", default.tcp_in_flight, |i| i.count(1..=65_535)),
        receive_buffer: limits.read("receive_buffer", default.receive_buffer, |i| {
            usize::try_from(i.bytes(64 << 10..=1 << 30)?).ok()
        }),
        ..default
    };
    encrypted(section, base, &mut settings);
    settings
}

/// The part of `[limits]` that is about upstreams; the domains come from `[[forward]]`.
pub(super) fn upstream(
    domains: Vec<upstream::settings::ForwardDomain>,
    limits: &Section<'_>,
) -> upstream::Settings {
    let default = upstream::Settings::default();
    let packets = |item: &Item<'_>| match item.as_text() {
        Some("auto") => Some(upstream::Packets::Auto),
        Some("unlimited") => Some(upstream::Packets::Unlimited),
        Some(text) if text.trim().parse::<u64>().is_err() => {
            let fix = "write \"auto\", \"unlimited\" or 900".to_owned();
            item.reject(format!("{text:?} is not a number of packets"), Some(fix));
            None
        }
        _ => u32::try_from(item.integer(10..=1_000_000)?).ok().map(upstream::Packets::PerSecond),
    };
    let silence = |i: &Item<'_>| i.duration(times(Duration::from_millis(100), MINUTE));
    upstream::Settings {
        domains,
        silence: limits.read("upstream_silence", default.silence, silence),
        hedge: limits.read("hedge", default.hedge, Item::boolean),
        packets: limits.read("upstream_packets", default.packets, packets),
        max_sends: limits.read("sends", default.max_sends, |i| u32::try_from(i.integer(1..=3)?).ok()),
        timeout: limits.read("upstream_timeout", default.timeout, |i| {
            i.duration(times(Duration::from_millis(100), MINUTE))
        }),
        sockets: limits.read("upstream_sockets", default.sockets, |i| i.count(1..=16_384)),
        ..default
    }
}

/// How answers are kept: `[cache]` for all domains, and what a `[[forward]]` says otherwise of its own.
pub(super) fn keeping(section: &Section<'_>, base: &Keeping) -> Keeping {
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let span = |key, default, least, most| section.read(key, default, |i| i.duration(times(least, most)));
    Keeping {
        // RFC 8767 §5: a day to three, and whatever is long enough for an outage.
        max_stale: span("stale", base.max_stale, Duration::ZERO, 7 * day),
        stale_timer: span("stale_timer", base.stale_timer, Duration::ZERO, MINUTE),
        stale_ttl: span("stale_ttl", base.stale_ttl, second, 60 * MINUTE),
        stale_recheck: span("stale_recheck", base.stale_recheck, second, 5 * MINUTE),
        keep_positive: span("keep_positive", base.keep_positive, Duration::ZERO, 60 * MINUTE),
        renews: section.read("renew", base.renews, Item::boolean),
        ..base.clone()
    }
}

/// The bounds on lifetimes that one domain has of its own.
pub(super) fn lifetimes(section: &Section<'_>, base: Keeping) -> Keeping {
    let week = Duration::from_secs(7 * 86_400);
    let span = |key, default, least| section.read(key, default, |i| i.duration(times(least, week)));
    Keeping {
        max_ttl: span("max_ttl", base.max_ttl, Duration::from_secs(1)),
        max_negative_ttl: span("max_negative_ttl", base.max_negative_ttl, Duration::ZERO),
        ..base
    }
}

/// `[cache]`.
pub(super) fn cache(section: &Section<'_>) -> cache::Settings {
    let default = cache::Settings::default();
    let second = Duration::from_secs(1);
    let week = Duration::from_secs(7 * 86_400);
    let settings = cache::Settings {
        max_bytes: section.read("max_bytes", default.max_bytes, |i| i.bytes(64 << 10..=1 << 40)),
        // RFC 8767 §4 suggests a week as the highest bound.
        max_ttl: section.read("max_ttl", default.max_ttl, |i| i.duration(times(second, week))),
        max_negative_ttl: section
            .read("max_negative_ttl", default.max_negative_ttl, |i| i.duration(times(Duration::ZERO, week))),
        // RFC 9520 §3.2: at least one second, at most five minutes.
        failure_ttl: section
            .read("failure_ttl", default.failure_ttl, |i| i.duration(times(second, 5 * MINUTE))),
        max_failure_ttl: section
            .read("max_failure_ttl", default.max_failure_ttl, |i| i.duration(times(second, 5 * MINUTE))),
    };
    if settings.failure_ttl > settings.max_failure_ttl {
        let key = if section.has("failure_ttl") { "failure_ttl" } else { "max_failure_ttl" };
        section.reject(
            key,
            "failure_ttl is above max_failure_ttl",
            Some("raise max_failure_ttl to at least failure_ttl"),
        );
    }
    settings
}

/// `[admin]`.
pub(super) fn admin(section: &Section<'_>, base: &Path, environment: &Environment) -> admin::Settings {
    let default = admin::Settings::default();
    let listen = |item: &Item<'_>| match item.as_text() {
        Some("") => Some(None),
        _ => item.listen_address().map(Some),
    };
    let unset = || environment.runtime_directory().map(|dir| dir.join("admin.sock"));
    admin::Settings {
        listen: section.read("listen", default.listen, listen),
        socket: section.read("socket", None, |item| path(item, base)).or_else(unset),
    }
}

/// `[state]`.
pub(super) fn state(section: &Section<'_>, base: &Path, environment: &Environment) -> import::Settings {
    let dir = section.read("dir", None, |item| path(item, base));
    import::Settings { state_dir: dir.or_else(|| environment.state_directory()) }
}

/// `[drain]`. `delay = "auto"` needs none where only this host can ask.
pub(super) fn drain(section: &Section<'_>, server: &server::Settings) -> Drain {
    let all: Vec<SocketAddr> = listeners(server).into_iter().flat_map(|(_, list)| list).copied().collect();
    let auto = Drain::for_listeners(&all);
    let range = || times(Duration::ZERO, 5 * MINUTE);
    let delay = |item: &Item<'_>| match item.as_text() {
        Some("auto") => Some(auto.delay),
        _ => item.duration(range()),
    };
    Drain {
        delay: section.read("delay", auto.delay, delay),
        grace: section.read("grace", auto.grace, |i| i.duration(range())),
    }
}

/// `[log]`.
pub(super) fn log(section: &Section<'_>) -> Log {
    use super::LogFormat::{Json, Text};
    let default = Log::default();
    let level = |item: &Item<'_>| match super::log::check_filter(item.text()?) {
        Ok(()) => item.text().map(str::to_owned),
        Err((what, fix)) => {
            item.reject(what, Some(fix));
            None
        }
    };
    Log {
        format: section.read("format", default.format, |i| i.word(&[("text", Text), ("json", Json)])),
        level: section.read("level", default.level, level),
    }
}

/// Warns of listeners that strangers reach, and refuses the metrics' listener on a DNS one.
pub(super) fn exposure(
    server: &Section<'_>,
    has_rules: bool,
    admin: &Section<'_>,
    settings: &server::Settings,
    metrics: Option<SocketAddr>,
) {
    let open = |(key, list): (_, &[SocketAddr])| {
        list.iter().find(|address| !is_private(address.ip())).map(|address| (key, *address))
    };
    if !server.has("access")
        && !has_rules
        && let Some((key, open)) = listeners(settings).into_iter().find_map(open)
    {
        let what = format!("{open} may be reached from beyond private networks, and no access list is set");
        server.warn(key, &what, Some("set server.access to the networks that may ask"));
    }
    let Some(address) = metrics else { return };
    // QUIC is over UDP, which is not in the way.
    let over_tcp = listeners(settings).into_iter().filter(|(key, _)| *key != "quic");
    if let Some((key, _)) =
        over_tcp.into_iter().find(|(_, list)| address.port() != 0 && list.contains(&address))
    {
        let what = format!("{address} is in server.{key} as well");
        admin.reject("listen", &what, Some("choose another port"));
    }
    if !address.ip().is_loopback() {
        let what = format!("{address} shows metrics and health to other hosts");
        admin.warn("listen", &what, Some("keep it behind a network policy, or listen on 127.0.0.1"));
    }
}

/// A path, relative to `base` where it comes from the file; an empty one is no path.
pub(super) fn path(item: &Item<'_>, base: &Path) -> Option<Option<PathBuf>> {
    path_behind("", item, base)
}

/// The same behind a scheme.
pub(super) fn path_behind(scheme: &str, item: &Item<'_>, base: &Path) -> Option<Option<PathBuf>> {
    let text = item.text()?;
    let text = text.strip_prefix(scheme).unwrap_or(text);
    if text.contains('\0') {
        item.reject("a path cannot hold a NUL", None);
        return None;
    }
    let from_variable = matches!(item.place(), Place::Variable(_));
    let path = if from_variable { PathBuf::from(text) } else { base.join(text) };
    Some(if text.is_empty() { None } else { Some(path) })
}
