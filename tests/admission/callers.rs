//! Which address counts as the caller's, whatever a stranger writes into the headers.

use http::{HeaderName, HeaderValue};
use test_support::{Script, builder, handshake};
use tower_whatsapp::{
    ConfigError, RejectionKind, WebhookLayer, WebhookLayerBuilder,
    admission::{
        AdmissionPolicy, ForwardedHeader, IpAllowList, ListErrorKind, PrefixProblem, ProxiesError,
        Shrink, TrustedProxies,
    },
};

use crate::ask::{from, send};

/// An address in the list.
const META: &str = "157.240.22.35";
const META6: &str = "2a03:2880:f0::1";
/// An address that is not in the list.
const STRANGER: &str = "198.51.100.7";
/// A trusted proxy.
const PROXY: &str = "10.0.0.1";

fn list() -> IpAllowList {
    IpAllowList::from_prefixes(["157.240.0.0/16", "2a03:2880::/32"]).unwrap()
}

fn within(header: ForwardedHeader) -> Option<TrustedProxies> {
    Some(TrustedProxies::from_prefixes(["10.0.0.0/8", "192.0.2.9", "fd00::/8"], header).unwrap())
}

fn hops(count: usize, header: ForwardedHeader) -> Option<TrustedProxies> {
    Some(TrustedProxies::with_hop_count(count, header).unwrap())
}

fn layer(proxies: Option<TrustedProxies>) -> WebhookLayer {
    let builder = builder().ip_allow_list(list());
    match proxies {
        Some(proxies) => builder.trusted_proxies(proxies),
        None => builder,
    }
    .build()
    .unwrap()
}

#[derive(Clone, Copy)]
enum Is {
    Meta,
    Stranger,
    Unknown,
}

struct Row {
    proxies: Option<TrustedProxies>,
    peer: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    caller: Is,
}

impl Row {
    async fn check(self) {
        let (mut request, counter) = from(self.peer);
        for (name, value) in &self.headers {
            let name = HeaderName::from_static(name);
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(name, value);
        }
        let what = format!("{:?} {:?} {:.300?}", self.proxies, self.peer, self.headers);
        let answer = send(&layer(self.proxies), request).await;
        let expected = match self.caller {
            Is::Meta => Ok(()),
            Is::Stranger => Err(RejectionKind::AddressRefused),
            Is::Unknown => Err(RejectionKind::AddressUnknown),
        };
        assert_eq!(answer, expected, "{what}");
        assert_eq!(counter.frames() > 0, expected.is_ok(), "{what}");
    }
}

/// Without a trusted proxy no header is read.
#[tokio::test]
async fn without_proxies() {
    for (peer, header, caller) in [
        (Some(META), None, Is::Meta),
        (Some(META6), None, Is::Meta),
        (Some("::ffff:157.240.22.35"), None, Is::Meta),
        (Some("::157.240.22.35"), None, Is::Stranger),
        (Some(STRANGER), None, Is::Stranger),
        (Some(STRANGER), Some(META), Is::Stranger),
        (Some("::ffff:198.51.100.7"), None, Is::Stranger),
        (Some(META), Some(STRANGER), Is::Meta),
        (Some(META), Some("unknown"), Is::Meta),
        (None, None, Is::Unknown),
        (None, Some(META), Is::Unknown),
    ] {
        let headers = ["x-forwarded-for", "forwarded", "x-real-ip"].map(|name| {
            header.map(|address| match name {
                "forwarded" => (name, format!("for={address}")),
                _ => (name, address.to_owned()),
            })
        });
        let row = Row {
            proxies: None,
            peer,
            headers: headers.into_iter().flatten().collect(),
            caller,
        };
        row.check().await;
    }
}

