//! Orders from a catalog.
//!
//! Source: Meta's page `webhooks/reference/messages/order`.

use crate::event::schema::{Id, List, UserText, object};

object! {
    /// An order from a catalog: the body of `order` messages.
    pub struct Order<'a> {
        /// Id of the catalog (`catalog_id`).
        pub catalog_id: Option<&'a str> = Id["catalog_id"],
        /// Text that the user sent with the order (`text`).
        pub text: Option<&'a str> = UserText["text"],
        /// Ordered products (`product_items[]`).
        pub product_items: List<'a, OrderItem<'a>> = List<'a, OrderItem<'a>>["product_items"],
    }
}

object! {
    /// A line of an [`Order`].
    pub struct OrderItem<'a> {
        /// Id of the product in the business's own terms (`product_retailer_id`).
        pub product_retailer_id: Option<&'a str> = Id["product_retailer_id"],
        /// Number of units (`quantity`): a whole number in all samples.
        pub quantity: Option<f64> = f64["quantity"],
        /// Price of one unit, in whole units of the currency (`item_price`), for example 7.99.
        pub item_price: Option<f64> = f64["item_price"],
        /// Currency, ISO 4217 (`currency`).
        pub currency: Option<&'a str> = Id["currency"],
    }
}
