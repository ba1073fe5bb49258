//! The kinds of events.

use std::fmt;

use super::{
    account::{
        AccountAlert, AccountReview, AccountSettings, AccountUpdate, BusinessCapability,
        BusinessStatus, BusinessUsername, PartnerSolution, PaymentConfiguration, PhoneNumberName,
        PhoneNumberQuality, Security,
    },
    call::{Call, CallStatus},
    error::Error,
    flow::Flow,
    group::{Group, GroupParticipant},
    handover::{Handover, StandbyEcho},
    history::{AppState, Echo, HistoryMessage, HistoryProgress},
    json::Cursor,
    marketing::{AutomaticEvent, CampaignStatus, TrackingEvent, UserAction},
    message::Message,
    schema::{Decode, Id, UnreadPaths},
    status::Status,
    template::{
        TemplateCategory, TemplateCategoryDetection, TemplateComponents, TemplateQuality,
        TemplateStatus,
    },
    user::{UserIdUpdate, UserPreference},
};

macro_rules! payloads {
    ($($(#[$meta:meta])* $variant:ident($body:ty) = $name:literal,)*) => {
        /// The decoded content of an [`Event`](super::Event).
        ///
        /// New versions of this crate add kinds, so a match needs a `_` arm. Let it do what is
        /// right for unknown events: log and count them, and answer 200.
        ///
        /// # Serialization
        ///
        /// With the feature `serde` a payload and everything in it implements `Serialize`. The
        /// output is an object with Meta's own keys, without the absent ones. Parsed again as an
        /// element of its list it gives the same payload.
        ///
        /// - Ids and numbers that Meta writes as a string in some places and as a number in others
        ///   are written in one form. Times are strings of seconds.
        /// - JSON that is kept as text is written unchanged, with two exceptions, which a JSON
        ///   parser may refuse: a lone surrogate becomes U+FFFD, and a number that does not fit
        ///   into 64 bits becomes a string.
        /// - The parts of the envelope that belong to the element have their own keys: `contact`,
        ///   `conversation_context`, and for groups and histories the names of the fields.
        /// - Keys that [`Event::unread`](super::Event::unread) lists are left out;
        ///   [`Event::raw`](super::Event::raw) has them.
        ///
        /// The kind ([`Payload::name`]), the account, the phone number and the time of the
        /// notification are not part of a payload. Store them beside it, or store the whole event
        /// with [`Event::to_queue`](super::Event::to_queue).
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub enum Payload<'a> {
            $($(#[$meta])* $variant($body),)*
            /// Unknown kind. [`Event::raw`](super::Event::raw) has its JSON.
            Unknown(Unknown<'a>),
        }

        impl Payload<'_> {
            /// All names, in the order of declaration.
            #[doc(hidden)]
            pub const NAMES: &'static [&'static str] = &[$($name,)* "unknown"];

            /// Returns the kind in snake case (`message`, `status`, `account_update`, …,
            /// `unknown`), for logs, metrics and routing. The names are stable across versions of
            /// this crate.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Unknown(_) => "unknown",
                }
            }
        }

        /// Uses Meta's keys: see [`Payload`].
        #[cfg(feature = "serde")]
        impl serde::Serialize for Payload<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(payload) => payload.serialize(serializer),)*
                    Self::Unknown(unknown) => unknown.serialize(serializer),
                }
            }
        }

        /// The kind of an element that has not been decoded yet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($variant,)*
            Unknown(Reason),
        }

        impl Kind {
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(_) => "unknown",
                }
            }

            /// Decodes an element, without the parts of the envelope that belong to it. `unknown`
            /// makes the payload of an element that cannot be decoded.
            #[inline]
            pub(crate) fn decode<'a>(
                self,
                cursor: &mut Cursor<'a>,
                unknown: impl FnOnce() -> Unknown<'a>,
            ) -> Payload<'a> {
                match self {
                    $(Self::$variant => match <$body as Decode<'a>>::decode(cursor) {
                        Some(body) => Payload::$variant(body),
                        None => Payload::Unknown(unknown()),
                    },)*
                    Self::Unknown(_) => Payload::Unknown(unknown()),
                }
            }

            /// Notes the unread keys of an element.
            pub(crate) fn unread<'a>(self, cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
                match self {
                    $(Self::$variant => <$body as Decode<'a>>::unread(cursor, paths),)*
                    Self::Unknown(_) => unread_members(cursor, paths),
                }
            }

            /// Whether this version knows all parts of an element.
            pub(crate) fn is_known<'a>(self, cursor: &mut Cursor<'a>) -> bool {
                match self {
                    $(Self::$variant => <$body as Decode<'a>>::is_known(cursor),)*
                    Self::Unknown(_) => false,
                }
            }
        }
    };
}

