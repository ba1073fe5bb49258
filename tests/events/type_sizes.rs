//! Sizes of types. Callers read a payload onto their stack, so each call pays for its size: no type
//! may grow unnoticed.
//!
//! Nothing in a payload is boxed. It borrows its texts from the body, its lists are parsed during
//! iteration, and reading it does not allocate. A box would cost more than the few hundred bytes
//! that it saves on the stack.

#![cfg(target_pointer_width = "64")]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
#[cfg(feature = "tokio")]
use tower::Service;
use tower::util::BoxCloneService;
#[cfg(feature = "tokio")]
use tower_whatsapp::dedup::{Dedup, MemoryStore};
use tower_whatsapp::{
    Event, Notification, Payload,
    event::{self, EventKey, Iter, List},
    webhook::{RequestBody, ResponseFuture},
};

macro_rules! sizes {
    ($($type:ty = $size:literal,)*) => {
        [$((stringify!($type), size_of::<$type>(), $size),)*]
    };
}

#[test]
fn no_type_grows_unnoticed() {
    let table = sizes![
        // Types that hosts keep and move into tasks: a pointer to shared data with a number and a
        // flag, or pointers to shared data, events and suppressed events.
        Event = 16,
        Notification = 64,
        EventKey = 16,
        // The largest kind, a status, and an eight-byte discriminant.
        Payload<'static> = 776,
        // A cursor: text, position, offset, and the decoded texts.
        List<'static, event::Error<'static>> = 16,
        Iter<'static, event::Error<'static>> = 56,
        // Accounts and phone numbers.
        event::AccountAlert<'static> = 168,
        event::AlertInfo<'static> = 64,
        event::AccountReview<'static> = 24,
        event::Decision<'static> = 24,
        event::AccountSettings<'static> = 72,
        event::PhoneNumberSettings<'static> = 32,
        // Eleven kinds of details. Most updates have one of them.
        event::AccountUpdate<'static> = 536,
        event::AccountEvent<'static> = 24,
        event::WabaInfo<'static> = 112,
        event::ViolationInfo<'static> = 32,
        event::RestrictionInfo<'static> = 48,
        event::BanInfo<'static> = 32,
        event::RateEligibility<'static> = 32,
        event::ExceptionCountry<'static> = 32,
        event::VolumeTierInfo<'static> = 80,
        event::DisconnectionInfo<'static> = 32,
        event::CertificationInfo<'static> = 48,
        event::BusinessCapability<'static> = 64,
        event::BusinessStatus<'static> = 32,
        event::BusinessUsername<'static> = 64,
        event::PartnerSolution<'static> = 168,
        event::PaymentConfiguration<'static> = 96,
        event::PhoneNumberName<'static> = 72,
        event::PhoneNumberQuality<'static> = 88,
        event::QualityEvent<'static> = 24,
        event::Security<'static> = 56,
        event::SecurityEvent<'static> = 24,
        // Calls.
        // Recording and transcript (a file of 104 each) and the contact (56: read when asked for).
        event::Call<'static> = 616,
        event::CallEvent<'static> = 24,
        event::CallDirection<'static> = 24,
        event::CallResult<'static> = 24,
        event::Session<'static> = 32,
        event::Connection<'static> = 24,
        event::WebRtc<'static> = 16,
        event::Recording<'static> = 120,
        event::Transcript<'static> = 104,
        event::CallStatus<'static> = 168,
        event::CallState<'static> = 24,
        // People.
        event::Contact<'static> = 120,
        event::Profile<'static> = 48,
        // Errors.
        event::Error<'static> = 104,
        event::ErrorData<'static> = 16,
        // Flows.
        event::Flow<'static> = 248,
        event::FlowEvent<'static> = 24,
        event::FlowStatus<'static> = 24,
        event::FlowError<'static> = 48,
        // Groups: settings of three kinds (88 each), and the keys of nine events.
        event::Group<'static> = 480,
        event::GroupEvent<'static> = 24,
        event::GroupSetting<'static> = 72,
        // The contact (56), and the members that all participants of a group share.
        event::GroupParticipant<'static> = 224,
        event::ParticipantOutcome = 1,
        // Conversation routing.
        event::Handover<'static> = 592,
        event::HandoverKind<'static> = 24,
        event::HandoverSender<'static> = 48,
        event::HandoverRecipient<'static> = 32,
        event::Control<'static> = 152,
        event::ConversationContext<'static> = 40,
        event::Summary<'static> = 16,
        event::StandbyEcho<'static> = 96,
        // History and echoes: a message with its thread (64) and chunk (48) instead of a contact.
        event::HistoryMessage<'static> = 776,
        event::HistoryContext<'static> = 16,
        event::ThreadContext<'static> = 64,
        event::HistoryChunk = 48,
        event::HistoryProgress = 48,
        event::AppState<'static> = 168,
        event::AppContact<'static> = 96,
        event::AppStateMetadata = 32,
        // A message without a sender, with the contact (56).
        event::Echo<'static> = 400,
        // Marketing.
        event::AutomaticEvent<'static> = 96,
        event::CustomData<'static> = 32,
        event::UserAction<'static> = 144,
        event::LinkClick<'static> = 80,
        event::TrackingEvent<'static> = 72,
        event::TrackingData<'static> = 32,
        event::CampaignStatus<'static> = 96,
        // Messages: sender with contact (120), advertisement (200), content (120), reply context
        // (80). A message may have all of them.
        event::Message<'static> = 680,
        event::Sender<'static> = 80,
        event::Content<'static> = 152,
        event::TextBody<'static> = 16,
        event::Media<'static> = 104,
        event::Location<'static> = 80,
        event::Button<'static> = 32,
        event::Interactive<'static> = 80,
        event::ButtonReply<'static> = 32,
        event::ListReply<'static> = 48,
        event::FlowReply<'static> = 48,
        event::CallPermissionReply<'static> = 64,
        event::CallPermission<'static> = 24,
        event::PaymentMethod<'static> = 80,
        event::Order<'static> = 48,
        event::OrderItem<'static> = 64,
        event::Reaction<'static> = 32,
        event::System<'static> = 152,
        event::SystemKind<'static> = 24,
        event::Unsupported<'static> = 24,
        event::Edit<'static> = 32,
        event::EditedMessage<'static> = 256,
        event::Revoke<'static> = 16,
        event::Context<'static> = 80,
        event::ReferredProduct<'static> = 32,
        event::Referral<'static> = 200,
        event::WelcomeMessage<'static> = 16,
        event::Identity<'static> = 40,
        // Seven lists of 40 each, and the name (96). Cards are read one by one, never as a payload.
        event::Card<'static> = 272,
        event::CardName<'static> = 96,
        event::CardAddress<'static> = 112,
        event::CardEmail<'static> = 32,
        event::CardOrg<'static> = 48,
        event::CardPhone<'static> = 64,
        event::CardUrl<'static> = 32,
        // Unknown events.
        event::Unknown<'static> = 56,
        event::Reason = 1,
        // Single values.
        event::Timestamp = 8,
        event::Name<'static> = 16,
        // Statuses, the largest kind: recipient with the contact (56), payment with its last
        // attempt (272), and conversation and pricing, which Meta nests.
        event::Status<'static> = 512,
        event::Recipient<'static> = 144,
        event::State<'static> = 24,
        event::Conversation<'static> = 136,
        event::Origin<'static> = 24,
        event::Pricing<'static> = 80,
        event::Category<'static> = 24,
        event::Payment<'static> = 480,
        event::Amount = 32,
        event::Transaction<'static> = 176,
        event::PaymentMethodKind<'static> = 16,
        event::PaymentError<'static> = 32,
        event::Refund<'static> = 112,
        // Templates.
        event::TemplateComponents<'static> = 112,
        event::TemplateButton<'static> = 64,
        event::TemplateQuality<'static> = 96,
        event::Quality<'static> = 24,
        event::TemplateStatus<'static> = 216,
        event::TemplateEvent<'static> = 24,
        event::TemplateCategoryName<'static> = 24,
        event::DisableInfo<'static> = 16,
        event::OtherInfo<'static> = 32,
        event::RejectionInfo<'static> = 32,
        event::TemplateCategory<'static> = 136,
        event::TemplateCategoryDetection<'static> = 96,
        // Users.
        event::UserPreference<'static> = 152,
        event::PreferenceValue<'static> = 24,
        event::UserIdUpdate<'static> = 144,
        event::IdChange<'static> = 32,
    ];
    let mut grown = Vec::new();
    for (name, size, expected) in table {
        println!("{name}: {size}");
        if size != expected {
            grown.push(format!("{name}: {size}, was {expected}"));
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}

/// A future is part of its connection's task, so every connection pays for the largest state: the
/// incoming body, its timer, the hash, the request head, and what a rejection says of the request.
/// The host's future is a pointer here.
#[test]
fn no_future_grows_unnoticed() {
    type Body = Full<Bytes>;
    type Host = BoxCloneService<Request<RequestBody<Body>>, Response<Body>, Infallible>;
    let most = if cfg!(feature = "aws-lc-rs") {
        // AWS-LC's HMAC context reserves space for its largest hash, three times.
        1936
    } else if cfg!(feature = "tokio") {
        832
    } else {
        // Without a timer.
        688
    };
    let size = size_of::<ResponseFuture<Host, Body>>();
    assert!(size <= most, "{size}");

    // The work runs in a separate task that this future waits for. Requests without a notification
    // go directly to the host.
    #[cfg(feature = "tokio")]
    {
        type Inner = BoxCloneService<Request<Body>, Response<Body>, Infallible>;
        type Remembering = Dedup<Inner, MemoryStore>;
        let size = size_of::<<Remembering as Service<Request<Body>>>::Future>();
        assert!(size <= 288, "{size}");
    }
}

/// Values that are passed on the stack stay far below the size of a small task stack.
#[test]
fn a_payload_is_less_than_a_page() {
    assert!(size_of::<Payload<'static>>() < 4096 / 4);
    assert_eq!(size_of::<Option<Event>>(), size_of::<Event>());
}

#[test]
fn what_goes_into_tasks_may() {
    fn task<T: Send + Sync + 'static>() {}
    fn await_point<T: Send + Sync>() {}
    task::<Event>();
    task::<Vec<Event>>();
    task::<Notification>();
    task::<EventKey>();
    task::<event::ParseError>();
    task::<event::DeserializeError>();
    await_point::<Payload<'_>>();
    await_point::<List<'_, event::Error<'_>>>();
    await_point::<Iter<'_, event::Error<'_>>>();
}
