//! Calls.
//!
//! Sources: Meta's pages `calling/reference` and `calling/call-settings`.

use super::{
    contact::Contact,
    error::Error,
    message::Media,
    schema::{Id, IdBytes, Lazy, List, PersonalId, Timestamp, UserText, object, string_enum},
};

object! {
    /// An event of a call: an element of `calls[]` in the field `calls`.
    ///
    /// A call that a user starts must be accepted within about half a minute. Do not queue
    /// [`CallEvent::Connect`] behind a batch of statuses: a late one is useless.
    pub struct Call<'a> {
        /// Id of the call, `wacid.…` (`id`).
        pub id: Option<&'a str> = PersonalId["id"],
        /// Type of the event (`event`).
        pub event: Option<CallEvent<'a>> = CallEvent<'a>["event"],
        /// Unix time of the event, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Phone number of the caller (`from`).
        pub from: Option<&'a str> = PersonalId["from"],
        /// Business-scoped user id of the caller (`from_user_id`).
        pub from_user_id: Option<&'a str> = PersonalId["from_user_id"],
        /// User id of the caller for a parent portfolio (`from_parent_user_id`).
        pub from_parent_user_id: Option<&'a str> = PersonalId["from_parent_user_id"],
        /// Phone number of the callee (`to`).
        pub to: Option<&'a str> = PersonalId["to"],
        /// Business-scoped user id of the callee (`to_user_id`).
        pub to_user_id: Option<&'a str> = PersonalId["to_user_id"],
        /// User id of the callee for a parent portfolio (`to_parent_user_id`).
        pub to_parent_user_id: Option<&'a str> = PersonalId["to_parent_user_id"],
        /// Initiator (`direction`).
        pub direction: Option<CallDirection<'a>> = CallDirection<'a>["direction"],
        /// Session description, with `connect` (`session`).
        pub session: Option<Session<'a>> = Session<'a>["session"],
        /// Session description in old payloads (`connection`).
        pub connection: Option<Connection<'a>> = Connection<'a>["connection"],
        /// Result, with `terminate` (`status`).
        pub status: Option<CallResult<'a>> = CallResult<'a>["status"],
        /// Unix time at which the call was accepted, seconds (`start_time`).
        pub start_time: Option<Timestamp> = Timestamp["start_time"],
        /// Unix time at which the call ended, seconds (`end_time`).
        pub end_time: Option<Timestamp> = Timestamp["end_time"],
        /// Duration, seconds (`duration`).
        pub duration: Option<i64> = i64["duration"],
        /// Text that the business attached to the call (`biz_opaque_callback_data`).
        #[doc(alias = "biz_opaque_callback_data")]
        pub callback_data: Option<&'a str> = UserText["biz_opaque_callback_data"],
        /// Payload of the link that started the call (`deeplink_payload`).
        pub deeplink_payload: Option<&'a str> = UserText["deeplink_payload"],
        /// Payload of the button that started the call (`cta_payload`).
        pub cta_payload: Option<&'a str> = UserText["cta_payload"],
        /// Recording (`call_recording`).
        #[doc(alias = "call_recording")]
        pub recording: Option<Recording<'a>> = Recording<'a>["call_recording"],
        /// Transcript (`call_transcript`).
        #[doc(alias = "call_transcript")]
        pub transcript: Option<Transcript<'a>> = Transcript<'a>["call_transcript"],
        /// Reasons of a failure (`errors[]`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// Contact of the user (the matching element of `contacts[]`).
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

object! {
    /// The members of a [`Call`] that its key and its age are computed from.
    pub(super) struct CallIds<'a> {
        pub(super) id: Option<&'a [u8]> = IdBytes["id"],
        pub(super) event: Option<CallEvent<'a>> = CallEvent<'a>["event"],
        pub(super) timestamp: Option<Timestamp> = Timestamp["timestamp"],
    }
}

string_enum! {
    /// The type of a [`Call`] event: `event`.
    pub enum CallEvent<'a> {
        /// Call ready to connect: it rings at the business (user-initiated), or the user accepted
        /// it (business-initiated).
        Connect = "connect",
        /// End of the call.
        Terminate = "terminate",
        /// Call created through SIP (June 2026).
        CallCreated = "call_created",
        /// Recording available (June 2026).
        CallRecordingAvailable = "call_recording_available",
        /// Transcript available.
        CallTranscriptionAvailable = "call_transcription_available",
    }
}

