//! Contents of lists, and the guard against bad updates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use tower_whatsapp::admission::{IpAllowList, ListErrorKind, PrefixProblem, Reload, Shrink};

use test_support::builder;

/// Addresses around the bounds of the prefixes, where a search can go wrong.
fn probes(nets: &[IpNet]) -> Vec<IpAddr> {
    let mut probes = Vec::new();
    for end in nets.iter().flat_map(|net| [net.network(), net.broadcast()]) {
        for step in [u32::MAX, 0, 1] {
            match end {
                IpAddr::V4(end) => {
                    let address = Ipv4Addr::from_bits(end.to_bits().wrapping_add(step));
                    let mapped = address.to_ipv6_mapped();
                    probes.extend([IpAddr::V4(address), IpAddr::V6(mapped)]);
                }
                IpAddr::V6(end) => {
                    let step = i128::from(step.cast_signed()).cast_unsigned();
                    let address = Ipv6Addr::from_bits(end.to_bits().wrapping_add(step));
                    probes.push(IpAddr::V6(address));
                }
            }
        }
    }
    probes
}

/// Only few bits differ, so that prefixes overlap and touch.
fn v4() -> impl Strategy<Value = (IpNet, String)> {
    let bits = prop_oneof![
        any::<u32>(),
        (0..1024_u32).prop_map(|bits| bits.rotate_right(10))
    ];
    (bits, 8..=32_u8, any::<bool>()).prop_map(|(bits, length, is_mapped)| {
        let net = Ipv4Net::new(bits.into(), length).unwrap().trunc();
        let text = match is_mapped {
            true => format!("{}/{}", net.addr().to_ipv6_mapped(), length + 96),
            false => net.to_string(),
        };
        (net.into(), text)
    })
}

fn v6() -> impl Strategy<Value = (IpNet, String)> {
    let bits = prop_oneof![
        any::<u128>(),
        (0..1024_u128).prop_map(|bits| bits.rotate_right(10)),
        // The range of IPv4-mapped addresses.
        any::<u32>().prop_map(u128::from),
    ];
    (bits, 7..=128_u8).prop_map(|(bits, length)| {
        let net = Ipv6Net::new(bits.into(), length).unwrap().trunc();
        (net.into(), net.to_string())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: test_support::repetitions(2048) as u32, ..ProptestConfig::default() })]

    #[test]
    fn it_finds_what_a_search_of_all_finds(
        prefixes in prop::collection::vec(prop_oneof![v4(), v6()], 1..40),
        others in prop::collection::vec(prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
            any::<u32>().prop_map(|bits| IpAddr::V6((0xffff_0000_0000 | u128::from(bits)).into())),
            any::<u32>().prop_map(|bits| IpAddr::V6(u128::from(bits).into())),
        ], 40),
    ) {
        let (nets, texts): (Vec<_>, Vec<_>) = prefixes.into_iter().unzip();
        let lists = [
            IpAllowList::from_prefixes(&texts).unwrap(),
            IpAllowList::parse(&texts.join("\n")).unwrap(),
        ];
        for address in probes(&nets).into_iter().chain(others) {
            let expected = nets.iter().any(|net| net.contains(&address.to_canonical()));
            for list in &lists {
                prop_assert_eq!(list.contains(address), expected, "{} in {:?}", address, &texts);
            }
        }
    }

    /// IPv6 prefixes longer than /64 are not routed. `/2` as a truncated `/24` must be rejected.
    #[test]
    fn what_is_cut_off_admits_nobody_else(
        prefixes in prop::collection::vec(prop_oneof![v4(), v6()], 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let is_routed = |net: &IpNet| matches!(net, IpNet::V4(_)) || net.prefix_len() <= 64;
        let nets: Vec<_> = prefixes.into_iter().map(|(net, _)| net).filter(is_routed).collect();
        let text: String = nets.iter().map(|net| format!("{net}\n")).collect();
        prop_assume!(!nets.is_empty());
        let text = &text[..cut.index(text.len())];
        // A truncated last line may be an address, which then admits itself.
        let last = text.lines().last().and_then(|line| line.parse::<IpAddr>().ok());
        if let Ok(list) = IpAllowList::parse(text) {
            let far = ["1.2.3.4", "129.2.3.4", "2001:db8::1", "fd00::1"].map(|text| text.parse().unwrap());
            for address in probes(&nets).into_iter().chain(far) {
                let is_in = nets.iter().any(|net| net.contains(&address.to_canonical()))
                    || last == Some(address);
                prop_assert!(is_in || !list.contains(address), "{} in {:?}", address, &text);
            }
        }
    }

    #[test]
    fn no_text_is_a_panic(text in "([a-f0-9:./, #%+\\t\\r\\n]|é){0,60}") {
        let _ = IpAllowList::parse(&text);
    }
}

