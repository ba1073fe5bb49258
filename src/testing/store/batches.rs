//! Rule 8: batches of any size, and the order of results.

use super::harness::{Harness, LONG};
use crate::{
    dedup::{Claim, Commit, Renewal, Store, Token},
    event::EventKey,
};

/// Calls without keys return no results.
pub(super) async fn empty_batches<S: Store>(harness: Harness<S>) {
    let token = Token::random();
    assert!(harness.claim(&[], token, LONG).await.is_empty());
    assert!(harness.renew(&[], token, LONG).await.is_empty());
    assert!(harness.commit(&[], token).await.is_empty());
    harness.release(&[], token).await;
}

/// Rule 8: results are in the order of the keys, in a batch as large as Meta's largest delivery.
///
/// Of every three keys, the first is done, the second pending under another token, and the third
/// absent.
pub(super) async fn large_batches<S: Store>(harness: Harness<S>) {
    const KEYS: usize = 1000;
    let (mine, other) = (Token::random(), Token::random());
    let keys = harness.keys(KEYS);
    let every_third = |first| keys.iter().copied().skip(first).step_by(3);
    let windows: Vec<_> = every_third(0).map(|key| (key, LONG)).collect();
    harness.commit(&windows, other).await;
    let pending: Vec<_> = every_third(1).collect();
    harness.claim(&pending, other, LONG).await;

    // Not in ascending order, so that a store that sorts its results is detected.
    let mixed = interleaved(&keys);
    let remainder = |key: &EventKey| {
        keys.iter()
            .position(|other| other == key)
            .map(|index| index % 3)
    };
    let claims = harness.claim(&mixed, mine, LONG).await;
    let expected = mixed.iter().map(|key| match remainder(key) {
        Some(0) => Claim::Done,
        Some(1) => Claim::Pending,
        _ => Claim::Claimed,
    });
    assert_in_order("claims", &claims, expected);

    let again = interleaved(&mixed);
    let renewals = harness.renew(&again, mine, LONG).await;
    let expected = again.iter().map(|key| match remainder(key) {
        Some(0 | 1) => Renewal::Lost,
        _ => Renewal::Renewed,
    });
    assert_in_order("renewals", &renewals, expected);

    let windows: Vec<_> = again.iter().map(|key| (*key, LONG)).collect();
    let commits = harness.commit(&windows, mine).await;
    let expected = again.iter().map(|key| match remainder(key) {
        Some(1) => Commit::Fenced,
        _ => Commit::Recorded,
    });
    assert_in_order("commits", &commits, expected);

    harness.release(&mixed, other).await;
    let claims = harness.claim(&keys, mine, LONG).await;
    let expected = (0..KEYS).map(|index| match index % 3 {
        1 => Claim::Claimed,
        _ => Claim::Done,
    });
    assert!(
        claims.into_iter().eq(expected),
        "rule 2: a release of 1000 keys frees those that were pending, and no others"
    );
}

fn assert_in_order<T: PartialEq + Copy>(
    what: &str,
    results: &[T],
    expected: impl Iterator<Item = T>,
) {
    assert!(
        results.iter().copied().eq(expected),
        "rule 8: the {what} of 1000 keys are wrong, or not in the order of the keys"
    );
}

/// Returns the same keys in another order: every seventh, starting with the last.
fn interleaved(keys: &[EventKey]) -> Vec<EventKey> {
    let start = |rest| keys.iter().rev().copied().skip(rest).step_by(7);
    (0..7).flat_map(start).collect()
}
