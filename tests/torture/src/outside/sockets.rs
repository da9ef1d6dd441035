//! Which connections this machine has, as the kernel says (`/proc/net/tcp`, proc(5)).

use std::collections::BTreeSet;

const ESTABLISHED: &str = "01";

/// The local ports of the established connections to a port of this machine.
pub(crate) fn connections_to(port: u16) -> BTreeSet<u16> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel tells its connections");
    table.lines().skip(1).filter_map(|line| connection(line, port)).collect()
}

fn connection(line: &str, port: u16) -> Option<u16> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    (state == ESTABLISHED && port_of(remote)? == port).then(|| port_of(local))?
}

fn port_of(address: &str) -> Option<u16> {
    u16::from_str_radix(address.split_once(':')?.1, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_established_connections_to_the_port_are_told() {
        let line = |remote: &str, state: &str| format!("   0: 0100007F:9C40 0100007F:{remote} {state} 00000000:00000000 00:00000000");
        assert_eq!(connection(&line("4A38", "01"), 19_000), Some(40_000));
        assert_eq!(connection(&line("4A38", "06"), 19_000), None, "one that is closing");
        assert_eq!(connection(&line("4A39", "01"), 19_000), None, "one to another port");
    }
}
