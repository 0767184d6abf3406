//! The connection to a receiver: made again when it breaks, never waited for by anybody else.
//!
//! What does not fit into the queue while the receiver is slow, or gone, is dropped and counted.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::super::feed::{Head, Parts};
use super::super::settings::Collector;
use super::{Encoder, frames, message};
use crate::metrics::DnstapMetrics;

/// Bytes that are put into the queue in one go, where it has room for several such.
const BATCH: usize = 64 << 10;
/// For connecting and the greeting, and for a receiver to take anything at all.
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

impl Frames {
    /// What is left when `written` bytes are: whole frames. One that was written in part is lost.
    fn behind(mut self, written: usize) -> Self {
        let (mut at, mut gone) = (0, 0);
        while at < written
            && let Some(len) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<4>)
        {
            at += 4 + u32::from_be_bytes(*len) as usize;
            gone += 1;
        }
        self.bytes.drain(..at.min(self.bytes.len()));
        self.count = self.count.saturating_sub(gone);
        self
    }
}

/// Frames that wait for the connection, at most so many bytes.
#[derive(Debug)]
struct Queue {
    waiting: Mutex<(Frames, bool)>,
    wake: Notify,
    most: usize,
}

impl Queue {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), wake: Notify::new(), most })
    }

    fn lock(&self) -> MutexGuard<'_, (Frames, bool)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `batch` behind the others and empties it. `false`: there is no room.
    fn push(&self, batch: &mut Frames) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.0.bytes.len() + batch.bytes.len() <= self.most;
        if has_room {
            waiting.0.bytes.extend_from_slice(&batch.bytes);
            waiting.0.count += batch.count;
        }
        drop(waiting);
        batch.bytes.clear();
        batch.count = 0;
        self.wake.notify_one();
        has_room
    }

    /// Nothing more comes.
    fn end(&self) {
        self.lock().1 = true;
        self.wake.notify_one();
    }

    /// All that waits; `None` once nothing more comes.
    async fn next(&self) -> Option<Frames> {
        loop {
            {
                let mut waiting = self.lock();
                if waiting.0.count > 0 {
                    return Some(std::mem::take(&mut waiting.0));
                }
                if waiting.1 {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }
}

/// Takes frames for a receiver.
#[derive(Debug)]
pub struct Tap {
    batch: Frames,
    batch_most: usize,
    queue: Arc<Queue>,
    metrics: DnstapMetrics,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

impl Tap {
    /// Begins to connect. At most `bytes` wait for the receiver, half of them being written.
    pub fn start(to: Collector, bytes: usize) -> Self {
        let (queue, metrics, ending) =
            (Queue::new(bytes / 2), DnstapMetrics::register(), CancellationToken::new());
        let sender = Sender {
            to,
            queue: Arc::clone(&queue),
            metrics: metrics.clone(),
            ending: ending.clone(),
            pending: None,
        };
        let task = tokio::spawn(sender.run());
        let batch_most = BATCH.min(bytes / 8);
        Self { batch: Frames::default(), batch_most, queue, metrics, ending, task }
    }

    /// Takes the frames of a query.
    pub fn take(&mut self, encoder: &mut Encoder, head: &Head, parts: Parts<'_>, began: SystemTime) {
        let batch = &mut self.batch;
        encoder.encode(head, parts, began, |told| {
            message::append(told, &mut batch.bytes);
            batch.count += 1;
        });
        if self.batch.bytes.len() >= self.batch_most {
            self.flush();
        }
    }

    /// Hands on what was taken, or drops it where there is no room.
    pub fn flush(&mut self) {
        let count = self.batch.count;
        if count > 0 && !self.queue.push(&mut self.batch) {
            self.metrics.dropped.increment(count);
        }
    }

    /// Sends what waits and ends the stream in order, within a second.
    pub async fn finish(mut self) {
        self.flush();
        self.queue.end();
        self.ending.cancel();
        if timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// The task that owns the connection.
struct Sender {
    to: Collector,
    queue: Arc<Queue>,
    metrics: DnstapMetrics,
    /// Nothing more comes: without a connection there is nothing to wait for.
    ending: CancellationToken,
    /// Taken from the queue, and not written yet.
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
                        frames = self.queue.next() => match frames {
                            Some(frames) => frames,
                            None => break,
                        },
                        // It has nothing to say before we stop: it is gone, or no receiver.
                        read = reading.read_u8() => return Err(read.err().unwrap_or(io::ErrorKind::InvalidData.into())),
                    }
                }
            };
            self.write(&mut writing, frames).await?;
        }
        let mut stream = reading.unsplit(writing);
        timeout(PATIENCE, frames::part(&mut stream))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes frames as fast as they are taken; what is not is kept for the next connection.
    async fn write(&mut self, writing: &mut (impl AsyncWrite + Unpin), frames: Frames) -> io::Result<()> {
        let (count, mut written) = (frames.count, 0);
        while let Some(rest) = frames.bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let taken = timeout(PATIENCE, writing.write(rest)).await;
            match taken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(0) => return Err(self.keep(frames, written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) => return Err(self.keep(frames, written, error)),
            }
        }
        self.metrics.sent.increment(count);
        Ok(())
    }

    fn keep(&mut self, frames: Frames, written: usize, error: io::Error) -> io::Error {
        let count = frames.count;
        let left = frames.behind(written);
        self.metrics.sent.increment(count - left.count);
        self.pending = Some(left).filter(|left| left.count > 0);
        error
    }

    /// Counts what nobody will take any more.
    fn give_up(mut self) {
        let waiting = std::mem::take(&mut self.queue.lock().0);
        let pending = self.pending.take().map_or(0, |frames| frames.count);
        self.metrics.dropped.increment(waiting.count + pending);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(lens: &[u32]) -> Frames {
        let bytes =
            lens.iter().flat_map(|len| [len.to_be_bytes().to_vec(), vec![7; *len as usize]]).flatten();
        Frames { bytes: bytes.collect(), count: lens.len() as u64 }
    }

    #[test]
    fn after_a_break_only_whole_frames_that_were_not_begun_are_left() {
        for (written, left) in
            [(0, &[3, 0, 5][..]), (1, &[0, 5]), (7, &[0, 5]), (8, &[5]), (11, &[5]), (12, &[]), (20, &[])]
        {
            let rest = frames(&[3, 0, 5]).behind(written);
            let want = frames(left);
            assert_eq!((rest.bytes, rest.count), (want.bytes, want.count), "{written} bytes are written");
        }
    }

    #[tokio::test]
    async fn the_queue_takes_what_has_room_and_gives_all_of_it_at_once() {
        let queue = Queue::new(20);
        assert!(queue.push(&mut frames(&[4])) && queue.push(&mut frames(&[8])), "8 and 12 bytes");
        assert!(!queue.push(&mut frames(&[0])), "no room for 4 more");
        let all = queue.next().await.unwrap();
        assert_eq!((all.bytes, all.count), (frames(&[4, 8]).bytes, 2));
        assert!(queue.push(&mut frames(&[0])));
        queue.end();
        assert!(queue.next().await.is_some() && queue.next().await.is_none());
    }
}
