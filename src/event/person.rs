//! Ids of the person that an event is about.

/// Ids of one person, the most specific first. Phone numbers may have a leading `+`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PersonIds<'a> {
    /// Business-scoped user ids.
    pub(super) users: [Option<&'a str>; 3],
    /// WhatsApp ids and phone numbers.
    pub(super) numbers: [Option<&'a str>; 4],
}

impl<'a> PersonIds<'a> {
    pub(super) fn new(user_id: Option<&'a str>, number: Option<&'a str>) -> Self {
        Self {
            users: [user_id, None, None],
            numbers: [number, None, None, None],
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.users.into_iter().chain(self.numbers).flatten()
    }

    /// Whether a contact with this user id is another person.
    pub(super) fn conflict_with(&self, user_id: Option<&str>) -> bool {
        let mut users = self.users.iter().flatten();
        user_id.is_some_and(|user_id| {
            self.users.iter().any(Option::is_some) && users.all(|id| *id != user_id)
        })
    }

    /// Whether both have an id in common.
    pub(super) fn overlap(&self, other: &Self) -> bool {
        self.iter().any(|id| {
            other
                .iter()
                .any(|other| without_plus(id.as_bytes()) == without_plus(other.as_bytes()))
        })
    }
}

/// Removes a leading `+` from a phone number: some senders write it and some do not.
pub(super) fn without_plus(id: &[u8]) -> &[u8] {
    id.strip_prefix(b"+").unwrap_or(id)
}
