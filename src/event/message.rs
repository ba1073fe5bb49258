use std::fmt;

use super::{
    contact::Contact,
    error::Error,
    handover::ConversationContext,
    json::Cursor,
    schema::{
        Decode, Degrees, Id, Lazy, List, Person, Text, Timestamp, UnreadPaths, names, object,
        tagged,
    },
};

/// A message that the business received: an element of `messages`.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// Its id: `wamid.…`, `wacid.…` for voicemail, and neither in the dashboard's tests.
    pub id: Option<&'a str>,
    /// When it was sent.
    pub timestamp: Option<Timestamp>,
    /// Who sent it.
    pub sender: Sender<'a>,
    /// The group that it was written in.
    pub group_id: Option<&'a str>,
    /// The type as it was sent (`text`, `image`, …). Absent from Meta's own sample of an answer to a call permission request.
    pub kind: Option<&'a str>,
    /// What it says.
    pub content: Content<'a>,
    /// Whether the body of the type was there and was read (`"type": "text"` has its body under `text`).
    ///
    /// False for types without a body, for types that this version does not know, and where Meta left the body
    /// out: [`errors`](Self::errors) then tells why. The content has no values in all these cases.
    pub has_body: bool,
    /// What it answers or where it was forwarded from.
    pub context: Option<Context<'a>>,
    /// The ad or post that led here. Comes with any type of message.
    pub referral: Option<Referral<'a>>,
    /// Why it could not be shown: with `unsupported`, and with media and edits that failed.
    pub errors: List<'a, Error<'a>>,
    /// The sender's keys, before there was [`Contact::identity_key_hash`].
    pub identity: Option<Identity<'a>>,
    /// What was said in the chat before it came to this app (conversation routing).
    pub conversation: Option<ConversationContext<'a>>,
}

impl<'a> Decode<'a> for Message<'a> {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let wire = WireMessage::decode(cursor)?;
        Some(Self {
            id: wire.id,
            timestamp: wire.timestamp,
            sender: Sender {
                phone: wire.from,
                from_user_id: wire.from_user_id,
                from_parent_user_id: wire.from_parent_user_id,
                logical_id: wire.from_logical_id,
                contact: Lazy::default(),
            },
            group_id: wire.group_id,
            kind: wire.kind,
            content: wire.content,
            has_body: wire.has_body,
            context: wire.context,
            referral: wire.referral,
            errors: wire.errors,
            identity: wire.identity,
            conversation: None,
        })
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        WireMessage::is_known(cursor)
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        WireMessage::unread(cursor, paths);
    }
}

/// With Meta's keys, and `contact` and `conversation_context` for what stands beside the message.
#[cfg(feature = "serde")]
impl serde::Serialize for Message<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = WireMessage {
            id: self.id,
            from: self.sender.phone,
            from_user_id: self.sender.from_user_id,
            from_parent_user_id: self.sender.from_parent_user_id,
            from_logical_id: self.sender.logical_id,
            group_id: self.group_id,
            timestamp: self.timestamp,
            context: self.context,
            referral: self.referral,
            errors: self.errors,
            identity: self.identity,
            contact: self.sender.contact,
            conversation_context: self.conversation,
            kind: self.kind,
            content: self.content,
            has_body: self.has_body,
        };
        wire.serialize(serializer)
    }
}

impl<'a> Message<'a> {
    /// The text of the message, whatever its type: see [`Content::text`].
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        self.content.text()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("timestamp", &self.timestamp)
            .field("content", &self.content)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// Who sent a message: from the message itself and from the contact that goes with it.
///
/// The contact is found by user id, else by phone number (with or without a leading `+`), else it is the only one of the
/// value, if all that is in the value is about one person and nothing contradicts: in Mexico and Brazil, for example, WhatsApp ids are
/// not the phone numbers.
///
/// From 2026 on a sender need not have a phone number. Key people by [`user_id`](Self::user_id) first and by phone number second, and
/// keep both when both come.
#[derive(Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Sender<'a> {
    /// Phone number as the message has it (`from`): digits, in some payloads with a leading `+`. Has been seen to hold a
    /// user id. [`wa_id`](Self::wa_id) never has a `+`.
    pub phone: Option<&'a str>,
    pub(super) from_user_id: Option<&'a str>,
    from_parent_user_id: Option<&'a str>,
    /// On the page about payments in Brazil.
    pub logical_id: Option<&'a str>,
    /// What else is said of the person.
    pub contact: Lazy<'a, Contact<'a>>,
}

