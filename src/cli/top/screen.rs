//! The terminal: keys in, frames out, and as it was when it is over.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};

use super::draw::{View, frame};
use super::figures::Figures;
use super::pages::Page;
use super::{error_text, report};
use crate::admin::TopReport;

/// Keys are looked for this often, so that signals and reports are, too.
const LOOK: Duration = Duration::from_millis(100);
/// Rows that a page key moves by.
const LEAP: usize = 10;

/// What an answer was, or why there was none.
type Answer = Result<TopReport, String>;

/// The least that has the headlines, a tab, a table with one row, a note and the keys.
const LEAST: (u16, u16) = (40, 8);

/// Whether there is a terminal that can show pages.
///
/// # Errors
/// Why not, for people.
pub(super) fn fits() -> Result<(), String> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err("no terminal to show pages on".to_owned());
    }
    let term = std::env::var_os("TERM").unwrap_or_default();
    if term.is_empty() || term == "dumb" {
        return Err("TERM names no terminal that can show pages".to_owned());
    }
    match ratatui::crossterm::terminal::size() {
        Ok(size) => is_large_enough(size),
        Err(error) => Err(format!("the terminal does not say how large it is: {error}")),
    }
}

fn is_large_enough((columns, rows): (u16, u16)) -> Result<(), String> {
    let (least_columns, least_rows) = LEAST;
    if columns >= least_columns && rows >= least_rows {
        return Ok(());
    }
    Err(format!(
        "the terminal has {columns} columns and {rows} rows, {least_columns} and {least_rows} are needed"
    ))
}

/// Shows what the socket says until somebody has seen enough.
///
/// # Errors
/// The terminal's: there is none, or it is gone.
pub(super) fn run(socket: &Path, first: TopReport, interval: Duration) -> io::Result<()> {
    let is_over = on_signals()?;
    let reports = poll(socket.to_owned(), interval)?;
    // Puts the terminal back on a panic, too.
    let mut terminal = ratatui::try_init()?;
    let _restore = Restore;
    let (mut view, mut figures) = (View::default(), Figures::new(first, None));
    while !is_over.load(Ordering::Relaxed) {
        while let Ok(answer) = reports.try_recv() {
            take(answer, &mut view, &mut figures);
        }
        terminal.draw(|drawing| frame(&view, &figures, drawing.area(), drawing.buffer_mut()))?;
        if event::poll(LOOK)?
            && let Event::Key(key) = event::read()?
            && !turn(&mut view, &figures, key)
        {
            break;
        }
    }
    Ok(())
}

