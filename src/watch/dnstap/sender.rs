//! The connection to a receiver: made again when it breaks, never waited for by anybody else.
//!
//! What does not fit into the queue while the receiver is slow, or gone, is dropped and counted.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::super::feed::Head;
use super::super::settings::Collector;
use super::{Encoder, frames, message};
use crate::metrics::DnstapMetrics;

/// Batches that wait; together they are at most the bytes that the sender was given.
const BATCHES: usize = 8;
/// For connecting and the greeting, and for a receiver to take one batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// Until the next try: at first, doubling, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// For what is left at the end, in all.
const LAST: Duration = Duration::from_secs(1);

/// Frames in a row.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<u8>,
    count: u64,
}

/// Takes frames for a receiver.
#[derive(Debug)]
pub struct Tap {
    batch: Frames,
    batch_bytes: usize,
    queue: mpsc::Sender<Frames>,
    metrics: DnstapMetrics,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

impl Tap {
    /// Begins to connect. At most `bytes` wait for the receiver.
    pub fn start(to: Collector, bytes: usize) -> Self {
        let (queue, waiting) = mpsc::channel(BATCHES);
        let (metrics, ending) = (DnstapMetrics::register(), CancellationToken::new());
        let sender = Sender { to, waiting, metrics: metrics.clone(), ending: ending.clone(), pending: None };
        let task = tokio::spawn(sender.run());
        Self { batch: Frames::default(), batch_bytes: bytes / (BATCHES + 1), queue, metrics, ending, task }
    }

    /// Takes the two frames of a query.
    pub fn take(
        &mut self,
        encoder: &mut Encoder,
        head: &Head,
        query: &[u8],
        response: &[u8],
        began: SystemTime,
    ) {
        let batch = &mut self.batch;
        encoder.encode(head, query, response, began, |told| {
            message::append(told, &mut batch.bytes);
            batch.count += 1;
        });
        if self.batch.bytes.len() >= self.batch_bytes {
            self.flush();
        }
    }

    /// Hands on what was taken, or drops it if nobody takes it.
    pub fn flush(&mut self) {
        if self.batch.count == 0 {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        if let Err(full) = self.queue.try_send(batch) {
            self.metrics.dropped.increment(full.into_inner().count);
        }
    }

    /// Sends what waits and ends the stream in order, within a second.
    pub async fn finish(mut self) {
        self.flush();
        drop(self.queue);
        self.ending.cancel();
        if timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// The task that owns the connection.
struct Sender {
    to: Collector,
    waiting: mpsc::Receiver<Frames>,
    metrics: DnstapMetrics,
    /// Nothing more comes: without a connection there is nothing to wait for.
    ending: CancellationToken,
    /// Taken from the queue, and not written yet: the whole of it goes to the next connection.
    pending: Option<Frames>,
}

impl Sender {
    async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let (result, was_up) = self.connect_and_send().await;
            self.metrics.connected.set(0.0);
            let Err(error) = result else { return };
            self.metrics.failures.increment(1);
            if was_up {
                pause = PAUSES.0;
            }
            warn!(to = %self.to, %error, again = ?pause, "no dnstap receiver");
            let pausing = sleep(pause.mul_f64(rand::random_range(0.75..1.25)));
            if self.ending.run_until_cancelled(pausing).await.is_none() {
                return self.give_up();
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Until all is sent that will ever be. Says whether the receiver was ready at any time.
    async fn connect_and_send(&mut self) -> (io::Result<()>, bool) {
        let stream = match timeout(PATIENCE, connect(&self.to)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return (Err(error), false),
            Err(_) => return (Err(io::ErrorKind::TimedOut.into()), false),
        };
        info!(to = %self.to, "dnstap receiver is ready");
        self.metrics.connected.set(1.0);
        (self.send_all(stream).await, true)
    }

    async fn send_all(&mut self, stream: Box<dyn Stream>) -> io::Result<()> {
        let (mut reading, mut writing) = tokio::io::split(stream);
        loop {
            let frames = match self.pending.take() {
                Some(frames) => frames,
                None => {
                    tokio::select! {
                        frames = self.waiting.recv() => match frames {
                            Some(frames) => frames,
                            None => break,
                        },
                        // It has nothing to say before we stop: it is gone, or no receiver.
                        read = reading.read_u8() => return Err(read.err().unwrap_or(io::ErrorKind::InvalidData.into())),
                    }
                }
            };
            let written = timeout(PATIENCE, writing.write_all(&frames.bytes)).await;
            match written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(()) => self.metrics.sent.increment(frames.count),
                Err(error) => {
                    self.pending = Some(frames);
                    return Err(error);
                }
            }
        }
        let mut stream = reading.unsplit(writing);
        timeout(PATIENCE, frames::part(&mut stream))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Counts what nobody will take any more.
    fn give_up(mut self) {
        let mut dropped = self.pending.take().map_or(0, |frames| frames.count);
        while let Ok(frames) = self.waiting.try_recv() {
            dropped += frames.count;
        }
        self.metrics.dropped.increment(dropped);
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(to: &Collector) -> io::Result<Box<dyn Stream>> {
    let mut stream: Box<dyn Stream> = match to {
        Collector::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Collector::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
    };
    frames::greet(&mut stream).await?;
    Ok(stream)
}