#[tokio::test]
async fn x_forwarded_for_by_address() {
    use Is::{Meta, Stranger, Unknown};
    let many = |count: usize, address: &str| vec![address; count].join(",");
    let rows: Vec<(Option<&'static str>, Vec<String>, Is)> = [
        // A caller that bypasses the proxies: its headers have no effect.
        (Some(STRANGER), vec![META], Stranger),
        (Some(STRANGER), vec!["157.240.22.35, 10.0.0.1"], Stranger),
        (Some("11.0.0.0"), vec![META], Stranger),
        (Some(META), vec![STRANGER], Meta),
        (Some(META), vec!["garbage"], Meta),
        (None, vec![META], Unknown),
        // One proxy.
        (Some(PROXY), vec![META], Meta),
        (Some(PROXY), vec![META6], Meta),
        (Some(PROXY), vec!["157.240.22.35:443"], Meta),
        (Some(PROXY), vec!["[2a03:2880:f0::1]"], Meta),
        (Some(PROXY), vec!["[2a03:2880:f0::1]:443"], Meta),
        (Some(PROXY), vec!["\t 157.240.22.35 \t"], Meta),
        (Some(PROXY), vec!["::ffff:157.240.22.35"], Meta),
        (Some(PROXY), vec!["[::ffff:157.240.22.35]:1"], Meta),
        (Some("::ffff:10.0.0.1"), vec![META], Meta),
        (Some("192.0.2.9"), vec![META], Meta),
        (Some("fd00::5"), vec![META], Meta),
        (Some("::ffff:fd00:1"), vec![META], Stranger),
        (Some(PROXY), vec![STRANGER], Stranger),
        (Some(PROXY), vec!["2a03:2881::1"], Stranger),
        // The client itself wrote what stands left of its own address.
        (Some(PROXY), vec!["157.240.22.35, 198.51.100.7"], Stranger),
        (Some(PROXY), vec!["157.240.22.35", "198.51.100.7"], Stranger),
        (
            Some(PROXY),
            vec!["157.240.22.35,198.51.100.7,10.0.0.2"],
            Stranger,
        ),
        (
            Some(PROXY),
            vec!["157.240.22.35, 10.0.0.9, 198.51.100.7"],
            Stranger,
        ),
        (Some(PROXY), vec!["198.51.100.7, 157.240.22.35"], Meta),
        (Some(PROXY), vec!["garbage, , unknown, 157.240.22.35"], Meta),
        (Some(PROXY), vec!["\"", "157.240.22.35"], Meta),
        // Several proxies, in one header line and in several.
        (Some(PROXY), vec!["157.240.22.35, 10.0.0.3, 10.0.0.2"], Meta),
        (
            Some(PROXY),
            vec!["157.240.22.35", "10.0.0.3", "10.0.0.2"],
            Meta,
        ),
        (
            Some(PROXY),
            vec!["198.51.100.7, 157.240.22.35", "fd00::1,::ffff:10.0.0.2"],
            Meta,
        ),
        (
            Some(PROXY),
            vec!["157.240.22.35, 198.51.100.7", "10.0.0.3, 10.0.0.2"],
            Stranger,
        ),
        // All are proxies: the leftmost is the caller, which is not in the list.
        (Some(PROXY), vec!["10.0.0.3, 10.0.0.2"], Stranger),
        (Some(PROXY), vec![PROXY], Stranger),
        // The relevant element cannot be parsed.
        (Some(PROXY), vec![], Unknown),
        (Some(PROXY), vec![""], Unknown),
        (Some(PROXY), vec![","], Unknown),
        (Some(PROXY), vec!["unknown"], Unknown),
        (Some(PROXY), vec!["_hidden"], Unknown),
        (Some(PROXY), vec!["157.240.22.35, unknown"], Unknown),
        (Some(PROXY), vec!["157.240.22.35, _SEVKISEK"], Unknown),
        (Some(PROXY), vec!["157.240.22.35,"], Unknown),
        (Some(PROXY), vec!["157.240.22.35", ""], Unknown),
        (Some(PROXY), vec!["157.240.22.35,, 10.0.0.2"], Unknown),
        (Some(PROXY), vec![",10.0.0.2"], Unknown),
        (
            Some(PROXY),
            vec!["157.240.22.35, unknown, 10.0.0.2"],
            Unknown,
        ),
        (Some(PROXY), vec!["157.240.22.35 10.0.0.2"], Unknown),
        (Some(PROXY), vec!["157.240.22.35; 10.0.0.2"], Unknown),
        (Some(PROXY), vec!["\"157.240.22.35\""], Unknown),
        (Some(PROXY), vec!["157.240.22.35:"], Unknown),
        (Some(PROXY), vec!["157.240.22.35:65536"], Unknown),
        (Some(PROXY), vec!["157.240.22.35:-1"], Unknown),
        (Some(PROXY), vec!["[157.240.22.35]"], Unknown),
        (Some(PROXY), vec!["2a03:2880:f0::1%eth0"], Unknown),
        (Some(PROXY), vec!["[2a03:2880:f0::1"], Unknown),
        (Some(PROXY), vec!["157.240.022.035"], Unknown),
        (Some(PROXY), vec!["157.240.5667"], Unknown),
        (Some(PROXY), vec!["157.240.0.0/16"], Unknown),
        (Some(PROXY), vec!["for=157.240.22.35"], Unknown),
    ]
    .into_iter()
    .map(|(peer, lines, caller)| {
        let lines = lines.into_iter().map(str::to_owned).collect();
        (peer, lines, caller)
    })
    .collect();
    let long = [
        // However much a client writes, the element of the proxy counts.
        (many(10_000, META) + ",198.51.100.7", Stranger),
        (many(10_000, STRANGER) + ",157.240.22.35", Meta),
        (many(10_000, ","), Unknown),
        (many(10_000, PROXY), Unknown),
        ("157.240.22.35,".to_owned() + &many(31, PROXY), Meta),
        ("157.240.22.35,".to_owned() + &many(32, PROXY), Unknown),
        (many(32, PROXY), Stranger),
        (many(33, PROXY), Unknown),
        (" ".repeat(100_000) + META, Unknown),
        ("x".repeat(100_000) + ",157.240.22.35", Meta),
    ];
    let long = long.map(|(line, caller)| (Some(PROXY), vec![line], caller));
    for (peer, lines, caller) in rows.into_iter().chain(long) {
        let headers = lines.into_iter().map(|line| ("x-forwarded-for", line));
        let row = Row {
            proxies: within(ForwardedHeader::x_forwarded_for()),
            peer,
            headers: headers.collect(),
            caller,
        };
        row.check().await;
    }
}

