//! Messages that Meta does not pass on.
//!
//! Source: Meta's page `webhooks/reference/messages/unsupported`.

use crate::event::schema::{object, string_enum};

object! {
    /// The type of a message that Meta does not pass on: the body of `unsupported` messages.
    pub struct Unsupported<'a> {
        /// Type of the message (`type`).
        pub kind: Option<UnsupportedKind<'a>> = UnsupportedKind<'a>["type"],
    }
}

string_enum! {
    /// Types of messages that Meta does not pass on, from Meta's documentation of October 2026.
    /// Meta adds more over time.
    pub enum UnsupportedKind<'a> {
        /// Press of a button.
        Button = "button",
        /// Edit of a message.
        Edit = "edit",
        /// Message that could not be processed.
        Errors = "errors",
        /// GIF.
        Gif = "gif",
        /// Invitation to a group.
        GroupInvite = "group_invite",
        /// Template message.
        Hsm = "hsm",
        /// Image.
        Image = "image",
        /// Interactive message.
        Interactive = "interactive",
        /// Mark that a disappearing message is kept.
        KeepInChat = "keep_in_chat",
        /// Preview of a link.
        LinkPreview = "link_preview",
        /// List message.
        List = "list",
        /// Location.
        Location = "location",
        /// Placeholder of a media file.
        MediaPlaceholder = "media_placeholder",
        /// Order.
        Order = "order",
        /// Pin of a message.
        Pin = "pin",
        /// Poll, in payloads before October 2026.
        Poll = "poll",
        /// New poll.
        PollCreation = "poll_creation",
        /// Vote in a poll.
        PollUpdate = "poll_update",
        /// Product.
        Product = "product",
        /// Reaction.
        Reaction = "reaction",
    }
}
