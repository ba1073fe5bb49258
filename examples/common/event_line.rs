use std::fmt;

use tower_whatsapp::{
    Event, Payload,
    event::{Content, Error, Interactive, Message, Status},
};

/// Formats an event as one line of text. Control characters and line breaks in it are escaped.
///
/// It shows message texts and phone numbers, because that helps when you try a webhook. Keep both
/// out of the logs of a real service; `Debug` of an event omits them.
pub(crate) struct EventLine<'a>(pub(crate) &'a Event);

impl fmt::Display for EventLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(event) = self;
        match event.payload() {
            Payload::Message(message) => {
                show_message(&message, f)?;
                if message.content == Content::Unknown {
                    write!(f, " unknown type, {}", RawSize(event))?;
                }
                Ok(())
            }
            Payload::Status(status) => show_status(&status, f),
            Payload::Error(error) => show_error(&error, f),
            Payload::Unknown(unknown) => {
                f.write_str("unknown ")?;
                match unknown.list {
                    Some(list) => write!(f, "{}", Word(Some(list)))?,
                    None => f.write_str(unknown.reason.as_str())?,
                }
                write!(f, " {}, {}", Word(unknown.id), RawSize(event))
            }
            // `Payload` is non-exhaustive: a later version may add kinds of events.
            other => write!(
                f,
                "{} {}, {}",
                other.name(),
                Word(event.id()),
                RawSize(event)
            ),
        }
    }
}

fn show_message(message: &Message<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sender = message.sender.phone.or(message.sender.user_id());
    write!(
        f,
        "message {} {} from {}",
        Word(message.id),
        Word(message.kind),
        Word(sender)
    )?;
    // `Debug` quotes the text and escapes line breaks and terminal control sequences.
    match text(message.content) {
        Some(text) => write!(f, " {text:?}"),
        None => Ok(()),
    }
}

fn show_status(status: &Status<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let recipient = status.recipient.id.or(status.recipient.user_id);
    write!(
        f,
        "status {} {} to {}",
        Word(status.id),
        Word(status.state.map(|state| state.as_str())),
        Word(recipient)
    )?;
    for error in status.errors {
        f.write_str(", ")?;
        show_error(&error, f)?;
    }
    Ok(())
}

fn show_error(error: &Error<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("error ")?;
    match error.code {
        Some(code) => write!(f, "{code}")?,
        None => f.write_str("-")?,
    }
    match error.title.or(error.message) {
        Some(title) => write!(f, " {title:?}"),
        None => Ok(()),
    }
}

/// Text that the sender wrote or chose.
fn text(content: Content<'_>) -> Option<&str> {
    match content {
        Content::Text(text) => text.body,
        Content::Image(media) | Content::Video(media) | Content::Document(media) => media.caption,
        Content::Button(button) => button.text,
        Content::Interactive(Interactive::ButtonReply(reply)) => reply.title,
        Content::Interactive(Interactive::ListReply(reply)) => reply.title,
        Content::Reaction(reaction) => reaction.emoji,
        _ => None,
    }
}

/// Field and size of an event that has no type in this version.
struct RawSize<'a>(&'a Event);

impl fmt::Display for RawSize<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(event) = self;
        write!(
            f,
            "field {}, {} bytes",
            Word(event.field()),
            event.raw().len()
        )
    }
}

/// An id or a name, printed as is if it is one printable ASCII word, else quoted and escaped.
struct Word<'a>(Option<&'a str>);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
        match self.0 {
            None => f.write_str("-"),
            Some(word) if !word.is_empty() && word.bytes().all(plain) => f.write_str(word),
            Some(word) => write!(f, "{word:?}"),
        }
    }
}
