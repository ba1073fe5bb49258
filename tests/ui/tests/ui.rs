//! The messages that are ours. To take over new ones: `TRYBUILD=overwrite cargo test -p ui-tests`.
//! They are of one compiler, so another one is not asked.

#[test]
fn messages_of_ours() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