impl<'a> Sender<'a> {
    /// The business-scoped user id (`US.13…`), from the message or the contact.
    #[must_use]
    pub fn user_id(&self) -> Option<&'a str> {
        self.from_user_id.or_else(|| self.contact.get()?.user_id)
    }

    /// The user id for a parent portfolio, from the message or the contact.
    #[must_use]
    pub fn parent_user_id(&self) -> Option<&'a str> {
        self.from_parent_user_id
            .or_else(|| self.contact.get()?.parent_user_id)
    }

    /// The WhatsApp id, which need not be the phone number.
    #[must_use]
    pub fn wa_id(&self) -> Option<&'a str> {
        self.contact.get()?.wa_id
    }

    /// The name that the person chose. May be empty.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.contact.get()?.profile?.name
    }

    /// The user name, with or without a leading `@`.
    #[must_use]
    pub fn username(&self) -> Option<&'a str> {
        self.contact.get()?.profile?.username
    }
}

/// Shows no person.
impl fmt::Debug for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

object! {
    /// A message as it stands in the JSON.
    struct WireMessage<'a> {
        id: Option<&'a str> = Id["id"],
        from: Option<&'a str> = Person["from"],
        from_user_id: Option<&'a str> = Person["from_user_id"],
        from_parent_user_id: Option<&'a str> = Person["from_parent_user_id"],
        from_logical_id: Option<&'a str> = Person["from_logical_id"],
        group_id: Option<&'a str> = Id["group_id"],
        timestamp: Option<Timestamp> = Timestamp["timestamp"],
        context: Option<Context<'a>> = Context<'a>["context"],
        referral: Option<Referral<'a>> = Referral<'a>["referral"],
        errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        identity: Option<Identity<'a>> = Identity<'a>["identity"],
        contact: Lazy<'a, Contact<'a>>,
        conversation_context: Option<ConversationContext<'a>>,
    }
    tagged {
        kind,
        content: Content<'a>,
        has_body,
    }
}