payloads! {
    /// Message that the business received.
    Message(Message<'a>) = "message",
    /// Status of a message that the business sent.
    Status(Status<'a>) = "status",
    /// Error of a phone number, of the app, of a call or of a chunk of history.
    Error(Error<'a>) = "error",
    /// Action of a user on a marketing message.
    UserAction(UserAction<'a>) = "user_action",
    /// Alert about an account, portfolio or phone number.
    AccountAlert(AccountAlert<'a>) = "account_alert",
    /// Result of an account review.
    AccountReview(AccountReview<'a>) = "account_review",
    /// Change of a phone number's settings.
    AccountSettings(AccountSettings<'a>) = "account_settings",
    /// Change of an account.
    AccountUpdate(AccountUpdate<'a>) = "account_update",
    /// Lead or purchase that Meta detected in a chat.
    AutomaticEvent(AutomaticEvent<'a>) = "automatic_event",
    /// Limits of an account or portfolio.
    BusinessCapability(BusinessCapability<'a>) = "business_capability",
    /// Status of a business.
    BusinessStatus(BusinessStatus<'a>) = "business_status",
    /// User name of the business.
    BusinessUsername(BusinessUsername<'a>) = "business_username",
    /// Event of a call.
    Call(Call<'a>) = "call",
    /// Status of a call that the business started.
    CallStatus(CallStatus<'a>) = "call_status",
    /// Status of a campaign.
    CampaignStatus(CampaignStatus<'a>) = "campaign_status",
    /// Status or health of a flow.
    Flow(Flow<'a>) = "flow",
    /// Event of a group.
    Group(Group<'a>) = "group",
    /// Participant that was added to a group or removed from it, or a failed attempt to do so.
    GroupParticipant(GroupParticipant<'a>) = "group_participant",
    /// Message from before the business joined the platform.
    HistoryMessage(HistoryMessage<'a>) = "history_message",
    /// Progress of such a history, for a chunk without messages.
    HistoryProgress(HistoryProgress) = "history_progress",
    /// Change of the contacts in the business's app.
    AppState(AppState<'a>) = "app_state",
    /// Message that the business sent elsewhere.
    Echo(Echo<'a>) = "echo",
    /// Handover of a chat from one app to another.
    Handover(Handover<'a>) = "handover",
    /// Message in a chat that another app owns. Must not be answered.
    StandbyMessage(Message<'a>) = "standby_message",
    /// Status in a chat that another app owns.
    StandbyStatus(Status<'a>) = "standby_status",
    /// Message of the business in a chat that another app owns.
    StandbyEcho(StandbyEcho<'a>) = "standby_echo",
    /// Solution of several partners.
    PartnerSolution(PartnerSolution<'a>) = "partner_solution",
    /// Configuration of a payment provider.
    PaymentConfiguration(PaymentConfiguration<'a>) = "payment_configuration",
    /// Review of a display name.
    PhoneNumberName(PhoneNumberName<'a>) = "phone_number_name",
    /// Quality or throughput of a phone number.
    PhoneNumberQuality(PhoneNumberQuality<'a>) = "phone_number_quality",
    /// Event about the PIN of a phone number.
    Security(Security<'a>) = "security",
    /// Change of the text or buttons of a template.
    TemplateComponents(TemplateComponents<'a>) = "template_components",
    /// Change of the quality of a template.
    TemplateQuality(TemplateQuality<'a>) = "template_quality",
    /// Change of the status of a template.
    TemplateStatus(TemplateStatus<'a>) = "template_status",
    /// Change of the category of a template, now or in the future.
    TemplateCategory(TemplateCategory<'a>) = "template_category",
    /// Template whose category does not match its text.
    TemplateCategoryDetection(TemplateCategoryDetection<'a>) = "template_category_detection",
    /// Event of a marketing message.
    TrackingEvent(TrackingEvent<'a>) = "tracking_event",
    /// Change of a user id.
    UserIdUpdate(UserIdUpdate<'a>) = "user_id_update",
    /// User's choice about marketing messages.
    UserPreference(UserPreference<'a>) = "user_preference",
}

/// Notes the members of an element without a type, or the element itself if it is not an object.
fn unread_members(cursor: &mut Cursor<'_>, paths: &mut UnreadPaths) {
    if cursor.enter_object().is_none() {
        paths.add();
        return;
    }
    while let Some(key) = cursor.next_key() {
        if !cursor.take_null() {
            let object = paths.enter(key);
            // The id is read: it is `Unknown::id`.
            if key != b"id" || Id::decode(&mut { *cursor }).is_none() {
                paths.add();
            }
            paths.leave(object);
            cursor.skip();
        }
    }
}

impl<'a> Payload<'a> {
    /// Returns the subtype as Meta writes it: the type of a message, the state of a status, the
    /// event of an account, …. For an unknown event, the list or the reason.
    ///
    /// Use it for routing, not as a metric label: Meta adds values at any time, so their number is
    /// not bounded.
    #[must_use]
    pub fn subtype(&self) -> Option<&'a str> {
        match self {
            Self::Message(message) | Self::StandbyMessage(message) => message.kind,
            Self::Status(status) | Self::StandbyStatus(status) => {
                status.state.map(|state| state.as_str())
            }
            Self::UserAction(action) => action.action_type.map(|kind| kind.as_str()),
            Self::AccountAlert(alert) => alert.info().kind,
            Self::AccountReview(review) => review.decision.map(|decision| decision.as_str()),
            Self::AccountSettings(settings) => settings.kind,
            Self::AccountUpdate(update) => update.event.map(|event| event.as_str()),
            Self::AutomaticEvent(event) => event.event_name,
            Self::BusinessStatus(status) => status.event,
            Self::BusinessUsername(username) => username.status,
            Self::Call(call) => call.event.map(|event| event.as_str()),
            Self::CallStatus(status) => status.state.map(|state| state.as_str()),
            Self::CampaignStatus(campaign) => campaign.new_status,
            Self::Flow(flow) => flow.event.map(|event| event.as_str()),
            Self::Group(group) => group.event.map(|event| event.as_str()),
            Self::GroupParticipant(participant) => participant.event.map(|event| event.as_str()),
            Self::HistoryMessage(message) => message.kind,
            Self::AppState(state) => state.action,
            Self::Echo(echo) => echo.kind,
            Self::Handover(handover) => handover.kind.map(|kind| kind.as_str()),
            Self::PartnerSolution(solution) => solution.event,
            Self::PaymentConfiguration(configuration) => configuration.status,
            Self::PhoneNumberName(name) => name.decision.map(|decision| decision.as_str()),
            Self::PhoneNumberQuality(quality) => quality.event.map(|event| event.as_str()),
            Self::Security(security) => security.event.map(|event| event.as_str()),
            Self::TemplateStatus(status) => status.event.map(|event| event.as_str()),
            Self::TrackingEvent(event) => event.event_name,
            Self::UserPreference(preference) => preference.value.map(|value| value.as_str()),
            Self::Unknown(unknown) => unknown.list.or(Some(unknown.reason.as_str())),
            Self::Error(_)
            | Self::BusinessCapability(_)
            | Self::HistoryProgress(_)
            | Self::StandbyEcho(_)
            | Self::TemplateComponents(_)
            | Self::TemplateQuality(_)
            | Self::TemplateCategory(_)
            | Self::TemplateCategoryDetection(_)
            | Self::UserIdUpdate(_) => None,
        }
    }
}

/// An element that this version of the crate has no type for.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Unknown<'a> {
    /// Reason why the element is unknown.
    pub reason: Reason,
    /// Key of the list that contains the element, for example `messages`. With [`Reason::Key`], the
    /// key of the element itself.
    pub list: Option<&'a str>,
    /// Id of the element, if it is an object with one (`id`).
    pub id: Option<&'a str>,
    /// JSON of the element, the same as [`Event::raw`](super::Event::raw).
    pub raw: &'a str,
}

/// Writes the raw JSON. With [`Reason::Overflow`] it is a string, because the text is not valid
/// JSON by itself.
#[cfg(feature = "serde")]
impl serde::Serialize for Unknown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::json::serialize(self.raw, serializer)
    }
}

impl fmt::Debug for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unknown")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// The reason why an element is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Unknown field. The raw JSON is the `value`, or one element of its `messages` or `statuses`.
    Field,
    /// Unknown list.
    List,
    /// Unknown key of the envelope, for example beside `changes`, `value` or `messages`. The raw
    /// JSON is the value of the key.
    Key,
    /// The `object` of the delivery is not `whatsapp_business_account`, so nothing in it is
    /// decoded.
    Object,
    /// Element, change, entry or body of an unexpected shape. Some of these are documented, for
    /// example the `changed_fields` of an entry.
    Shape,
    /// Remainder of a delivery with more than 32,768 events.
    ///
    /// The raw text is the remainder of a list: elements with commas between them, without the
    /// brackets around them. If many lists are left, it is the remainder of the whole body.
    Overflow,
}

impl Reason {
    /// Returns the reason in snake case, for logs, metrics and routing. The names are stable across
    /// versions of this crate.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::List => "list",
            Self::Key => "key",
            Self::Object => "object",
            Self::Shape => "shape",
            Self::Overflow => "overflow",
        }
    }
}
