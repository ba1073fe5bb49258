use std::fmt;

use super::{
    contact::Contact,
    error::Error,
    json::Cursor,
    schema::{Decode, Id, Json, Lazy, List, Person, Text, Timestamp, UnreadPaths, names, object},
};

/// What became of a message that the business sent: an element of `statuses`.
///
/// Statuses overtake each other, come more than once, and `delivered` is left out when a message is read at once.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Status<'a> {
    /// The id of the message that was sent (`wamid.…`). For a payment, the id of the message with the order.
    pub id: Option<&'a str>,
    /// What became of it.
    pub state: Option<State<'a>>,
    /// When.
    pub timestamp: Option<Timestamp>,
    /// To whom it was sent.
    pub recipient: Recipient<'a>,
    /// The group that it was sent to, where Meta says so apart from the recipient.
    pub group_id: Option<&'a str>,
    /// The text that the sender of the message gave to be sent back, `biz_opaque_callback_data`.
    pub callback_data: Option<&'a str>,
    /// `message`, `payment` or `call`, where it is said.
    pub kind: Option<&'a str>,
    /// The template, for messages of Direct Send.
    pub template_id: Option<&'a str>,
    /// The conversation; since Graph v24.0 only for free entry points.
    pub conversation: Option<Conversation<'a>>,
    /// What it costs: with `sent`, and with one of `delivered` and `read`. One page of Meta nests it in
    /// [`Conversation::pricing`].
    pub pricing: Option<Pricing<'a>>,
    /// Why it failed.
    pub errors: List<'a, Error<'a>>,
    /// The payment, with a status of one (India). Read when it is asked for.
    pub payment: Lazy<'a, Payment<'a>>,
}

impl<'a> Decode<'a> for Status<'a> {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let wire = WireStatus::decode(cursor)?;
        Some(Self {
            id: wire.id,
            state: wire.status,
            timestamp: wire.timestamp,
            recipient: Recipient {
                id: wire.recipient_id,
                kind: wire.recipient_type,
                user_id: wire.recipient_user_id,
                parent_user_id: wire.recipient_parent_user_id,
                participant_id: wire.recipient_participant_id,
                participant_user_id: wire.recipient_participant_user_id,
                participant_parent_user_id: wire.recipient_participant_parent_user_id,
                identity_key_hash: wire.recipient_identity_key_hash,
                contact: Lazy::default(),
            },
            group_id: wire.group_id,
            callback_data: wire.biz_opaque_callback_data,
            kind: wire.kind,
            template_id: wire.template_id,
            conversation: wire.conversation,
            pricing: wire.pricing,
            errors: wire.errors,
            payment: wire.payment,
        })
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        WireStatus::is_known(cursor)
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        WireStatus::unread(cursor, paths);
    }
}

/// With Meta's keys, and `contact` for what is said of the person beside the status.
#[cfg(feature = "serde")]
impl serde::Serialize for Status<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let recipient = self.recipient;
        let wire = WireStatus {
            id: self.id,
            status: self.state,
            timestamp: self.timestamp,
            recipient_id: recipient.id,
            recipient_type: recipient.kind,
            recipient_user_id: recipient.user_id,
            recipient_parent_user_id: recipient.parent_user_id,
            recipient_participant_id: recipient.participant_id,
            recipient_participant_user_id: recipient.participant_user_id,
            recipient_participant_parent_user_id: recipient.participant_parent_user_id,
            recipient_identity_key_hash: recipient.identity_key_hash,
            group_id: self.group_id,
            biz_opaque_callback_data: self.callback_data,
            kind: self.kind,
            template_id: self.template_id,
            conversation: self.conversation,
            pricing: self.pricing,
            errors: self.errors,
            payment: self.payment,
            contact: recipient.contact,
        };
        wire.serialize(serializer)
    }
}