tagged! {
    /// What a message says, by its type.
    pub enum Content<'a> {
        /// A text.
        Text(TextBody<'a>) = "text",
        /// A picture.
        Image(Media<'a>) = "image",
        /// A voice message or other sound.
        Audio(Media<'a>) = "audio" | "voice",
        /// A video.
        Video(Media<'a>) = "video",
        /// A file.
        Document(Media<'a>) = "document",
        /// A sticker.
        Sticker(Media<'a>) = "sticker",
        /// A place.
        Location(Location<'a>) = "location",
        /// Contact cards. Not to be confused with the contacts *of* a delivery.
        Contacts(List<'a, Card<'a>>) = "contacts",
        /// The quick reply of a template was pressed.
        Button(Button<'a>) = "button",
        /// The answer to an interactive message.
        Interactive(Interactive<'a>) = "interactive",
        /// An order from a catalog.
        Order(Order<'a>) = "order",
        /// A reaction to another message, or its withdrawal.
        Reaction(Reaction<'a>) = "reaction",
        /// Something about the person: another number, another user id.
        System(System<'a>) = "system",
        /// The chat was opened for the first time. Removed by Meta in March 2026.
        RequestWelcome = "request_welcome",
        /// A message that Meta does not pass on; [`Message::errors`] tells why.
        Unsupported(Unsupported<'a>) = "unsupported" | "unknown",
        /// An earlier message was edited.
        Edit(Edit<'a>) = "edit",
        /// An earlier message was deleted for everyone.
        Revoke(Revoke<'a>) = "revoke",
        /// In the history of a chat: media that are not sent along.
        MediaPlaceholder = "media_placeholder",
        /// An old mark of disappearing messages.
        Ephemeral = "ephemeral",
    }
}

impl<'a> Content<'a> {
    /// What the person wrote or chose, whatever the type: the text, the caption, what stands on the button, the title of the row, the
    /// text of the order, the text with a product, the emoji of the reaction, the new text of an edited message. For a
    /// completed flow it is `Sent`, in words of Meta: its answers are in [`FlowReply::response_json`].
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

    /// The file, whatever the type: picture, sound, video, document or sticker.
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

impl Media<'_> {
    /// The SHA-256 of the file as bytes. Meta writes it in base64, in the history of a chat in hexadecimal digits.
    #[must_use]
    pub fn sha256_bytes(&self) -> Option<[u8; 32]> {
        let text = self.sha256?.as_bytes();
        match text.len() {
            64 => decode(text, 4, |digit| {
                char::from(digit)
                    .to_digit(16)
                    .and_then(|value| u8::try_from(value).ok())
            }),
            // 43 digits and the padding, which may be left out.
            _ => decode(
                text.strip_suffix(b"=").unwrap_or(text),
                6,
                |digit| match digit {
                    b'A'..=b'Z' => Some(digit - b'A'),
                    b'a'..=b'z' => Some(digit - b'a' + 26),
                    b'0'..=b'9' => Some(digit - b'0' + 52),
                    b'+' | b'-' => Some(62),
                    b'/' | b'_' => Some(63),
                    _ => None,
                },
            ),
        }
    }
}

/// Puts 32 bytes together from digits of so many bits. Bits that are left over must be zero.
fn decode(digits: &[u8], bits: u32, value: impl Fn(u8) -> Option<u8>) -> Option<[u8; 32]> {
    let mut bytes = Vec::with_capacity(33);
    let (mut pending, mut filled) = (0u32, 0);
    for digit in digits {
        pending = pending << bits | u32::from(value(*digit)?);
        filled += bits;
        if filled >= 8 {
            filled -= 8;
            bytes.push(u8::try_from(pending >> filled & 0xff).ok()?);
            pending &= (1 << filled) - 1;
        }
    }
    if pending != 0 || filled >= bits {
        return None;
    }
    bytes.try_into().ok()
}

object! {
    /// The text of a message.
    pub struct TextBody<'a> {
        /// Up to 4096 characters. May contain U+0000, which some databases refuse.
        pub body: Option<&'a str> = Text["body"],
    }
}

object! {
    /// A file: picture, sound, video, document or sticker.
    pub struct Media<'a> {
        /// The id to download it by.
        pub id: Option<&'a str> = Id["id"],
        /// For example `image/jpeg` or `audio/ogg; codecs=opus`.
        pub mime_type: Option<&'a str> = Id["mime_type"],
        /// The SHA-256 of the file, in base64.
        pub sha256: Option<&'a str> = Id["sha256"],
        /// What was written under it.
        pub caption: Option<&'a str> = Text["caption"],
        /// The name of a document.
        pub filename: Option<&'a str> = Text["filename"],
        /// Where to download it, for some minutes and with a token (since the end of 2025).
        pub url: Option<&'a str> = Text["url"],
        /// Whether it is a voice message. Absent from voicemail.
        pub voice: Option<bool> = bool["voice"],
        /// Whether a sticker moves.
        pub animated: Option<bool> = bool["animated"],
    }
}

object! {
    /// A place.
    pub struct Location<'a> {
        /// In degrees.
        pub latitude: Option<f64> = Degrees["latitude"],
        /// In degrees.
        pub longitude: Option<f64> = Degrees["longitude"],
        /// What it is called.
        pub name: Option<&'a str> = Text["name"],
        /// Its address.
        pub address: Option<&'a str> = Text["address"],
        /// Its site.
        pub url: Option<&'a str> = Text["url"],
    }
}

object! {
    /// The press of a template's quick reply button.
    pub struct Button<'a> {
        /// What stands on the button.
        pub text: Option<&'a str> = Text["text"],
        /// What the business put behind it.
        pub payload: Option<&'a str> = Text["payload"],
    }
}

tagged! {
    /// The answer to an interactive message, by its type.
    pub enum Interactive<'a> {
        /// A button was pressed.
        ButtonReply(ButtonReply<'a>) = "button_reply",
        /// A row of a list was chosen.
        ListReply(ListReply<'a>) = "list_reply",
        /// A flow or an address form was completed.
        FlowReply(FlowReply<'a>) = "nfm_reply",
        /// A call was permitted or not.
        CallPermissionReply(CallPermissionReply<'a>) = "call_permission_reply",
        /// A stored card was chosen (Brazil).
        PaymentMethod(PaymentMethod<'a>) = "payment_method",
        /// A product of the business's catalog was sent, with a text (since August 2026).
        Product(InteractiveProduct<'a>) = "product",
    }
}

impl<'a> Decode<'a> for Interactive<'a> {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let wire = WireInteractive::decode(cursor)?;
        let mut interactive = wire.content;
        if let Self::Product(product) = &mut interactive {
            product.text = wire.body.and_then(|body| body.text);
        }
        Some(interactive)
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        WireInteractive::is_known(cursor)
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        let wire = WireInteractive::decode(&mut { *cursor }).unwrap_or_default();
        // Both are read, and have a place in some variants only.
        let no_place = [
            ("type", wire.content == Self::Unknown && wire.kind.is_some()),
            (
                "body",
                !matches!(wire.content, Self::Product(_)) && wire.body.is_some(),
            ),
        ];
        for (key, _) in no_place.iter().filter(|(_, has_no_place)| *has_no_place) {
            let object = paths.enter(key.as_bytes());
            paths.note();
            paths.leave(object);
        }
        WireInteractive::unread(cursor, paths);
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Interactive<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match self {
            Self::Product(product) => product.text,
            _ => None,
        };
        let wire = WireInteractive {
            body: text.map(|text| InteractiveText { text: Some(text) }),
            kind: super::schema::TaggedUnion::tag(self),
            content: *self,
            has_body: true,
        };
        wire.serialize(serializer)
    }
}

object! {
    /// The answer to an interactive message as it stands in the JSON.
    struct WireInteractive<'a> {
        body: Option<InteractiveText<'a>> = InteractiveText<'a>["body"],
    }
    tagged {
        kind,
        content: Interactive<'a>,
        has_body,
    }
}

object! {
    /// The text beside the body of an interactive message.
    struct InteractiveText<'a> {
        text: Option<&'a str> = Text["text"],
    }
}

object! {
    /// A product of the business's catalog that a user sent, with a text.
    pub struct InteractiveProduct<'a> {
        /// Id of the catalog (`catalog_id`).
        pub catalog_id: Option<&'a str> = Id["catalog_id"],
        /// Id of the product in the business's own terms (`product_retailer_id`).
        pub product_retailer_id: Option<&'a str> = Id["product_retailer_id"],
        /// Text that was written with it (`body.text`, beside `product`).
        pub text: Option<&'a str> as "",
    }
}

object! {
    /// A button that was pressed.
    pub struct ButtonReply<'a> {
        /// The id that the business gave it.
        pub id: Option<&'a str> = Text["id"],
        /// What stands on it.
        pub title: Option<&'a str> = Text["title"],
    }
}

object! {
    /// A row that was chosen.
    pub struct ListReply<'a> {
        /// The id that the business gave it.
        pub id: Option<&'a str> = Text["id"],
        /// Its title.
        pub title: Option<&'a str> = Text["title"],
        /// Its description.
        pub description: Option<&'a str> = Text["description"],
    }
}

object! {
    /// A flow or form that was completed.
    pub struct FlowReply<'a> {
        /// `flow` or `address_message`.
        pub name: Option<&'a str> = Id["name"],
        /// `Sent`.
        pub body: Option<&'a str> = Text["body"],
        /// The answers: JSON in a string, and not always an object.
        pub response_json: Option<&'a str> = Text["response_json"],
    }
}

object! {
    /// The answer to a call permission request.
    pub struct CallPermissionReply<'a> {
        /// What was answered.
        pub response: Option<CallPermission<'a>> = CallPermission<'a>["response"],
        /// Whether it is for ever.
        pub is_permanent: Option<bool> = bool["is_permanent"],
        /// Until when, if not.
        pub expiration_timestamp: Option<Timestamp> = Timestamp["expiration_timestamp"],
        /// `user_action` or `automatic`.
        pub response_source: Option<&'a str> = Id["response_source"],
    }
}

names! {
    /// Whether calls are permitted.
    pub enum CallPermission<'a> {
        /// They are.
        Accept = "accept",
        /// They are not.
        Reject = "reject",
    }
}

object! {
    /// A stored card that was chosen (Brazil).
    pub struct PaymentMethod<'a> {
        /// `offsite_card_pay`.
        pub payment_method: Option<&'a str> = Id["payment_method"],
        /// When.
        pub payment_timestamp: Option<Timestamp> = Timestamp["payment_timestamp"],
        /// What the business called the payment.
        pub reference_id: Option<&'a str> = Id["reference_id"],
        /// The end of the card's number.
        pub last_four_digits: Option<&'a str> = Person["last_four_digits"],
        /// The id of the stored card.
        pub credential_id: Option<&'a str> = Person["credential_id"],
    }
}

object! {
    /// An order from a catalog.
    pub struct Order<'a> {
        /// The catalog.
        pub catalog_id: Option<&'a str> = Id["catalog_id"],
        /// What was written with it.
        pub text: Option<&'a str> = Text["text"],
        /// What was ordered.
        pub product_items: List<'a, OrderItem<'a>> = List<'a, OrderItem<'a>>["product_items"],
    }
}

object! {
    /// A line of an [`Order`].
    pub struct OrderItem<'a> {
        /// The product, as the business calls it.
        pub product_retailer_id: Option<&'a str> = Id["product_retailer_id"],
        /// Number of units (`quantity`): a whole number in all samples.
        pub quantity: Option<f64> = f64["quantity"],
        /// The price of one, in units of the currency.
        pub item_price: Option<f64> = f64["item_price"],
        /// ISO 4217.
        pub currency: Option<&'a str> = Id["currency"],
    }
}

object! {
    /// A reaction.
    pub struct Reaction<'a> {
        /// The message reacted to.
        pub message_id: Option<&'a str> = Id["message_id"],
        /// The emoji; absent when the reaction was withdrawn.
        pub emoji: Option<&'a str> = Text["emoji"],
    }
}

object! {
    /// A change of the person behind a chat: a new phone number, a new user id, new keys.
    ///
    /// No contact comes with it. Where the person has no phone number, the two `previous` ids are the only link
    /// from the old person to the new one: a host that keys people by user id must follow them.
    #[doc(alias = "bsuid")]
    pub struct System<'a> {
        /// A sentence about it, with phone numbers in it.
        pub body: Option<&'a str> = Text["body"],
        /// What changed.
        pub kind: Option<SystemKind<'a>> = SystemKind<'a>["type"],
        /// The new WhatsApp id.
        pub wa_id: Option<&'a str> = Person["wa_id" | "new_wa_id"],
        /// User id after the change (`user_id`); with [`SystemKind::UserIdentityChanged`] that of the person.
        pub user_id: Option<&'a str> = Person["user_id"],
        /// The new user id for a parent portfolio.
        pub parent_user_id: Option<&'a str> = Person["parent_user_id"],
        /// User id before the change (`previous_user_id`, since August 2026).
        pub previous_user_id: Option<&'a str> = Person["previous_user_id"],
        /// User id for a parent portfolio before the change (`previous_parent_user_id`, since August 2026).
        pub previous_parent_user_id: Option<&'a str> = Person["previous_parent_user_id"],
        /// The new hash of the keys, in old payloads.
        pub identity: Option<&'a str> = Id["identity"],
        /// The WhatsApp id before the change, in old payloads.
        pub customer: Option<&'a str> = Person["customer"],
    }
}