#[test]
fn it_is_replaced_for_all_clones() {
    let list = IpAllowList::parse("10.0.0.0/8").unwrap();
    let layer = builder().ip_allow_list(list.clone()).build().unwrap();
    let clone = list.clone();
    let [ten, eleven] = ["10.0.0.1", "11.0.0.1"].map(|text| text.parse().unwrap());
    assert_eq!(list.status().modified, None);

    let outcome = list.replace("11.0.0.0/8\n11.0.0.0/16\n11.0.0.0/8", Shrink::Allow);
    assert_eq!(outcome.unwrap(), Reload::Replaced);
    assert!(clone.contains(eleven) && !clone.contains(ten));
    let status = clone.status();
    assert_eq!((status.generation, status.prefixes), (2, 2));

    let outcome = list.replace("11.0.0.0/16\n11.0.0.0/8", Shrink::Refuse);
    assert_eq!(outcome.unwrap(), Reload::Unchanged);
    assert_eq!(clone.status().generation, 2);
    assert_eq!(
        format!("{list:?}"),
        "IpAllowList { prefixes: 2, generation: 2 }"
    );
    drop(layer);
}

#[test]
fn a_bad_list_changes_nothing() {
    let list = IpAllowList::parse("10.0.0.0/8\nfc00::/7").unwrap();
    let ten = "10.0.0.1".parse().unwrap();
    let many: String = (0..=16)
        .map(|first| format!("{}.0.0.0/8\n", 2 * first))
        .collect();
    for (text, kind) in [
        ("", ListErrorKind::Empty),
        (&"#".repeat(4 * 1024 * 1024 + 1), ListErrorKind::TooLong),
        ("10.0.0.0/8\nfc00::/7\n10.0.0.1/8", ListErrorKind::Prefixes),
        (&many, ListErrorKind::TooWide),
        ("10.0.0.0/10\nfc00::/7", ListErrorKind::Shrunk),
        ("10.0.0.0/8\nfc00::/9", ListErrorKind::Shrunk),
        ("fc00::/7", ListErrorKind::Shrunk),
        ("10.0.0.0/8", ListErrorKind::Shrunk),
    ] {
        let error = list.replace(text, Shrink::Refuse).unwrap_err();
        assert_eq!(error.kind(), kind, "{text:.80}");
        let status = list.status();
        assert!(list.contains(ten));
        assert_eq!((status.generation, status.prefixes), (1, 2));
        let other = IpAllowList::parse("10.0.0.0/8\nfc00::/7").unwrap();
        let allowed = other.replace(text, Shrink::Allow);
        assert_eq!(allowed.is_ok(), kind == ListErrorKind::Shrunk, "{text:.80}");
    }
    let half = list.replace("10.0.0.0/9\nfc00::/8", Shrink::Refuse);
    assert_eq!(half.unwrap(), Reload::Replaced);
}

/// Meta's prefixes in the registry in 2026.
const META: &str = "31.13.24.0/21\n31.13.64.0/18\n45.64.40.0/22\n57.144.0.0/14\n66.220.144.0/20\n\
    69.63.176.0/20\n69.171.224.0/19\n74.119.76.0/22\n102.132.96.0/20\n103.4.96.0/22\n\
    129.134.0.0/16\n157.240.0.0/16\n173.252.64.0/18\n179.60.192.0/22\n185.60.216.0/22\n\
    204.15.20.0/22\n2a03:2880::/32\n";

