use super::{
    elements::{ContactIndexEntry, ContactSpans, Element, Envelope},
    members::{for_each_member, id_span},
};
use crate::event::{
    json::{Cursor, Document, Span},
    payload::{Kind, Reason},
    person::without_plus,
};

/// Maximum number of contacts in a change that are searched one by one. Beyond it an index is
/// built.
const MAX_LINEAR_CONTACTS: usize = 4;

impl ContactSpans {
    /// Finds the ids of the contact at `raw`.
    pub(crate) fn new(document: &Document, raw: Span) -> Self {
        let mut this = Self {
            raw,
            user_id: Span::default(),
            wa_id: Span::default(),
        };
        for_each_member(&mut document.cursor_at(raw), |key, cursor| {
            let slot = match key {
                b"user_id" => &mut this.user_id,
                b"wa_id" => &mut this.wa_id,
                _ => {
                    cursor.skip();
                    return;
                }
            };
            *slot = id_span(cursor).unwrap_or(*slot);
        });
        this
    }

    /// The ids that the contact has.
    fn keys(self) -> impl Iterator<Item = Span> {
        let keys = [self.user_id, self.wa_id].into_iter();
        keys.filter(|key| !key.range().is_empty())
    }
}

impl Envelope {
    /// Returns the contacts that an unknown element may refer to: those whose id it contains in its
    /// top two levels, or the only one. The overflow of a list may refer to all of them.
    pub(crate) fn contacts_named_in(&self, element: &Element) -> Vec<Span> {
        let contacts = self.contacts_of_change(element);
        if contacts.len() <= 1 || element.kind == Kind::Unknown(Reason::Overflow) {
            return contacts.iter().map(|contact| contact.raw).collect();
        }
        let mut names = Vec::new();
        let mut cursor = self.document.cursor_at(element.raw);
        collect_scalars(&mut cursor, 2, &mut names);
        let mut found: Vec<_> = names
            .into_iter()
            .filter_map(|name| self.contact(element, name?))
            .collect();
        found.sort_by_key(|contact| contact.range().start);
        found.dedup();
        found
    }

    /// Returns the contact with this WhatsApp id or user id, among those of the element's change.
    pub(crate) fn contact(&self, element: &Element, key: &str) -> Option<Span> {
        let contacts = self.contacts_of_change(element);
        let key = without_plus(key.as_bytes());
        if contacts.len() <= MAX_LINEAR_CONTACTS {
            let is_meant = |contact: &&ContactSpans| {
                let mut keys = contact.keys();
                keys.any(|other| self.contact_key(other) == Some(key))
            };
            return contacts.iter().find(is_meant).map(|contact| contact.raw);
        }
        let (first, _) = self.change(element).contacts;
        let index = self
            .contact_index
            .get_or_init(|| self.build_contact_index());
        let search_key = |entry: &ContactIndexEntry| (entry.first, self.contact_key(entry.key));
        // The first of several, as in the search above.
        let found = index.partition_point(|other| search_key(other) < (first, Some(key)));
        let found = index.get(found)?;
        (search_key(found) == (first, Some(key))).then_some(found.contact)
    }

    /// Returns an id in the form in which ids are compared.
    fn contact_key(&self, key: Span) -> Option<&[u8]> {
        let id = self.document.cursor_at(key).scalar_bytes();
        id.map(without_plus)
    }

    /// Returns all contacts of the change that contains the element.
    pub(crate) fn contacts_of_change(&self, element: &Element) -> &[ContactSpans] {
        let (first, last) = self.change(element).contacts;
        let range = first as usize..last as usize;
        self.contacts.get(range).unwrap_or_default()
    }

    /// Builds the index of the contacts of all changes that have many of them.
    fn build_contact_index(&self) -> Vec<ContactIndexEntry> {
        let mut index = Vec::new();
        for change in self.changes.iter() {
            let (first, last) = change.contacts;
            let contacts = self.contacts.get(first as usize..last as usize);
            let contacts = contacts.unwrap_or_default();
            if contacts.len() <= MAX_LINEAR_CONTACTS {
                continue;
            }
            for contact in contacts {
                index.extend(contact.keys().map(|key| ContactIndexEntry {
                    key,
                    contact: contact.raw,
                    first,
                }));
            }
        }
        // Contacts with the same id stay in document order.
        index.sort_unstable_by(|left, right| {
            let order = |entry: &ContactIndexEntry| {
                let start = entry.contact.range().start;
                (entry.first, self.contact_key(entry.key), start)
            };
            order(left).cmp(&order(right))
        });
        index
    }
}

/// Collects the texts and numbers of an object, and of the objects in it down to `depth` levels.
fn collect_scalars<'a>(cursor: &mut Cursor<'a>, depth: usize, names: &mut Vec<Option<&'a str>>) {
    if cursor.enter_object().is_none() {
        return;
    }
    while cursor.next_key().is_some() {
        match cursor.peek() {
            Some(b'{') if depth > 1 => collect_scalars(cursor, depth - 1, names),
            _ => names.extend(cursor.scalar().map(Some)),
        }
    }
}