names! {
    /// What changed.
    pub enum SystemKind<'a> {
        /// The phone number.
        UserChangedNumber = "user_changed_number",
        /// The user id.
        UserChangedUserId = "user_changed_user_id",
        /// The keys, and so the security code (seen in SDKs only, August 2026).
        UserIdentityChanged = "user_identity_changed",
        /// The phone number, in old payloads.
        CustomerChangedNumber = "customer_changed_number",
        /// The keys, in old payloads.
        CustomerIdentityChanged = "customer_identity_changed",
    }
}

object! {
    /// What kind of message it was that Meta does not pass on.
    pub struct Unsupported<'a> {
        /// Type of the message (`type`).
        pub kind: Option<UnsupportedKind<'a>> = UnsupportedKind<'a>["type"],
    }
}

names! {
    /// Types of messages that Meta does not pass on, after Meta's page of October 2026. Meta adds to them.
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

object! {
    /// An edit, within 15 minutes of the message.
    pub struct Edit<'a> {
        /// The message that was edited.
        pub original_message_id: Option<&'a str> = Id["original_message_id"],
        message: Lazy<'a, EditedMessage<'a>> = Lazy<'a, EditedMessage<'a>>["message"],
    }
}

impl<'a> Edit<'a> {
    /// What the message says now.
    #[must_use]
    pub fn message(&self) -> Option<EditedMessage<'a>> {
        self.message.get()
    }
}

