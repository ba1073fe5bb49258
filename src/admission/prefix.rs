use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

/// Minimum IPv4 prefix length. Shorter prefixes cover large parts of the internet, and are usually
/// truncated lines: `/2` of `/24`.
const MIN_LENGTH_V4: u8 = 8;
/// Minimum IPv6 prefix length: the shortest in use is `fc00::/7`, for private networks.
const MIN_LENGTH_V6: u8 = 7;

/// Number of characters of an invalid line that an error shows.
const MAX_SHOWN: usize = 60;

/// An invalid line of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPrefix {
    line: usize,
    text: String,
    problem: PrefixProblem,
}

/// Reason for which a prefix is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrefixProblem {
    /// The line is neither an address nor a prefix, or has other text.
    Malformed,
    /// The prefix length is over 32 (IPv4) or 128 (IPv6).
    Length,
    /// Host bits are set, as in `10.0.0.1/8`: the address or the length is a mistake.
    HostBits,
    /// The prefix length is less than 8 (IPv4) or 7 (IPv6), which would admit much of the internet.
    TooWide,
}

impl BadPrefix {
    pub(super) fn new(line: usize, text: &str, problem: PrefixProblem) -> Self {
        Self {
            line,
            text: text.chars().take(MAX_SHOWN).collect(),
            problem,
        }
    }

    /// Returns the number of the line, or of the prefix in an iterator. The first is 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the first 60 characters, including spaces: a space may be the mistake.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the reason.
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
            Self::Length => "the prefix length is longer than an address",
            Self::HostBits => "host bits are set",
            Self::TooWide => "the prefix is too short",
        })
    }
}

/// Parses an address or a prefix. A prefix of IPv4-mapped IPv6 addresses becomes one of IPv4.
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
    let min_length = match net {
        IpNet::V4(_) => MIN_LENGTH_V4,
        IpNet::V6(_) => MIN_LENGTH_V6,
    };
    if net.prefix_len() < min_length {
        return Err(PrefixProblem::TooWide);
    }
    Ok(net)
}

/// Accepts digits only: `u8::from_str` also accepts a `+`.
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
    fn valid_prefixes() {
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
    fn invalid_prefixes() {
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
