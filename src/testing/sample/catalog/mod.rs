//! The templates of all samples, by the field that they are delivered in.

mod accounts;
mod message_templates;
mod messages;
mod phone_number_fields;
mod statuses;

use super::template::Template;

/// Returns all templates, in the order of the documented table.
pub(super) fn templates() -> impl Iterator<Item = &'static Template> {
    [
        messages::TEMPLATES,
        statuses::TEMPLATES,
        accounts::TEMPLATES,
        message_templates::TEMPLATES,
        phone_number_fields::TEMPLATES,
    ]
    .into_iter()
    .flatten()
}
