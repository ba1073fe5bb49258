//! The ad or post that led to a message.
//!
//! Source: Meta's page `webhooks/reference/messages/text`.

use crate::event::schema::{Id, UserText, object};

object! {
    /// The ad or post that led to a message (click to WhatsApp): `referral`.
    #[doc(alias = "ctwa")]
    pub struct Referral<'a> {
        /// URL of the ad or post (`source_url`).
        pub source_url: Option<&'a str> = Id["source_url"],
        /// Id of the ad or post (`source_id`).
        pub source_id: Option<&'a str> = Id["source_id"],
        /// Type of the source (`source_type`): `ad` or `post`.
        pub source_type: Option<&'a str> = Id["source_type"],
        /// Headline of the ad or post (`headline`).
        pub headline: Option<&'a str> = UserText["headline"],
        /// Text of the ad or post (`body`).
        pub body: Option<&'a str> = UserText["body"],
        /// Type of its media (`media_type`): `image` or `video`.
        pub media_type: Option<&'a str> = Id["media_type"],
        /// URL of the image (`image_url`).
        pub image_url: Option<&'a str> = UserText["image_url"],
        /// URL of the video (`video_url`).
        pub video_url: Option<&'a str> = UserText["video_url"],
        /// URL of a thumbnail of the video (`thumbnail_url`).
        pub thumbnail_url: Option<&'a str> = UserText["thumbnail_url"],
        /// Id of the click (`ctwa_clid`). Absent from ads in WhatsApp Status.
        pub ctwa_clid: Option<&'a str> = Id["ctwa_clid"],
        /// Greeting that was shown to the user (`welcome_message`).
        pub welcome_message: Option<WelcomeMessage<'a>> = WelcomeMessage<'a>["welcome_message"],
        /// Text chosen by the advertiser (`ref`).
        pub reference: Option<&'a str> = UserText["ref"],
    }
}

object! {
    /// The greeting of an ad: `welcome_message`.
    pub struct WelcomeMessage<'a> {
        /// Text of the greeting (`text`).
        pub text: Option<&'a str> = UserText["text"],
    }
}