#[tokio::test]
async fn forwarded_by_address() {
    use Is::{Meta, Stranger, Unknown};
    let many = vec!["for=157.240.22.35"; 10_000].join(",");
    let long = format!("{many}, for=198.51.100.7");
    for (peer, lines, caller) in [
        (STRANGER, &["for=157.240.22.35"][..], Stranger),
        (PROXY, &["for=157.240.22.35"], Meta),
        (PROXY, &["For=157.240.22.35;proto=https;by=10.0.0.1"], Meta),
        (PROXY, &["proto=https;FOR=\"157.240.22.35:443\""], Meta),
        (PROXY, &["for=\"[2a03:2880:f0::1]\""], Meta),
        (
            PROXY,
            &["for=\"[2a03:2880:f0::1]:4711\";host=\"a,b;for=c\""],
            Meta,
        ),
        (PROXY, &["for=\"[::ffff:157.240.22.35]\""], Meta),
        (PROXY, &["for=198.51.100.7, for=157.240.22.35"], Meta),
        (PROXY, &["for=157.240.22.35, for=198.51.100.7"], Stranger),
        (
            PROXY,
            &["for=157.240.22.35", "for=198.51.100.7;by=10.0.0.1"],
            Stranger,
        ),
        (
            PROXY,
            &["for=157.240.22.35", "for=10.0.0.3, for=10.0.0.2"],
            Meta,
        ),
        (PROXY, &["for=10.0.0.3, for=10.0.0.2"], Stranger),
        // A quote that the client leaves open does not extend into the proxy's element.
        (PROXY, &["for=\"157.240.22.35, for=198.51.100.7"], Stranger),
        (
            PROXY,
            &["for=157.240.22.35;host=\"x, for=198.51.100.7;host=\"y\""],
            Stranger,
        ),
        (PROXY, &["host=\"", "for=157.240.22.35"], Meta),
        (
            PROXY,
            &["for=198.51.100.7;host=\"x, for=157.240.22.35\""],
            Stranger,
        ),
        (
            PROXY,
            &[r#"for=198.51.100.7;host="x\", for=157.240.22.35;x=\"""#],
            Unknown,
        ),
        (
            PROXY,
            &[r#"for=198.51.100.7;host="x\", for=157.240.22.35"#],
            Meta,
        ),
        (
            PROXY,
            &["for=157.240.22.35;host=\"\\\"\"", "for=10.0.0.2"],
            Unknown,
        ),
        (PROXY, &["for=198.51.100.7;for=157.240.22.35"], Unknown),
        (PROXY, &["for=157.240.22.35;For=157.240.22.35"], Unknown),
        (PROXY, &["for=unknown"], Unknown),
        (PROXY, &["for=157.240.22.35, for=\"_mdn\""], Unknown),
        (PROXY, &["for=\"157.240.22.35:_port\""], Unknown),
        (PROXY, &["for=157.240.22.35, by=10.0.0.1"], Unknown),
        (PROXY, &["for=157.240.22.35, "], Unknown),
        (PROXY, &["157.240.22.35"], Unknown),
        (PROXY, &["for = 157.240.22.35"], Unknown),
        (PROXY, &["for=\"157.240.22.35"], Unknown),
        (PROXY, &["for="], Unknown),
        (PROXY, &[], Unknown),
        (PROXY, &[&long], Stranger),
    ] {
        let headers = lines.iter().map(|line| ("forwarded", (*line).to_owned()));
        let row = Row {
            proxies: within(ForwardedHeader::forwarded()),
            peer: Some(peer),
            headers: headers.collect(),
            caller,
        };
        row.check().await;
    }
}

#[tokio::test]
async fn by_number() {
    use Is::{Meta, Stranger, Unknown};
    let long = vec![META; 10_000].join(",");
    for (count, peer, line, caller) in [
        (1, Some(STRANGER), META, Meta),
        (1, Some("::ffff:198.51.100.7"), META, Meta),
        (1, Some(META), STRANGER, Stranger),
        (1, Some(PROXY), "157.240.22.35, 198.51.100.7", Stranger),
        (1, Some(PROXY), "198.51.100.7, 157.240.22.35", Meta),
        (
            2,
            Some(PROXY),
            "198.51.100.7, 157.240.22.35, 10.0.0.2",
            Meta,
        ),
        (
            2,
            Some(PROXY),
            "157.240.22.35, 198.51.100.7, 10.0.0.2",
            Stranger,
        ),
        (2, Some(PROXY), "157.240.22.35, unknown", Meta),
        (2, Some(PROXY), "157.240.22.35,", Meta),
        (2, Some(PROXY), "unknown, 10.0.0.2", Unknown),
        (2, Some(PROXY), "157.240.22.35", Unknown),
        (2, Some(PROXY), ",10.0.0.2", Unknown),
        (3, Some(PROXY), "157.240.22.35, 10.0.0.2", Unknown),
        (1, Some(PROXY), "", Unknown),
        // A Unix socket, or a function.
        (1, None, META, Meta),
        (1, None, STRANGER, Stranger),
        (2, None, META, Unknown),
        (32, Some(PROXY), &long, Meta),
    ] {
        let row = Row {
            proxies: hops(count, ForwardedHeader::x_forwarded_for()),
            peer,
            headers: vec![("x-forwarded-for", line.to_owned())],
            caller,
        };
        row.check().await;
    }
    for (count, lines, caller) in [
        (1, &["for=198.51.100.7, for=157.240.22.35"][..], Meta),
        (2, &["for=157.240.22.35", "for=198.51.100.7"], Meta),
        (2, &["for=198.51.100.7, for=157.240.22.35"], Stranger),
        // The start of the second element is ambiguous.
        (2, &["for=157.240.22.35, for=a;b=\"\\\""], Unknown),
        (2, &["for=157.240.22.35", "for=a;b=\""], Unknown),
        (2, &["for=157.240.22.35"], Unknown),
    ] {
        let headers = lines.iter().map(|line| ("forwarded", (*line).to_owned()));
        let row = Row {
            proxies: hops(count, ForwardedHeader::forwarded()),
            peer: Some(PROXY),
            headers: headers.collect(),
            caller,
        };
        row.check().await;
    }
}

/// Only the configured header is read.
#[tokio::test]
async fn the_other_header() {
    let forwarded = |address| ("forwarded", format!("for={address}"));
    let x_forwarded_for = |address: &str| ("x-forwarded-for", address.to_owned());
    let real_ip = ("x-real-ip", META.to_owned());
    for (header, headers, caller) in [
        (
            ForwardedHeader::x_forwarded_for(),
            vec![forwarded(META)],
            Is::Unknown,
        ),
        (
            ForwardedHeader::forwarded(),
            vec![x_forwarded_for(META)],
            Is::Unknown,
        ),
        (
            ForwardedHeader::x_forwarded_for(),
            vec![real_ip],
            Is::Unknown,
        ),
        (
            ForwardedHeader::x_forwarded_for(),
            vec![forwarded(META), x_forwarded_for(STRANGER)],
            Is::Stranger,
        ),
        (
            ForwardedHeader::forwarded(),
            vec![forwarded(STRANGER), x_forwarded_for(META)],
            Is::Stranger,
        ),
        (
            ForwardedHeader::x_forwarded_for(),
            vec![forwarded(STRANGER), x_forwarded_for(META)],
            Is::Meta,
        ),
        (
            ForwardedHeader::forwarded(),
            vec![forwarded(META), x_forwarded_for(STRANGER)],
            Is::Meta,
        ),
    ] {
        for proxies in [within(header.clone()), hops(1, header)] {
            let row = Row {
                proxies,
                peer: Some(PROXY),
                headers: headers.clone(),
                caller,
            };
            row.check().await;
        }
    }
}

/// Header values need not be text.
#[tokio::test]
async fn bytes_that_are_no_text() {
    for (value, caller) in [
        (&b"157.240.22.35\xff"[..], Is::Unknown),
        (b"\xff\xfe,157.240.22.35", Is::Meta),
    ] {
        let (mut request, _) = from(Some(PROXY));
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().insert("x-forwarded-for", value);
        let answer = send(&layer(within(ForwardedHeader::x_forwarded_for())), request).await;
        assert_eq!(answer.is_ok(), matches!(caller, Is::Meta));
    }
}

/// The handshake is authenticated by its token, and must work before addresses are configured.
#[tokio::test]
async fn a_handshake_needs_no_address() {
    let request = http::Request::get(handshake(test_support::TOKEN, "1"))
        .body(Script::new([]))
        .unwrap();
    assert_eq!(send(&layer(None), request).await, Ok(()));
}

/// An allowed address does not replace the signature.
#[tokio::test]
async fn an_address_admits_nobody_alone() {
    let (mut request, _) = from(Some(META));
    request.headers_mut().remove("x-hub-signature-256");
    let answer = send(&layer(None), request).await;
    assert_eq!(answer, Err(RejectionKind::SignatureMissing));
}

/// A header that the proxy sets to a single address.
#[tokio::test]
async fn single_addresses() {
    let name = HeaderName::from_static("cf-connecting-ip");
    let header = ForwardedHeader::single_address(name);
    let count = hops(1, header.clone());
    let prefixes = within(header);
    for (proxies, peer, lines, caller) in [
        (&prefixes, Some(PROXY), &[META][..], Is::Meta),
        (&prefixes, Some(PROXY), &["2a03:2880:f0::1"], Is::Meta),
        (&prefixes, Some(PROXY), &[STRANGER], Is::Stranger),
        // A proxy behind another proxy.
        (&prefixes, Some(PROXY), &[PROXY], Is::Stranger),
        (&prefixes, Some(STRANGER), &[META], Is::Stranger),
        (&prefixes, Some(META), &[STRANGER], Is::Meta),
        (&prefixes, None, &[META], Is::Unknown),
        (&prefixes, Some(PROXY), &[], Is::Unknown),
        (&prefixes, Some(PROXY), &[""], Is::Unknown),
        (
            &prefixes,
            Some(PROXY),
            &["157.240.22.35, 157.240.22.35"],
            Is::Unknown,
        ),
        (
            &prefixes,
            Some(PROXY),
            &["198.51.100.7, 157.240.22.35"],
            Is::Unknown,
        ),
        (&prefixes, Some(PROXY), &[META, META], Is::Unknown),
        (&prefixes, Some(PROXY), &[META, ""], Is::Unknown),
        (&count, Some(STRANGER), &[META], Is::Meta),
        (&count, None, &[META], Is::Meta),
        (&count, None, &[STRANGER], Is::Stranger),
        (&count, None, &[], Is::Unknown),
        (&count, None, &[META, META], Is::Unknown),
        (&count, None, &["157.240.22.35, 157.240.22.35"], Is::Unknown),
    ] {
        let headers = lines
            .iter()
            .map(|line| ("cf-connecting-ip", (*line).to_owned()));
        let row = Row {
            proxies: proxies.clone(),
            peer,
            headers: headers.collect(),
            caller,
        };
        row.check().await;
    }
}

/// A proxy that also appends its own address counts once.
#[tokio::test]
async fn own_addresses() {
    let header = ForwardedHeader::x_forwarded_for().with_own_address();
    let (one, two) = (hops(1, header.clone()), hops(2, header.clone()));
    let prefixes = within(header);
    for (proxies, line, caller) in [
        (&one, "157.240.22.35, 203.0.113.1", Is::Meta),
        (&one, "198.51.100.7, 203.0.113.1", Is::Stranger),
        (
            &one,
            "157.240.22.35, 198.51.100.7, 203.0.113.1",
            Is::Stranger,
        ),
        (&one, "198.51.100.7, 157.240.22.35, unknown", Is::Meta),
        (&one, "157.240.22.35", Is::Unknown),
        (&one, "", Is::Unknown),
        (&two, "157.240.22.35, 192.0.2.1, 203.0.113.1", Is::Meta),
        (&two, "157.240.22.35, 203.0.113.1", Is::Unknown),
        (&prefixes, "157.240.22.35, 203.0.113.1", Is::Meta),
        (&prefixes, "157.240.22.35, 10.0.0.4, 203.0.113.1", Is::Meta),
        (
            &prefixes,
            "157.240.22.35, 198.51.100.7, 203.0.113.1",
            Is::Stranger,
        ),
        (&prefixes, "157.240.22.35", Is::Unknown),
    ] {
        let row = Row {
            proxies: proxies.clone(),
            peer: Some(PROXY),
            headers: vec![("x-forwarded-for", line.to_owned())],
            caller,
        };
        row.check().await;
    }
}

/// Proxy addresses change while requests are served.
#[tokio::test]
async fn proxies_are_replaced() {
    let proxies = IpAllowList::parse("10.0.0.0/16").unwrap();
    let trusted = TrustedProxies::from_list(proxies.clone(), ForwardedHeader::x_forwarded_for());
    let layer = layer(Some(trusted));
    let by = async |peer| {
        let (mut request, _) = from(Some(peer));
        let value = HeaderValue::from_static(META);
        request.headers_mut().insert("x-forwarded-for", value);
        send(&layer, request).await
    };
    let refused = Err(RejectionKind::AddressRefused);
    assert_eq!(
        (by("10.0.0.1").await, by("10.1.0.1").await),
        (Ok(()), refused)
    );
    proxies
        .replace("10.0.0.0/16\n10.1.0.0/16", Shrink::Refuse)
        .unwrap();
    assert_eq!(
        (by("10.0.0.1").await, by("10.1.0.1").await),
        (Ok(()), Ok(()))
    );
    proxies.replace("10.1.0.0/16", Shrink::Refuse).unwrap();
    assert_eq!(
        (by("10.0.0.1").await, by("10.1.0.1").await),
        (refused, Ok(()))
    );
}

#[test]
fn settings_of_proxies() {
    let header = ForwardedHeader::x_forwarded_for;
    let error = |prefixes: &[&str]| TrustedProxies::from_prefixes(prefixes, header()).unwrap_err();
    for (prefix, problem) in [
        ("0.0.0.0/0", PrefixProblem::TooWide),
        ("::/0", PrefixProblem::TooWide),
        ("10.0.0.1/8", PrefixProblem::HostBits),
        ("10.0.0.0/33", PrefixProblem::Length),
        ("proxy.internal", PrefixProblem::Malformed),
        ("", PrefixProblem::Malformed),
        (" 10.0.0.0/8", PrefixProblem::Malformed),
        ("# none", PrefixProblem::Malformed),
    ] {
        let error = error(&["10.0.0.0/8", prefix]);
        let ProxiesError::List(list) = &error else {
            panic!("{error}")
        };
        let [bad] = list.bad_prefixes().unwrap().first() else {
            panic!("{error}")
        };
        let found = (bad.line(), bad.text(), bad.problem());
        assert_eq!(found, (2, prefix, problem));
        let text = format!("`trusted_proxies`: address list: prefix 2, {prefix:?}: ");
        assert!(error.to_string().starts_with(&text), "{error}");
    }
    let ProxiesError::List(list) = error(&[]) else {
        panic!("no prefixes")
    };
    assert_eq!(list.kind(), ListErrorKind::Empty);
    let single = ForwardedHeader::single_address(HeaderName::from_static("x-real-ip"));
    for (count, header) in [
        (0, header()),
        (33, header()),
        (usize::MAX, header()),
        (0, single.clone()),
        (2, single),
    ] {
        let error = TrustedProxies::with_hop_count(count, header).unwrap_err();
        assert!(matches!(error, ProxiesError::HopCount), "{error}");
    }
    let shown = format!("{:?} {:?}", within(header()), hops(2, header()));
    assert!(
        shown.contains("prefixes: 3") && shown.contains("hop_count: 2"),
        "{shown}"
    );
}

/// A setting without effect is an error, because somebody relies on it.
#[test]
fn settings_without_effect() {
    let proxies = || within(ForwardedHeader::x_forwarded_for()).unwrap();
    let error = |builder: WebhookLayerBuilder| builder.build().unwrap_err();
    let unused = error(builder().trusted_proxies(proxies()));
    assert_eq!(unused, ConfigError::TrustedProxiesUnused);
    // The second would replace the first, but the user relies on both.
    let lists = error(builder().ip_allow_list(list()).ip_allow_list(list()));
    assert_eq!(lists, ConfigError::IpAllowListConflict);
    assert!(lists.to_string().starts_with("`ip_allow_list`: "));
    let twice = builder().ip_allow_list(list());
    let twice = twice
        .trusted_proxies(proxies())
        .trusted_proxies(hops(1, ForwardedHeader::x_forwarded_for()).unwrap());
    let conflict = error(twice);
    assert_eq!(conflict, ConfigError::TrustedProxiesConflict);
    assert!(conflict.to_string().starts_with("`trusted_proxies`: "));
    let any = || builder().admission_policy(AdmissionPolicy::Any);
    assert_eq!(error(any()), ConfigError::AdmissionPolicyUnused);
    let one_rule = error(any().ip_allow_list(list()));
    assert_eq!(one_rule, ConfigError::AdmissionPolicyUnused);
    for good in [
        builder().ip_allow_list(list()).trusted_proxies(proxies()),
        builder()
            .ip_allow_list(list())
            .admission_policy(AdmissionPolicy::All),
        builder().admission_policy(AdmissionPolicy::All),
    ] {
        assert!(good.build().is_ok());
    }
}
