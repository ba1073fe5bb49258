//! Tests of the layer under smol, without the feature `tokio`.
//!
//! A separate package, because Cargo unifies features within one build: build it alone.