string_enum! {
    /// The initiator of a call: `direction`.
    pub enum CallDirection<'a> {
        /// Started by the user.
        UserInitiated = "USER_INITIATED",
        /// Started by the business.
        BusinessInitiated = "BUSINESS_INITIATED",
    }
}

string_enum! {
    /// The result of a call: `status`.
    pub enum CallResult<'a> {
        /// Call that was accepted and has ended.
        Completed = "COMPLETED",
        /// Call that was not established, or was interrupted.
        Failed = "FAILED",
    }
}

object! {
    /// A session description: `session`.
    pub struct Session<'a> {
        /// Type (`sdp_type`): `offer` or `answer`.
        pub sdp_type: Option<&'a str> = Id["sdp_type"],
        /// Session description, RFC 8866 (`sdp`).
        pub sdp: Option<&'a str> = UserText["sdp"],
    }
}

object! {
    /// The session description in old payloads: `connection`.
    pub struct Connection<'a> {
        /// Session description (`webrtc`).
        pub webrtc: Option<WebRtc<'a>> = WebRtc<'a>["webrtc"],
    }
}

object! {
    /// A session description in a [`Connection`]: `webrtc`.
    pub struct WebRtc<'a> {
        /// JSON in a string (`sdp`).
        pub sdp: Option<&'a str> = UserText["sdp"],
    }
}

object! {
    /// The recording of a call: `call_recording`.
    pub struct Recording<'a> {
        /// Type of the recording (`type`): `audio`.
        pub kind: Option<&'a str> = Id["type"],
        /// Audio file (`audio`).
        pub audio: Option<Media<'a>> = Media<'a>["audio"],
    }
}

object! {
    /// The transcript of a call: `call_transcript`.
    pub struct Transcript<'a> {
        /// Document (`document`).
        pub document: Option<Media<'a>> = Media<'a>["document"],
    }
}

object! {
    /// The status of a call that the business started: an element of `statuses[]` in the field
    /// `calls`.
    pub struct CallStatus<'a> {
        /// Id of the call, `wacid.…` (`id`).
        pub id: Option<&'a str> = PersonalId["id"],
        /// Type of the status (`type`): `call`.
        pub kind: Option<&'a str> = Id["type"],
        /// State (`status`).
        pub state: Option<CallState<'a>> = CallState<'a>["status"],
        /// Unix time of the status change, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Phone number of the callee (`recipient_id`).
        pub recipient_id: Option<&'a str> = PersonalId["recipient_id"],
        /// Business-scoped user id of the callee (`recipient_user_id`).
        pub recipient_user_id: Option<&'a str> = PersonalId["recipient_user_id"],
        /// User id of the callee for a parent portfolio (`recipient_parent_user_id`, also
        /// `parent_recipient_user_id`).
        pub recipient_parent_user_id: Option<&'a str> = PersonalId["recipient_parent_user_id" | "parent_recipient_user_id"],
        /// Text that the business attached to the call (`biz_opaque_callback_data`).
        #[doc(alias = "biz_opaque_callback_data")]
        pub callback_data: Option<&'a str> = UserText["biz_opaque_callback_data"],
        /// Reasons of a failure (`errors[]`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// Contact of the user (the matching element of `contacts[]`).
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

object! {
    /// The members of a [`CallStatus`] that its key and its age are computed from.
    pub(super) struct CallStatusIds<'a> {
        pub(super) id: Option<&'a [u8]> = IdBytes["id"],
        pub(super) state: Option<CallState<'a>> = CallState<'a>["status"],
        pub(super) timestamp: Option<Timestamp> = Timestamp["timestamp"],
        pub(super) recipient_id: Option<&'a [u8]> = IdBytes["recipient_id"],
        pub(super) recipient_user_id: Option<&'a [u8]> = IdBytes["recipient_user_id"],
    }
}

string_enum! {
    /// The state of a call: `status`.
    pub enum CallState<'a> {
        /// Ringing.
        Ringing = "RINGING",
        /// Accepted.
        Accepted = "ACCEPTED",
        /// Rejected.
        Rejected = "REJECTED",
    }
}
