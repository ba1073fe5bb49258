//! Notifications and their events: what is parsed, what a getter returns, keys, and queues.
#![cfg(test)]

mod accessors;
mod contact_lookup;
#[cfg(feature = "testing")]
mod debug;
mod element_context;
mod getters;
mod json_key_order;
mod key_parts;
mod keys;
mod mutated_deliveries;
mod numbers;
mod payloads;
#[cfg(feature = "testing")]
mod queue;
#[cfg(all(feature = "serde", feature = "testing"))]
mod reachable_scalars;
mod real_notifications;
#[cfg(all(feature = "serde", feature = "testing"))]
mod serialize;
mod type_sizes;
mod typed_view;
