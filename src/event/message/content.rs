//! What a message says, by its type.
//!
//! Source: the pages of each type under `webhooks/reference/messages`.

use super::{
    card::Card, context::Context, interactive::Interactive, media::Media, order::Order,
    system::System, unsupported::Unsupported,
};
use crate::event::schema::{Coordinate, Lazy, List, PersonalId, UserText, object, tagged_union};

tagged_union! {
    /// The content of a message, by its `type`.
    pub enum Content<'a> {
        /// Text.
        Text(TextBody<'a>) = "text",
        /// Image.
        Image(Media<'a>) = "image",
        /// Voice message or other audio file.
        Audio(Media<'a>) = "audio" | "voice",
        /// Video.
        Video(Media<'a>) = "video",
        /// Document.
        Document(Media<'a>) = "document",
        /// Sticker.
        Sticker(Media<'a>) = "sticker",
        /// Location.
        Location(Location<'a>) = "location",
        /// Contact cards. Not to be confused with the contacts *of* a delivery, which describe the
        /// people behind its events.
        Contacts(List<'a, Card<'a>>) = "contacts",
        /// Press of a template's quick reply button.
        Button(Button<'a>) = "button",
        /// Reply to an interactive message.
        Interactive(Interactive<'a>) = "interactive",
        /// Order from a catalog.
        Order(Order<'a>) = "order",
        /// Reaction to a message, or the removal of one.
        Reaction(Reaction<'a>) = "reaction",
        /// Change of the person: another phone number or user id.
        System(System<'a>) = "system",
        /// First opening of the chat. Removed by Meta in March 2026.
        RequestWelcome = "request_welcome",
        /// Message that Meta does not pass on. [`Message::errors`](crate::event::Message::errors)
        /// has the reason.
        Unsupported(Unsupported<'a>) = "unsupported" | "unknown",
        /// Edit of an earlier message.
        Edit(Edit<'a>) = "edit",
        /// Deletion of an earlier message for everyone.
        Revoke(Revoke<'a>) = "revoke",
        /// Media file that is left out of a chat history.
        MediaPlaceholder = "media_placeholder",
        /// Old mark of a disappearing message.
        Ephemeral = "ephemeral",
    }
}

impl<'a> Content<'a> {
    /// Returns what the person wrote or chose, for any type of message.
    ///
    /// The text, the caption, the label of the button, the title of the list row, the text sent
    /// with an order or a product, the emoji of the reaction, or the new text of an edited
    /// message. For a completed flow it is Meta's constant text `Sent`: the answers are in
    /// [`FlowReply::response_json`](crate::event::FlowReply::response_json).
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => text.body,
            Self::Button(button) => button.text,
            Self::Interactive(Interactive::ButtonReply(reply)) => reply.title,
            Self::Interactive(Interactive::ListReply(reply)) => reply.title,
            Self::Interactive(Interactive::FlowReply(reply)) => reply.body,
            Self::Interactive(Interactive::Product(product)) => product.text,
            Self::Order(order) => order.text,
            Self::Reaction(reaction) => reaction.emoji,
            Self::Edit(edit) => edit.message()?.content.text(),
            other => other.media()?.caption,
        }
    }

    /// Returns the media file of an image, audio, video, document or sticker message.
    #[must_use]
    pub fn media(&self) -> Option<Media<'a>> {
        match self {
            Self::Image(media)
            | Self::Audio(media)
            | Self::Video(media)
            | Self::Document(media)
            | Self::Sticker(media) => Some(*media),
            _ => None,
        }
    }
}

object! {
    /// The body of `text` messages.
    pub struct TextBody<'a> {
        /// Text, up to 4096 characters (`body`). May contain U+0000, which some databases reject.
        pub body: Option<&'a str> = UserText["body"],
    }
}

object! {
    /// A location: the body of `location` messages.
    pub struct Location<'a> {
        /// Latitude, degrees (`latitude`).
        pub latitude: Option<f64> = Coordinate["latitude"],
        /// Longitude, degrees (`longitude`).
        pub longitude: Option<f64> = Coordinate["longitude"],
        /// Name of the place (`name`).
        pub name: Option<&'a str> = UserText["name"],
        /// Address of the place (`address`).
        pub address: Option<&'a str> = UserText["address"],
        /// Web site of the place (`url`).
        pub url: Option<&'a str> = UserText["url"],
    }
}

object! {
    /// The press of a template's quick reply button: the body of `button` messages.
    pub struct Button<'a> {
        /// Label of the button (`text`).
        pub text: Option<&'a str> = UserText["text"],
        /// Developer-defined payload of the button (`payload`).
        pub payload: Option<&'a str> = UserText["payload"],
    }
}

object! {
    /// A reaction to a message: the body of `reaction` messages.
    pub struct Reaction<'a> {
        /// Id of the message that the user reacted to (`message_id`).
        pub message_id: Option<&'a str> = PersonalId["message_id"],
        /// Emoji (`emoji`). Absent if the reaction was removed; treat an empty text alike.
        pub emoji: Option<&'a str> = UserText["emoji"],
    }
}

object! {
    /// An edit of a message within 15 minutes: the body of `edit` messages.
    pub struct Edit<'a> {
        /// Id of the edited message (`original_message_id`).
        pub original_message_id: Option<&'a str> = PersonalId["original_message_id"],
        message: Lazy<'a, EditedMessage<'a>> = Lazy<'a, EditedMessage<'a>>["message"],
    }
}

impl<'a> Edit<'a> {
    /// Returns the new version of the message (`message`).
    #[must_use]
    pub fn message(&self) -> Option<EditedMessage<'a>> {
        self.message.get()
    }
}

object! {
    /// The new version of an edited message.
    pub struct EditedMessage<'a> {
        /// Message that it replies to (`context`).
        pub context: Option<Context<'a>> = Context<'a>["context"],
    }
    tagged {
        /// Type as it was sent (`type`).
        pub kind,
        /// Content, by the type.
        pub content: Content<'a>,
        /// Whether the body of the type was read: see
        /// [`Message::has_body`](crate::event::Message::has_body).
        pub has_body,
    }
}

object! {
    /// The deletion of a message for everyone, within 2 days: the body of `revoke` messages.
    pub struct Revoke<'a> {
        /// Id of the deleted message (`original_message_id`).
        pub original_message_id: Option<&'a str> = PersonalId["original_message_id"],
    }
}
