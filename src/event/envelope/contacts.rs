use super::{
    elements::{Element, Envelope},
    members::{for_each_member, id_span, scalar_at},
};
use crate::event::{
    json::{Cursor, Document, Span},
    payload::{Kind, Reason},
    person::without_plus,
};

/// Up to so many contacts of a change are looked through one by one.
const MAX_LINEAR_CONTACTS: usize = 4;

/// Where a contact is, and what it is found by: of each the last that is there. Empty if none is: there may be many contacts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContactSpans {
    pub(crate) raw: Span,
    user_id: Span,
    wa_id: Span,
}

impl ContactSpans {
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

    fn keys(self) -> impl Iterator<Item = Span> {
        let keys = [self.user_id, self.wa_id].into_iter();
        keys.filter(|key| !key.range().is_empty())
    }
}

/// A way to a contact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContactIndexEntry {
    /// A WhatsApp id or a user id.
    key: Span,
    contact: Span,
    /// The first contact of the change.
    first: u32,
}

impl Envelope {
    /// The contacts that an element without a type may mean: those that it names near its surface, or the only one there is. What
    /// is left of a list may mean all.
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

    /// The contact with this WhatsApp id or user id, among those that go with the element.
    pub(crate) fn contact(&self, element: &Element, key: &str) -> Option<Span> {
        let contacts = self.contacts_of_change(element);
        let key = without_plus(key);
        if contacts.len() <= MAX_LINEAR_CONTACTS {
            let is_meant = |contact: &&ContactSpans| {
                let mut keys = contact.keys();
                keys.any(|other| self.contact_key(other) == Some(key))
            };
            return contacts.iter().find(is_meant).map(|contact| contact.raw);
        }
        let (first, _) = self.change(element).contacts;
        let directory = self
            .contact_index
            .get_or_init(|| self.build_contact_index());
        let way = |way: &ContactIndexEntry| (way.first, self.contact_key(way.key));
        // Of several the first, as among few contacts.
        let found = directory.partition_point(|other| way(other) < (first, Some(key)));
        let found = directory.get(found)?;
        (way(found) == (first, Some(key))).then_some(found.contact)
    }

    fn contact_key(&self, key: Span) -> Option<&str> {
        scalar_at(&self.document, key).map(without_plus)
    }

    pub(crate) fn contacts_of_change(&self, element: &Element) -> &[ContactSpans] {
        let (first, last) = self.change(element).contacts;
        let range = first as usize..last as usize;
        self.contacts.get(range).unwrap_or_default()
    }

    /// The ways to all contacts of changes that have many.
    fn build_contact_index(&self) -> Vec<ContactIndexEntry> {
        let mut directory = Vec::new();
        for change in self.changes.iter() {
            let (first, last) = change.contacts;
            let contacts = self.contacts.get(first as usize..last as usize);
            let contacts = contacts.unwrap_or_default();
            if contacts.len() <= MAX_LINEAR_CONTACTS {
                continue;
            }
            for contact in contacts {
                directory.extend(contact.keys().map(|key| ContactIndexEntry {
                    key,
                    contact: contact.raw,
                    first,
                }));
            }
        }
        // Of several with the same key the first of the body stays the first.
        directory.sort_unstable_by(|left, right| {
            let order = |way: &ContactIndexEntry| {
                let place = way.contact.range().start;
                (way.first, self.contact_key(way.key), place)
            };
            order(left).cmp(&order(right))
        });
        directory
    }
}

/// The texts and numbers in an object and in those that it contains.
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
