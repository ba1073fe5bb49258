//! Receives the body of a request that is not verified yet: within a size limit, two time limits
//! and a memory budget, and hashed as it arrives.

mod budget;
mod buffer;
mod deadline;
mod error;
mod future;
mod incomplete;
mod limits;

pub(crate) use self::{
    budget::{Budget, Reservation},
    error::ReceiveError,
    future::{Receive, Received},
    limits::{Limits, MAX_BODY_LIMIT},
};
