//! JSON: a validator that works in steps, and a cursor over a validated document.
//!
//! [`IncrementalValidator`] checks a body and becomes a [`Document`]. A [`Cursor`] then reads the
//! document in place. Only the shape of a value can still be unexpected, so the cursor has no
//! errors: it skips such a value. It reports where each value starts and ends, which serde's data
//! model cannot. It never fails and never panics, wherever it points.
//!
//! Nothing here knows about WhatsApp, nor about the rest of `event`.

mod cursor;
mod document;
mod error;
mod incremental;
mod progress;
mod scan;
#[cfg(feature = "serde")]
mod serialize;
mod span;
mod special;
#[cfg(test)]
mod test_values;
mod unescape;
mod validate;

pub use self::error::ParseError;
#[cfg(feature = "serde")]
pub(crate) use self::serialize::serialize;
pub(crate) use self::{
    cursor::{Cursor, Mark, ValueStart},
    document::Document,
    incremental::IncrementalValidator,
    progress::MAX_DEPTH,
    scan::{saturating_u32, valid_str},
    span::Span,
};
