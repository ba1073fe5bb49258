//! What a message replies to, and whether it was forwarded.
//!
//! Source: Meta's page `webhooks/reference/messages/text`.

use crate::event::schema::{Id, PersonalId, object};

object! {
    /// The message that a message replies to, or the mark that it was forwarded: `context`.
    pub struct Context<'a> {
        /// Author of the message that is replied to, often the business (`from`).
        pub from: Option<&'a str> = PersonalId["from"],
        /// Id of the message that is replied to (`id`). Absent from forwarded messages.
        pub id: Option<&'a str> = PersonalId["id"],
        /// Whether the message was forwarded, up to five times (`forwarded`).
        pub forwarded: Option<bool> = bool["forwarded"],
        /// Whether the message was forwarded more than five times (`frequently_forwarded`).
        pub frequently_forwarded: Option<bool> = bool["frequently_forwarded"],
        /// Product from whose page the user wrote (`referred_product`).
        pub referred_product: Option<ReferredProduct<'a>> = ReferredProduct<'a>["referred_product"],
    }
}

object! {
    /// A product in a catalog: `referred_product`.
    pub struct ReferredProduct<'a> {
        /// Id of the catalog (`catalog_id`).
        pub catalog_id: Option<&'a str> = Id["catalog_id"],
        /// Id of the product in the business's own terms (`product_retailer_id`).
        pub product_retailer_id: Option<&'a str> = Id["product_retailer_id"],
    }
}
