//! A JSON text that is known to be valid, and a cursor that walks over it.
//!
//! Once the grammar has been checked nothing can be wrong any more but the *shapes*. So the cursor has no errors, tells where every value
//! begins and ends (which serde's data model cannot), and skips what it is not asked for. It never fails and never panics, whatever it is
//! pointed at.

mod cursor;
mod document;
mod error;
mod incremental;
mod scan;
#[cfg(feature = "serde")]
mod serialize;
mod span;
#[cfg(test)]
mod test_values;
mod unescape;
mod validate;

pub use self::error::ParseError;
#[cfg(feature = "serde")]
pub(crate) use self::serialize::serialize;
pub(crate) use self::{
    cursor::{Cursor, Mark},
    document::Document,
    incremental::IncrementalValidator,
    scan::saturating_u32,
    span::Span,
    validate::MAX_DEPTH,
};
