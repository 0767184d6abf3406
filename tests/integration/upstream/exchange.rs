//! One question to the upstreams: tries, failover, checks, TCP.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use zonelet::clock::Clock;
use zonelet::upstream::{
    Ask, ExchangeError, Forwarder, MARKER_OPTION, Settings, Signs, Stamps, UpstreamSpec,
};
use zonelet::wire::{EdeCode, Learned, Outcome, Rtype};

use crate::harness::agent::{forward, forward_all};
use crate::harness::message::{a, name, soa, with_ede};
use crate::harness::time::HandTime;
use crate::harness::upstream::{Out, Scripted};

pub(super) fn forwarder(settings: Settings) -> Arc<Forwarder> {
    Forwarder::new(settings, Clock::manual(), tokio::runtime::Handle::current())
}

pub(super) fn ask(qname: &str) -> Ask {
    Ask {
        qname: name(qname),
        qtype: Rtype::A,
        dnssec_ok: false,
        checking_disabled: false,
        stamps: Stamps::default(),
        signs: Arc::new(Signs::default()),
    }
}

pub(super) async fn asked(forwarder: &Forwarder, qname: &str) -> Result<Learned, ExchangeError> {
    forwarder.exchange(&ask(qname)).await
}

pub(super) fn last_byte(learned: &Learned) -> Option<u8> {
    learned.block.last().copied()
}

pub(super) fn failure(result: Result<Learned, ExchangeError>) -> (EdeCode, String) {
    let failure = result.unwrap_err().failure();
    (failure.ede, failure.text.into())
}

#[tokio::test]
async fn an_upstream_sees_only_our_own_opt_and_marker() {
    let upstream = Scripted::answering(60).await;
    let forwarder = forwarder(forward_all(&[upstream.addr]));
    let learned = asked(&forwarder, "a.test").await.unwrap();
    assert_eq!((learned.answers, learned.lifetime), (1, 60));
    let question = upstream.log().remove(0).question;
    let (flags, options) = question.opt().unwrap();
    assert_eq!(flags, 0);
    assert_eq!(options.len(), 1);
    assert_eq!((options[0].0, options[0].1.len()), (MARKER_OPTION, 16));
    assert_eq!(&question.message[2..4], &[1, 0], "RD alone");
}

#[tokio::test]
async fn silence_is_waited_out_with_three_sends_in_all() {
    let time = HandTime::stop();
    let upstream = Scripted::silent().await;
    let forwarder = forwarder(forward_all(&[upstream.addr]));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    assert_eq!(
        failure(result),
        (EdeCode::NO_REACHABLE_AUTHORITY, format!("no reply from {}", upstream.addr))
    );
    assert_eq!(upstream.count(), 3);
    assert!(took >= Duration::from_millis(1800) && took < Duration::from_millis(1900), "{took:?}");
    let ids: HashSet<_> = upstream.log().iter().map(|a| a.question.message[..2].to_vec()).collect();
    assert!(ids.len() > 1, "a fresh id each time");
}

#[tokio::test]
async fn three_sends_are_the_most_over_all_upstreams_together() {
    let time = HandTime::stop();
    let mut upstreams = Vec::new();
    for _ in 0..5 {
        upstreams.push(Scripted::silent().await);
    }
    let addrs: Vec<_> = upstreams.iter().map(|u| u.addr).collect();
    let forwarder = forwarder(forward_all(&addrs));
    assert!(time.drive(asked(&forwarder, "a.test")).await.0.is_err());
    assert_eq!(upstreams.iter().map(Scripted::count).collect::<Vec<_>>(), [1, 1, 1, 0, 0]);
}

#[tokio::test]
async fn a_late_reply_to_an_earlier_try_is_accepted() {
    let time = HandTime::stop();
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = Arc::clone(&log);
    let upstream = Scripted::start(move |asked| {
        kept.lock().unwrap().push(asked.clone());
        if asked.number == 0 {
            return Vec::new();
        }
        let first = kept.lock().unwrap()[0].clone();
        vec![Out::To(first.from, first.question.address(60, 9))]
    })
    .await;
    let forwarder = forwarder(forward_all(&[upstream.addr]));
    let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
    assert_eq!(last_byte(&result.unwrap()), Some(9));
    assert_eq!(upstream.count(), 2);
    assert!(took < Duration::from_secs(1));
}

