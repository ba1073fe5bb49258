//! The layers of `tower-whatsapp` under real hosts and beside the middleware that hosts use.
//!
//! A package of its own, so that nobody else has to compile all of these frameworks.

/// Every snippet of the chapter compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/hosts.md")]
struct Chapter;

#[cfg(doctest)]
mod messages;

/// Runs the examples of the README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
