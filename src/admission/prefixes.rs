use std::net::IpAddr;

use ipnet::IpNet;

/// A set of addresses, made for finding one quickly: ranges that are sorted and neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefixes {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    count: usize,
}

impl Prefixes {
    pub(super) fn new(mut nets: Vec<IpNet>) -> Self {
        nets.sort_unstable();
        nets.dedup();
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in &nets {
            match net {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self {
            v4: Ranges::new(v4, |last| last.checked_add(1)),
            v6: Ranges::new(v6, |last| last.checked_add(1)),
            count: nets.len(),
        }
    }

    /// An address of IPv4 that is mapped into IPv6 is one of IPv4, and in no prefix of IPv6.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// How many different prefixes it was made of.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether less than half of the addresses of another set are left, of IPv4 or of IPv6. Counts addresses, because prefixes
    /// are joined and split without anything being gained or lost.
    pub(super) fn is_less_than_half_of(&self, other: &Self) -> bool {
        let less = |new: u128, old: u128| new.saturating_mul(2) < old;
        less(self.v4.size(), other.v4.size()) || less(self.v6.size(), other.v6.size())
    }
}

/// The first and last of each range. Apart, because the search goes over the first ones alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranges<T> {
    firsts: Box<[T]>,
    lasts: Box<[T]>,
}

impl<T: Copy + Ord + Into<u128>> Ranges<T> {
    /// Of ranges that are sorted by their first.
    fn new(sorted: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Self {
        let (mut firsts, mut lasts) = (Vec::new(), Vec::<T>::new());
        for (first, last) in sorted {
            match lasts.last_mut() {
                Some(end) if first <= *end || next(*end) == Some(first) => *end = last.max(*end),
                _ => {
                    firsts.push(first);
                    lasts.push(last);
                }
            }
        }
        Self {
            firsts: firsts.into(),
            lasts: lasts.into(),
        }
    }

    fn contains(&self, address: T) -> bool {
        let behind = self.firsts.partition_point(|first| *first <= address);
        let last = behind
            .checked_sub(1)
            .and_then(|range| self.lasts.get(range));
        last.is_some_and(|last| address <= *last)
    }

    fn size(&self) -> u128 {
        let sizes = self.firsts.iter().zip(&self.lasts);
        sizes.fold(0, |sum: u128, (first, last)| {
            let (first, last): (u128, u128) = ((*first).into(), (*last).into());
            sum.saturating_add(last - first).saturating_add(1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Prefixes {
        Prefixes::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn what_overlaps_or_touches_becomes_one() {
        let prefixes = prefixes(&[
            "10.0.1.0/24",
            "10.0.0.0/24",
            "10.0.0.0/16",
            "10.0.0.0/16",
            "10.1.0.0/16",
            "10.3.0.0/16",
            "255.255.255.255/32",
        ]);
        let bits = |a, b| u32::from_be_bytes([10, a, b, b]);
        assert_eq!(*prefixes.v4.firsts, [bits(0, 0), bits(3, 0), u32::MAX]);
        assert_eq!(*prefixes.v4.lasts, [bits(1, 255), bits(3, 255), u32::MAX]);
        assert_eq!(prefixes.count(), 6);
    }

    #[test]
    fn at_the_edges() {
        let prefixes = prefixes(&["10.0.0.0/8", "255.0.0.0/8", "::/16", "ff00::/8"]);
        for (address, inside) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("255.255.255.255", true),
            ("0.0.0.0", false),
            ("::", true),
            ("0:ffff::", true),
            ("1::", false),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("::ffff:10.0.0.0", true),
            // In `::/16`, were it not an address of IPv4.
            ("::ffff:11.0.0.0", false),
        ] {
            assert_eq!(
                prefixes.contains(address.parse().unwrap()),
                inside,
                "{address}"
            );
        }
    }

    #[test]
    fn half() {
        for (new, old, less) in [
            (&["10.0.0.0/16"][..], &["10.0.0.0/15"][..], false),
            (&["10.0.0.0/17"], &["10.0.0.0/15"], true),
            (&["10.0.0.0/8"], &["10.0.0.0/9", "10.128.0.0/9"], false),
            (&["10.0.0.0/8"], &["10.0.0.0/8", "fc00::1/128"], true),
            (&["fc00::/7"], &["10.0.0.0/8", "fc00::/7"], true),
            (&["10.0.0.0/8", "fc00::/8"], &["10.0.0.0/8"], false),
        ] {
            let found = prefixes(new).is_less_than_half_of(&prefixes(old));
            assert_eq!(found, less, "{new:?} {old:?}");
        }
    }
}
