use super::{
    contact::Contact,
    error::Error,
    message::Media,
    schema::{Id, Lazy, List, Person, Text, Timestamp, names, object},
};

object! {
    /// Something about a call: an element of `calls` in the field of that name.
    ///
    /// A call that a user begins must be taken within about half a minute, so [`CallEvent::Connect`] must not wait behind a batch of
    /// statuses in a queue, and a late one is worth nothing.
    pub struct Call<'a> {
        /// Its id (`wacid.…`).
        pub id: Option<&'a str> = Id["id"],
        /// What happened.
        pub event: Option<CallEvent<'a>> = CallEvent<'a>["event"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Who calls: a phone number.
        pub from: Option<&'a str> = Person["from"],
        /// Who calls: a business-scoped user id.
        pub from_user_id: Option<&'a str> = Person["from_user_id"],
        /// The same for a parent portfolio.
        pub from_parent_user_id: Option<&'a str> = Person["from_parent_user_id"],
        /// Who is called: a phone number.
        pub to: Option<&'a str> = Person["to"],
        /// Who is called: a business-scoped user id.
        pub to_user_id: Option<&'a str> = Person["to_user_id"],
        /// The same for a parent portfolio.
        pub to_parent_user_id: Option<&'a str> = Person["to_parent_user_id"],
        /// Who began it.
        pub direction: Option<CallDirection<'a>> = CallDirection<'a>["direction"],
        /// The session description, with `connect`.
        pub session: Option<Session<'a>> = Session<'a>["session"],
        /// The session description of old payloads.
        pub connection: Option<Connection<'a>> = Connection<'a>["connection"],
        /// How it ended, with `terminate`.
        pub status: Option<CallResult<'a>> = CallResult<'a>["status"],
        /// When it was taken.
        pub start_time: Option<Timestamp> = Timestamp["start_time"],
        /// When it ended.
        pub end_time: Option<Timestamp> = Timestamp["end_time"],
        /// How long it took, in seconds.
        pub duration: Option<i64> = i64["duration"],
        /// What the business gave to be sent back.
        pub callback_data: Option<&'a str> = Text["biz_opaque_callback_data"],
        /// What the link that began it carried.
        pub deeplink_payload: Option<&'a str> = Text["deeplink_payload"],
        /// What the button that began it carried.
        pub cta_payload: Option<&'a str> = Text["cta_payload"],
        /// The recording.
        pub recording: Option<Recording<'a>> = Recording<'a>["call_recording"],
        /// The transcript.
        pub transcript: Option<Transcript<'a>> = Transcript<'a>["call_transcript"],
        /// Why it failed.
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// What else is said of the person.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

names! {
    /// What happened to a call.
    pub enum CallEvent<'a> {
        /// The call can be set up: it rings at the business (user-initiated), or the user took it (business-initiated).
        Connect = "connect",
        /// It ended.
        Terminate = "terminate",
        /// It was begun by SIP (June 2026).
        CallCreated = "call_created",
        /// There is a recording (June 2026).
        CallRecordingAvailable = "call_recording_available",
        /// There is a transcript.
        CallTranscriptionAvailable = "call_transcription_available",
    }
}

names! {
    /// Who began a call.
    pub enum CallDirection<'a> {
        /// The user.
        UserInitiated = "USER_INITIATED",
        /// The business.
        BusinessInitiated = "BUSINESS_INITIATED",
    }
}

names! {
    /// How a call ended.
    pub enum CallResult<'a> {
        /// It was taken.
        Completed = "COMPLETED",
        /// The call was not established, or broke off.
        Failed = "FAILED",
    }
}

object! {
    /// A session description.
    pub struct Session<'a> {
        /// `offer` or `answer`.
        pub sdp_type: Option<&'a str> = Id["sdp_type"],
        /// The description (RFC 8866).
        pub sdp: Option<&'a str> = Text["sdp"],
    }
}

object! {
    /// The session description of old payloads.
    pub struct Connection<'a> {
        /// It.
        pub webrtc: Option<WebRtc<'a>> = WebRtc<'a>["webrtc"],
    }
}

object! {
    /// In a [`Connection`].
    pub struct WebRtc<'a> {
        /// JSON, in a string.
        pub sdp: Option<&'a str> = Text["sdp"],
    }
}

object! {
    /// The recording of a call.
    pub struct Recording<'a> {
        /// `audio`.
        pub kind: Option<&'a str> = Id["type"],
        /// The file.
        pub audio: Option<Media<'a>> = Media<'a>["audio"],
    }
}

object! {
    /// The transcript of a call.
    pub struct Transcript<'a> {
        /// The file.
        pub document: Option<Media<'a>> = Media<'a>["document"],
    }
}

object! {
    /// How a call that the business began stands: an element of `statuses` in the field `calls`.
    pub struct CallStatus<'a> {
        /// The call (`wacid.…`).
        pub id: Option<&'a str> = Id["id"],
        /// `call`.
        pub kind: Option<&'a str> = Id["type"],
        /// How it stands.
        pub state: Option<CallState<'a>> = CallState<'a>["status"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Who is called: a phone number.
        pub recipient_id: Option<&'a str> = Person["recipient_id"],
        /// Who is called: a business-scoped user id.
        pub recipient_user_id: Option<&'a str> = Person["recipient_user_id"],
        /// The same for a parent portfolio.
        pub recipient_parent_user_id: Option<&'a str> = Person["recipient_parent_user_id" | "parent_recipient_user_id"],
        /// What the business gave to be sent back.
        pub callback_data: Option<&'a str> = Text["biz_opaque_callback_data"],
        /// Why it failed (`errors`).
        pub errors: List<'a, Error<'a>> = List<'a, Error<'a>>["errors"],
        /// What else is said of the person.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

names! {
    /// How a call stands.
    pub enum CallState<'a> {
        /// It rings.
        Ringing = "RINGING",
        /// It was taken.
        Accepted = "ACCEPTED",
        /// It was turned down.
        Rejected = "REJECTED",
    }
}
