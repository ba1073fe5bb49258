//! Statuses of messages that the business sent.
//!
//! Sources: Meta's pages `webhooks/reference/messages/status` and, for payments,
//! `payments/payments-in/pg`.

use std::fmt;

use super::{
    contact::Contact,
    error::Error,
    json::Cursor,
    schema::{
        Decode, Id, IdBytes, Lazy, List, Object, PersonalId, RawJson, Timestamp, UnreadPaths,
        UserText, object, string_enum,
    },
};

/// The status of a message that the business sent: an element of `statuses[]`.
///
/// Statuses arrive in any order and more than once. There may be no `delivered` if a message is
/// read at once. [`State::rank`] orders them.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Status<'a> {
    /// Id of the message that was sent, `wamid.…` (`id`). For a payment, the id of the message with
    /// the order.
    #[doc(alias = "wamid")]
    pub id: Option<&'a str>,
    /// State of the message (`status`).
    pub state: Option<State<'a>>,
    /// Unix time of the status change, seconds (`timestamp`).
    pub timestamp: Option<Timestamp>,
    /// Recipient of the message (`recipient_id`, `recipient_user_id`, …).
    #[doc(alias = "recipient_id")]
    pub recipient: Recipient<'a>,
    /// Id of the group that the message was sent to (`group_id`). Usually the group is only in
    /// [`recipient`](Self::recipient).
    pub group_id: Option<&'a str>,
    /// Text that the business attached to the message (`biz_opaque_callback_data`).
    #[doc(alias = "biz_opaque_callback_data")]
    pub callback_data: Option<&'a str>,
    /// Type of the status, if given (`type`): `message`, `payment` or `call`.
    pub kind: Option<&'a str>,
    /// Id of the template, for messages of Direct Send (`template_id`).
    pub template_id: Option<&'a str>,
    /// Conversation (`conversation`). Since Graph v24.0 only for free entry points.
    pub conversation: Option<Conversation<'a>>,
    /// Price (`pricing`). Present with `sent`, and with one of `delivered` and `read`. One of
    /// Meta's pages nests it in [`Conversation::pricing`].
    pub pricing: Option<Pricing<'a>>,
    /// Reasons of a failure (`errors[]`).
    pub errors: List<'a, Error<'a>>,
    /// Payment, in the status of a payment (`payment`, India). Decoded on access.
    pub payment: Lazy<'a, Payment<'a>>,
}

impl<'a> Decode<'a> for Status<'a> {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    #[inline]
    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut wire = WireStatus::default();
        wire.read(cursor)?;
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

/// Uses Meta's keys, and `contact` for the contact beside the status.
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
            .field("state", &self.state)
            .field("timestamp", &self.timestamp)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// The recipient of a message.
#[derive(Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Recipient<'a> {
    /// Phone number in digits, or id of a group (`recipient_id`). Absent if the message was sent to
    /// a user id without a known phone number.
    #[doc(alias = "phone")]
    pub id: Option<&'a str>,
    /// Type of the recipient (`recipient_type`): `group` for a group.
    pub kind: Option<&'a str>,
    /// Business-scoped user id (`recipient_user_id`). Absent if a message to a phone number failed;
    /// the [`contact`](Self::contact) may have it then.
    #[doc(alias = "bsuid")]
    pub user_id: Option<&'a str>,
    /// User id for a parent portfolio (`recipient_parent_user_id`, also
    /// `parent_recipient_user_id`).
    pub parent_user_id: Option<&'a str>,
    /// Phone number of the group participant (`recipient_participant_id`, also
    /// `participant_recipient_id`). In a group there is one status per participant.
    pub participant_id: Option<&'a str>,
    /// Business-scoped user id of the group participant (`recipient_participant_user_id`).
    pub participant_user_id: Option<&'a str>,
    /// User id of the group participant for a parent portfolio
    /// (`recipient_participant_parent_user_id`).
    pub participant_parent_user_id: Option<&'a str>,
    /// Hash of the person's encryption key (`recipient_identity_key_hash`). Present if the identity
    /// check is enabled.
    pub identity_key_hash: Option<&'a str>,
    /// Contact of the person (the matching element of `contacts[]`), in a group of the participant.
    /// Matched as for a [`Sender`](super::Sender).
    pub contact: Lazy<'a, Contact<'a>>,
}