object! {
    /// What an edited message says now.
    pub struct EditedMessage<'a> {
        /// What it answers.
        pub context: Option<Context<'a>> = Context<'a>["context"],
    }
    tagged {
        /// The type as it was sent.
        pub kind,
        /// What it says.
        pub content: Content<'a>,
        /// Whether the body of the type was read: see [`Message::has_body`].
        pub has_body,
    }
}

object! {
    /// A message that was deleted for everyone, within 2 days.
    pub struct Revoke<'a> {
        /// The message.
        pub original_message_id: Option<&'a str> = Id["original_message_id"],
    }
}

object! {
    /// What a message answers, or that it was forwarded.
    pub struct Context<'a> {
        /// Who wrote the message that is answered: often the business.
        pub from: Option<&'a str> = Person["from"],
        /// The message that is answered; absent when forwarded.
        pub id: Option<&'a str> = Id["id"],
        /// Forwarded, up to five times.
        pub forwarded: Option<bool> = bool["forwarded"],
        /// Forwarded more than five times.
        pub frequently_forwarded: Option<bool> = bool["frequently_forwarded"],
        /// The product whose page the message was written from.
        pub referred_product: Option<ReferredProduct<'a>> = ReferredProduct<'a>["referred_product"],
    }
}

object! {
    /// A product of a catalog.
    pub struct ReferredProduct<'a> {
        /// The catalog.
        pub catalog_id: Option<&'a str> = Id["catalog_id"],
        /// The product, as the business calls it.
        pub product_retailer_id: Option<&'a str> = Id["product_retailer_id"],
    }
}

