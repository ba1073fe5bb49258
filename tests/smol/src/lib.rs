//! The layer of `tower-whatsapp` under smol, without the feature `tokio`.
//!
//! A package of its own, because features of one build are added up: build it alone.
