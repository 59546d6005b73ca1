//! Which line of the host file is this process? The one that names an address of this machine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::hosts::{Endpoint, Host};
use crate::Error;

/// The index of this process among `hosts`, by the addresses of the machine's own interfaces.
pub fn identify(file: &str, hosts: &[Host]) -> Result<usize, Error> {
    let own = own_addresses()?;
    among(file, hosts, &own, |endpoint| {
        endpoint.look_up().map(|found| found.iter().map(std::net::SocketAddr::ip).collect())
    })
}

/// Every address of this machine's interfaces.
fn own_addresses() -> Result<BTreeSet<IpAddr>, Error> {
    let interfaces = if_addrs::get_if_addrs().map_err(|error| {
        Error::Cluster(format!(
            "cannot list this machine's network interfaces: {error}; say -p I to name this process"
        ))
    })?;
    Ok(interfaces.iter().map(if_addrs::Interface::ip).collect())
}

fn among(
    file: &str,
    hosts: &[Host],
    own: &BTreeSet<IpAddr>,
    look_up: impl Fn(&Endpoint) -> std::io::Result<Vec<IpAddr>>,
) -> Result<usize, Error> {
    let mut candidates = Vec::new();
    let mut unknown = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let mut ours = false;
        for endpoint in &host.endpoints {
            match look_up(endpoint) {
                // All of 127.0.0.0/8 is this machine, though its interface shows 127.0.0.1 only.
                Ok(found) => {
                    ours |= found.iter().any(|ip| ip.is_loopback() || own.contains(&ip.to_canonical()));
                }
                Err(error) => unknown.push(format!("{endpoint} ({error})")),
            }
        }
        if ours {
            candidates.push(index);
        }
    }
    match candidates.as_slice() {
        [index] => Ok(*index),
        [] => {
            let mut message =
                format!("no address in {file} belongs to this machine (it has {})", listed(own));
            if !unknown.is_empty() {
                message.extend(["; not found by name: ", &unknown.join(", ")]);
            }
            let last = hosts.len() - 1;
            Err(Error::usage(message, format!("-p I with I from 0 to {last}, or correct {file}")))
        }
        several => {
            let shown: Vec<_> =
                several.iter().map(|&index| format!("-p {index} is {}", hosts[index])).collect();
            Err(Error::usage(
                format!("several addresses in {file} belong to this machine"),
                format!("say which process this is: {}", shown.join(", ")),
            ))
        }
    }
}

fn listed(own: &BTreeSet<IpAddr>) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<_> = own.iter().take(SHOWN).map(ToString::to_string).collect();
    if own.len() > SHOWN {
        shown.push(format!("{} more", own.len() - SHOWN));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::hosts;
    use super::*;

    /// Names: `one` is 10.0.0.1, `two` is 10.0.0.2, anything else fails; addresses stand for themselves.
    fn found(text: &str) -> Result<usize, Error> {
        let own = BTreeSet::from([
            "10.0.0.2".parse().unwrap(),
            "fd00::2".parse().unwrap(),
            "127.0.0.1".parse().unwrap(),
        ]);
        among("hosts", &hosts::parse("hosts", text).unwrap(), &own, |endpoint| {
            let text = endpoint.to_string();
            let host = match text.rsplit_once(':').unwrap().0.trim_matches(['[', ']']) {
                "one" => "10.0.0.1",
                "two" => "10.0.0.2",
                other => other,
            };
            host.parse().map(|ip| vec![ip]).map_err(|_| std::io::Error::other("unknown name"))
        })
    }

    #[test]
    fn by_address_by_name_and_by_any_of_several_addresses() {
        assert_eq!(found("10.0.0.1:5\n10.0.0.2:5\n10.0.0.3:5").unwrap(), 1);
        assert_eq!(found("two:5\none:5").unwrap(), 0);
        assert_eq!(found("one:5\n192.168.0.1:5 [fd00::2]:5").unwrap(), 1);
        assert_eq!(found("nowhere:5\n10.0.0.2:5").unwrap(), 1, "one unknown name is no reason to give up");
    }

    #[test]
    fn several_candidates_are_listed() {
        assert_eq!(
            found("127.0.0.1:5\none:5\n127.0.0.3:6").unwrap_err().to_string(),
            "several addresses in hosts belong to this machine\n  \
             try: say which process this is: -p 0 is 127.0.0.1:5, -p 2 is 127.0.0.3:6"
        );
    }

    #[test]
    fn none_is_explained_with_what_this_machine_has() {
        assert_eq!(
            found("one:5\nnowhere:5").unwrap_err().to_string(),
            "no address in hosts belongs to this machine (it has 10.0.0.2, 127.0.0.1, fd00::2); \
             not found by name: nowhere:5 (unknown name)\n  try: -p I with I from 0 to 1, or correct hosts"
        );
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        let hosts = hosts::parse("hosts", "127.0.0.1:5").unwrap();
        assert_eq!(identify("hosts", &hosts).unwrap(), 0);
    }
}
