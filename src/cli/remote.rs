//! The commands that ask a running zonelet over its admin socket.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::shell::{Loaded, Shell, count, failed, refuse, say};
use super::{FAILED, OK, explain, zones};
use crate::admin::client::{AskError, ask};
use crate::admin::{Request, Response};
use crate::config::Problems;

#[derive(Args)]
pub(super) struct Target {
    /// The admin socket [default: the one of the configuration]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// What is to be explained, as it was typed.
pub(super) struct Asked {
    pub name: String,
    pub qtype: String,
    pub client: IpAddr,
}

impl Shell<'_> {
    pub(super) fn zones(&mut self, target: Target, json: bool, skipped: bool) -> u8 {
        self.command(target, &Request::Zones { skipped }, |response| match response {
            Response::Zones(listing) if json => zones::json(&listing),
            Response::Zones(listing) => zones::table(&listing),
            _ => None,
        })
    }

    pub(super) fn refresh(&mut self, target: Target, zone: Option<String>) -> u8 {
        self.command(target, &Request::Refresh { zone }, |response| match response {
            Response::Refreshing(zones) => Some(format!("importing {zones} zones now\n")),
            _ => None,
        })
    }

    pub(super) fn flush(&mut self, target: Target) -> u8 {
        self.command(target, &Request::Flush {}, |response| match response {
            Response::Flushed(responses) => Some(format!("dropped {responses} responses\n")),
            _ => None,
        })
    }

    pub(super) fn explain(&mut self, target: Target, asked: Asked, json: bool) -> u8 {
        let Asked { name, qtype, client } = asked;
        let request = Request::Explain { name, qtype: Some(qtype), client: Some(client) };
        self.command(target, &request, |response| match response {
            Response::Explained(explanation) if json => explain::json(&explanation),
            Response::Explained(explanation) => Some(explain::words(&explanation)),
            _ => None,
        })
    }

    /// Without a running zonelet the zone is taken from what is on disk, and that is said.
    pub(super) fn export(&mut self, target: Target, zone: &str, is_offline: bool) -> u8 {
        if is_offline {
            return self.export_offline(zone);
        }
        let request = Request::Export { zone: zone.to_owned() };
        let socket = match self.socket(target, &request) {
            Ok(socket) => socket,
            Err(code) => return code,
        };
        match ask(&socket, &request) {
            Err(error @ AskError::Connect { .. }) => {
                say(self.err, &format!("{error}: the zone is taken from zone files and last-good zones\n"));
                self.export_offline(zone)
            }
            asked => self.show(&socket, asked, |response| match response {
                Response::Exported(file) => Some(file),
                _ => None,
            }),
        }
    }

    /// Asks the running zonelet and shows what it says.
    fn command(
        &mut self,
        target: Target,
        request: &Request,
        show: impl FnOnce(Response) -> Option<String>,
    ) -> u8 {
        match self.socket(target, request) {
            Ok(socket) => self.show(&socket, ask(&socket, request), show),
            Err(code) => code,
        }
    }

    /// Where the running zonelet is asked. A file with problems does not say; the zonelet that runs in spite of it has the
    /// last good configuration.
    pub(super) fn socket(&mut self, target: Target, request: &Request) -> Result<PathBuf, u8> {
        if let Some(socket) = target.socket {
            return Ok(socket);
        }
        let Loaded { config, problems, .. } = match self.config_or_last_good() {
            Ok(loaded) => loaded,
            Err(problems) => return self.guessed_socket(&problems, request),
        };
        let socket = config.admin.socket.unwrap_or_else(|| self.usual_socket.clone());
        if let Some(problems) = &problems {
            let (count, shown) = (count(problems), socket.display());
            say(
                self.err,
                &format!(
                    "zonelet: {count} in the configuration; asking {shown}, as the last good one says\n"
                ),
            );
        }
        Ok(socket)
    }

    /// The socket that is usual, if somebody has made it. Who names a file means the zonelet of that file, and what
    /// changes something must not happen to another one: they are not given what is usual for what they have meant.
    fn guessed_socket(&mut self, problems: &Problems, request: &Request) -> Result<PathBuf, u8> {
        let socket = self.usual_socket.clone();
        if self.is_named || changes(request) || !socket.exists() {
            let code = refuse(problems, self.err);
            say(self.err, "name the socket of the running zonelet with --socket\n");
            return Err(code);
        }
        let (count, shown) = (count(problems), socket.display());
        say(
            self.err,
            &format!("zonelet: {count} in the configuration, and no last good one; asking {shown}\n"),
        );
        Ok(socket)
    }

