//! Replaces a list while requests arrive.

use test_support::builder;
use tower_whatsapp::{
    RejectionKind,
    admission::{IpAllowList, Reload, Shrink},
};

use crate::ask::{from, send};

/// 5,000 prefixes. The first and the last admit the same two callers in every list; those in
/// between differ.
fn text(between: u8) -> String {
    let between = (0..4998_u32).map(|number| {
        let [.., high, low] = (number * 2).to_be_bytes();
        format!("{between}.{high}.{low}.0/24\n")
    });
    let between: String = between.collect();
    format!("10.0.0.0/24\n{between}200.0.0.0/24\n")
}

/// Callers that would be rejected by an empty or half-filled list, or admitted by a mixture of two.
#[tokio::test(flavor = "multi_thread", worker_threads = 5)]
async fn no_request_sees_half_a_list() {
    const SWAPS: u64 = 100;
    let texts = [text(20), text(30)];
    let list = IpAllowList::parse(&texts[0]).unwrap();
    assert_eq!(list.status().prefixes, 5000);
    let layer = builder().ip_allow_list(list.clone()).build().unwrap();
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (layer, list) = (layer.clone(), list.clone());
            tokio::spawn(async move {
                let refused = Err(RejectionKind::AddressRefused);
                let mut rounds = 0;
                while list.status().generation < SWAPS {
                    for (peer, expected) in [
                        ("10.0.0.7", Ok(())),
                        ("200.0.0.7", Ok(())),
                        ("11.0.0.7", refused),
                        ("20.0.1.7", refused),
                        ("30.0.1.7", refused),
                    ] {
                        let (request, _) = from(Some(peer));
                        assert_eq!(send(&layer, request).await, expected, "{peer}");
                    }
                    rounds += 1;
                    tokio::task::yield_now().await;
                }
                rounds
            })
        })
        .collect();
    let replaced = tokio::task::spawn_blocking({
        let list = list.clone();
        move || {
            for swap in 1..SWAPS {
                let [even, odd] = &texts;
                let text = if swap % 2 == 0 { even } else { odd };
                let outcome = list.replace(text, Shrink::Allow);
                assert_eq!(outcome.unwrap(), Reload::Replaced);
                // In between, invalid updates change nothing.
                list.replace("10.0.0.0/8\n200.0.0.0/0", Shrink::Allow)
                    .unwrap_err();
            }
        }
    });
    replaced.await.unwrap();
    for sender in senders {
        assert!(sender.await.unwrap() > 0);
    }
}
