//! The commands that ask a running zonelet over its admin socket.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::shell::{Loaded, Shell, count, failed, refuse, say};
use super::{FAILED, OK, explain, zones};
use crate::admin::client::{AskError, ask};
use crate::admin::{Request, Response};
use crate::config::Problems;

/// Asked where no other socket is configured: systemd's `RuntimeDirectory=zonelet`.
const DEFAULT_SOCKET: &str = "/run/zonelet/admin.sock";

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
        let socket = match self.socket(target) {
            Ok(socket) => socket,
            Err(code) => return code,
        };
        match ask(&socket, &Request::Export { zone: zone.to_owned() }) {
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
        match self.socket(target) {
            Ok(socket) => self.show(&socket, ask(&socket, request), show),
            Err(code) => code,
        }
    }

    /// Where the running zonelet is asked. A file with problems does not say; the zonelet that runs in spite of it has the
    /// last good configuration.
    pub(super) fn socket(&mut self, target: Target) -> Result<PathBuf, u8> {
        if let Some(socket) = target.socket {
            return Ok(socket);
        }
        let Loaded { config, problems, .. } = match self.config_or_last_good() {
            Ok(loaded) => loaded,
            Err(problems) => return self.default_socket(&problems),
        };
        let socket = config.admin.socket.unwrap_or_else(|| DEFAULT_SOCKET.into());
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

    /// The socket that is usual, if somebody has made it.
    fn default_socket(&mut self, problems: &Problems) -> Result<PathBuf, u8> {
        let socket = PathBuf::from(DEFAULT_SOCKET);
        if !socket.exists() {
            let code = refuse(problems, self.err);
            say(self.err, "name the socket of the running zonelet with --socket\n");
            return Err(code);
        }
        let count = count(problems);
        say(
            self.err,
            &format!(
                "zonelet: {count} in the configuration, and no last good one; asking {DEFAULT_SOCKET}\n"
            ),
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
