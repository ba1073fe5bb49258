use super::{
    contact::Contact,
    schema::{Id, Lazy, List, Name, Text, Timestamp, names, object},
};

object! {
    /// A lead or purchase that Meta saw in a chat from an ad: an element of the field `automatic_events`.
    pub struct AutomaticEvent<'a> {
        /// The message that it was seen in.
        pub id: Option<&'a str> = Id["id"],
        /// `LeadSubmitted` or `Purchase`, in either case.
        pub event_name: Option<&'a str> = Id["event_name"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// The id of the click.
        pub ctwa_clid: Option<&'a str> = Id["ctwa_clid"],
        /// What it was worth.
        pub custom_data: Option<CustomData<'a>> = CustomData<'a>["custom_data"],
    }
}

object! {
    /// What a purchase was worth.
    pub struct CustomData<'a> {
        /// ISO 4217.
        pub currency: Option<&'a str> = Id["currency"],
        /// How much.
        pub value: Option<f64> = f64["value"],
    }
}

object! {
    /// What a user did with a marketing message: an element of `user_actions` in the field `messages`.
    pub struct UserAction<'a> {
        /// What the user did (`action_type`).
        pub action_type: Option<UserActionKind<'a>> = UserActionKind<'a>["action_type"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// The click or the view (`marketing_messages_link_click_data`).
        pub link_click: Option<LinkClick<'a>> = LinkClick<'a>["marketing_messages_link_click_data"],
        /// Who it was, if there is one contact only: nothing in the action says it.
        pub contact: Lazy<'a, Contact<'a>>,
    }
}

names! {
    /// What a user did with a marketing message.
    pub enum UserActionKind<'a> {
        /// A link was clicked.
        LinkClick = "marketing_messages_link_click",
        /// The page behind a link was viewed (since September 2026). May come before the click, or without one.
        LandingPageView = "landing_page_view",
    }
}

object! {
    /// A click on a link of a marketing message, or the view of the page behind it.
    pub struct LinkClick<'a> {
        /// Where: `cta`, `body`, ….
        pub click_component: Option<&'a str> = Id["click_component"],
        /// On which product.
        pub product_id: Option<&'a str> = Id["product_id"],
        /// Its id.
        pub click_id: Option<&'a str> = Id["click_id"],
        /// What leads to the message.
        pub tracking_token: Option<&'a str> = Text["tracking_token"],
        /// User agent of the browser (`client_user_agent`, since September 2026).
        pub client_user_agent: Option<&'a str> = Text["client_user_agent"],
    }
}

object! {
    /// An event of a marketing message: an element of `events` in the field `tracking_events`. Known from the dashboard's sample only.
    pub struct TrackingEvent<'a> {
        /// `sent`, ….
        pub event_name: Option<&'a str> = Id["event_name"],
        /// When.
        pub timestamp: Option<Timestamp> = Timestamp["timestamp"],
        /// What leads to the message.
        pub tracking_data: Option<TrackingData<'a>> = TrackingData<'a>["tracking_data"],
    }
}

object! {
    /// What leads from a [`TrackingEvent`] to its message.
    pub struct TrackingData<'a> {
        /// The id of the click.
        pub click_id: Option<&'a str> = Id["click_id"],
        /// The token.
        pub tracking_token: Option<&'a str> = Text["tracking_token"],
    }
}

object! {
    /// The state of a campaign: field `campaign_status_update`. Known from an old sample of the dashboard only.
    pub struct CampaignStatus<'a> {
        /// The campaign.
        pub campaign_id: Option<&'a str> = Id["campaign_id"],
        /// Its name.
        pub campaign_name: Option<&'a str> = Text["campaign_name"],
        /// Before.
        pub old_status: Option<&'a str> = Id["old_status"],
        /// Now.
        pub new_status: Option<&'a str> = Id["new_status"],
        /// Why it is paused.
        pub paused_reasons: List<'a, Name<'a>> = List<'a, Name<'a>>["paused_reasons"],
        /// Why it is complete.
        pub complete_reason: Option<&'a str> = Id["complete_reason"],
    }
}