/// Shows no personal data.
impl fmt::Debug for Recipient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient").finish_non_exhaustive()
    }
}

object! {
    /// The members of a [`Status`] that its key and its age are computed from.
    pub(crate) struct StatusIds<'a> {
        pub(crate) id: Option<&'a [u8]> = IdBytes["id"],
        pub(crate) status: Option<State<'a>> = State<'a>["status"],
        pub(crate) timestamp: Option<Timestamp> = Timestamp["timestamp"],
        pub(crate) recipient_id: Option<&'a [u8]> = IdBytes["recipient_id"],
        pub(crate) recipient_user_id: Option<&'a [u8]> = IdBytes["recipient_user_id"],
        pub(crate) recipient_participant_id: Option<&'a [u8]> = IdBytes["recipient_participant_id" | "participant_recipient_id"],
        pub(crate) recipient_participant_user_id: Option<&'a [u8]> = IdBytes["recipient_participant_user_id"],
        pub(crate) payment: Lazy<'a, Payment<'a>> = Lazy<'a, Payment<'a>>["payment"],
    }
}

object! {
    /// The JSON object of a [`Status`].
    struct WireStatus<'a> {
        id: Option<&'a str> = PersonalId["id"],
        status: Option<State<'a>> = State<'a>["status"],
        timestamp: Option<Timestamp> = Timestamp["timestamp"],
        recipient_id: Option<&'a str> = PersonalId["recipient_id"],
        recipient_type: Option<&'a str> = Id["recipient_type"],
        recipient_user_id: Option<&'a str> = PersonalId["recipient_user_id"],
        recipient_parent_user_id: Option<&'a str> = PersonalId["recipient_parent_user_id" | "parent_recipient_user_id"],
        recipient_participant_id: Option<&'a str> = PersonalId["recipient_participant_id" | "participant_recipient_id"],
        recipient_participant_user_id: Option<&'a str> = PersonalId["recipient_participant_user_id"],
        recipient_participant_parent_user_id: Option<&'a str> = PersonalId["recipient_participant_parent_user_id"],
        recipient_identity_key_hash: Option<&'a str> = Id["recipient_identity_key_hash"],
        group_id: Option<&'a str> = PersonalId["group_id"],
        biz_opaque_callback_data: Option<&'a str> = UserText["biz_opaque_callback_data"],
        kind: Option<&'a str> = Id["type"],
        template_id: Option<&'a str> = Id["template_id"],
        conversation: Option<Conversation<'a>> = Conversation<'a>["conversation"],
        pricing: Option<Pricing<'a>> = Pricing<'a>["pricing"],
        errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        payment: Lazy<'a, Payment<'a>> = Lazy<'a, Payment<'a>>["payment"],
        contact: Lazy<'a, Contact<'a>>,
    }
}

string_enum! {
    /// The state of a message or payment: `status`.
    pub enum State<'a> {
        /// Sent by Meta's servers.
        Sent = "sent",
        /// Delivered to the device.
        Delivered = "delivered",
        /// Read by the user.
        Read = "read",
        /// Voice message that was played (since November 2025).
        Played = "played",
        /// Could not be sent or delivered; the errors have the reason. For a payment: failed.
        Failed = "failed",
        /// Deleted by the recipient. No longer documented.
        Deleted = "deleted",
        /// Possible problem with the message. No longer documented.
        Warning = "warning",
        /// Payment in progress.
        Pending = "pending",
        /// Payment completed.
        Captured = "captured",
    }
}

