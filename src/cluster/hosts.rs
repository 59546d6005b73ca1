//! The host file: which process listens where.
//!
//! One line is one process, numbered from 0 in the order of the lines: `host:port`, where host is a name, an IPv4
//! address, or an IPv6 address in brackets. A process with several addresses has them on one line, blanks between.
//! `#` starts a comment; blank lines do not count.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use crate::Error;

/// No cluster needs more; a larger file is not a host file.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// One address a process listens on, as it was written; names are looked up only when connecting.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// Reads `host:port`; the error is the message and what to write instead.
    pub fn parse(text: &str) -> Result<Endpoint, (String, String)> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, _)) if !is_ipv6(host) => {
                return Err((format!("`[{host}]` is no IPv6 address"), "write it as [fd00::1]:2101".into()));
            }
            Some((host, rest)) if !rest.is_empty() && !rest.starts_with(':') => {
                return Err((format!("`{rest}` follows `[{host}]`"), format!("write `[{host}]:2101`")));
            }
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    return Err((
                        format!("`{text}` has several colons"),
                        "write an IPv6 address in brackets, as [fd00::1]:2101".into(),
                    ));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let Some(port) = port else {
            return Err((format!("`{text}` has no port"), format!("write `{text}:2101`")));
        };
        let port = match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => {
                return Err((
                    format!("`{port}` in `{text}` is no port"),
                    "write a number from 1 to 65535".into(),
                ));
            }
        };
        let in_brackets = bracketed.is_some();
        let legal = |c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || (in_brackets && ":%".contains(c))
        };
        if host.is_empty() || !host.chars().all(legal) {
            return Err((
                format!("`{host}` in `{text}` is no host"),
                "write a name or an address, as node1:2101".into(),
            ));
        }
        // Names are the same in any case, and equal hosts must compare equal.
        Ok(Endpoint { host: host.to_ascii_lowercase(), port })
    }

    /// Name or address, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Every address the host stands for now; asks the resolver where it is a name, which may take seconds.
    pub fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Endpoint { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The addresses of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// At least one.
    pub endpoints: Vec<Endpoint>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, endpoint) in self.endpoints.iter().enumerate() {
            write!(f, "{}{endpoint}", if position == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Reads and checks a host file.
pub fn read(path: &Path) -> Result<Vec<Host>, Error> {
    let file = File::open(path).map_err(Error::file("read the host file", path))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::file("read the host file", path))?;
    let name = path.display().to_string();
    if bytes.len() as u64 > LARGEST_FILE_BYTES {
        return Err(Error::usage(format!("{name} is over 1 MiB, so it is no host file"), REMEDY));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::usage(format!("{name} is not text, so it is no host file"), REMEDY))?;
    parse(&name, &text)
}

const REMEDY: &str = "give -h a file with one host:port per process, each on a line of its own";

/// As [`read`], for text already in memory; `name` stands in the messages.
pub fn parse(name: &str, text: &str) -> Result<Vec<Host>, Error> {
    let mut hosts = Vec::new();
    let mut seen: HashMap<Endpoint, usize> = HashMap::new();
    for (position, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = position + 1;
        let content = line.split_once('#').map_or(line, |(before, _)| before);
        let mut endpoints = Vec::new();
        for word in content.split_whitespace() {
            let endpoint = Endpoint::parse(word).map_err(|(message, remedy)| {
                Error::usage(format!("{name}, line {number}: {message}"), remedy)
            })?;
            if let Some(first) = seen.insert(endpoint.clone(), number) {
                return Err(Error::usage(
                    format!("{name}, line {number}: {endpoint} stands on line {first} already"),
                    "give every process an address or a port of its own",
                ));
            }
            endpoints.push(endpoint);
        }
        if !endpoints.is_empty() {
            hosts.push(Host { endpoints });
        }
    }
    if hosts.is_empty() {
        return Err(Error::usage(format!("{name} names no host"), REMEDY));
    }
    Ok(hosts)
}

/// Whether this is an IPv6 address, with the name of an interface behind a percent sign or without.
fn is_ipv6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(text: &str) -> String {
        parse("hosts", text).unwrap_err().to_string()
    }

    #[test]
    fn comments_blank_lines_and_all_kinds_of_addresses() {
        let hosts = parse(
            "hosts",
            "# the cluster\n\nNode1:2101\r\n  10.0.0.2:2101   # the second\n[fd00::3]:2101 10.0.0.3:2101\n[fe80::1%eth0]:7",
        )
        .unwrap();
        let shown: Vec<_> = hosts.iter().map(Host::to_string).collect();
        assert_eq!(
            shown,
            ["node1:2101", "10.0.0.2:2101", "[fd00::3]:2101 10.0.0.3:2101", "[fe80::1%eth0]:7"]
        );
    }

    #[test]
    fn a_bad_line_is_named_with_what_to_write() {
        assert_eq!(
            message("a:1\n\nnode2\n"),
            "hosts, line 3: `node2` has no port\n  try: write `node2:2101`"
        );
        assert_eq!(
            message("fd00::1:2101"),
            "hosts, line 1: `fd00::1:2101` has several colons\n  try: write an IPv6 address in brackets, as [fd00::1]:2101"
        );
        assert_eq!(
            message("a:99999"),
            "hosts, line 1: `99999` in `a:99999` is no port\n  try: write a number from 1 to 65535"
        );
        assert!(message("a:0").contains("`0` in `a:0` is no port"));
        assert!(message(":2101").contains("`` in `:2101` is no host"));
        assert!(message("[node1]:2101").contains("`[node1]` is no IPv6 address"));
        assert!(message("[x%y]:2101").contains("`[x%y]` is no IPv6 address"));
        assert!(message("[::1]2101").contains("`2101` follows `[::1]`\n  try: write `[::1]:2101`"));
        assert!(message("[::1]").contains("`[::1]` has no port"));
        assert!(message("\u{1b}[31m:5").contains("is no host"));
    }

    #[test]
    fn an_address_stands_once() {
        assert_eq!(
            message("a:1\nb:1\nA:1"),
            "hosts, line 3: a:1 stands on line 1 already\n  try: give every process an address or a port of its own"
        );
    }

    #[test]
    fn a_file_without_hosts_is_no_host_file() {
        assert!(message("# nothing\n").starts_with("hosts names no host\n  try: give -h a file"));
        let missing = read(Path::new("no/such/file")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read the host file no/such/file: "));
    }

    proptest! {
        /// Whatever stands in the file, the answer is hosts or a usage error, and what was read can be read again.
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z0-9.:%#\\[\\] \n-]|\\PC){0,60}") {
            match parse("hosts", &text) {
                Ok(hosts) => {
                    let again: Vec<_> = hosts.iter().map(|host| format!("{host}\n")).collect();
                    prop_assert_eq!(parse("hosts", &again.concat()).unwrap(), hosts);
                }
                Err(error) => prop_assert_eq!(error.exit_code(), 2),
            }
        }
    }
}