impl fmt::Debug for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("timestamp", &self.timestamp)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// To whom a message was sent.
#[derive(Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Recipient<'a> {
    /// The phone number in digits, or the id of a group. Absent when the message was sent to a user id without a known number.
    pub id: Option<&'a str>,
    /// `group` if it is a group.
    pub kind: Option<&'a str>,
    /// Business-scoped user id as the status has it (`recipient_user_id`). Absent when a message to a phone number failed; the
    /// [`contact`](Self::contact) may have it then.
    pub user_id: Option<&'a str>,
    /// The same for a parent portfolio.
    pub parent_user_id: Option<&'a str>,
    /// In a group, whose status this is: there is one per participant.
    pub participant_id: Option<&'a str>,
    /// The participant's business-scoped user id.
    pub participant_user_id: Option<&'a str>,
    /// The same for a parent portfolio.
    pub participant_parent_user_id: Option<&'a str>,
    /// Changes when the person's keys change, if the identity check is on.
    pub identity_key_hash: Option<&'a str>,
    /// What else is said of the person. In a group the person is the participant. Found as that of a
    /// [`Sender`](super::Sender).
    pub contact: Lazy<'a, Contact<'a>>,
}

/// Shows no person.
impl fmt::Debug for Recipient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient").finish_non_exhaustive()
    }
}

object! {
    /// A status as it stands in the JSON.
    struct WireStatus<'a> {
        id: Option<&'a str> = Id["id"],
        status: Option<State<'a>> = State<'a>["status"],
        timestamp: Option<Timestamp> = Timestamp["timestamp"],
        recipient_id: Option<&'a str> = Person["recipient_id"],
        recipient_type: Option<&'a str> = Id["recipient_type"],
        recipient_user_id: Option<&'a str> = Person["recipient_user_id"],
        recipient_parent_user_id: Option<&'a str> = Person["recipient_parent_user_id" | "parent_recipient_user_id"],
        recipient_participant_id: Option<&'a str> = Person["recipient_participant_id" | "participant_recipient_id"],
        recipient_participant_user_id: Option<&'a str> = Person["recipient_participant_user_id"],
        recipient_participant_parent_user_id: Option<&'a str> = Person["recipient_participant_parent_user_id"],
        recipient_identity_key_hash: Option<&'a str> = Id["recipient_identity_key_hash"],
        group_id: Option<&'a str> = Id["group_id"],
        biz_opaque_callback_data: Option<&'a str> = Text["biz_opaque_callback_data"],
        kind: Option<&'a str> = Id["type"],
        template_id: Option<&'a str> = Id["template_id"],
        conversation: Option<Conversation<'a>> = Conversation<'a>["conversation"],
        pricing: Option<Pricing<'a>> = Pricing<'a>["pricing"],
        errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        payment: Lazy<'a, Payment<'a>> = Lazy<'a, Payment<'a>>["payment"],
        contact: Lazy<'a, Contact<'a>>,
    }
}

names! {
    /// What became of a message.
    pub enum State<'a> {
        /// It left Meta.
        Sent = "sent",
        /// It is on the device.
        Delivered = "delivered",
        /// It was read.
        Read = "read",
        /// The voice message was played (since November 2025).
        Played = "played",
        /// It could not be sent or delivered; the errors tell why. Of a payment: it failed.
        Failed = "failed",
        /// The recipient deleted it. Not documented any more.
        Deleted = "deleted",
        /// Something may be wrong with it. Not documented any more.
        Warning = "warning",
        /// The payment is under way.
        Pending = "pending",
        /// The payment was made.
        Captured = "captured",
    }
}