/// However it ends, the terminal is put back.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Asks again and again on a thread of its own: keys work while an answer is waited for.
fn poll(socket: PathBuf, interval: Duration) -> io::Result<Receiver<Answer>> {
    let (answers, reports): (SyncSender<Answer>, _) = sync_channel(1);
    let ask = move || {
        loop {
            thread::sleep(interval);
            let answer = report(&socket).map_err(|error| error_text(&error));
            if answers.send(answer).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("reports".to_owned()).spawn(ask)?;
    Ok(reports)
}

/// Set once the process is told to end.
fn on_signals() -> io::Result<Arc<AtomicBool>> {
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wait = move || {
        let ended: io::Result<()> = runtime.block_on(async {
            let [mut term, mut hup, mut int] = [
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::interrupt())?,
            ];
            tokio::select! {
                _ = term.recv() => {}
                _ = hup.recv() => {}
                _ = int.recv() => {}
            }
            Ok(())
        });
        // Without signals the keys are left.
        told.store(ended.is_ok(), Ordering::Relaxed);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(is_over)
}

fn take(answer: Answer, view: &mut View, figures: &mut Figures) {
    match answer {
        Ok(report) => {
            *figures = Figures::new(report, Some(&figures.now));
            view.trouble = None;
        }
        Err(why) => view.trouble = Some(why),
    }
}

/// Does what a key says. `false`: it is over.
fn turn(view: &mut View, figures: &Figures, key: KeyEvent) -> bool {
    if key.kind == KeyEventKind::Release {
        return true;
    }
    let table = view.page.table(figures);
    let last = table.rows.len().saturating_sub(1);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Tab | KeyCode::Right => open(view, view.page.step(1)),
        KeyCode::BackTab | KeyCode::Left => open(view, view.page.step(-1)),
        KeyCode::Char(digit @ '1'..='5') => open(view, Page::ALL[digit as usize - '1' as usize]),
        KeyCode::Down => view.offset = (view.offset + 1).min(last),
        KeyCode::Up => view.offset = view.offset.min(last).saturating_sub(1),
        KeyCode::PageDown => view.offset = (view.offset + LEAP).min(last),
        KeyCode::PageUp => view.offset = view.offset.min(last).saturating_sub(LEAP),
        KeyCode::Home => view.offset = 0,
        KeyCode::Char('s') => {
            let next = view.sorted.map_or(0, |column| column + 1);
            view.sorted = Some(next).filter(|&column| column < table.head.len());
        }
        KeyCode::Char('r') => view.is_reversed = !view.is_reversed,
        _ => {}
    }
    true
}

fn open(view: &mut View, page: Page) {
    *view = View { page, trouble: view.trouble.take(), ..View::default() };
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::{before, now};
    use super::*;

    fn after(keys: &[KeyCode]) -> Option<View> {
        let (mut view, figures) = (View::default(), Figures::new(now(), Some(&before())));
        let goes_on = keys.iter().all(|&key| turn(&mut view, &figures, key.into()));
        goes_on.then_some(view)
    }

    #[test]
    fn keys_turn_pages_scroll_and_sort() {
        use KeyCode::{BackTab, Char, Down, PageDown, Tab, Up};
        assert_eq!(after(&[Tab, Tab, BackTab]).unwrap().page, Page::Clients);
        assert_eq!(after(&[Char('5')]).unwrap().page, Page::Zones);
        assert_eq!(after(&[Char('2'), Down, Down, Down]).unwrap().offset, 1, "there are two clients");
        assert_eq!(after(&[Char('2'), PageDown, Up, Up]).unwrap().offset, 0);
        let sorted = after(&[Char('s'), Char('s'), Char('r')]).unwrap();
        assert_eq!((sorted.sorted, sorted.is_reversed), (Some(1), true));
        assert_eq!(after(&[Char('s'), Tab]).unwrap().sorted, None);
        assert_eq!(after(&[Char('s'); 8]).unwrap().sorted, None, "round again");
    }

    #[test]
    fn a_terminal_that_is_too_small_is_told_how_large_it_must_be() {
        assert_eq!((is_large_enough(LEAST), is_large_enough((80, 24))), (Ok(()), Ok(())));
        for size in [(39, 24), (80, 7), (0, 0)] {
            let said = is_large_enough(size).unwrap_err();
            assert!(said.contains("40 and 8 are needed"), "{said}");
        }
    }

    #[test]
    fn q_escape_and_control_c_end_it_and_c_alone_does_not() {
        assert!(after(&[KeyCode::Char('q')]).is_none() && after(&[KeyCode::Esc]).is_none());
        assert!(after(&[KeyCode::Char('c')]).is_some());
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(!turn(&mut View::default(), &Figures::default(), control_c));
    }

    #[test]
    fn without_an_answer_the_last_figures_stay_and_the_reason_is_shown() {
        let (mut view, mut figures) = (View::default(), Figures::new(before(), None));
        take(Ok(now()), &mut view, &mut figures);
        take(Err("gone".into()), &mut view, &mut figures);
        assert_eq!((view.trouble.as_deref(), figures.query_rate()), (Some("gone"), 1010.0));
        take(Ok(now()), &mut view, &mut figures);
        assert_eq!(view.trouble, None);
    }
}
