use std::fmt;

use super::{error::Error, message::Message, status::Status};

/// What an [`Event`](super::Event) is.
///
/// More kinds come with every version of this crate: have a `_` arm, and let it do what is right for events that you do not know.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// A message that the business received.
    Message(Message<'a>),
    /// What became of a message that the business sent.
    Status(Status<'a>),
    /// An error of a phone number or of the whole app.
    Error(Error<'a>),
    /// Anything else. [`Event::raw`](super::Event::raw) has it.
    Unknown(Unknown<'a>),
}

impl Payload<'_> {
    /// The kind in snake case (`message`, `status`, `error`, `unknown`), for logs, metrics and routing. Does not change between
    /// versions.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Status(_) => "status",
            Self::Error(_) => "error",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// An element that has no type here.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Unknown<'a> {
    /// Why.
    pub reason: Reason,
    /// The list that it is an element of (`messages`, say), if it is one.
    pub list: Option<&'a str>,
    /// Its `id`, if it is an object that has one.
    pub id: Option<&'a str>,
}

impl fmt::Debug for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unknown")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Why an element has no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// This version does not know the field. The raw JSON is the `value`, or one element of its `messages` or `statuses`.
    Field,
    /// This version does not know the list.
    List,
    /// The `object` of the delivery is not `whatsapp_business_account`.
    Object,
    /// The shape is none that an element, change, entry or body has; or there is nothing in it.
    Shape,
    /// The delivery has more than 32,768 events. The raw text is what is left of the list: elements with commas between them, and no
    /// brackets around them; of the whole body, if many lists are left.
    Overflow,
}
