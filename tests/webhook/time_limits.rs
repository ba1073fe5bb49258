//! The limit that the tests put on what they wait for.

use std::future::{pending, ready};

use test_support::within;

#[tokio::test(start_paused = true)]
async fn what_is_done_in_time_is_returned() {
    assert_eq!(within("a number", ready(7)).await, 7);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_wait_in_vain_names_the_test waits in vain for a reply")]
async fn a_wait_in_vain_names_the_test() {
    within("a reply", pending::<()>()).await;
}
