//! Tests of server: real sockets on loopback over a responder that is told what to do.

mod drain;
mod tcp;
mod udp;