impl State<'_> {
    /// A place in an order, for hosts that keep one state per message and recipient: statuses overtake each other, and the one with
    /// the higher rank is what became of the message.
    ///
    /// In a group each participant has a state of its own ([`Recipient::participant_id`]). A payment has the id of the message with the
    /// order, and a state of its own too ([`Status::kind`] is `payment`). Keep these apart, or one hides the other.
    ///
    /// `pending` < `sent` < `failed` < `delivered` = `captured` < `read` < `played` < `deleted`: what was delivered has not failed. Warnings
    /// and states that are not known rank lowest.
    ///
    /// ```
    /// use tower_whatsapp::event::State;
    ///
    /// let mut last = State::Read;
    /// let late = State::Delivered;
    /// if late.rank() > last.rank() {
    ///     last = late;
    /// }
    /// assert_eq!(last, State::Read);
    /// ```
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Other(_) | Self::Warning => 0,
            Self::Pending => 1,
            Self::Sent => 2,
            Self::Failed => 3,
            Self::Delivered | Self::Captured => 4,
            Self::Read => 5,
            Self::Played => 6,
            Self::Deleted => 7,
        }
    }
}

object! {
    /// The conversation that a message belongs to.
    pub struct Conversation<'a> {
        /// Its id.
        pub id: Option<&'a str> = Id["id"],
        /// When it ends, with `sent`.
        pub expiration_timestamp: Option<Timestamp> = Timestamp["expiration_timestamp"],
        /// How it began.
        pub origin: Option<Origin<'a>> = Origin<'a>["origin"],
        /// The price, which one page nests in here.
        pub pricing: Option<Pricing<'a>> = Pricing<'a>["pricing"],
    }
}

object! {
    /// How a [`Conversation`] began.
    pub struct Origin<'a> {
        /// Its category.
        pub category: Option<Category<'a>> = Category<'a>["type"],
    }
}

object! {
    /// What a message costs.
    ///
    /// Since 1 October 2026 utility messages inside the customer service window are `regular`, and service messages
    /// beyond 1,000 a month and phone number are billable.
    pub struct Pricing<'a> {
        /// Whether it costs anything. Meta is to drop it: derive it from the type and the category.
        pub billable: Option<bool> = bool["billable"],
        /// `CBP` (per conversation, before July 2025) or `PMP` (per message).
        pub pricing_model: Option<&'a str> = Id["pricing_model"],
        /// `regular`, `free_customer_service`, `free_group_customer_service` or `free_entry_point` (`type`). Absent
        /// on the pages about groups. Windows of free entry points last up to 7 days since 28 September 2026.
        pub kind: Option<&'a str> = Id["type" | "pricing_type"],
        /// Closer description of the type (`subtype`), such as `paid_exempt` (since September 2026).
        pub subtype: Option<&'a str> = Id["subtype"],
        /// The rate.
        pub category: Option<Category<'a>> = Category<'a>["category"],
    }
}

names! {
    /// The category of a message or conversation, which decides the price.
    pub enum Category<'a> {
        /// Authentication.
        Authentication = "authentication",
        /// Authentication at the international rate.
        AuthenticationInternational = "authentication_international",
        /// Marketing.
        Marketing = "marketing",
        /// Marketing through the MM API.
        MarketingLite = "marketing_lite",
        /// A free entry point.
        ReferralConversion = "referral_conversion",
        /// An answer within the customer service window.
        Service = "service",
        /// Utility.
        Utility = "utility",
        /// Marketing in a group.
        GroupMarketing = "group_marketing",
        /// Utility in a group.
        GroupUtility = "group_utility",
        /// Service in a group.
        GroupService = "group_service",
        /// Traffic of an AI provider.
        GeneralPurposeAi = "general_purpose_ai",
        /// Before 2023: begun by the business.
        BusinessInitiated = "business_initiated",
        /// Before 2023: begun by the user.
        UserInitiated = "user_initiated",
    }
}

