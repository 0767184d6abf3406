//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// zonelet, the limit of this machine and other servers side by side.
#[derive(Debug, Parser)]
#[command(name = "peers", args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Only for the benchmark itself.
    #[command(subcommand)]
    pub part: Option<Part>,
    /// What to measure.
    #[command(flatten)]
    pub options: Options,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// An imported zone of 10 000 records
    Zone,
    /// Answers out of the cache
    Hit,
    /// Unique names: each is forwarded
    Miss,
    /// A pod's traffic with a search list: mostly NXDOMAIN, out of the cache
    Mix,
    /// A zone of 100 000 records: first answer and memory
    Bigzone,
    /// 1 000 000 cached answers: memory of each
    Bigcache,
    /// The checked-in configuration with nobody asking
    Idle,
    /// Two workers on two CPUs against one, and how fairly clients are served
    Workers,
    /// One pipelined TCP connection, and a connection for each query
    Tcp,
    /// Answers of 1232 bytes, truncated ones, and their retry over TCP
    Large,
    /// All but the last three
    All,
}

/// How it is measured.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// What to measure
    #[arg(default_value = "all")]
    pub scenarios: Vec<Scenario>,
    /// A quick look: the four workloads, few peers, in under two minutes
    #[arg(long)]
    pub short: bool,
    /// Only these servers (and the limit): names as in the tables
    #[arg(long, short, value_delimiter = ',')]
    pub servers: Vec<String>,
    /// Rounds that count; one more comes first and does not [default: 5, with --short 2]
    #[arg(long, short)]
    pub rounds: Option<usize>,
    /// Seconds of a round [default: 2, with --short 1]
    #[arg(long, short = 't')]
    pub seconds: Option<f64>,
    /// Open loop: queries a second, whatever comes back
    #[arg(long)]
    pub rate: Option<f64>,
    /// Queries carry an OPT record
    #[arg(long)]
    pub edns: bool,
    /// Clients and upstream speak IPv6
    #[arg(long)]
    pub ipv6: bool,
    /// What everything that looks random follows from
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Entries of bigcache
    #[arg(long, default_value_t = 1_000_000)]
    pub entries: u64,
    /// Another build of zonelet beside the own one, NAME=PATH
    #[arg(long, value_name = "NAME=PATH")]
    pub build: Vec<String>,
    /// Another limit beside the own one, NAME=PROGRAM; it is given the address to echo from
    #[arg(long, value_name = "NAME=PROGRAM")]
    pub echo: Vec<String>,
    /// Record the last build under perf instead (zone, hit, miss, mix): files for `perf script`
    #[arg(long, value_name = "DIR")]
    pub profile: Option<PathBuf>,
    /// Where results go [default: target/peers]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Do not install missing peers
    #[arg(long)]
    pub no_install: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Parts of the benchmark, started by it.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub enum Part {
    /// Becomes another program on the given CPUs
    #[command(hide = true)]
    Launch {
        #[arg(long, value_delimiter = ',')]
        cpus: Vec<usize>,
        program: OsString,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Echoes, or answers from a table
    #[command(hide = true)]
    Limit {
        listen: SocketAddr,
        #[arg(long)]
        answers: Option<PathBuf>,
    },
    /// Forwards without reading
    #[command(hide = true)]
    Forward { listen: SocketAddr, upstream: SocketAddr, sockets: usize },
    /// The upstream of forwarding servers
    #[command(hide = true)]
    Upstream { listen: SocketAddr, answers: PathBuf },
    /// Puts a load on a server
    #[command(hide = true)]
    Load { plan: String },
    /// The same over TCP
    #[command(hide = true)]
    Stream { plan: String },
}
