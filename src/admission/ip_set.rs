use std::net::IpAddr;

use ipnet::IpNet;

/// Maximum number of IPv4 addresses: a sixteenth of all, or sixteen `/8`. The published lists of
/// the largest cloud providers have less than half of that.
const MAX_V4: u128 = 1 << 28;
/// Maximum number of IPv6 addresses: a sixteenth of all, or half of the global unicast space
/// (`2000::/3`).
const MAX_V6: u128 = 1 << 124;

/// A set of addresses as sorted ranges that neither overlap nor touch, for binary search.
#[derive(Debug, Clone)]
pub(super) struct IpSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    prefixes: usize,
}

impl IpSet {
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
            prefixes: nets.len(),
        }
    }

    /// Returns whether the set has this address. IPv4-mapped IPv6 addresses count as IPv4.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// Returns the number of distinct prefixes that the set was made of.
    pub(super) fn prefixes(&self) -> usize {
        self.prefixes
    }

    /// Returns whether the set has more than a sixteenth of all addresses, whatever the prefixes.
    pub(super) fn is_too_wide(&self) -> bool {
        self.v4.size() > MAX_V4 || self.v6.size() > MAX_V6
    }

    /// Returns whether this set has at least half of the addresses of another, of IPv4 and of IPv6.
    /// Counts addresses, not prefixes: joining or splitting prefixes is no change.
    pub(super) fn keeps_half_of(&self, other: &Self) -> bool {
        // Both sizes are at most 2^124, so nothing overflows.
        2 * self.v4.common(&other.v4) >= other.v4.size()
            && 2 * self.v6.common(&other.v6) >= other.v6.size()
    }

    /// Returns whether this set has every address of another.
    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        self.v4.common(&other.v4) == other.v4.size() && self.v6.common(&other.v6) == other.v6.size()
    }

    /// Returns whether this set has more than twice the addresses of another, of IPv4 or of IPv6.
    pub(super) fn is_more_than_double(&self, other: &Self) -> bool {
        self.v4.size() > 2 * other.v4.size() || self.v6.size() > 2 * other.v6.size()
    }

    /// Takes the IPv4 addresses of another set if there are at least as many. The same for IPv6.
    pub(super) fn raise_to(&mut self, other: &Self) {
        if other.v4.size() >= self.v4.size() {
            self.v4.clone_from(&other.v4);
        }
        if other.v6.size() >= self.v6.size() {
            self.v6.clone_from(&other.v6);
        }
    }
}

/// Two sets are equal if they have the same addresses, whatever the prefixes.
impl PartialEq for IpSet {
    fn eq(&self, other: &Self) -> bool {
        self.v4 == other.v4 && self.v6 == other.v6
    }
}

/// First and last address of each range. In two arrays, because the search reads only the first
/// addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranges<T> {
    firsts: Box<[T]>,
    lasts: Box<[T]>,
}

impl<T: Copy + Ord + Into<u128>> Ranges<T> {
    /// Joins ranges that are sorted by their first address.
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

    fn iter(&self) -> impl Iterator<Item = (T, T)> + '_ {
        self.firsts.iter().copied().zip(self.lasts.iter().copied())
    }

    fn size(&self) -> u128 {
        self.iter().fold(0, |sum: u128, (first, last)| {
            sum.saturating_add(length(first, last))
        })
    }

    /// Returns the number of addresses in both.
    fn common(&self, other: &Self) -> u128 {
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        let mut sum: u128 = 0;
        while let (Some(&(a, b)), Some(&(c, d))) = (ours.peek(), theirs.peek()) {
            let (first, last) = (a.max(c), b.min(d));
            if first <= last {
                sum = sum.saturating_add(length(first, last));
            }
            // The range that ends first cannot overlap a later one.
            if b <= d {
                ours.next();
            } else {
                theirs.next();
            }
        }
        sum
    }
}