object! {
    /// The ad or post that led to a message.
    pub struct Referral<'a> {
        /// Its address.
        pub source_url: Option<&'a str> = Id["source_url"],
        /// Its id.
        pub source_id: Option<&'a str> = Id["source_id"],
        /// `ad` or `post`.
        pub source_type: Option<&'a str> = Id["source_type"],
        /// Its headline.
        pub headline: Option<&'a str> = Text["headline"],
        /// Its text.
        pub body: Option<&'a str> = Text["body"],
        /// `image` or `video`.
        pub media_type: Option<&'a str> = Id["media_type"],
        /// Its picture.
        pub image_url: Option<&'a str> = Text["image_url"],
        /// Its video.
        pub video_url: Option<&'a str> = Text["video_url"],
        /// A small picture of the video.
        pub thumbnail_url: Option<&'a str> = Text["thumbnail_url"],
        /// The id of the click. Absent from ads in WhatsApp Status.
        pub ctwa_clid: Option<&'a str> = Id["ctwa_clid"],
        /// The greeting that was shown.
        pub welcome_message: Option<WelcomeMessage<'a>> = WelcomeMessage<'a>["welcome_message"],
        /// A text that the advertiser chose.
        pub reference: Option<&'a str> = Text["ref"],
    }
}

object! {
    /// The greeting of an ad.
    pub struct WelcomeMessage<'a> {
        /// Its text.
        pub text: Option<&'a str> = Text["text"],
    }
}

object! {
    /// The keys of a sender, in old payloads.
    pub struct Identity<'a> {
        /// Whether the business has taken note of the change.
        pub acknowledged: Option<bool> = bool["acknowledged"],
        /// When they were made.
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// Their hash.
        pub hash: Option<&'a str> = Id["hash"],
    }
}