/// As large as the current list, but another network: every delivery would be rejected.
#[test]
fn a_list_of_other_networks_is_refused() {
    let list = IpAllowList::parse(META).unwrap();
    for other in [
        "10.0.0.0/8\nfd00::/8",
        "172.16.0.0/12\n2001:db8::/32",
        "10.0.0.0/8",
    ] {
        let error = list.replace(other, Shrink::Refuse).unwrap_err();
        assert_eq!(error.kind(), ListErrorKind::Shrunk, "{other}");
    }
    // The old addresses remain, in other prefixes and with others beside them.
    let beside =
        META.replace("57.144.0.0/14\n", "57.144.0.0/15\n57.146.0.0/15\n") + "192.0.2.0/24\n";
    assert_eq!(
        list.replace(&beside, Shrink::Refuse).unwrap(),
        Reload::Replaced
    );
}

/// Each list keeps half of the previous one.
#[test]
fn halvings_in_a_row_are_refused() {
    let list = IpAllowList::parse("10.0.0.0/8").unwrap();
    let mut taken = 0;
    for length in 9..=32 {
        taken += u8::from(
            list.replace(&format!("10.0.0.0/{length}"), Shrink::Refuse)
                .is_ok(),
        );
    }
    assert_eq!(taken, 1);
    // A list that was allowed explicitly is the new reference for later lists.
    list.replace("10.0.0.0/12", Shrink::Allow).unwrap();
    list.replace("10.0.0.0/13", Shrink::Refuse).unwrap();
    assert!(list.replace("10.0.0.0/14", Shrink::Refuse).is_err());
    // The reference grows with the list.
    assert_eq!(
        list.replace("10.0.0.0/11", Shrink::Refuse).unwrap(),
        Reload::Grown
    );
    list.replace("10.0.0.0/12", Shrink::Refuse).unwrap();
    assert!(list.replace("10.0.0.0/14", Shrink::Refuse).is_err());
}

/// A download with a prefix that is too short. The next one is correct again.
#[test]
fn growth_can_be_taken_back() {
    const RIGHT: &str = "192.0.2.0/24\n198.51.100.0/24";
    const WRONG: &str = "192.0.2.0/24\n198.51.100.0/24\n10.0.0.0/8";
    let refuse = |list: &IpAllowList, text: &str| {
        let outcome = list.replace(text, Shrink::Refuse);
        outcome.map_err(|error| error.kind())
    };
    let grown = || {
        let list = IpAllowList::parse(RIGHT).unwrap();
        assert_eq!(refuse(&list, WRONG), Ok(Reload::Grown));
        list
    };
    let ten = "10.0.0.1".parse().unwrap();
    for (what, text, expected) in [
        ("as before", RIGHT.to_owned(), Ok(Reload::Replaced)),
        (
            "with an update",
            format!("{RIGHT}\n203.0.113.0/24"),
            Ok(Reload::Replaced),
        ),
        (
            "half of it",
            "192.0.2.0/24".to_owned(),
            Err(ListErrorKind::Shrunk),
        ),
        (
            "another growth",
            format!("{RIGHT}\n203.0.0.0/16"),
            Err(ListErrorKind::Shrunk),
        ),
    ] {
        let list = grown();
        assert_eq!(refuse(&list, &text), expected, "{what}");
        assert_eq!(list.contains(ten), expected.is_err(), "{what}");
    }

    // The guard compares with the small list.
    let list = grown();
    refuse(&list, RIGHT).unwrap();
    refuse(&list, "192.0.2.0/24").unwrap();
    assert!(refuse(&list, "192.0.2.0/25").is_err());

    // Two growths, with other lists in between.
    let list = grown();
    refuse(&list, &format!("{WRONG}\n203.0.113.0/24")).unwrap();
    let wider = format!("{WRONG}\n11.0.0.0/8\n12.0.0.0/8");
    assert_eq!(refuse(&list, &wider), Ok(Reload::Grown));
    assert_eq!(refuse(&list, RIGHT), Ok(Reload::Replaced));

    // The growth was allowed explicitly.
    let list = grown();
    let looked_at = list.replace(WRONG, Shrink::Allow);
    assert_eq!(looked_at.unwrap(), Reload::Unchanged);
    assert_eq!(refuse(&list, RIGHT), Err(ListErrorKind::Shrunk));
}