fn length<T: Into<u128>>(first: T, last: T) -> u128 {
    (last.into() - first.into()).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> IpSet {
        IpSet::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn overlapping_and_touching_ranges_are_joined() {
        let set = set(&[
            "10.0.1.0/24",
            "10.0.0.0/24",
            "10.0.0.0/16",
            "10.0.0.0/16",
            "10.1.0.0/16",
            "10.3.0.0/16",
            "255.255.255.255/32",
        ]);
        let bits = |a, b| u32::from_be_bytes([10, a, b, b]);
        assert_eq!(*set.v4.firsts, [bits(0, 0), bits(3, 0), u32::MAX]);
        assert_eq!(*set.v4.lasts, [bits(1, 255), bits(3, 255), u32::MAX]);
        assert_eq!(set.prefixes(), 6);
    }

    #[test]
    fn lookups_at_range_boundaries() {
        let set = set(&["10.0.0.0/8", "255.0.0.0/8", "::/16", "ff00::/8"]);
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
            // In `::/16` if it did not count as IPv4.
            ("::ffff:11.0.0.0", false),
        ] {
            let found = set.contains(address.parse().unwrap());
            assert_eq!(found, inside, "{address}");
        }
    }

    #[test]
    fn at_least_half_is_kept() {
        for (new, old, keeps) in [
            (&["10.0.0.0/16"][..], &["10.0.0.0/15"][..], true),
            (&["10.0.0.0/17"], &["10.0.0.0/15"], false),
            (&["10.0.0.0/8"], &["10.0.0.0/9", "10.128.0.0/9"], true),
            (&["10.0.0.0/8"], &["10.0.0.0/8", "fc00::1/128"], false),
            (&["fc00::/7"], &["10.0.0.0/8", "fc00::/7"], false),
            (&["10.0.0.0/8", "fc00::/8"], &["10.0.0.0/8"], true),
            // The same number of addresses, but different ones.
            (&["11.0.0.0/8"], &["10.0.0.0/8"], false),
            (&["10.0.0.0/9", "11.0.0.0/9"], &["10.0.0.0/8"], true),
            (&["10.0.0.0/10", "11.0.0.0/8"], &["10.0.0.0/8"], false),
        ] {
            let found = set(new).keeps_half_of(&set(old));
            assert_eq!(found, keeps, "{new:?} {old:?}");
        }
    }

    #[test]
    fn more_than_double() {
        for (new, old, grown) in [
            (&["10.0.0.0/15"][..], &["10.0.0.0/16"][..], false),
            (&["10.0.0.0/15", "11.0.0.0/32"], &["10.0.0.0/16"], true),
            (&["10.0.0.0/16", "fc00::/7"], &["10.0.0.0/16"], true),
            (&["10.0.0.0/16"], &["10.0.0.0/16", "fc00::/7"], false),
        ] {
            let found = set(new).is_more_than_double(&set(old));
            assert_eq!(found, grown, "{new:?} {old:?}");
        }
    }

    #[test]
    fn a_sixteenth_of_all_addresses_is_the_limit() {
        let v4 = |count: u32| -> Vec<String> {
            (0..count)
                .map(|first| format!("{}.0.0.0/8", 2 * first))
                .collect()
        };
        let is_too_wide = |texts: &[String]| {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            set(&texts).is_too_wide()
        };
        assert!(!is_too_wide(&v4(16)));
        assert!(is_too_wide(&v4(17)));
        let mut just_more = v4(16);
        just_more.push("1.0.0.0/32".to_owned());
        assert!(is_too_wide(&just_more));
        let v6 = |count: u16| -> Vec<String> {
            (0..count)
                .map(|first| format!("{:x}::/7", first * 0x400))
                .collect()
        };
        assert!(!is_too_wide(&v6(8)));
        assert!(is_too_wide(&v6(9)));
    }

    #[test]
    fn the_larger_set_of_each_family_is_taken() {
        let mut mark = set(&["10.0.0.0/8", "fc00::/16"]);
        mark.raise_to(&set(&["11.0.0.0/9", "fd00::/15"]));
        let has = |text: &str| mark.contains(text.parse().unwrap());
        assert!(has("10.0.0.1") && !has("11.0.0.1") && has("fd00::1") && !has("fc00::1"));
    }
}
