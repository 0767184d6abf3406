//! Receivers of dnstap that do not do their part: no query is lost or late for them.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::home;
use crate::harness::client::UdpClient;
use crate::harness::dns::{asked, line};
use crate::harness::program::{Home, Program, until, upstream};

/// A control frame that accepts dnstap.
fn accept() -> Vec<u8> {
    let content = b"protobuf:dnstap.Dnstap";
    let body = [&1u32.to_be_bytes()[..], &1u32.to_be_bytes(), &(content.len() as u32).to_be_bytes(), content]
        .concat();
    [&0u32.to_be_bytes()[..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

/// READY, which is the first that is heard.
fn hear_ready(stream: &mut UnixStream) {
    let mut ready = [0; 42];
    stream.read_exact(&mut ready).unwrap();
    assert_eq!(ready[..12], [0, 0, 0, 0, 0, 0, 0, 34, 0, 0, 0, 4]);
}

/// A program whose receiver does with each connection what `serve` says, and the connections it keeps.
fn with_receiver(
    serve: impl Fn(UnixStream) -> Option<UnixStream> + Send + 'static,
) -> (Home, Program, Receiver<Option<UnixStream>>) {
    let upstream = upstream(|question| question.reply(0, &[], &[]));
    let home = home(upstream.addr, "[dnstap]\nto = 'unix:tap.sock'\nbuffer = '256KiB'\n");
    let listener = UnixListener::bind(home.path("tap.sock")).unwrap();
    let (kept, connections) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if kept.send(serve(stream)).is_err() {
                return;
            }
        }
    });
    let program = home.start();
    (home, program, connections)
}

/// So many queries, one after the other, each answered by the zone.
fn all_answered(program: &Program, count: usize) {
    let client = UdpClient::near(program.addr());
    for _ in 0..count {
        let query = asked("db.corp.internal A").edns(1232, false).bytes();
        let response = client.ask(&query, program.addr());
        assert_eq!(line(&query, &response), "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
    }
}

fn frames(program: &Program, outcome: &str) -> f64 {
    program.metric("zonelet_dnstap_frames_total", &[outcome])
}

#[test]
fn a_receiver_that_stops_reading_costs_frames_and_no_query() {
    let (_home, program, connections) = with_receiver(|mut stream| {
        hear_ready(&mut stream);
        stream.write_all(&accept()).unwrap();
        // Kept open, and never read again.
        Some(stream)
    });
    let _stalled = connections.recv().unwrap();
    program.logged("dnstap receiver is ready");
    let (mut asked, mut dropped) = (0, 0.0);
    while dropped == 0.0 {
        assert!(asked < 40_000, "nothing is dropped, however much is not taken");
        all_answered(&program, 1000);
        asked += 1000;
        dropped = frames(&program, "dropped");
    }
    let lost = program.metric("zonelet_watch_lost_total", &[]);
    assert!(frames(&program, "sent") + dropped + lost * 2.0 <= 2.0 * asked as f64);
    assert_eq!(program.terminate().0, Some(0), "it ends without waiting for the receiver");
}

#[test]
fn a_receiver_that_never_greets_or_hangs_up_costs_no_query() {
    for greets in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let (_home, program, connections) = with_receiver(move |mut stream| {
            hear_ready(&mut stream);
            stream.write_all(greets).unwrap();
            // Hung up here where it said something.
            Some(stream).filter(|_| greets.is_empty())
        });
        let _silent = connections.recv().unwrap();
        all_answered(&program, 300);
        if !greets.is_empty() {
            program.logged("no dnstap receiver");
            until("a count", || {
                (program.metric("zonelet_dnstap_connection_failures_total", &[]) > 0.0).then_some(())
            });
        }
        assert_eq!((frames(&program, "sent"), program.metric("zonelet_dnstap_connected", &[])), (0.0, 0.0));
        assert_eq!(program.terminate().0, Some(0));
    }
}

#[test]
fn without_a_receiver_queries_are_answered_and_frames_go_to_it_once_it_is_there() {
    let upstream = upstream(|question| question.reply(0, &[], &[]));
    let home = home(upstream.addr, "[dnstap]\nto = 'unix:tap.sock'\n");
    let program = home.start();
    program.logged("no dnstap receiver");
    all_answered(&program, 100);
    let socket: PathBuf = home.path("tap.sock");
    let listener = UnixListener::bind(socket).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    hear_ready(&mut stream);
    stream.write_all(&accept()).unwrap();
    until("the frames that waited", || (frames(&program, "sent") == 200.0).then_some(()));
    // It dies, and comes back.
    drop(stream);
    program.logged_times("no dnstap receiver", 2);
    all_answered(&program, 10);
    let (mut stream, _) = listener.accept().unwrap();
    hear_ready(&mut stream);
    stream.write_all(&accept()).unwrap();
    until("the frames that came since", || (frames(&program, "sent") >= 218.0).then_some(()));
    assert_eq!(program.terminate().0, Some(0));
}
