//! Marketing messages, ads and campaigns.
//!
//! Sources: Meta's pages `marketing-messages/track-click-events` and
//! `webhooks/reference/automatic_events`.

use super::{
    contact::Contact,
    schema::{Id, Lazy, List, Name, PersonalId, Timestamp, UserText, object, string_enum},
};

object! {
    /// A lead or purchase that Meta detected in a chat from an ad: an element of
    /// `automatic_events[]` in the field of that name.
    pub struct AutomaticEvent<'a> {
        /// Id of the message in which the event was detected (`id`).
        pub id: Option<&'a str> = PersonalId["id"],
        /// Type of the event (`event_name`): `LeadSubmitted` or `Purchase`, in upper or lower case.
        pub event_name: Option<&'a str> = Id["event_name"],
        /// Unix time of the event, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Id of the click on the ad (`ctwa_clid`).
        pub ctwa_clid: Option<&'a str> = Id["ctwa_clid"],
        /// Value of a purchase (`custom_data`).
        pub custom_data: Option<CustomData<'a>> = CustomData<'a>["custom_data"],
    }
}

object! {
    /// The value of a purchase: `custom_data`.
    pub struct CustomData<'a> {
        /// Currency, ISO 4217 (`currency`).
        pub currency: Option<&'a str> = Id["currency"],
        /// Value (`value`).
        pub value: Option<f64> = f64["value"],
    }
}

object! {
    /// An action of a user on a marketing message: an element of `user_actions[]` in the field
    /// `messages`.
    pub struct UserAction<'a> {
        /// Type of the action (`action_type`).
        pub action_type: Option<UserActionKind<'a>> = UserActionKind<'a>["action_type"],
        /// Unix time of the action, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Click or view (`marketing_messages_link_click_data`).
        #[doc(alias = "marketing_messages_link_click_data")]
        pub link_click: Option<LinkClick<'a>> = LinkClick<'a>["marketing_messages_link_click_data"],
        /// Contact of the user (`contacts[]`), if there is exactly one contact: the action itself
        /// does not name the user.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

string_enum! {
    /// The type of a [`UserAction`]: `action_type`.
    pub enum UserActionKind<'a> {
        /// Click on a link.
        LinkClick = "marketing_messages_link_click",
        /// View of the page behind a link (since September 2026). May arrive before the click, or
        /// without one.
        LandingPageView = "landing_page_view",
    }
}

object! {
    /// A click on a link of a marketing message, or a view of the page behind it:
    /// `marketing_messages_link_click_data`.
    pub struct LinkClick<'a> {
        /// Part of the message that was clicked (`click_component`): `cta`, `body`, ….
        pub click_component: Option<&'a str> = Id["click_component"],
        /// Id of the product that was clicked (`product_id`).
        pub product_id: Option<&'a str> = Id["product_id"],
        /// Id of the click (`click_id`).
        pub click_id: Option<&'a str> = Id["click_id"],
        /// Token that identifies the message (`tracking_token`).
        pub tracking_token: Option<&'a str> = UserText["tracking_token"],
        /// User agent of the browser (`client_user_agent`, since September 2026).
        pub client_user_agent: Option<&'a str> = UserText["client_user_agent"],
    }
}

object! {
    /// An event of a marketing message: an element of `events[]` in the field `tracking_events`.
    /// Known from the App Dashboard's sample only.
    pub struct TrackingEvent<'a> {
        /// Type of the event (`event_name`): `sent`, ….
        pub event_name: Option<&'a str> = Id["event_name"],
        /// Unix time of the event, seconds (`timestamp`).
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// Link to the message (`tracking_data`).
        pub tracking_data: Option<TrackingData<'a>> = TrackingData<'a>["tracking_data"],
    }
}

object! {
    /// The link from a [`TrackingEvent`] to its message: `tracking_data`.
    pub struct TrackingData<'a> {
        /// Id of the click (`click_id`).
        pub click_id: Option<&'a str> = Id["click_id"],
        /// Token that identifies the message (`tracking_token`).
        pub tracking_token: Option<&'a str> = UserText["tracking_token"],
    }
}

object! {
    /// The status of a campaign: field `campaign_status_update`. Known from an old sample of the
    /// App Dashboard only.
    pub struct CampaignStatus<'a> {
        /// Id of the campaign (`campaign_id`).
        pub campaign_id: Option<&'a str> = Id["campaign_id"],
        /// Name of the campaign (`campaign_name`).
        pub campaign_name: Option<&'a str> = UserText["campaign_name"],
        /// Status before the change (`old_status`).
        pub old_status: Option<&'a str> = Id["old_status"],
        /// Status after the change (`new_status`).
        pub new_status: Option<&'a str> = Id["new_status"],
        /// Reasons for a pause (`paused_reasons[]`).
        pub paused_reasons: List<'a, Name<'a>> = List<'a, Name<'a>>["paused_reasons"],
        /// Reason for the completion (`complete_reason`).
        pub complete_reason: Option<&'a str> = Id["complete_reason"],
    }
}
