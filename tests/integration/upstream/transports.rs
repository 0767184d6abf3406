//! The same cases over every transport to an upstream.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use zonelet::clock::Clock;
use zonelet::upstream::{
    Ask, BootstrapResolver, ExchangeError, ForwardDomain, Forwarder, Place, Settings, Signs, Stamps,
    UpstreamSpec,
};
use zonelet::wire::{EdeCode, Learned, Outcome, Rtype};

use crate::harness::agent::{forward, forward_all};
use crate::harness::message::{cname, name, soa};
use crate::harness::speaker::{Authority, Heard, Move, NAME, Speaker, Speech};
use crate::harness::time::HandTime;
use crate::harness::upstream::{Out, Scripted};

fn forwarder_to(upstreams: Vec<UpstreamSpec>) -> Arc<Forwarder> {
    let domains = vec![ForwardDomain::new(name("."), upstreams)];
    let settings = Settings { domains, ..forward_all(&[]) };
    Forwarder::new(settings, Clock::manual(), tokio::runtime::Handle::current())
}

async fn asked(forwarder: &Forwarder, qname: &str) -> Result<Learned, ExchangeError> {
    let ask = Ask {
        qname: name(qname),
        qtype: Rtype::A,
        dnssec_ok: false,
        checking_disabled: false,
        stamps: Stamps::default(),
        signs: Arc::new(Signs::default()),
    };
    forwarder.exchange(&ask).await
}

fn failure(result: Result<Learned, ExchangeError>) -> (EdeCode, String) {
    let failure = result.unwrap_err().failure();
    (failure.ede, failure.text.into())
}

async fn address(heard: Heard) -> Move {
    Move::Reply(heard.question.address(60, 1))
}

#[tokio::test]
async fn answers_and_denials_come_as_they_are() {
    for speech in Speech::all() {
        let server = Speaker::start(speech, async |heard: Heard| {
            let question = &heard.question;
            let label = question.qname.to_string();
            Move::Reply(match label.split('.').next() {
                Some("nx") => question.reply(3, &[], &[soa("test", 300, 60)]),
                Some("nodata") => question.reply(0, &[], &[soa("test", 300, 60)]),
                _ => question.address(60, 1),
            })
        })
        .await;
        let forwarder = forwarder_to(vec![server.spec()]);
        for (qname, outcome, lifetime) in [
            ("a.test", Outcome::Answer, 60),
            ("nx.test", Outcome::NxDomain, 60),
            ("nodata.test", Outcome::NoData, 60),
        ] {
            let learned = asked(&forwarder, qname).await.unwrap();
            assert_eq!((learned.outcome, learned.lifetime), (outcome, lifetime), "{speech:?} {qname}");
        }
        let expected = usize::from(speech != Speech::Udp);
        assert_eq!(server.connections(), expected, "{speech:?}: one connection for all");
    }
}

#[tokio::test]
async fn the_largest_message_arrives_whole() {
    for speech in Speech::all() {
        let server = Speaker::start(speech, async |heard: Heard| {
            let mut reply = heard.question.address(60, 1);
            let filler = (name("a.test"), Rtype(65280), 60, vec![7; 65_535 - reply.len() - 8 - 10]);
            let (owner, rtype, ttl, rdata) = filler;
            reply[11] += 1;
            reply.extend(owner.as_bytes());
            reply.extend(rtype.0.to_be_bytes());
            reply.extend([0, 1]);
            reply.extend(u32::to_be_bytes(ttl));
            reply.extend((rdata.len() as u16).to_be_bytes());
            reply.extend(rdata);
            assert_eq!(reply.len(), 65_535);
            Move::Reply(reply)
        })
        .await;
        let learned = asked(&forwarder_to(vec![server.spec()]), "a.test").await.unwrap();
        assert_eq!((learned.outcome, learned.answers), (Outcome::Answer, 1), "{speech:?}");
    }
}

