//! Collects the paths of the keys that the typed view does not read.

use super::{
    contact::{Contact, Metadata},
    element::ElementRef,
    handover::ConversationContext,
    history::{HistoryChunk, ThreadContext},
    json::Span,
    payload::Kind,
    schema::{Decode, Ignored, UnreadPaths},
};

impl<'a> ElementRef<'a> {
    /// Paths of the unread keys of the element, then of those of the envelope that belong to it.
    pub(super) fn unread(&self) -> Vec<String> {
        let mut paths = self.unread_of_element();
        paths.extend(self.unread_around());
        paths
    }

    /// The same, but walks over no more JSON than `budget`, in bytes, and subtracts what it has
    /// walked over. What surrounds the element can be much longer than the element.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) fn unread_within(&self, budget: &mut usize) -> Vec<String> {
        let mut paths = Vec::new();
        if take(budget, self.element.raw.len()) {
            paths.extend(self.unread_of_element());
        }
        if take(budget, self.envelope.surroundings_len(&self.element)) {
            paths.extend(self.unread_around());
        }
        paths
    }

    fn unread_of_element(&self) -> Vec<String> {
        let mut paths = UnreadPaths::default();
        self.kind().unread(&mut self.cursor(), &mut paths);
        let mut paths = paths.into_paths();
        if self.envelope.is_value(&self.element) {
            // Constant in every value, so not worth a report.
            paths.retain(|path| path != "messaging_product");
        }
        paths
    }

    fn unread_around(&self) -> Vec<String> {
        let mut around = UnreadPaths::default();
        if self.envelope.is_in_value(&self.element) {
            self.add_unread_of_value(&mut around);
        }
        if self.envelope.is_in_entry(&self.element) {
            let entry = around.enter(b"entry");
            self.add_unread_scalars(self.envelope.scalars_of_entry(&self.element), &mut around);
            around.leave(entry);
        }
        around.into_paths()
    }

    /// Notes the unread keys of the value that contains the element.
    fn add_unread_of_value(&self, paths: &mut UnreadPaths) {
        let value = paths.enter(b"value");
        let change = self.change();
        self.add_unread_at::<Metadata<'_>>(&[b"metadata"], change.metadata, paths);
        let context = [b"conversation_context".as_slice()];
        if matches!(self.kind(), Kind::Message | Kind::StandbyMessage) {
            self.add_unread_at::<ConversationContext<'_>>(&context, change.conversation, paths);
        } else {
            self.add_unread_at::<Ignored>(&context, change.conversation, paths);
        }
        if let [contact] = self.related_contacts()[..]
            && !matches!(self.kind(), Kind::Unknown(_))
        {
            self.add_unread_at::<Contact<'_>>(&[b"contacts", b"[]"], Some(contact), paths);
        }
        if self.kind() == Kind::HistoryMessage {
            let thread = self.envelope.thread(&self.element);
            let chunk: [&[u8]; 3] = [b"history", b"[]", b"metadata"];
            self.add_unread_at::<HistoryChunk>(&chunk, thread.chunk, paths);
            let context: [&[u8]; 5] = [b"history", b"[]", b"threads", b"[]", b"context"];
            self.add_unread_at::<ThreadContext<'_>>(&context, thread.context, paths);
        }
        self.add_unread_scalars(self.envelope.scalars_of_value(&self.element), paths);
        paths.leave(value);
    }

    fn add_unread_scalars(&self, scalars: Vec<Span>, paths: &mut UnreadPaths) {
        for scalar in scalars {
            let key = self.envelope.document.key_at(scalar);
            self.add_unread_at::<Ignored>(&[key], Some(scalar), paths);
        }
    }

    fn add_unread_at<D: Decode<'a>>(
        &self,
        path: &[&[u8]],
        span: Option<Span>,
        paths: &mut UnreadPaths,
    ) {
        let Some(span) = span else { return };
        let parent = paths.enter_all(path);
        D::unread(&mut self.envelope.document.cursor_at(span), paths);
        if let Some(parent) = parent {
            paths.leave(parent);
        }
    }
}

/// Subtracts a length from the budget, if it is large enough.
#[cfg(any(feature = "metrics", feature = "tracing"))]
fn take(budget: &mut usize, length: usize) -> bool {
    let rest = budget.checked_sub(length);
    *budget = rest.unwrap_or(*budget);
    rest.is_some()
}
