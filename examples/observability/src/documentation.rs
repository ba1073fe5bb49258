//! Compiles the example of the documentation.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/observability.md")]
struct Observability;
