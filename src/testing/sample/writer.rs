use std::fmt::Write;

use bytes::Bytes;

use super::{
    part::Part,
    template::{Piece, WHOLE, pieces},
};

/// Writes the body of a delivery.
pub(super) fn body(parts: &[Part]) -> Bytes {
    let mut writer = Writer::default();
    for part in parts {
        // A value without lists holds one event.
        let (changes, elements) = match part.template.value {
            WHOLE => (part.count, 1),
            _ => (1, part.count),
        };
        for change in 0..changes {
            writer.change(part, change, elements);
        }
    }
    writer.finish()
}

/// Writes JSON with `value` before `field`, as Meta does.
#[derive(Default)]
struct Writer {
    out: String,
    /// The open entry: its id, and its time if it has one.
    entry: Option<(String, Option<u64>)>,
    /// Number of events so far.
    events: usize,
}

impl Writer {
    fn change(&mut self, part: &Part, index: usize, elements: usize) {
        if elements == 0 {
            return;
        }
        let time = part.template.has_entry_time.then(|| part.time(index));
        let entry = (part.account_id.clone(), time);
        // An entry with a time (of an account) has one change.
        let is_same_entry = time.is_none() && self.entry.as_ref() == Some(&entry);
        if is_same_entry {
            self.out.push(',');
        } else {
            if self.entry.is_some() {
                self.out.push_str("]},");
            }
            self.out.push_str("{\"id\":\"");
            self.text(&part.account_id);
            self.out.push('"');
            if let Some(time) = time {
                self.out.push_str(",\"time\":");
                self.number(time);
            }
            self.out.push_str(",\"changes\":[");
            self.entry = Some(entry);
        }
        self.out.push_str("{\"value\":");
        self.expand(part.template.value, part, index, elements);
        self.out.push_str(",\"field\":\"");
        self.out.push_str(part.template.field);
        self.out.push_str("\"}");
    }

    /// Writes a template with its names replaced. Values from setters are not expanded again.
    fn expand(&mut self, text: &'static str, part: &Part, index: usize, elements: usize) {
        for Piece {
            name,
            default,
            json,
        } in pieces(text)
        {
            match name {
                None => {}
                Some("each") => {
                    for element in 0..elements {
                        if element > 0 {
                            self.out.push(',');
                        }
                        self.events += 1;
                        self.expand(part.template.element, part, index + element, elements);
                    }
                }
                Some("id") => self.id("wamid.SAMPLE", part, index),
                Some("call_id") => self.id("wacid.SAMPLE", part, index),
                Some("n") => self.number(self.events as u64),
                Some("time") => self.number(part.time(index)),
                Some(name) => match (part.values.get(name), part.shared(name)) {
                    (Some(value), _) => self.text(value),
                    (None, Some(text)) => self.expand(text, part, index, elements),
                    (None, None) => self.escaped(default),
                },
            }
            self.escaped(json);
        }
    }

    fn id(&mut self, prefix: &str, part: &Part, index: usize) {
        match part.values.get("id") {
            None => {
                self.out.push_str(prefix);
                self.number(self.events as u64);
            }
            Some(id) => {
                self.text(id);
                if index > 0 {
                    self.out.push('.');
                    self.number(index as u64 + 1);
                }
            }
        }
    }

    /// Writes a value from a setter into a JSON string.
    fn text(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\0'..='\x1f' => self.escape(char),
                _ => self.char(char),
            }
        }
    }

    /// Writes JSON with Meta's escapes (`\/`, `\u00e4`). Such characters occur in strings only.
    fn escaped(&mut self, json: &str) {
        json.chars().for_each(|char| self.char(char));
    }

    fn char(&mut self, char: char) {
        match char {
            '/' => self.out.push_str("\\/"),
            ' '..='~' => self.out.push(char),
            _ => self.escape(char),
        }
    }

    fn escape(&mut self, char: char) {
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` cannot fail.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }

    fn number(&mut self, number: u64) {
        let _ = write!(self.out, "{number}");
    }

    fn finish(self) -> Bytes {
        let end = if self.entry.is_some() { "]}]}" } else { "]}" };
        let body = format!(
            "{{\"object\":\"whatsapp_business_account\",\"entry\":[{}{end}",
            self.out
        );
        Bytes::from(body)
    }
}