object! {
    /// A contact card.
    pub struct Card<'a> {
        /// The name. May be absent.
        pub name: Option<CardName<'a>> = CardName<'a>["name"],
        /// Postal addresses.
        pub addresses: List<'a, CardAddress<'a>> = List<'a, CardAddress<'a>>["addresses"],
        /// The birthday, as it was typed.
        pub birthday: Option<&'a str> = Text["birthday"],
        /// E-mail addresses.
        pub emails: List<'a, CardEmail<'a>> = List<'a, CardEmail<'a>>["emails"],
        /// Where the person works.
        pub org: Option<CardOrg<'a>> = CardOrg<'a>["org"],
        /// Phone numbers.
        pub phones: List<'a, CardPhone<'a>> = List<'a, CardPhone<'a>>["phones"],
        /// Sites.
        pub urls: List<'a, CardUrl<'a>> = List<'a, CardUrl<'a>>["urls"],
        /// The whole card as a vCard.
        pub vcard: Option<&'a str> = Text["vcard"],
        /// `contact_request` or `other` (2026).
        pub origin: Option<&'a str> = Id["origin"],
    }
}

object! {
    /// The name on a [`Card`].
    pub struct CardName<'a> {
        /// All of it.
        pub formatted_name: Option<&'a str> = Text["formatted_name"],
        /// The first name.
        pub first_name: Option<&'a str> = Text["first_name"],
        /// The last name.
        pub last_name: Option<&'a str> = Text["last_name"],
        /// The middle name.
        pub middle_name: Option<&'a str> = Text["middle_name"],
        /// What stands before it.
        pub prefix: Option<&'a str> = Text["prefix"],
        /// What stands after it.
        pub suffix: Option<&'a str> = Text["suffix"],
    }
}

object! {
    /// A postal address on a [`Card`].
    pub struct CardAddress<'a> {
        /// Street and number.
        pub street: Option<&'a str> = Text["street"],
        /// City.
        pub city: Option<&'a str> = Text["city"],
        /// State.
        pub state: Option<&'a str> = Text["state"],
        /// Postal code.
        pub zip: Option<&'a str> = Text["zip"],
        /// Country.
        pub country: Option<&'a str> = Text["country"],
        /// ISO 3166.
        pub country_code: Option<&'a str> = Text["country_code"],
        /// `HOME` or `WORK`.
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// An e-mail address on a [`Card`].
    pub struct CardEmail<'a> {
        /// The address.
        pub email: Option<&'a str> = Text["email"],
        /// `HOME` or `WORK`.
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// Where the person of a [`Card`] works.
    pub struct CardOrg<'a> {
        /// The company.
        pub company: Option<&'a str> = Text["company"],
        /// The department.
        pub department: Option<&'a str> = Text["department"],
        /// The title.
        pub title: Option<&'a str> = Text["title"],
    }
}

object! {
    /// A phone number on a [`Card`].
    pub struct CardPhone<'a> {
        /// The number, as it was typed.
        pub phone: Option<&'a str> = Text["phone"],
        /// The WhatsApp id, if the number has one.
        pub wa_id: Option<&'a str> = Person["wa_id"],
        /// The user id (2026).
        pub user_id: Option<&'a str> = Person["user_id"],
        /// `CELL`, `HOME`, `WORK`, …
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// A site on a [`Card`].
    pub struct CardUrl<'a> {
        /// The address.
        pub url: Option<&'a str> = Text["url"],
        /// `HOME` or `WORK`.
        pub kind: Option<&'a str> = Id["type"],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sha256_bytes(text: &str) -> Option<[u8; 32]> {
        let media = Media {
            sha256: Some(text),
            ..Media::default()
        };
        media.sha256_bytes()
    }

    proptest! {
        #[test]
        fn a_hash_is_read_in_either_form(hash in any::<[u8; 32]>(), other in "[A-Za-z0-9+/=]{0,66}") {
            use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine};
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(sha256_bytes(&hex), Some(hash));
            prop_assert_eq!(sha256_bytes(&hex.to_uppercase()), Some(hash));
            prop_assert_eq!(sha256_bytes(&BASE64_STANDARD.encode(hash)), Some(hash));
            prop_assert_eq!(sha256_bytes(&BASE64_STANDARD_NO_PAD.encode(hash)), Some(hash));
            if let Some(hash) = sha256_bytes(&other)
                && other.len() != 64
            {
                prop_assert_eq!(BASE64_STANDARD_NO_PAD.encode(hash), other.trim_end_matches('='));
            }
        }
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in [
            "",
            "x",
            "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GU==",
            &"0".repeat(63),
            &"g".repeat(64),
        ] {
            assert_eq!(sha256_bytes(text), None, "{text}");
        }
    }
}
