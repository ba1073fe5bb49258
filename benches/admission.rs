//! What it costs to look an address up, and to find it in a header: `cargo bench --bench admission --features admission`.
//!
//! Half of the addresses are in a prefix, half in none. Beside it the same with a search of all prefixes. The second table is a whole request
//! of a stranger who has written so many elements into the header, and gets 403. Instructions are counted by valgrind's callgrind, so they do
//! not depend on what else the machine does; a search stops at the first prefix that matches.

mod support;

use std::{
    convert::Infallible,
    env,
    error::Error,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::Empty;
use ipnet::IpNet;
use tower::{Layer, Service, service_fn};
use tower_whatsapp::{
    Rejection, RejectionKind, WebhookLayer,
    admission::{CallerHeader, IpAllowList, PeerAddr, TrustedProxies},
    webhook::RequestBody,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.get(1..).unwrap_or_default() {
        ["work", "header", name, elements, rounds] => {
            return requests(name, elements.parse()?, rounds.parse()?);
        }
        ["work", how, family, prefixes, rounds] => {
            return lookups(how, family, prefixes.parse()?, rounds.parse()?);
        }
        _ => {}
    }
    println!(
        "{:>9} {:>6} {:>14} {:>14}",
        "prefixes", "family", "list", "search of all"
    );
    for prefixes in ["10", "100", "5000"] {
        for family in ["4", "6"] {
            let count = |how, rounds| support::per_round(&[how, family, prefixes], rounds);
            let (list, all) = (count("list", [1000, 101_000])?, count("all", [100, 1100])?);
            println!("{prefixes:>9} {family:>6} {list:>14} {all:>14}");
        }
    }
    println!("\n{:>9} {:>16} {:>14}", "elements", "header", "request");
    for elements in ["1", "10", "10000"] {
        for name in ["x-forwarded-for", "forwarded"] {
            let count = support::per_round(&["header", name, elements], [100, 10_100])?;
            println!("{elements:>9} {name:>16} {count:>14}");
        }
    }
    Ok(())
}

fn requests(name: &str, elements: usize, rounds: u32) -> Result<(), Box<dyn Error>> {
    let (header, element) = match name {
        "forwarded" => (CallerHeader::Forwarded, "for=198.51.100.7"),
        _ => (CallerHeader::XForwardedFor, "198.51.100.7"),
    };
    let layer = WebhookLayer::builder()
        .any_path()
        .app_secret("secret")
        .verify_token("token")
        .ip_allow_list(IpAllowList::from_prefixes(["157.240.0.0/16"])?)
        .trusted_proxies(TrustedProxies::within(["10.0.0.0/8"], header)?)
        .build()?;
    let mut service = layer.layer(service_fn(async |_: Request<RequestBody<Empty<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::try_from(name)?,
        vec![element; elements].join(", ").parse()?,
    );
    for _ in 0..rounds {
        let mut request = Request::post("/").body(Empty::new())?;
        *request.headers_mut() = headers.clone();
        let peer = SocketAddr::from(([10, 0, 0, 1], 1));
        request.extensions_mut().insert(PeerAddr(peer));
        let answer = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(answer)) = black_box(answer) else {
            return Err("the answer was waited for".into());
        };
        let rejection = answer.extensions().get().map(Rejection::kind);
        assert_eq!(rejection, Some(RejectionKind::AddressRefused));
    }
    Ok(())
}

fn lookups(how: &str, family: &str, prefixes: u32, rounds: u32) -> Result<(), Box<dyn Error>> {
    let nets: Vec<_> = (0..prefixes).map(|number| net(family, number)).collect();
    let list = IpAllowList::from_prefixes(nets.iter().map(ToString::to_string))?;
    for round in 0..rounds {
        // Jumps about, over twice as many as there are.
        let number = round.wrapping_mul(2_654_435_761) % (2 * prefixes);
        let address = black_box(address(family, number));
        black_box(match how {
            "list" => list.contains(address),
            _ => nets.iter().any(|net| net.contains(&address)),
        });
    }
    Ok(())
}

/// Every other block of 256 addresses, or of 2 to the power of 80.
fn net(family: &str, number: u32) -> IpNet {
    let length = if family == "4" { 24 } else { 48 };
    IpNet::new_assert(address(family, 2 * number), length).trunc()
}

/// One in each block.
fn address(family: &str, number: u32) -> IpAddr {
    match family {
        "4" => Ipv4Addr::from_bits(0x2000_0001 + (number << 8)).into(),
        _ => Ipv6Addr::from_bits((0x2a03_u128 << 112) + (u128::from(number) << 80) + 1).into(),
    }
}
