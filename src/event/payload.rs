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
        /// What an [`Event`](super::Event) is.
        ///
        /// More kinds come with every version of this crate: have a `_` arm, and let it do what is right for events that you do not
        /// know.
        ///
        /// # Serialization
        ///
        /// With the feature `serde` a payload and everything in it implements `Serialize`: an object with Meta's own keys,
        /// without those that are absent. Read again as an element of its list it gives the same payload. Ids and
        /// numbers that Meta writes now as a string and now as a number come out in one of both forms, times as
        /// strings of seconds. JSON that is kept as text is written as it stands, except for half a surrogate pair (U+FFFD)
        /// and numbers that are too large for 64 bits (strings): neither may make a host fail. What Meta writes beside the element has keys of its own: `contact`,
        /// `conversation_context`, and for parts of groups and histories those of their fields. Keys that
        /// [`Event::unread`](super::Event::unread) names are not in it; [`Event::raw`](super::Event::raw) has them.
        ///
        /// What kind of event it is ([`Payload::name`]), whose number and account it is about and when it was sent are not in
        /// it either: store them beside it, or store the whole event with [`Event::to_queue`](super::Event::to_queue).
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub enum Payload<'a> {
            $($(#[$meta])* $variant($body),)*
            /// Anything else. [`Event::raw`](super::Event::raw) has it.
            Unknown(Unknown<'a>),
        }

        impl Payload<'_> {
            /// All names, in the order of the declaration.
            #[doc(hidden)]
            pub const NAMES: &'static [&'static str] = &[$($name,)* "unknown"];

            /// The kind in snake case (`message`, `status`, `account_update`, …, `unknown`), for logs, metrics and routing. Does not
            /// change between versions.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Unknown(_) => "unknown",
                }
            }
        }

        /// With Meta's keys: see [`Payload`].
        #[cfg(feature = "serde")]
        impl serde::Serialize for Payload<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(payload) => payload.serialize(serializer),)*
                    Self::Unknown(unknown) => unknown.serialize(serializer),
                }
            }
        }

        /// What an element is before it is read.
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

            /// Reads an element. What stands around it is not in it yet.
            pub(crate) fn read<'a>(self, cursor: &mut Cursor<'a>) -> Option<Payload<'a>> {
                match self {
                    $(Self::$variant => <$body as Decode<'a>>::decode(cursor).map(Payload::$variant),)*
                    Self::Unknown(_) => None,
                }
            }

            /// Notes what is not read of an element.
            pub(crate) fn unread<'a>(self, cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
                match self {
                    $(Self::$variant => <$body as Decode<'a>>::unread(cursor, paths),)*
                    Self::Unknown(_) => unread_members(cursor, paths),
                }
            }

            /// Whether an element is known in all its parts.
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
    /// A message that the business received.
    Message(Message<'a>) = "message",
    /// What became of a message that the business sent.
    Status(Status<'a>) = "status",
    /// An error of a phone number, of the app, of a call or of a chunk of history.
    Error(Error<'a>) = "error",
    /// What a user did with a marketing message.
    UserAction(UserAction<'a>) = "user_action",
    /// An alert about an account, portfolio or phone number.
    AccountAlert(AccountAlert<'a>) = "account_alert",
    /// The result of an account review.
    AccountReview(AccountReview<'a>) = "account_review",
    /// A change of a phone number's settings.
    AccountSettings(AccountSettings<'a>) = "account_settings",
    /// A change of an account.
    AccountUpdate(AccountUpdate<'a>) = "account_update",
    /// A lead or purchase that Meta saw in a chat.
    AutomaticEvent(AutomaticEvent<'a>) = "automatic_event",
    /// The limits of an account or portfolio.
    BusinessCapability(BusinessCapability<'a>) = "business_capability",
    /// Something about the business.
    BusinessStatus(BusinessStatus<'a>) = "business_status",
    /// The business's own user name.
    BusinessUsername(BusinessUsername<'a>) = "business_username",
    /// Something about a call.
    Call(Call<'a>) = "call",
    /// How a call that the business began stands.
    CallStatus(CallStatus<'a>) = "call_status",
    /// The state of a campaign.
    CampaignStatus(CampaignStatus<'a>) = "campaign_status",
    /// The state or health of a flow.
    Flow(Flow<'a>) = "flow",
    /// Something about a group.
    Group(Group<'a>) = "group",
    /// Somebody was added to a group, removed from it, or could not be.
    GroupParticipant(GroupParticipant<'a>) = "group_participant",
    /// A message of a chat before the business came to the platform.
    HistoryMessage(HistoryMessage<'a>) = "history_message",
    /// A chunk of such a history without messages: how far it has come.
    HistoryProgress(HistoryProgress) = "history_progress",
    /// A change of the contacts in the business's app.
    AppState(AppState<'a>) = "app_state",
    /// A message that the business wrote elsewhere.
    Echo(Echo<'a>) = "echo",
    /// A chat was passed from one app to another.
    Handover(Handover<'a>) = "handover",
    /// A message in a chat that another app owns: not to be answered.
    StandbyMessage(Message<'a>) = "standby_message",
    /// A status in a chat that another app owns.
    StandbyStatus(Status<'a>) = "standby_status",
    /// A message of the business in a chat that another app owns.
    StandbyEcho(StandbyEcho<'a>) = "standby_echo",
    /// A solution of several partners.
    PartnerSolution(PartnerSolution<'a>) = "partner_solution",
    /// The configuration of a payment provider.
    PaymentConfiguration(PaymentConfiguration<'a>) = "payment_configuration",
    /// The review of a display name.
    PhoneNumberName(PhoneNumberName<'a>) = "phone_number_name",
    /// The quality or throughput of a phone number.
    PhoneNumberQuality(PhoneNumberQuality<'a>) = "phone_number_quality",
    /// Something about the PIN of a phone number.
    Security(Security<'a>) = "security",
    /// The text or buttons of a template changed.
    TemplateComponents(TemplateComponents<'a>) = "template_components",
    /// The quality of a template changed.
    TemplateQuality(TemplateQuality<'a>) = "template_quality",
    /// The state of a template changed.
    TemplateStatus(TemplateStatus<'a>) = "template_status",
    /// The category of a template changed or is about to.
    TemplateCategory(TemplateCategory<'a>) = "template_category",
    /// The category of a template is not what its text is.
    TemplateCategoryDetection(TemplateCategoryDetection<'a>) = "template_category_detection",
    /// An event of a marketing message.
    TrackingEvent(TrackingEvent<'a>) = "tracking_event",
    /// A user has another user id.
    UserIdUpdate(UserIdUpdate<'a>) = "user_id_update",
    /// Whether a user wants marketing messages.
    UserPreference(UserPreference<'a>) = "user_preference",
}

/// Notes the members of an element that has no type, or the element itself.
fn unread_members(cursor: &mut Cursor<'_>, paths: &mut UnreadPaths) {
    if cursor.enter_object().is_none() {
        paths.note();
        return;
    }
    while let Some(key) = cursor.next_key() {
        if !cursor.take_null() {
            let object = paths.enter(key);
            // `Unknown::id` has the id.
            if key != b"id" || Id::decode(&mut { *cursor }).is_none() {
                paths.note();
            }
            paths.leave(object);
            cursor.skip();
        }
    }
}

impl<'a> Payload<'a> {
    /// What it is more closely: the type of a message, the state of a status, the event of an account, …, as Meta writes it; of what is
    /// unknown the list, or the reason.
    ///
    /// New values arrive all the time: route by it, and do not make metric labels of it.
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

/// An element that has no type here.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Unknown<'a> {
    /// Why.
    pub reason: Reason,
    /// Key of the list that it is an element of (`messages`, for example), or its own key with [`Reason::Key`].
    pub list: Option<&'a str>,
    /// Its `id`, if it is an object that has one.
    pub id: Option<&'a str>,
    /// Its JSON: the same as [`Event::raw`](super::Event::raw).
    pub raw: &'a str,
}

/// The raw JSON; a string with [`Reason::Overflow`], whose text is not JSON by itself.
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

/// Why an element has no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// This version does not know the field. The raw JSON is the `value`, or one element of its `messages` or `statuses`.
    Field,
    /// This version does not know the list.
    List,
    /// This version does not know a key of the envelope (beside `changes`, `value` or `messages`, for example). The
    /// raw JSON is its value.
    Key,
    /// The `object` of the delivery is not `whatsapp_business_account`, whatever is in it.
    Object,
    /// The element, change, entry or body is of a shape of its own. Some of these are documented, for example the
    /// `changed_fields` of an entry.
    Shape,
    /// The delivery has more than 32,768 events. The raw text is what is left of the list: elements with commas between them, and no
    /// brackets around them; of the whole body, if many lists are left.
    Overflow,
}

impl Reason {
    /// The reason in snake case, for logs, metrics and routing. Does not change between versions.
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