#[tokio::test]
async fn answers_are_taken_in_any_order() {
    for speech in Speech::all() {
        let (done, order) = watch::channel(0);
        let server = Speaker::start(speech, move |heard: Heard| {
            let (done, mut order) = (done.clone(), order.clone());
            async move {
                // c before b before a.
                let turn = match heard.question.qname.to_string().as_bytes()[0] {
                    b'c' => 0,
                    b'b' => 1,
                    _ => 2,
                };
                order.wait_for(|&answered| answered == turn).await.unwrap();
                done.send_replace(turn + 1);
                Move::Reply(heard.question.address(60, 1))
            }
        })
        .await;
        let forwarder = forwarder_to(vec![server.spec()]);
        let (a, b, c) = tokio::join!(
            asked(&forwarder, "a.test"),
            asked(&forwarder, "b.test"),
            asked(&forwarder, "c.test")
        );
        assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{speech:?}");
        assert!(server.connections() <= 1, "{speech:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_between_two_queries_costs_no_failure() {
    for speech in Speech::streams() {
        let server =
            Speaker::start(speech, async |heard: Heard| Move::Last(heard.question.address(60, 1))).await;
        let forwarder = forwarder_to(vec![server.spec()]);
        for n in 0..5 {
            asked(&forwarder, &format!("n{n}.test")).await.unwrap();
        }
        assert_eq!(server.log().len(), 5, "{speech:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_while_a_query_is_under_way_costs_no_failure() {
    for speech in Speech::streams() {
        let server = Speaker::start(speech, async |heard: Heard| match (heard.connection, heard.number) {
            (1, 1..) => Move::Close,
            _ => Move::Reply(heard.question.address(60, 1)),
        })
        .await;
        let forwarder = forwarder_to(vec![server.spec()]);
        for n in 0..3 {
            asked(&forwarder, &format!("n{n}.test")).await.unwrap();
        }
        assert_eq!(server.connections(), 2, "{speech:?}");
    }
}

#[tokio::test]
async fn a_half_dead_connection_is_left_for_a_new_one() {
    for speech in Speech::streams() {
        let time = HandTime::stop();
        let server = Speaker::start(speech, async |heard: Heard| match (heard.connection, heard.number) {
            (1, 1..) => Move::Nothing,
            _ => Move::Reply(heard.question.address(60, 1)),
        })
        .await;
        let forwarder = forwarder_to(vec![server.spec()]);
        for n in 0..3 {
            let (result, took) = time.drive(asked(&forwarder, &format!("n{n}.test"))).await;
            assert!(result.is_ok(), "{speech:?}: {result:?}");
            assert!(took < Duration::from_secs(2), "{speech:?}: {took:?}");
        }
        assert_eq!(server.connections(), 2, "{speech:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    for speech in Speech::streams() {
        let time = HandTime::stop();
        let server = Speaker::start(speech, async |heard: Heard| {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            Move::Reply(heard.question.address(60, 1))
        })
        .await;
        let forwarder = forwarder_to(vec![server.spec()]);
        for qname in ["a.test", "b.test"] {
            let (result, _) = time.drive(asked(&forwarder, qname)).await;
            assert!(result.is_ok(), "{speech:?}: {result:?}");
        }
        tokio::time::resume();
    }
}

#[tokio::test]
async fn silence_fails_in_time_and_says_so() {
    for speech in Speech::all() {
        let time = HandTime::stop();
        let server = Speaker::start(speech, async |_: Heard| Move::Nothing).await;
        let (result, took) = time.drive(asked(&forwarder_to(vec![server.spec()]), "a.test")).await;
        let (ede, text) = failure(result);
        assert!(
            ede == EdeCode::NO_REACHABLE_AUTHORITY && text.contains("no reply from"),
            "{speech:?}: {text}"
        );
        assert!(took < Duration::from_secs(5), "{speech:?}: {took:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn what_answers_another_question_is_not_believed() {
    for speech in Speech::streams() {
        let server = Speaker::start(speech, async |heard: Heard| {
            let mut reply = heard.question.address(60, 1);
            reply[13] = b'b';
            Move::Reply(reply)
        })
        .await;
        let (_, text) = failure(asked(&forwarder_to(vec![server.spec()]), "a.test").await);
        assert!(text.contains("no reply to the query"), "{speech:?}: {text}");
    }
}

#[tokio::test]
async fn an_answer_with_another_id_is_not_believed() {
    for speech in Speech::streams().into_iter().filter(|&speech| speech != Speech::Https) {
        let server = Speaker::start(speech, async |heard: Heard| {
            let mut reply = heard.question.address(60, 1);
            reply[0] ^= 0xff;
            Move::Reply(reply)
        })
        .await;
        let (_, text) = failure(asked(&forwarder_to(vec![server.spec()]), "a.test").await);
        assert!(text.contains("no reply to the query"), "{speech:?}: {text}");
    }
}

#[tokio::test]
async fn a_truncated_answer_over_a_connection_is_damage() {
    for speech in Speech::streams() {
        let server = Speaker::start(speech, async |heard: Heard| {
            let mut reply = heard.question.address(60, 1);
            reply[2] |= 0x02;
            Move::Reply(reply)
        })
        .await;
        let (_, text) = failure(asked(&forwarder_to(vec![server.spec()]), "a.test").await);
        assert!(text.contains("truncated"), "{speech:?}: {text}");
    }
}

#[tokio::test]
async fn encrypted_queries_have_the_length_of_whole_blocks() {
    for speech in Speech::streams() {
        let server = Speaker::start(speech, address).await;
        asked(&forwarder_to(vec![server.spec()]), "a.test").await.unwrap();
        let question = &server.log()[0].question;
        assert_eq!(question.message.len() % 128 == 0, speech != Speech::Tcp, "{speech:?}");
        let options = question.opt().unwrap().1;
        let (marker, padding) = (options[0].0, options.get(1).map(|o| o.0));
        assert_eq!(marker, zonelet::upstream::MARKER_OPTION, "{speech:?}");
        assert_eq!(padding, (speech != Speech::Tcp).then_some(12), "{speech:?}");
    }
}

#[tokio::test]
async fn who_cannot_prove_its_name_is_told_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for speech in Speech::encrypted() {
        for (signer, of, year, why) in [
            (&authority, "other.test", 2090, "its certificate is for another name"),
            (&authority, NAME, 2010, "its certificate has expired"),
            (&stranger, NAME, 2090, "its certificate is of an unknown issuer"),
        ] {
            let server = Speaker::with(speech, &authority.pem, signer.server(of, year), address).await;
            let (ede, text) = failure(asked(&forwarder_to(vec![server.spec()]), "a.test").await);
            assert_eq!(ede, EdeCode::NETWORK_ERROR, "{speech:?}");
            assert!(text.contains(why) && !text.contains("token"), "{speech:?}: {text}");
            assert_eq!(server.log().len(), 0, "{speech:?}: {why}");
        }
    }
}

#[tokio::test]
async fn an_upstream_without_a_name_proves_its_address() {
    let authority = Authority::new();
    for speech in [Speech::Tls] {
        for (of, is_good) in [("127.0.0.1", true), ("127.0.0.2", false)] {
            let server = Speaker::with(speech, &authority.pem, authority.server(of, 2090), address).await;
            let spec = server.named("127.0.0.1", Place::Address(server.addr));
            assert_eq!(asked(&forwarder_to(vec![spec]), "a.test").await.is_ok(), is_good, "{speech:?} {of}");
        }
    }
}

#[tokio::test]
async fn whoever_speaks_no_tls_gets_no_query_in_the_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address_of_it = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let _ = stream.read_to_end(&mut heard).await;
        }
        heard
    });
    for speech in [Speech::Tls, Speech::Https] {
        let server = Speaker::start(speech, address).await;
        let spec = server.named(NAME, Place::Address(address_of_it));
        let (ede, text) = failure(asked(&forwarder_to(vec![spec]), "secret.test").await);
        assert!(ede == EdeCode::NETWORK_ERROR && text.contains("does not speak TLS"), "{text}");
    }
    let heard = heard.await.unwrap();
    assert!(!heard.is_empty() && !heard.windows(6).any(|bytes| bytes == b"secret"));
}

#[tokio::test]
async fn an_upstream_that_fails_its_handshake_is_left_for_the_next() {
    let authority = Authority::new();
    for speech in Speech::encrypted() {
        let bad = Speaker::with(speech, &authority.pem, authority.server("other.test", 2090), address).await;
        let good = Speaker::start(speech, address).await;
        let forwarder = forwarder_to(vec![bad.spec(), good.spec()]);
        for n in 0..3 {
            asked(&forwarder, &format!("n{n}.test")).await.unwrap();
        }
        assert_eq!((bad.log().len(), good.log().len()), (0, 3), "{speech:?}");
    }
}

#[tokio::test]
async fn a_later_connection_goes_on_with_the_session_of_an_earlier_one() {
    for speech in [Speech::Tls, Speech::Https] {
        let server =
            Speaker::start(speech, async |heard: Heard| Move::Last(heard.question.address(60, 1))).await;
        let forwarder = forwarder_to(vec![server.spec()]);
        for n in 0..4 {
            asked(&forwarder, &format!("n{n}.test")).await.unwrap();
        }
        assert_eq!((server.connections(), server.resumed()), (4, 3), "{speech:?}");
    }
}

#[tokio::test]
async fn a_host_whose_name_can_no_longer_be_looked_up_is_asked_where_it_was() {
    let time = HandTime::stop();
    let server =
        Speaker::start(Speech::Tls, async |heard: Heard| Move::Last(heard.question.address(60, 1))).await;
    let is_up = Arc::new(AtomicBool::new(true));
    let up = Arc::clone(&is_up);
    let finder = Scripted::start(move |asked| {
        let question = &asked.question;
        let answer = (question.qname.clone(), Rtype::A, 0, vec![127, 0, 0, 1]);
        match (up.load(Ordering::Relaxed), question.qtype) {
            (false, _) => vec![Out::Reply(question.reply(2, &[], &[]))],
            (true, Rtype::A) => vec![Out::Reply(question.reply(0, &[answer], &[]))],
            (true, _) => vec![Out::Reply(question.reply(0, &[], &[soa("test", 0, 0)]))],
        }
    })
    .await;
    let mut settings = forward_all(&[]);
    settings.domains[0].upstreams = vec![server.named(NAME, Place::Host(NAME.into(), server.addr.port()))];
    settings.domains.push(forward("corp.test", &[finder.addr]));
    let forwarder = Forwarder::new(settings, Clock::manual(), tokio::runtime::Handle::current());
    time.drive(asked(&forwarder, "a.test")).await.0.unwrap();
    let before = finder.count();
    time.drive(asked(&forwarder, "b.test")).await.0.unwrap();
    assert_eq!(finder.count(), before, "an address is kept for a while");
    is_up.store(false, Ordering::Relaxed);
    time.advance(Duration::from_secs(31)).await;
    time.drive(asked(&forwarder, "c.test")).await.0.unwrap();
    assert!(finder.count() > before, "it is looked up again");
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn hosts_are_not_looked_up_in_the_clear_in_a_domain_with_an_encrypted_upstream() {
    let server = Speaker::start(Speech::Tls, async |heard: Heard| {
        let (question, label) = (&heard.question, heard.question.qname.to_string());
        Move::Reply(match (&*label, question.qtype) {
            ("api.test.", _) => question.reply(0, &[cname("api.test", 60, "real.test")], &[]),
            (_, Rtype::A) => question.address(60, 7),
            _ => question.reply(0, &[], &[soa("test", 300, 60)]),
        })
    })
    .await;
    let clear = Scripted::answering(60).await;
    let forwarder = forwarder_to(vec![server.spec(), UpstreamSpec::Plain(clear.addr)]);
    let resolver = BootstrapResolver::new(forwarder);
    assert_eq!(resolver.lookup("api.test").await.unwrap(), [IpAddr::from([192, 0, 2, 7])]);
    assert_eq!(clear.count(), 0);
    let resolver = BootstrapResolver::new(forwarder_to(vec![UpstreamSpec::Plain(clear.addr)]));
    assert!(resolver.lookup("api.test").await.unwrap().contains(&IpAddr::from([192, 0, 2, 1])));
}

#[tokio::test]
async fn an_http_error_is_told_by_its_status() {
    let server = Speaker::start(Speech::Https, async |_: Heard| Move::Status(403)).await;
    let (_, text) = failure(asked(&forwarder_to(vec![server.spec()]), "a.test").await);
    assert!(text.contains("HTTP status 403") && !text.contains("page"), "{text}");
}

#[tokio::test]
async fn a_host_name_is_looked_up_through_upstreams_in_the_clear() {
    for speech in Speech::encrypted() {
        let server = Speaker::start(speech, address).await;
        let finder = Scripted::start(|asked| {
            let question = &asked.question;
            let answer = (question.qname.clone(), Rtype::A, 60, vec![127, 0, 0, 1]);
            vec![Out::Reply(match question.qtype {
                Rtype::A => question.reply(0, &[answer], &[]),
                _ => question.reply(0, &[], &[soa("test", 300, 60)]),
            })]
        })
        .await;
        let place = Place::Host(NAME.into(), server.addr.port());
        let mut settings = forward_all(&[]);
        settings.domains[0].upstreams = vec![server.named(NAME, place)];
        let clock = Clock::manual();
        let nowhere = Forwarder::new(settings.clone(), clock.clone(), tokio::runtime::Handle::current());
        let (_, text) = failure(asked(&nowhere, "a.test").await);
        assert!(text.contains("no address of dns.test could be found"), "{speech:?}: {text}");

        settings.domains.push(forward("corp.test", &[finder.addr]));
        let forwarder = Forwarder::new(settings, clock, tokio::runtime::Handle::current());
        for n in 0..3 {
            asked(&forwarder, &format!("n{n}.test")).await.unwrap();
        }
        let names: Vec<_> = finder.log().iter().map(|a| a.question.qname.to_string()).collect();
        assert!(!names.is_empty() && names.iter().all(|n| n == "dns.test."), "{speech:?}: {names:?}");
        assert_eq!(server.log().len(), 3, "{speech:?}");
    }
}
