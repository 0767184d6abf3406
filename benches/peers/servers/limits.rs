//! The limits: what no server can be cheaper than.

use super::super::process::Invocation;
use super::{Server, Setup, Skill, Task};

/// Upstream sockets of the forwarding limit: as many as zonelet has by default.
const SOCKETS: &str = "256";

/// The name of the limit that everything is a ratio to.
pub const LIMIT: &str = "limit-batch";
/// The name of the limit of forwarding.
pub const LIMIT_FORWARD: &str = "limit-forward-256";

/// Our limits, and other programs that echo (name and program).
pub fn limits(others: &[(String, String)]) -> Vec<Server> {
    let batch = limit(LIMIT, Skill::Anything, false, |setup| {
        Invocation::ourselves(["limit", &setup.listen.to_string()])
    });
    let table = limit("limit-table", Skill::Table, true, |setup| {
        let answers = setup.answers.as_os_str();
        Invocation::ourselves([
            "limit".as_ref(),
            setup.listen.to_string().as_ref(),
            "--answers".as_ref(),
            answers,
        ])
    });
    let forward = limit(LIMIT_FORWARD, Skill::Forward, true, |setup| {
        let upstream = match setup.task {
            Task::Forward { upstream, .. } => upstream,
            Task::Zone { .. } => setup.listen,
        };
        Invocation::ourselves(["forward", &setup.listen.to_string(), &upstream.to_string(), SOCKETS])
    });
    let others = others.iter().cloned().map(|(name, program)| {
        limit(&name, Skill::Anything, false, move |setup| {
            Ok(Invocation::new(program.clone(), [setup.listen.to_string()]))
        })
    });
    [batch, table, forward].into_iter().chain(others).collect()
}

fn limit(
    name: &str,
    skill: Skill,
    is_checked: bool,
    command: impl Fn(&Setup<'_>) -> anyhow::Result<Invocation> + 'static,
) -> Server {
    Server {
        name: name.into(),
        package: None,
        program: String::new(),
        skill,
        is_checked,
        is_short: true,
        command: Box::new(command),
    }
}
