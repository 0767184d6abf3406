//! zonelet: see `zonelet --help`, README.md and ARCHITECTURE.md.

use std::process::ExitCode;

use zonelet::{app, cli};

fn main() -> ExitCode {
    cli::main(|start| {
        app::run(app::Setup {
            config: start.config,
            path: start.config_path,
            text: start.config_text,
            is_fallback: start.is_fallback,
            environment: start.environment,
            set_level: start.set_level,
        })
    })
}