impl State<'_> {
    /// Returns the rank of the state, for hosts that keep one state per message and recipient.
    ///
    /// Statuses arrive in any order; keep the one with the highest rank. The order is `pending` <
    /// `sent` < `failed` < `delivered` = `captured` < `read` < `played` < `deleted`, because a
    /// message that was delivered has not failed. Warnings and unknown states rank lowest.
    ///
    /// Keep separate states for each participant of a group ([`Recipient::participant_id`]) and for
    /// payments ([`Status::kind`] is `payment`). A payment has the id of the message with the
    /// order, so its state would otherwise hide that of the message.
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
    /// The conversation that a message belongs to: `conversation`.
    pub struct Conversation<'a> {
        /// Id of the conversation (`id`).
        pub id: Option<&'a str> = Id["id"],
        /// Unix time at which the conversation ends, seconds (`expiration_timestamp`). With `sent`
        /// only.
        pub expiration_timestamp: Option<Timestamp> = Timestamp["expiration_timestamp"],
        /// Origin (`origin`).
        pub origin: Option<Origin<'a>> = Origin<'a>["origin"],
        /// Price (`pricing`), which one of Meta's pages nests here.
        pub pricing: Option<Pricing<'a>> = Pricing<'a>["pricing"],
    }
}

object! {
    /// The origin of a [`Conversation`]: `origin`.
    pub struct Origin<'a> {
        /// Category (`type`).
        pub category: Option<Category<'a>> = Category<'a>["type"],
    }
}

object! {
    /// The price of a message: `pricing`.
    ///
    /// Since 1 October 2026 utility messages inside the customer service window are `regular`, and
    /// service messages beyond 1,000 a month and phone number are billable.
    pub struct Pricing<'a> {
        /// Whether the message is billable (`billable`). Meta plans to remove it: derive it from
        /// the type and the category.
        pub billable: Option<bool> = bool["billable"],
        /// Pricing model (`pricing_model`): `CBP` (per conversation, before July 2025) or `PMP`
        /// (per message).
        pub pricing_model: Option<&'a str> = Id["pricing_model"],
        /// Type (`type`): `regular`, `free_customer_service`, `free_group_customer_service` or
        /// `free_entry_point`. Absent on Meta's pages about groups. Windows of free entry points
        /// last up to 7 days since 28 September 2026.
        pub kind: Option<&'a str> = Id["type" | "pricing_type"],
        /// Subtype (`subtype`), for example `paid_exempt` (since September 2026).
        pub subtype: Option<&'a str> = Id["subtype"],
        /// Category, which determines the rate (`category`).
        pub category: Option<Category<'a>> = Category<'a>["category"],
    }
}

string_enum! {
    /// The category of a message or conversation, which determines the price.
    pub enum Category<'a> {
        /// Authentication.
        Authentication = "authentication",
        /// Authentication at the international rate.
        AuthenticationInternational = "authentication_international",
        /// Marketing.
        Marketing = "marketing",
        /// Marketing through the Marketing Messages API.
        MarketingLite = "marketing_lite",
        /// Free entry point.
        ReferralConversion = "referral_conversion",
        /// Reply within the customer service window.
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
        /// Initiated by the business, before 2023.
        BusinessInitiated = "business_initiated",
        /// Initiated by the user, before 2023.
        UserInitiated = "user_initiated",
    }
}

object! {
    /// A payment: `payment` (India).
    pub struct Payment<'a> {
        /// Id of the payment in the business's own terms (`reference_id`).
        pub reference_id: Option<&'a str> = Id["reference_id"],
        /// Amount (`amount`).
        pub amount: Option<Amount> = Amount["amount"],
        /// Currency, ISO 4217 (`currency`): `INR`.
        pub currency: Option<&'a str> = Id["currency"],
        /// Last attempt to pay (`transaction`).
        pub transaction: Option<Transaction<'a>> = Transaction<'a>["transaction"],
        /// Receipt of the gateway (`receipt`).
        pub receipt: Option<&'a str> = UserText["receipt"],
        /// Notes of the business, as JSON (`notes`).
        pub notes: Option<&'a str> = RawJson["notes"],
        /// First custom field (`udf1`, PayU).
        pub udf1: Option<&'a str> = UserText["udf1"],
        /// Second custom field (`udf2`).
        pub udf2: Option<&'a str> = UserText["udf2"],
        /// Third custom field (`udf3`).
        pub udf3: Option<&'a str> = UserText["udf3"],
        /// Fourth custom field (`udf4`).
        pub udf4: Option<&'a str> = UserText["udf4"],
        /// First custom field (`additional_info1`, BillDesk).
        pub additional_info1: Option<&'a str> = UserText["additional_info1"],
        /// Second custom field (`additional_info2`).
        pub additional_info2: Option<&'a str> = UserText["additional_info2"],
        /// Third custom field (`additional_info3`).
        pub additional_info3: Option<&'a str> = UserText["additional_info3"],
        /// Fourth custom field (`additional_info4`).
        pub additional_info4: Option<&'a str> = UserText["additional_info4"],
        /// Fifth custom field (`additional_info5`).
        pub additional_info5: Option<&'a str> = UserText["additional_info5"],
        /// Sixth custom field (`additional_info6`).
        pub additional_info6: Option<&'a str> = UserText["additional_info6"],
        /// Seventh custom field (`additional_info7`).
        pub additional_info7: Option<&'a str> = UserText["additional_info7"],
        /// First custom field (`extra1`, Zaakpay).
        pub extra1: Option<&'a str> = UserText["extra1"],
        /// Second custom field (`extra2`).
        pub extra2: Option<&'a str> = UserText["extra2"],
    }
}

