//! Tests of the layers under real hosts and beside common middleware.
//!
//! A separate package, so that other tests need not compile all of these frameworks.

/// Compiles every snippet of `docs/hosts.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/hosts.md")]
struct Chapter;

#[cfg(doctest)]
mod messages;

/// Runs the examples of the README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
