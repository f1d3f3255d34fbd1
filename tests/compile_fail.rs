//! What does not compile, and what the compiler says of it.

/// A job whose handler returns success without a commit would be tried again for ever, so there is no way to
/// write such a handler.
#[test]
fn a_handler_that_forgets_to_commit_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}
