//! A conformance suite for implementations of [`Store`].

#![expect(clippy::panic, reason = "a failed check panics")]

mod batches;
mod harness;
mod races;
mod states;
mod times;

use std::{thread, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use self::harness::{Harness, join_all};
use crate::dedup::Store;

/// Checks a store against the rules of [`Store`]. Call it in a test of your own store.
///
/// It covers rules 1 to 5 and 8: races of claims with each other and with renewals, commits and
/// releases; expired leases, takeover and fencing; renewals, commits and releases in every state,
/// under the holder's and other tokens; windows; repeated calls; batches of none and of a thousand
/// keys. Rules 6 and 7 cannot be checked from the outside.
///
/// It uses its own random keys, so it can run repeatedly against a server that others use. All 16
/// bytes of a key are random. One check uses keys that differ in a single byte, at each position,
/// with NUL, 0xFF and other values that a text column may not keep. About 12,000 keys are left
/// behind. They expire within two minutes, except three that take up to a week.
///
/// It takes about 5 seconds. On a slow machine it takes up to 45 seconds longer. It fails with "too
/// slow to tell" if two calls then still take more than 7 seconds. A store may round leases and
/// windows up by less than a second. Paused time works for a store that uses [`tokio::time`], but
/// not for one with its own clock.
///
/// # Long times
///
/// With a paused clock it checks that leases and windows of up to 60 days last and expire. In real
/// time it waits for two seconds at most. It then finds overflows, such as seconds in 16 bits or
/// microseconds in 32, but no upper limit above two seconds: **a store that forgets after a minute
/// or an hour passes.** Test the longest window of your layer with a clock that you can advance.
///
/// It spawns tasks. On a multi-threaded runtime the races run on several threads.
///
/// ```sh
/// cargo add --dev tower-whatsapp --features testing
/// cargo add --dev tokio --features macros,rt,test-util   # `test-util` for `start_paused`
/// ```
///
/// ```
/// use tower_whatsapp::{dedup::MemoryStore, testing::store::conformance};
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() {
///     conformance(MemoryStore::new()).await;
/// }
/// ```
///
/// # Panics
///
/// If the store breaks a rule, with the number of the rule and the observation; if it returns an
/// error, or nothing within a minute; and outside of a Tokio runtime with its time driver enabled.
pub async fn conformance<S: Store>(store: S) {
    let harness = Harness::new(store);
    let mut checks = JoinSet::new();
    checks.spawn(states::keys_that_differ_in_one_byte(harness.clone()));
    checks.spawn(states::state_transitions(harness.clone()));
    checks.spawn(states::calls_by_others(harness.clone()));
    checks.spawn(states::repeated_calls(harness.clone()));
    checks.spawn(states::done_is_final(harness.clone()));
    checks.spawn(times::leases_do_not_expire_early(harness.clone()));
    checks.spawn(times::leases_expire(harness.clone()));
    checks.spawn(times::lease_takeover(harness.clone()));
    checks.spawn(times::renewals(harness.clone()));
    checks.spawn(times::renewals_replace_the_lease(harness.clone()));
    checks.spawn(times::late_renewals(harness.clone()));
    checks.spawn(times::late_commits(harness.clone()));
    checks.spawn(times::windows_do_not_expire_early(harness.clone()));
    checks.spawn(times::windows_expire(harness.clone()));
    checks.spawn(batches::empty_batches(harness.clone()));
    checks.spawn(batches::large_batches(harness.clone()));
    checks.spawn(races::race_for_absent(harness.clone()));
    checks.spawn(races::race_for_expired(harness.clone()));
    checks.spawn(races::race_with_renewal(harness.clone()));
    checks.spawn(races::race_with_commit(harness.clone()));
    checks.spawn(races::race_with_release(harness.clone()));
    checks.spawn(races::race_of_claims_and_late_commits(harness.clone()));
    checks.spawn(races::race_of_fenced_commits_and_release(harness.clone()));
    checks.spawn(races::race_of_claims_and_releases(harness.clone()));
    checks.spawn(times::long_times_do_not_overflow(harness.clone()));
    join_all(checks).await;
    // Runs alone: it advances the clock beyond all leases and windows of the other checks.
    if is_paused() {
        times::long_times_expire(harness).await;
    }
}

/// Returns whether Tokio's clock is paused: real time passes, but its time does not.
fn is_paused() -> bool {
    let before = Instant::now();
    thread::sleep(Duration::from_millis(2));
    Instant::now() == before
}
