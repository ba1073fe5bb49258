//! Which events an app handles, by the accounts and phone numbers that it lists.

use std::collections::HashSet;

use super::error::ConfigError;
use crate::event::{Event, Payload};

/// Entry id of the samples sent by the dashboard's *Test* button. No account has it.
pub(crate) const TEST_ENTRY_ID: &str = "0";

/// The accounts and phone numbers whose events the app handles.
#[derive(Debug, Default)]
pub(super) struct EventFilter {
    pub(super) accounts: Option<HashSet<String>>,
    pub(super) phone_numbers: Option<HashSet<String>>,
    pub(super) on_foreign_event: OnForeignEvent,
}

/// What the layer does with a delivery that has events of accounts or phone numbers that the
/// [`App`](super::App) does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnForeignEvent {
    /// Calls the handler, with those events in
    /// [`Notification::foreign`](crate::Notification::foreign).
    #[default]
    SetAside,
    /// Refuses the whole delivery with 403
    /// ([`RejectionKind::AccountRefused`](super::RejectionKind::AccountRefused)), so that Meta
    /// retries all of its events for up to 7 days.
    Refuse,
}

impl EventFilter {
    /// Fails if a list is invalid.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !self.accounts.as_ref().is_none_or(are_ids) {
            return Err(ConfigError::Accounts);
        }
        if !self.phone_numbers.as_ref().is_none_or(are_ids) {
            return Err(ConfigError::PhoneNumbers);
        }
        if self.is_empty() && self.on_foreign_event == OnForeignEvent::Refuse {
            return Err(ConfigError::OnForeignEventUnused);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_none() && self.phone_numbers.is_none()
    }

    /// Judges the events of one delivery, in their order.
    pub(super) fn judge(&self) -> Judge<'_> {
        Judge {
            filter: self,
            last: None,
            has_listed: false,
        }
    }

    /// Whether the event, which is not foreign, names something in every list that is set.
    fn lists(&self, event: &Event) -> bool {
        (self.accounts.is_none() || entry_account(event).is_some())
            && (self.phone_numbers.is_none() || event.phone_number_id().is_some())
    }

    /// Whether the event names an account or a phone number that is not listed.
    fn is_foreign(&self, event: &Event) -> bool {
        let is_other_account =
            (self.accounts.as_ref()).is_some_and(|listed| names_other_account(event, listed));
        let is_other_number = (self.phone_numbers.as_ref())
            .zip(event.phone_number_id())
            .is_some_and(|(listed, number)| !listed.contains(number));
        is_other_account || is_other_number
    }
}

/// A filter at work on one delivery. Events of a change that name no account or phone number of
/// their own have those of the change, which are looked up once.
pub(super) struct Judge<'a> {
    filter: &'a EventFilter,
    /// The last change with such events, and whether they are foreign.
    last: Option<(u32, bool)>,
    /// Whether an event that is not foreign has named something in every list that is set.
    pub(super) has_listed: bool,
}

impl Judge<'_> {
    pub(super) fn is_foreign(&mut self, event: &Event) -> bool {
        let change = event.deciding_change();
        if let Some((last, is_foreign)) = self.last
            && change == Some(last)
        {
            return is_foreign;
        }
        let is_foreign = self.filter.is_foreign(event);
        self.has_listed = self.has_listed || !is_foreign && self.filter.lists(event);
        if let Some(change) = change {
            self.last = Some((change, is_foreign));
        }
        is_foreign
    }
}

/// Whether there is at least one id and all ids are digits, like Meta's. Any other list would match
/// nothing and set every event aside.
fn are_ids(ids: &HashSet<String>) -> bool {
    let is_id = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    !ids.is_empty() && ids.iter().all(is_id)
}

fn names_other_account(event: &Event, listed: &HashSet<String>) -> bool {
    let entry = entry_account(event);
    if entry.is_some_and(|id| listed.contains(id)) {
        return false;
    }
    // In a delivery to a partner, the entry is the partner's own business portfolio. The payload of
    // another event may have megabytes.
    let payload = event.may_name_account().then(|| event.payload());
    let account = match payload {
        Some(Payload::AccountUpdate(update)) => update.waba_info,
        Some(Payload::PartnerSolution(solution)) => solution.waba_info,
        _ => None,
    };
    let account = account.and_then(|info| info.waba_id);
    account.map_or(entry.is_some(), |account| !listed.contains(account))
}

fn entry_account(event: &Event) -> Option<&str> {
    event.entry_id().filter(|id| *id != TEST_ENTRY_ID)
}
