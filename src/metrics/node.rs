//! What the node's network driver says of packets that AWS held back, beside our own figures.

use std::fmt::Write;

/// Packets that were dropped or delayed because an allowance of the instance was exceeded, as the ENA driver
/// counts them, for everything on the host. `interface`; `allowance`: `linklocal` (the VPC's resolver, instance
/// metadata, time: 1024 packets a second), `conntrack`, `pps`, `bw_in`, `bw_out`. Absent on other hosts.
pub const NODE_ALLOWANCE: &str = "zonelet_node_allowance_exceeded_total";

/// What the names of the driver's counters end in, behind the allowance.
const TAIL: &str = "_allowance_exceeded";
/// The allowances.
const ALLOWANCES: [&str; 5] = ["linklocal", "conntrack", "pps", "bw_in", "bw_out"];

/// Whether a driver's counter is one of these.
pub fn is_allowance(counter: &str) -> bool {
    counter.strip_suffix(TAIL).is_some_and(|allowance| ALLOWANCES.contains(&allowance))
}

/// The counters in the Prometheus text format, as (interface, counter, value). They are the
/// kernel's, and written as they are; without any there is nothing to say.
pub fn render(counters: &[(String, String, u64)]) -> String {
    let mut text = String::new();
    if counters.is_empty() {
        return text;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {NODE_ALLOWANCE} Packets held back by an allowance of the instance.");
    let _ = writeln!(text, "# TYPE {NODE_ALLOWANCE} counter");
    for (interface, counter, value) in counters {
        let labels = [("interface", interface.as_str()), ("allowance", counter.trim_end_matches(TAIL))];
        let labels = labels.map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let _ = writeln!(text, "{NODE_ALLOWANCE}{{{}}} {value}", labels.join(","));
    }
    text.push('\n');
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_counters_are_told_by_interface_and_allowance() {
        let names = [
            "linklocal_allowance_exceeded",
            "bw_in_allowance_exceeded",
            "tx_timeout",
            "new_allowance_exceeded",
        ];
        let wanted = names.into_iter().filter(|name| is_allowance(name));
        let counters: Vec<_> =
            wanted.zip(7..).map(|(name, n)| ("ens5".to_owned(), name.to_owned(), n)).collect();
        let text = render(&counters);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "zonelet_node_allowance_exceeded_total{interface=\"ens5\",allowance=\"linklocal\"} 7",
                "zonelet_node_allowance_exceeded_total{interface=\"ens5\",allowance=\"bw_in\"} 8",
                "",
            ]
        );
        assert_eq!(render(&[]), "");
    }
}