#[tokio::test]
async fn servfail_and_refused_fail_over_at_once_and_nxdomain_does_not() {
    let time = HandTime::stop();
    for rcode in [2, 5] {
        let bad = Scripted::start(move |a| vec![Out::Reply(a.question.reply(rcode, &[], &[]))]).await;
        let good = Scripted::answering(60).await;
        let forwarder = forwarder(forward_all(&[bad.addr, good.addr]));
        let (result, took) = time.drive(asked(&forwarder, "a.test")).await;
        assert!(result.is_ok());
        assert_eq!((bad.count(), good.count(), took), (1, 1, Duration::ZERO));
    }
    let denying =
        Scripted::start(|a| vec![Out::Reply(a.question.reply(3, &[], &[soa("test", 60, 60)]))]).await;
    let other = Scripted::answering(60).await;
    let forwarder = forwarder(forward_all(&[denying.addr, other.addr]));
    let learned = asked(&forwarder, "a.test").await.unwrap();
    assert_eq!((learned.outcome, other.count()), (Outcome::NxDomain, 0));
}

#[tokio::test]
async fn a_refused_connection_fails_over_at_once_and_is_named() {
    let time = HandTime::stop();
    let gone = {
        let (udp, _tcp) = crate::harness::upstream::bind_both([127, 0, 0, 1].into()).await;
        udp.local_addr().unwrap()
    };
    let good = Scripted::answering(60).await;
    let both = forwarder(forward_all(&[gone, good.addr]));
    let (result, took) = time.drive(asked(&both, "a.test")).await;
    assert!(result.is_ok());
    assert!(took < Duration::from_millis(600), "{took:?}");
    let alone = forwarder(forward_all(&[gone]));
    let (result, took) = time.drive(asked(&alone, "a.test")).await;
    assert_eq!(failure(result), (EdeCode::NETWORK_ERROR, format!("{gone}: connection refused")));
    assert!(took < Duration::from_millis(600), "{took:?}");
}

#[tokio::test]
async fn what_cannot_be_parsed_fails_over_and_is_named() {
    let bad = Scripted::start(|asked| {
        let mut message = asked.question.address(60, 1);
        message.truncate(message.len() - 1);
        vec![Out::Reply(message)]
    })
    .await;
    let good = Scripted::answering(60).await;
    assert!(asked(&forwarder(forward_all(&[bad.addr, good.addr])), "a.test").await.is_ok());
    let (ede, text) = failure(asked(&forwarder(forward_all(&[bad.addr])), "a.test").await);
    assert_eq!((ede, text), (EdeCode::OTHER, format!("{} sent a bad record", bad.addr)));
}

#[tokio::test]
async fn an_upstreams_own_explanation_is_passed_on() {
    let bad =
        Scripted::start(|a| vec![Out::Reply(with_ede(a.question.reply(2, &[], &[]), 9, "no keys"))]).await;
    let (ede, text) = failure(asked(&forwarder(forward_all(&[bad.addr])), "a.test").await);
    assert_eq!((ede, text), (EdeCode(9), format!("{} answered SERVFAIL: no keys", bad.addr)));
}

#[tokio::test]
async fn replies_with_wrong_id_question_port_or_qr_are_not_believed_and_lead_to_tcp() {
    type Forge = fn(&crate::harness::upstream::Asked) -> Out;
    let forgeries: [Forge; 4] = [
        |asked| {
            let mut message = asked.question.address(60, 66);
            message[0] ^= 1;
            Out::Reply(message)
        },
        |asked| {
            let mut message = asked.question.address(60, 66);
            message[13] ^= 1;
            Out::Reply(message)
        },
        |asked| {
            let mut message = asked.question.address(60, 66);
            message[2] &= 0x7f;
            Out::Reply(message)
        },
        |asked| {
            let mut message = asked.question.address(60, 66);
            let qtype_at = asked.question.end - 3;
            message[qtype_at] = 28;
            Out::Reply(message)
        },
    ];
    for forge in forgeries {
        let upstream = Scripted::start(move |asked| match asked.tcp {
            true => vec![Out::Reply(asked.question.address(60, 1))],
            false => vec![forge(asked), Out::Reply(asked.question.address(60, 2))],
        })
        .await;
        let forwarder = forwarder(forward_all(&[upstream.addr]));
        let learned = asked(&forwarder, "a.test").await.unwrap();
        assert_eq!(last_byte(&learned), Some(1), "over TCP, where nobody can guess");
        assert_eq!(upstream.log().iter().filter(|a| a.tcp).count(), 1);
    }
    let upstream = Scripted::start(|asked| {
        vec![Out::FromElsewhere(asked.question.address(60, 66)), Out::Reply(asked.question.address(60, 2))]
    })
    .await;
    let learned = asked(&forwarder(forward_all(&[upstream.addr])), "a.test").await.unwrap();
    assert_eq!(last_byte(&learned), Some(2), "the kernel drops what comes from another port");
}