object! {
    /// A payment (India).
    pub struct Payment<'a> {
        /// What the business called it.
        pub reference_id: Option<&'a str> = Id["reference_id"],
        /// How much.
        pub amount: Option<Amount> = Amount["amount"],
        /// ISO 4217, `INR`.
        pub currency: Option<&'a str> = Id["currency"],
        /// The last attempt to pay.
        pub transaction: Option<Transaction<'a>> = Transaction<'a>["transaction"],
        /// The gateway's receipt.
        pub receipt: Option<&'a str> = Text["receipt"],
        /// What the business noted with the payment, as JSON (`notes`).
        pub notes: Option<&'a str> = Json["notes"],
        /// First field of the business's own (`udf1`, PayU).
        pub udf1: Option<&'a str> = Text["udf1"],
        /// Second field of the business's own (`udf2`).
        pub udf2: Option<&'a str> = Text["udf2"],
        /// Third field of the business's own (`udf3`).
        pub udf3: Option<&'a str> = Text["udf3"],
        /// Fourth field of the business's own (`udf4`).
        pub udf4: Option<&'a str> = Text["udf4"],
        /// First field of the business's own (`additional_info1`, BillDesk).
        pub additional_info1: Option<&'a str> = Text["additional_info1"],
        /// Second field of the business's own (`additional_info2`).
        pub additional_info2: Option<&'a str> = Text["additional_info2"],
        /// Third field of the business's own (`additional_info3`).
        pub additional_info3: Option<&'a str> = Text["additional_info3"],
        /// Fourth field of the business's own (`additional_info4`).
        pub additional_info4: Option<&'a str> = Text["additional_info4"],
        /// Fifth field of the business's own (`additional_info5`).
        pub additional_info5: Option<&'a str> = Text["additional_info5"],
        /// Sixth field of the business's own (`additional_info6`).
        pub additional_info6: Option<&'a str> = Text["additional_info6"],
        /// Seventh field of the business's own (`additional_info7`).
        pub additional_info7: Option<&'a str> = Text["additional_info7"],
        /// First field of the business's own (`extra1`, Zaakpay).
        pub extra1: Option<&'a str> = Text["extra1"],
        /// Second field of the business's own (`extra2`).
        pub extra2: Option<&'a str> = Text["extra2"],
    }
}

object! {
    /// An amount of money.
    pub struct Amount {
        /// In the smallest unit: divide by the offset.
        pub value: Option<i64> = i64["value"],
        /// The divisor, 100.
        pub offset: Option<i64> = i64["offset"],
    }
}

object! {
    /// An attempt to pay.
    pub struct Transaction<'a> {
        /// The id at Meta.
        pub id: Option<&'a str> = Id["id"],
        /// The id at the gateway.
        pub pg_transaction_id: Option<&'a str> = Id["pg_transaction_id"],
        /// The gateway: `razorpay`, `payu`, `upi`, …
        pub kind: Option<&'a str> = Id["type"],
        /// `pending`, `success` or `failed`.
        pub status: Option<&'a str> = Id["status"],
        /// When it was begun.
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// When it last changed.
        pub updated_timestamp: Option<Timestamp> = Timestamp["updated_timestamp"],
        /// How it was paid.
        pub method: Option<PaymentMethodKind<'a>> = PaymentMethodKind<'a>["method"],
        /// Why it failed.
        pub error: Option<PaymentError<'a>> = PaymentError<'a>["error"],
        /// What was paid back.
        pub refunds: List<'a, Refund<'a>> = List<'a, Refund<'a>>["refunds"],
    }
}

object! {
    /// How a payment was made.
    pub struct PaymentMethodKind<'a> {
        /// `upi`, `card`, `netbanking` or `wallet`.
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// Why a payment failed, in the words of the gateway.
    pub struct PaymentError<'a> {
        /// The gateway's code, a text.
        pub code: Option<&'a str> = Id["code"],
        /// The gateway's reason.
        pub reason: Option<&'a str> = Text["reason"],
    }
}

object! {
    /// A payment that was made back.
    pub struct Refund<'a> {
        /// Its id.
        pub id: Option<&'a str> = Id["id"],
        /// How much.
        pub amount: Option<Amount> = Amount["amount"],
        /// `instant`, `normal`, …
        pub speed_processed: Option<&'a str> = Id["speed_processed"],
        /// How it stands.
        pub status: Option<&'a str> = Id["status"],
        /// When it was begun.
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// When it last changed.
        pub updated_timestamp: Option<Timestamp> = Timestamp["updated_timestamp"],
    }
}
