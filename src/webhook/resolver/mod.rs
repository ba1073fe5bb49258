//! Resolves apps by name, with a bounded cache that unauthenticated senders can neither fill nor
//! use to flood the backing store.

mod app_resolver;
mod builder;
mod cache;
mod counters;
mod entry;
mod rate_limit;

pub(super) use self::app_resolver::is_name;
pub use self::{
    app_resolver::{AppResolver, ResolveError},
    builder::CachedResolverBuilder,
    cache::CachedResolver,
    counters::ResolverCounters,
};
