//! Links an element to the parts of its value that are about it: contact, group, history thread.

use super::{
    contact::Contact,
    element::ElementRef,
    group::{GroupEvent, ParticipantOutcome},
    handover::{ConversationContext, SentMessage},
    history::{HistoryChunk, ThreadContext},
    json::Span,
    payload::{Kind, Payload},
    person::PersonIds,
    schema::{Id, PersonalId, Timestamp},
};

impl<'a> ElementRef<'a> {
    /// The payload, with the parts of the envelope that belong to the element.
    pub(super) fn payload(&self) -> Payload<'a> {
        let mut payload = self.own_payload();
        self.add_related(&mut payload);
        payload
    }

    fn add_related(&self, payload: &mut Payload<'a>) {
        let contact = self.lazy_at(self.contact(payload));
        match payload {
            Payload::Message(message) | Payload::StandbyMessage(message) => {
                message.sender.contact = contact;
                let conversation = self.change().conversation;
                message.conversation = self.decode_at::<ConversationContext<'_>>(conversation);
            }
            Payload::Status(status) | Payload::StandbyStatus(status) => {
                status.recipient.contact = contact;
            }
            Payload::Call(call) => call.contact = contact,
            Payload::CallStatus(status) => status.contact = contact,
            Payload::Echo(echo) => echo.contact = contact,
            Payload::StandbyEcho(echo) => echo.contact = contact,
            Payload::UserPreference(preference) => preference.contact = contact,
            Payload::UserIdUpdate(update) => update.contact = contact,
            Payload::UserAction(action) => action.contact = contact,
            Payload::GroupParticipant(participant) => {
                let group = self.envelope.group(&self.element);
                participant.outcome = ParticipantOutcome::of_list(self.list());
                participant.group_id = self.decode_at::<Id>(group.group_id);
                participant.event = self.decode_at::<GroupEvent<'_>>(group.event);
                participant.timestamp = self.decode_at::<Timestamp>(group.timestamp);
                participant.request_id = self.decode_at::<Id>(group.request_id);
                participant.reason = self.decode_at::<Id>(group.reason);
                participant.initiated_by = self.decode_at::<Id>(group.initiated_by);
                participant.contact = contact;
            }
            Payload::HistoryMessage(message) => {
                let thread = self.envelope.thread(&self.element);
                message.thread_id = self.decode_at::<PersonalId>(thread.id);
                message.thread = self.decode_at::<ThreadContext<'_>>(thread.context);
                message.chunk = self.decode_at::<HistoryChunk>(thread.chunk);
                message.contact = contact;
            }
            _ => {}
        }
    }

    /// The contacts that belong to the element when it is copied out of its delivery.
    pub(super) fn related_contacts(&self) -> Vec<Span> {
        let kind = self.kind();
        if !matches!(kind, Kind::Unknown(_)) {
            let payload = self.own_payload();
            if kind == Kind::UserAction || self.person(&payload).is_some() {
                return self.contact(&payload).into_iter().collect();
            }
        }
        self.envelope.contacts_named_in(&self.element)
    }

    /// The contact of the person that the element is about: found by user id, else by WhatsApp id,
    /// else the only contact of the value.
    fn contact(&self, payload: &Payload<'a>) -> Option<Span> {
        let only = match self.envelope.contacts_of_change(&self.element) {
            [] => return None,
            [contact] => Some(contact.raw),
            _ => None,
        };
        // A user action does not name a person.
        if let Payload::UserAction(_) = payload {
            return only;
        }
        let ids = self.person(payload)?;
        let found = ids
            .iter()
            .find_map(|id| self.envelope.contact(&self.element, id));
        found.or_else(|| {
            // In some countries WhatsApp ids differ from phone numbers, and either may be hidden.
            let contact = self.decode_at::<Contact<'_>>(only)?;
            let is_theirs = !ids.conflict_with(contact.user_id) && self.is_only_person(&ids);
            only.filter(|_| is_theirs)
        })
    }

    /// The contact that an element of an unknown list names, or the only one beside it: the element
    /// may be about the person without naming them, as a user action is.
    fn person_beside(&self) -> Option<Span> {
        if !self.element.position.level.is_inside_value() {
            return None;
        }
        match self.envelope.contacts_named_in(&self.element)[..] {
            [contact] => Some(contact),
            _ => None,
        }
    }

    /// Ids of [`person_beside`](Self::person_beside): user id and WhatsApp id.
    pub(super) fn ids_of_person_beside(&self) -> Option<[Option<&'a str>; 2]> {
        let contact = self.decode_at::<Contact<'_>>(self.person_beside())?;
        Some([contact.user_id, contact.wa_id])
    }

    /// Ids of the person that the element is about. `None` for kinds that are not about a person
    /// of the contacts.
    fn person(&self, payload: &Payload<'a>) -> Option<PersonIds<'a>> {
        Some(match payload {
            Payload::Message(message) | Payload::StandbyMessage(message) => {
                PersonIds::new(message.sender.from_user_id, message.sender.phone)
            }
            Payload::Status(status) | Payload::StandbyStatus(status) => {
                let recipient = status.recipient;
                // In a group the recipient is the group, and the person is the participant.
                match (recipient.participant_user_id, recipient.participant_id) {
                    (None, None) => PersonIds::new(recipient.user_id, recipient.id),
                    (user_id, number) => PersonIds::new(user_id, number),
                }
            }
            Payload::Call(call) => PersonIds {
                users: [call.from_user_id, call.to_user_id, None],
                numbers: [call.from, call.to, None, None],
            },
            Payload::CallStatus(status) => {
                PersonIds::new(status.recipient_user_id, status.recipient_id)
            }
            Payload::Echo(echo) => PersonIds::new(echo.to_user_id, echo.to),
            Payload::StandbyEcho(_) => {
                let message = self.cursor().member::<SentMessage<'_>>(b"message");
                message.map_or_else(PersonIds::default, |message| {
                    PersonIds::new(message.recipient, message.to)
                })
            }
            Payload::UserPreference(preference) => {
                PersonIds::new(preference.user_id, preference.wa_id)
            }
            Payload::UserIdUpdate(update) => {
                let change = update.user_id.unwrap_or_default();
                PersonIds {
                    users: [change.current, None, None],
                    // The contact may still have the id from before the change.
                    numbers: [update.wa_id, change.previous, None, None],
                }
            }
            Payload::GroupParticipant(participant) => {
                PersonIds::new(participant.user_id, participant.wa_id)
            }
            Payload::HistoryMessage(message) => {
                let thread = self.envelope.thread(&self.element);
                let context = self.decode_at::<ThreadContext<'_>>(thread.context);
                let context = context.unwrap_or_default();
                PersonIds {
                    users: [context.user_id, message.from_user_id, message.to_user_id],
                    numbers: [
                        context.wa_id,
                        self.decode_at::<PersonalId>(thread.id),
                        message.from,
                        message.to,
                    ],
                }
            }
            _ => return None,
        })
    }

    /// Whether all events of the change that are about a person are about this one. False for
    /// changes with too many events to compare.
    fn is_only_person(&self, ids: &PersonIds<'_>) -> bool {
        let Some(mut beside) = self.envelope.few_siblings(self.index) else {
            return false;
        };
        beside.all(|index| {
            let other = Self::new(self.envelope, index);
            let person = other.person(&other.own_payload());
            person.is_none_or(|person| person.overlap(ids))
        })
    }
}
