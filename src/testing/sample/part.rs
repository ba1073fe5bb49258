use std::collections::BTreeMap;

use super::template::{Template, pieces, shared};

/// Events from one template, in one `value`.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) template: &'static Template,
    pub(super) count: usize,
    pub(super) account_id: String,
    pub(super) timestamp: u64,
    /// Whether the phone number of the user is left out.
    is_hidden: bool,
    /// Values given by setters, by their name in the template.
    pub(super) values: BTreeMap<&'static str, String>,
}

impl Part {
    pub(super) fn new(template: &'static Template) -> Self {
        Self {
            template,
            count: 1,
            account_id: "800000000000001".to_owned(),
            timestamp: 1_760_000_000,
            is_hidden: false,
            values: BTreeMap::new(),
        }
    }

    /// Returns the Unix time of an event, in seconds.
    pub(super) fn time(&self, index: usize) -> u64 {
        self.timestamp.saturating_add(index as u64)
    }

    pub(super) fn has_time(&self) -> bool {
        self.template.has_entry_time || self.mentions("time")
    }

    /// Stores a value under the first name. Returns false, and stores nothing, if the template uses
    /// none of the names.
    pub(super) fn set(&mut self, names: &[&'static str], text: &str) -> bool {
        let Some(first) = names.first() else {
            return false;
        };
        // Stored before the search: some members are written only if they have a value.
        let before = self.values.insert(first, text.to_owned());
        let is_set = names.iter().any(|name| self.mentions(name));
        if !is_set {
            match before {
                Some(before) => self.values.insert(first, before),
                None => self.values.remove(first),
            };
        }
        is_set
    }

    /// Leaves the phone number out, if it is optional and there is a user id. Returns whether it
    /// is left out.
    pub(super) fn hide(&mut self) -> bool {
        self.is_hidden = true;
        self.is_hidden = self.mentions("user_id") && !self.mentions("user");
        self.is_hidden
    }

    /// Returns the JSON that a name stands for. Some members depend on the values that were set.
    pub(super) fn shared(&self, name: &str) -> Option<&'static str> {
        match name {
            "from" | "to" | "wa_id" | "recipient" | "participant" if self.is_hidden => Some(""),
            "addressee" if self.is_hidden => shared("addressee_hidden"),
            "quoted" if !self.values.contains_key("context_id") => Some(""),
            "callback" if !self.values.contains_key("callback_data") => Some(""),
            _ => shared(name),
        }
    }

    /// Returns whether the name occurs in the output.
    fn mentions(&self, wanted: &str) -> bool {
        self.mentions_in(self.template.value, wanted)
    }

    fn mentions_in(&self, text: &'static str, wanted: &str) -> bool {
        pieces(text).filter_map(|piece| piece.name).any(|name| {
            let inner = match name {
                "each" => Some(self.template.element),
                _ => self.shared(name),
            };
            name == wanted || inner.is_some_and(|inner| self.mentions_in(inner, wanted))
        })
    }
}