    pub(super) fn show(
        &mut self,
        socket: &std::path::Path,
        asked: Result<Response, AskError>,
        show: impl FnOnce(Response) -> Option<String>,
    ) -> u8 {
        match asked.map(show) {
            Ok(Some(text)) => {
                say(self.out, &text);
                OK
            }
            Ok(None) => {
                say(self.err, "zonelet: the answer is to another question\n");
                FAILED
            }
            Err(error) => {
                let code = failed(&error, self.err);
                if !socket.exists() {
                    say(self.err, "set admin.socket in the configuration, or name a socket with --socket\n");
                }
                code
            }
        }
    }
}

/// Whether the zonelet that is asked is another one afterwards.
fn changes(request: &Request) -> bool {
    match request {
        Request::Refresh { .. } | Request::Flush {} => true,
        Request::Zones { .. } | Request::Explain { .. } | Request::Export { .. } | Request::Top {} => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::MISUSED;
    use crate::config::Environment;

    const FLUSH: Request = Request::Flush {};
    const ZONES: Request = Request::Zones { skipped: false };
    const REFRESH: Request = Request::Refresh { zone: None };

    /// The socket that `request` goes to where another zonelet has the usual one, and what is said of it.
    fn chosen(dir: &Path, is_named: bool, request: &Request) -> (Result<String, u8>, String) {
        std::fs::write(dir.join("usual.sock"), "").unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut shell = Shell {
            path: Some(dir.join("config.toml")),
            is_named,
            usual_socket: dir.join("usual.sock"),
            environment: Environment::default(),
            out: &mut out,
            err: &mut err,
        };
        let socket = shell.socket(Target { socket: None }, request);
        let name = socket.map(|socket| socket.strip_prefix(dir).unwrap().display().to_string());
        (name, String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_file_that_is_named_and_cannot_be_read_leads_to_no_other_zonelet() {
        let dir = tempfile::tempdir().unwrap();
        for (file, says) in [(None, "config.toml"), (Some("[cache]\nmax_tll = '1s'\n"), "unknown key")] {
            file.into_iter().for_each(|text| std::fs::write(dir.path().join("config.toml"), text).unwrap());
            for request in [FLUSH, REFRESH, ZONES, Request::Top {}] {
                let (socket, said) = chosen(dir.path(), true, &request);
                assert_eq!(socket, Err(MISUSED), "{request:?} with {file:?}: {said}");
                assert!(said.contains(says) && said.contains("with --socket"), "{said}");
            }
        }
    }

    #[test]
    fn where_no_file_is_named_the_usual_zonelet_is_looked_at_but_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), "[admin\n").unwrap();
        for request in [ZONES, Request::Top {}] {
            let (socket, said) = chosen(dir.path(), false, &request);
            assert_eq!(socket.as_deref(), Ok("usual.sock"), "{said}");
            assert!(said.contains("no last good one; asking ") && said.contains("usual.sock"), "{said}");
        }
        for request in [FLUSH, REFRESH] {
            let (socket, said) = chosen(dir.path(), false, &request);
            assert_eq!(socket, Err(MISUSED), "{request:?}");
            assert!(said.contains("with --socket"), "{said}");
        }
    }

    #[test]
    fn a_file_that_is_well_or_was_says_where_its_zonelet_is() {
        let dir = tempfile::tempdir().unwrap();
        let good = "[state]\ndir = 'state'\n[admin]\nsocket = 'own.sock'\n";
        std::fs::write(dir.path().join("config.toml"), good).unwrap();
        assert_eq!(chosen(dir.path(), true, &FLUSH), (Ok("own.sock".to_owned()), String::new()));
        crate::app::lastgood::keep(&dir.path().join("state"), good).unwrap();
        std::fs::write(dir.path().join("config.toml"), "[state]\ndir = 'state'\n[admin\n").unwrap();
        let (socket, said) = chosen(dir.path(), true, &FLUSH);
        assert_eq!(socket.as_deref(), Ok("own.sock"));
        assert!(said.contains("as the last good one says"), "{said}");
        // The service's own directory is not to be known from outside of it.
        std::fs::write(dir.path().join("config.toml"), "").unwrap();
        assert_eq!(chosen(dir.path(), true, &FLUSH), (Ok("usual.sock".to_owned()), String::new()));
    }
}
