//! Compiler messages of this crate. To update them: `TRYBUILD=overwrite cargo test -p ui-tests`.
//! They depend on the compiler version.

#[test]
fn own_compiler_messages() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
