use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

/// Shorter ones hold whole parts of the internet, and are what is left of a line that was cut off: `/2` of `/24`.
const SHORTEST_V4: u8 = 8;
/// The shortest that is in use: `fc00::/7`, for private networks.
const SHORTEST_V6: u8 = 7;

/// Characters of a line that are kept for its report.
const MAX_TEXT: usize = 60;

/// A line that is no prefix, or none that may be in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPrefix {
    line: usize,
    text: String,
    problem: PrefixProblem,
}

/// What is wrong with a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrefixProblem {
    /// It is neither an address nor a prefix, or there is something beside it.
    Malformed,
    /// Its length is over 32 (IPv4) or 128 (IPv6).
    Length,
    /// Bits are set behind the prefix, as in `10.0.0.1/8`: either the address or the length is not what was meant.
    HostBits,
    /// It is shorter than 8 bits (IPv4) or 7 bits (IPv6), and would let nearly everybody in.
    TooWide,
}

impl BadPrefix {
    pub(super) fn new(line: usize, text: &str, problem: PrefixProblem) -> Self {
        Self {
            line,
            text: text.chars().take(MAX_TEXT).collect(),
            problem,
        }
    }

    /// The number of the line, or of the prefix where there are no lines. The first is 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns its first 60 characters, blanks included: a blank may be what is wrong.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> PrefixProblem {
        self.problem
    }
}

impl fmt::Display for BadPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            text,
            problem,
        } = self;
        write!(f, "{line}, {text:?}: {problem}")
    }
}

impl fmt::Display for PrefixProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not an address or prefix",
            Self::Length => "the prefix is longer than an address",
            Self::HostBits => "bits are set behind the prefix",
            Self::TooWide => "the prefix is so short that nearly everybody is in it",
        })
    }
}

/// Reads an address or a prefix. One of addresses that are IPv4 mapped into IPv6 becomes one of IPv4.
pub(super) fn prefix(text: &str) -> Result<IpNet, PrefixProblem> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| PrefixProblem::Malformed)?;
    let net = match length {
        None => IpNet::from(address),
        Some(length) => {
            IpNet::new(address, self::length(length)?).map_err(|_| PrefixProblem::Length)?
        }
    };
    if net.network() != net.addr() {
        return Err(PrefixProblem::HostBits);
    }
    let net = canonical(net);
    let shortest = match net {
        IpNet::V4(_) => SHORTEST_V4,
        IpNet::V6(_) => SHORTEST_V6,
    };
    if net.prefix_len() < shortest {
        return Err(PrefixProblem::TooWide);
    }
    Ok(net)
}

/// Digits only: `u8::from_str` would take a `+`.
fn length(text: &str) -> Result<u8, PrefixProblem> {
    let is_number = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (text.len() > 1 && text.starts_with('0')) {
        return Err(PrefixProblem::Malformed);
    }
    text.parse().map_err(|_| PrefixProblem::Length)
}

fn canonical(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(address) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(address, length)
    {
        return IpNet::V4(v4);
    }
    net
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("157.240.22.35", "157.240.22.35/32"),
            ("0.0.0.0/8", "0.0.0.0/8"),
            ("fc00::/7", "fc00::/7"),
            ("2A03:2880:0::/32", "2a03:2880::/32"),
            ("2a03:2880::1", "2a03:2880::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:a00:1", "10.0.0.1/32"),
        ] {
            assert_eq!(
                prefix(text).map(|net| net.to_string()).as_deref(),
                Ok(expected)
            );
        }
    }

    #[test]
    fn bad_ones() {
        use PrefixProblem::{HostBits, Length, Malformed, TooWide};
        for (text, problem) in [
            ("", Malformed),
            ("/8", Malformed),
            ("10.0.0.0/", Malformed),
            ("10.0.0/8", Malformed),
            ("10.0.0.0.0/8", Malformed),
            ("010.0.0.0/8", Malformed),
            ("10.0.0.256", Malformed),
            ("10.0.0.0/+8", Malformed),
            ("10.0.0.0/08", Malformed),
            ("10.0.0.0/8/8", Malformed),
            ("10.0.0.0/255.0.0.0", Malformed),
            ("10.0.0.0/ 8", Malformed),
            ("10.0.0.0 /8", Malformed),
            ("10.0.0.0:80", Malformed),
            ("[fc00::]/7", Malformed),
            ("fe80::1%eth0", Malformed),
            ("example.com", Malformed),
            ("10.0.0.0/1000", Malformed),
            ("10.0.0.0/33", Length),
            ("10.0.0.0/999", Length),
            ("fc00::/129", Length),
            ("10.0.0.1/8", HostBits),
            ("fc00::1/127", HostBits),
            ("157.240.0.0/1", HostBits),
            ("0.0.0.0/0", TooWide),
            ("0.0.0.0/1", TooWide),
            ("128.0.0.0/7", TooWide),
            ("::/0", TooWide),
            ("2000::/3", TooWide),
            ("::ffff:0:0/96", TooWide),
            ("::ffff:0.0.0.0/103", TooWide),
        ] {
            assert_eq!(prefix(text), Err(problem), "{text:?}");
        }
    }
}