object! {
    /// An amount of money: `amount`.
    pub struct Amount {
        /// Amount in units of 1/`offset` of the currency (`value`).
        pub value: Option<i64> = i64["value"],
        /// Divisor of the value (`offset`): 100.
        pub offset: Option<i64> = i64["offset"],
    }
}

object! {
    /// An attempt to pay: `transaction`.
    pub struct Transaction<'a> {
        /// Id of the transaction at Meta (`id`).
        pub id: Option<&'a str> = Id["id"],
        /// Id of the transaction at the payment gateway (`pg_transaction_id`).
        pub pg_transaction_id: Option<&'a str> = Id["pg_transaction_id"],
        /// Payment gateway (`type`): `razorpay`, `payu`, `upi`, ….
        pub kind: Option<&'a str> = Id["type"],
        /// State (`status`): `pending`, `success` or `failed`.
        pub status: Option<&'a str> = Id["status"],
        /// Unix time of the start, seconds (`created_timestamp`).
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// Unix time of the last change, seconds (`updated_timestamp`).
        pub updated_timestamp: Option<Timestamp> = Timestamp["updated_timestamp"],
        /// Method of payment (`method`).
        pub method: Option<PaymentMethodKind<'a>> = PaymentMethodKind<'a>["method"],
        /// Reason of a failure (`error`).
        pub error: Option<PaymentError<'a>> = PaymentError<'a>["error"],
        /// Refunds (`refunds[]`).
        pub refunds: List<'a, Refund<'a>> = List<'a, Refund<'a>>["refunds"],
    }
}

object! {
    /// The method of a payment: `method`.
    pub struct PaymentMethodKind<'a> {
        /// Method (`type`): `upi`, `card`, `netbanking` or `wallet`.
        pub kind: Option<&'a str> = Id["type"],
    }
}

object! {
    /// The failure of a payment as the gateway reports it: `error`.
    pub struct PaymentError<'a> {
        /// Error code of the gateway, a text (`code`). Not one of Meta's codes.
        pub code: Option<&'a str> = Id["code"],
        /// Reason of the gateway (`reason`).
        pub reason: Option<&'a str> = UserText["reason"],
    }
}

object! {
    /// A refund: an element of `refunds[]`.
    pub struct Refund<'a> {
        /// Id of the refund (`id`).
        pub id: Option<&'a str> = Id["id"],
        /// Amount (`amount`).
        pub amount: Option<Amount> = Amount["amount"],
        /// Speed of processing (`speed_processed`): `instant`, `normal`, ….
        pub speed_processed: Option<&'a str> = Id["speed_processed"],
        /// State (`status`).
        pub status: Option<&'a str> = Id["status"],
        /// Unix time of the start, seconds (`created_timestamp`).
        pub created_timestamp: Option<Timestamp> = Timestamp["created_timestamp"],
        /// Unix time of the last change, seconds (`updated_timestamp`).
        pub updated_timestamp: Option<Timestamp> = Timestamp["updated_timestamp"],
    }
}