#[tokio::test]
async fn a_truncated_reply_is_asked_for_again_over_tcp_and_taken_whole() {
    let upstream = Scripted::start(|asked| {
        let whole: Vec<_> = (0..100).map(|i| a("a.test", 60, i)).collect();
        if asked.tcp {
            return vec![Out::Reply(asked.question.reply(0, &whole, &[]))];
        }
        let mut part = asked.question.reply(0, &whole[..3], &[]);
        part[2] |= 0x02;
        vec![Out::Reply(part)]
    })
    .await;
    let forwarder = forwarder(forward_all(&[upstream.addr]));
    assert_eq!(asked(&forwarder, "a.test").await.unwrap().answers, 100);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_truncated_reply_without_tcp_is_no_answer() {
    let upstream = Scripted::start(|asked| {
        let mut part = asked.question.address(60, 1);
        part[2] |= 0x02;
        if asked.tcp { vec![Out::Close] } else { vec![Out::Reply(part)] }
    })
    .await;
    let other = Scripted::answering(60).await;
    assert!(asked(&forwarder(forward_all(&[upstream.addr])), "a.test").await.is_err());
    assert!(asked(&forwarder(forward_all(&[upstream.addr, other.addr])), "a.test").await.is_ok());
    let always = Scripted::start(|asked| {
        let mut part = asked.question.address(60, 1);
        part[2] |= 0x02;
        vec![Out::Reply(part)]
    })
    .await;
    let (_, text) = failure(asked(&forwarder(forward_all(&[always.addr])), "a.test").await);
    assert!(text.contains("truncated"), "{text}");
}

#[tokio::test]
async fn an_upstream_may_be_asked_over_tcp_alone() {
    let upstream = Scripted::answering(60).await;
    let mut settings = forward_all(&[]);
    settings.domains[0].upstreams = vec![UpstreamSpec::Tcp(upstream.addr)];
    assert!(asked(&forwarder(settings), "a.test").await.is_ok());
    assert!(upstream.log().iter().all(|a| a.tcp) && upstream.count() == 1);
}

#[tokio::test]
async fn an_old_server_is_asked_again_without_edns() {
    let upstream = Scripted::start(|asked| match asked.question.opt() {
        // The header alone, as a server may answer what it cannot read.
        Some(_) => {
            let mut bare = asked.question.reply(1, &[], &[])[..12].to_vec();
            bare[5] = 0;
            vec![Out::Reply(bare)]
        }
        None => vec![Out::Reply(asked.question.address(60, 1))],
    })
    .await;
    assert!(asked(&forwarder(forward_all(&[upstream.addr])), "a.test").await.is_ok());
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn the_longest_forwarded_domain_decides() {
    let (root, corp) = (Scripted::answering(60).await, Scripted::answering(60).await);
    let mut settings = forward_all(&[root.addr]);
    settings.domains.push(forward("corp.test", &[corp.addr]));
    let forwarder = forwarder(settings);
    for qname in ["a.corp.test", "corp.test", "acorp.test", "test"] {
        asked(&forwarder, qname).await.unwrap();
    }
    assert_eq!((root.count(), corp.count()), (2, 2));
}

#[tokio::test]
async fn a_name_without_a_domain_has_no_upstream() {
    let settings = Settings { domains: vec![forward("corp.test", &[])], ..Settings::default() };
    let forwarder = forwarder(settings);
    assert!(matches!(asked(&forwarder, "a.other").await, Err(ExchangeError::NoUpstream(_))));
    assert!(matches!(asked(&forwarder, "a.corp.test").await, Err(ExchangeError::NoUpstream(_))));
}

#[tokio::test]
async fn ids_and_ports_are_drawn_anew_for_each_query() {
    let upstream = Scripted::answering(60).await;
    let mut settings = forward_all(&[upstream.addr]);
    settings.sockets = 64;
    let forwarder = forwarder(settings);
    for i in 0..100 {
        asked(&forwarder, &format!("n{i}.test")).await.unwrap();
    }
    let log = upstream.log();
    let ports: HashSet<_> = log.iter().map(|a| a.from.port()).collect();
    let ids: HashSet<_> = log.iter().map(|a| a.question.message[..2].to_vec()).collect();
    assert!(ports.len() > 30 && ids.len() > 90, "{} ports, {} ids", ports.len(), ids.len());
}

#[tokio::test]
async fn sockets_and_health_outlive_a_reload() {
    let upstream = Scripted::answering(60).await;
    let settings = Settings { sockets: 1, ..forward_all(&[upstream.addr]) };
    let forwarder = forwarder(settings.clone());
    asked(&forwarder, "a.test").await.unwrap();
    let mut more = settings;
    more.domains.push(forward("corp.test", &[upstream.addr]));
    forwarder.reload(more);
    asked(&forwarder, "b.corp.test").await.unwrap();
    let ports: HashSet<_> = upstream.log().iter().map(|a| a.from.port()).collect();
    assert_eq!(ports.len(), 1);
}
