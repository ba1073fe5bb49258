use tower_whatsapp::testing::store::conformance;

use super::{old_recipe::OldRecipe, server::Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_conforms() {
    let server = Server::start().await;
    conformance(server.store().await).await;
}

/// The suite must detect a known broken store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_detects_the_old_recipe() {
    let server = Server::start().await;
    let store = OldRecipe::new(server.pool().await);
    let panic = tokio::spawn(conformance(store))
        .await
        .expect_err("the old recipe was not caught")
        .into_panic();
    let message = panic.downcast_ref::<String>().expect("a text");
    println!("{message}");
    // Which of the faults shows first depends on timing.
    let is_expected = message.contains("never committed")
        || message.contains("deadlock detected")
        || message.contains("rule 2");
    assert!(is_expected, "{message}");
}
