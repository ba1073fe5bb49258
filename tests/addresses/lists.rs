//! What is in a list, and what becomes of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use tower_whatsapp::admission::{IpAllowList, ListError, PrefixProblem, Reload, Shrink};

use crate::support::builder;

/// Around the ends of the prefixes, where a search goes wrong.
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

/// Few bits that differ, so that prefixes overlap and touch.
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
        // Where addresses of IPv4 would be.
        any::<u32>().prop_map(u128::from),
    ];
    (bits, 7..=128_u8).prop_map(|(bits, length)| {
        let net = Ipv6Net::new(bits.into(), length).unwrap().trunc();
        (net.into(), net.to_string())
    })
}

proptest! {
    // In proportion to what the environment asks for: 2048 by default.
    #![proptest_config(ProptestConfig { cases: 8 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

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

    /// Nobody routes longer ones than /64. `/2` of `/24` is what must not pass.
    #[test]
    fn what_is_cut_off_admits_nobody_else(
        prefixes in prop::collection::vec(prop_oneof![v4(), v6()], 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let is_routed = |net: &IpNet| matches!(net, IpNet::V4(_)) || net.prefix_len() <= 64;
        let nets: Vec<_> = prefixes.into_iter().map(|(net, _)| net).filter(is_routed).collect();
        let text: String = nets.iter().map(|net| format!("route: {net}\norigin: AS32934\n\n")).collect();
        prop_assume!(!nets.is_empty());
        if let Ok(list) = IpAllowList::parse(&text[..cut.index(text.len())]) {
            let far = ["1.2.3.4", "129.2.3.4", "2001:db8::1", "fd00::1"].map(|text| text.parse().unwrap());
            for address in probes(&nets).into_iter().chain(far) {
                let is_in = nets.iter().any(|net| net.contains(&address.to_canonical()));
                prop_assert!(is_in || !list.contains(address), "{} in {:?}", address, &text);
            }
        }
    }

    #[test]
    fn no_text_is_a_panic(text in "([a-f0-9:./, #%+\\t\\r\\n]|route: |é){0,60}") {
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

    let outcome = list.replace("11.0.0.0/8\n11.0.0.0/16\n11.0.0.0/8", Shrink::Refuse);
    assert_eq!(outcome.unwrap(), Reload::Replaced);
    assert!(clone.contains(eleven) && !clone.contains(ten));
    let status = clone.status();
    assert_eq!((status.generation, status.prefixes), (2, 2));

    let outcome = list.replace("route: 11.0.0.0/16\nroute: 11.0.0.0/8", Shrink::Refuse);
    assert_eq!(outcome.unwrap(), Reload::Unchanged);
    assert_eq!(clone.status().generation, 2);
    assert_eq!(
        format!("{list:?}"),
        "IpAllowList { prefixes: 2, generation: 2 }"
    );
    drop(layer);
}

#[test]
fn what_is_bad_changes_nothing() {
    let list = IpAllowList::parse("10.0.0.0/8\nfc00::/7").unwrap();
    let ten = "10.0.0.1".parse().unwrap();
    let replace = |text: &str| list.replace(text, Shrink::Refuse).unwrap_err();
    let check = || {
        let status = list.status();
        assert!(list.contains(ten));
        assert_eq!((status.generation, status.prefixes), (1, 2));
    };

    assert!(matches!(replace(""), ListError::Empty));
    check();
    assert!(matches!(
        replace(&"#".repeat(4 * 1024 * 1024 + 1)),
        ListError::TooLong
    ));
    check();
    assert!(matches!(
        replace("10.0.0.0/8\nfc00::/7\n10.0.0.1/8"),
        ListError::Prefixes(_)
    ));
    check();
    for (text, less) in [
        ("10.0.0.0/10\nfc00::/7", true),
        ("10.0.0.0/8\nfc00::/9", true),
        ("fc00::/7", true),
        ("10.0.0.0/8", true),
        ("10.0.0.0/9\nfc00::/8", false),
    ] {
        if less {
            assert!(matches!(replace(text), ListError::Shrunk), "{text}");
            check();
        }
        let other = IpAllowList::parse("10.0.0.0/8\nfc00::/7").unwrap();
        let taken = other.replace(text, if less { Shrink::Allow } else { Shrink::Refuse });
        assert_eq!(taken.unwrap(), Reload::Replaced, "{text}");
    }
}

/// A failed download is a few lines and not a megabyte of log.
#[test]
fn errors_are_short() {
    let page = format!("<p>{}\u{7}</p>\n", "x".repeat(1000)).repeat(1000);
    let error = IpAllowList::parse(&format!("10.0.0.0/8\n\n{page}")).unwrap_err();
    let ListError::Prefixes(bad) = &error else {
        panic!("{error}")
    };
    assert_eq!((bad.count(), bad.first().len()), (1000, 8));
    let first = &bad.first()[0];
    assert_eq!(
        (first.line(), first.problem()),
        (3, PrefixProblem::Malformed)
    );
    assert_eq!(first.text(), format!("<p>{}", "x".repeat(57)));
    let text = error.to_string();
    assert!(
        text.starts_with("`ip_allow_list`: line 3, \"<p>xxx"),
        "{text}"
    );
    assert!(text.ends_with("; and 992 more"), "{text}");
    assert!(text.len() < 1000 && format!("{error:?}").len() < 2000);

    let error = IpAllowList::parse("10.0.0.0/8 \u{1b}[2J").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`ip_allow_list`: line 1, \"10.0.0.0/8 \\u{1b}[2J\": not an address or prefix"
    );
    let error = IpAllowList::from_prefixes(["10.0.0.0/8", "::/0"]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`ip_allow_list`: prefix 2, \"::/0\": ")
    );
    assert!(matches!(
        IpAllowList::from_prefixes([""; 0]),
        Err(ListError::Empty)
    ));
}
