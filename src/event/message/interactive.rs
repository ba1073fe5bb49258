//! Replies to interactive messages.
//!
//! Source: Meta's page `webhooks/reference/messages/interactive`.

use crate::event::{
    json::Cursor,
    schema::{
        Decode, Id, PersonalId, Timestamp, UnreadPaths, UserText, object, string_enum, tagged_union,
    },
};

tagged_union! {
    /// The reply to an interactive message, by `interactive.type`.
    pub enum Interactive<'a> {
        /// Press of a reply button.
        ButtonReply(ButtonReply<'a>) = "button_reply",
        /// Selection of a list row.
        ListReply(ListReply<'a>) = "list_reply",
        /// Completion of a flow or an address form.
        FlowReply(FlowReply<'a>) = "nfm_reply",
        /// Reply to a call permission request.
        CallPermissionReply(CallPermissionReply<'a>) = "call_permission_reply",
        /// Choice of a stored payment card (Brazil).
        PaymentMethod(PaymentMethod<'a>) = "payment_method",
        /// Product of the business's catalog, sent with a text (since August 2026).
        Product(InteractiveProduct<'a>) = "product",
    }
}

impl<'a> Decode<'a> for Interactive<'a> {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let wire = WireInteractive::decode(cursor)?;
        let mut interactive = wire.content;
        if let Self::Product(product) = &mut interactive {
            product.text = wire.body.and_then(|body| body.text);
        }
        Some(interactive)
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        WireInteractive::is_known(cursor)
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        let wire = WireInteractive::decode(&mut { *cursor }).unwrap_or_default();
        // Both keys are decoded, but only some variants have a field for them.
        let keys = [
            ("type", wire.content == Self::Unknown && wire.kind.is_some()),
            (
                "body",
                !matches!(wire.content, Self::Product(_)) && wire.body.is_some(),
            ),
        ];
        for (key, _) in keys.iter().filter(|(_, is_unread)| *is_unread) {
            let object = paths.enter(key.as_bytes());
            paths.add();
            paths.leave(object);
        }
        WireInteractive::unread(cursor, paths);
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Interactive<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match self {
            Self::Product(product) => product.text,
            _ => None,
        };
        let wire = WireInteractive {
            body: text.map(|text| InteractiveText { text: Some(text) }),
            kind: crate::event::schema::TaggedUnion::tag(self),
            content: *self,
            has_body: true,
        };
        wire.serialize(serializer)
    }
}

object! {
    /// The JSON object of an [`Interactive`]: the text of a product stands outside its body.
    struct WireInteractive<'a> {
        body: Option<InteractiveText<'a>> = InteractiveText<'a>["body"],
    }
    tagged {
        kind,
        content: Interactive<'a>,
        has_body,
    }
}

object! {
    /// The text of a product: `interactive.body`.
    struct InteractiveText<'a> {
        text: Option<&'a str> = UserText["text"],
    }
}

object! {
    /// The press of a reply button: `button_reply`.
    pub struct ButtonReply<'a> {
        /// Id that the business gave to the button (`id`).
        pub id: Option<&'a str> = UserText["id"],
        /// Label of the button (`title`).
        pub title: Option<&'a str> = UserText["title"],
    }
}

object! {
    /// The selection of a list row: `list_reply`.
    pub struct ListReply<'a> {
        /// Id that the business gave to the row (`id`).
        pub id: Option<&'a str> = UserText["id"],
        /// Title of the row (`title`).
        pub title: Option<&'a str> = UserText["title"],
        /// Description of the row (`description`).
        pub description: Option<&'a str> = UserText["description"],
    }
}

object! {
    /// The completion of a flow or an address form: `nfm_reply`.
    #[doc(alias = "nfm_reply")]
    pub struct FlowReply<'a> {
        /// Type of the form (`name`): `flow` or `address_message`.
        pub name: Option<&'a str> = Id["name"],
        /// Constant text from Meta (`body`): `Sent`.
        pub body: Option<&'a str> = UserText["body"],
        /// Answers of the user (`response_json`): JSON in a string, not always an object.
        pub response_json: Option<&'a str> = UserText["response_json"],
    }
}

object! {
    /// The reply to a call permission request: `call_permission_reply`.
    pub struct CallPermissionReply<'a> {
        /// Reply of the user (`response`).
        pub response: Option<CallPermission<'a>> = CallPermission<'a>["response"],
        /// Whether the permission is permanent (`is_permanent`).
        pub is_permanent: Option<bool> = bool["is_permanent"],
        /// Unix time at which a temporary permission expires, seconds (`expiration_timestamp`).
        pub expiration_timestamp: Option<Timestamp> = Timestamp["expiration_timestamp"],
        /// Source of the reply (`response_source`): `user_action` or `automatic`.
        pub response_source: Option<&'a str> = Id["response_source"],
    }
}

string_enum! {
    /// The reply to a call permission request: `response`.
    pub enum CallPermission<'a> {
        /// Calls are permitted.
        Accept = "accept",
        /// Calls are not permitted.
        Reject = "reject",
    }
}

object! {
    /// The choice of a stored payment card: `payment_method` (Brazil).
    pub struct PaymentMethod<'a> {
        /// Method (`payment_method`): `offsite_card_pay`.
        pub payment_method: Option<&'a str> = Id["payment_method"],
        /// Unix time of the choice, seconds (`payment_timestamp`).
        pub payment_timestamp: Option<Timestamp> = Timestamp["payment_timestamp"],
        /// Id of the payment in the business's own terms (`reference_id`).
        pub reference_id: Option<&'a str> = Id["reference_id"],
        /// Last four digits of the card number (`last_four_digits`).
        pub last_four_digits: Option<&'a str> = PersonalId["last_four_digits"],
        /// Id of the stored card (`credential_id`).
        pub credential_id: Option<&'a str> = PersonalId["credential_id"],
    }
}

object! {
    /// A product of the business's catalog that a user sent, with a text: `product`.
    pub struct InteractiveProduct<'a> {
        /// Id of the catalog (`catalog_id`).
        pub catalog_id: Option<&'a str> = Id["catalog_id"],
        /// Id of the product in the business's own terms (`product_retailer_id`).
        pub product_retailer_id: Option<&'a str> = Id["product_retailer_id"],
        /// Text that the user sent with the product (`interactive.body.text`).
        pub text: Option<&'a str> as "",
    }
}