/// After the ninth growth the first one becomes permanent.
#[test]
fn eight_growths_can_be_taken_back() {
    for (growths, expected) in [(8, Ok(Reload::Replaced)), (9, Err(ListErrorKind::Shrunk))] {
        let list = IpAllowList::parse("10.0.0.0/32").unwrap();
        for growth in 1..=growths {
            let text = format!("10.0.0.0/{}", 32 - 2 * growth);
            let outcome = list.replace(&text, Shrink::Refuse);
            assert_eq!(outcome.unwrap(), Reload::Grown);
        }
        let back = list.replace("10.0.0.0/32", Shrink::Refuse);
        assert_eq!(back.map_err(|error| error.kind()), expected, "{growths}");
    }
}

#[test]
fn large_growth_is_reported() {
    let list = IpAllowList::parse("10.0.0.0/16").unwrap();
    for (text, outcome) in [
        ("10.0.0.0/15", Reload::Replaced),
        ("10.0.0.0/13", Reload::Grown),
        ("10.0.0.0/13\nfd00::/8", Reload::Grown),
        ("10.0.0.0/13\nfc00::/7", Reload::Replaced),
    ] {
        assert_eq!(
            list.replace(text, Shrink::Refuse).unwrap(),
            outcome,
            "{text}"
        );
    }
}

/// A sixteenth of all addresses, in prefixes of an acceptable length each.
#[test]
fn most_of_the_internet_is_no_list() {
    let all: String = (0..=255)
        .map(|first| format!("{first}.0.0.0/8\n"))
        .collect();
    let error = IpAllowList::parse(&all).unwrap_err();
    assert_eq!(error.kind(), ListErrorKind::TooWide);
    let error = IpAllowList::from_prefixes(all.lines()).unwrap_err();
    assert_eq!(error.kind(), ListErrorKind::TooWide);
    let most: String = (0..16).map(|first| format!("{first}.0.0.0/8\n")).collect();
    assert!(IpAllowList::parse(&most).is_ok());
}

/// A failed download writes a few lines to the log, not a megabyte.
#[test]
fn errors_are_short() {
    let page = format!("<p>{}\u{7}</p>\n", "x".repeat(1000)).repeat(1000);
    let error = IpAllowList::parse(&format!("10.0.0.0/8\n\n{page}")).unwrap_err();
    let bad = error.bad_prefixes().unwrap();
    assert_eq!((bad.count(), bad.first().len()), (1000, 8));
    let first = &bad.first()[0];
    assert_eq!(
        (first.line(), first.problem()),
        (3, PrefixProblem::Malformed)
    );
    assert_eq!(first.text(), format!("<p>{}", "x".repeat(57)));
    let text = error.to_string();
    assert!(text.starts_with("address list: line 3, \"<p>xxx"), "{text}");
    assert!(text.ends_with("; and 992 more"), "{text}");
    assert!(text.len() < 1000 && format!("{error:?}").len() < 2000);

    let error = IpAllowList::parse("10.0.0.0/8 \u{1b}[2J").unwrap_err();
    assert_eq!(
        error.to_string(),
        "address list: line 1, \"10.0.0.0/8 \\u{1b}[2J\": not an address or prefix"
    );
    let error = IpAllowList::from_prefixes(["10.0.0.0/8", " ::1"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "address list: prefix 2, \" ::1\": not an address or prefix"
    );
    let error = IpAllowList::from_prefixes([""; 0]).unwrap_err();
    assert_eq!(error.kind(), ListErrorKind::Empty);
}
