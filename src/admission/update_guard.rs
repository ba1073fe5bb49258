use std::sync::Arc;

use super::{
    error::{ListError, Problem},
    ip_set::IpSet,
};

/// Maximum number of growths that can be undone. Bounds the memory: each growth keeps two lists.
const MAX_GROWTHS: usize = 8;

/// What to do with an update that keeps less than half of the addresses in force, or of the largest
/// list since the start, of IPv4 or of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Shrink {
    /// Keeps the list in force: half of a list is more often a truncated download than a change of
    /// the network. Only [growth](super::IpAllowList#after-a-list-has-grown) can be undone.
    #[default]
    Refuse,
    /// Takes the new list, because a person has checked it. Later lists are compared with this one
    /// only, and growth before it can no longer be undone.
    Allow,
}

/// The effect of a valid update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reload {
    /// No change: the new list has the same addresses as the list in force.
    Unchanged,
    /// The new list is in force.
    Replaced,
    /// The new list is in force, and has more than twice the addresses of the previous one, of IPv4
    /// or of IPv6. Check it, because it may admit strangers: see
    /// [after a list has grown](super::IpAllowList#after-a-list-has-grown).
    Grown,
    /// No change: the watched file has not changed since it was last taken, and
    /// [`replace`](super::IpAllowList::replace) has put another list in its place, which stays in
    /// force.
    Overridden,
}

/// Compares updates of a list with the lists before them, so that a bad update does not take
/// effect.
pub(super) struct UpdateGuard {
    /// The largest list since the start or since the last one that was allowed to shrink.
    high_water: IpSet,
    /// Growths that were not confirmed, the latest last.
    growths: Vec<Growth>,
}

/// The state of the guard before a list grew.
struct Growth {
    before: Arc<IpSet>,
    high_water: IpSet,
}

impl UpdateGuard {
    pub(super) fn new(first: &IpSet) -> Self {
        Self {
            high_water: first.clone(),
            growths: Vec::new(),
        }
    }

    /// Compares a new list with the previous ones, and records what later lists are compared with.
    pub(super) fn check(
        &mut self,
        old: &Arc<IpSet>,
        set: &IpSet,
        shrink: Shrink,
    ) -> Result<Reload, ListError> {
        let has_grown = set.is_more_than_double(old);
        match shrink {
            Shrink::Allow => {
                self.high_water = set.clone();
                self.growths.clear();
            }
            Shrink::Refuse if set.keeps_half_of(old) && set.keeps_half_of(&self.high_water) => {
                if has_grown {
                    self.push_growth(old);
                }
                self.high_water.raise_to(set);
            }
            Shrink::Refuse => {
                self.undo_growth(set)?;
                return Ok(Reload::Replaced);
            }
        }
        Ok(match has_grown {
            true => Reload::Grown,
            false if *set == **old => Reload::Unchanged,
            false => Reload::Replaced,
        })
    }

    fn push_growth(&mut self, before: &Arc<IpSet>) {
        if self.growths.len() == MAX_GROWTHS {
            self.growths.remove(0);
        }
        self.growths.push(Growth {
            before: Arc::clone(before),
            high_water: self.high_water.clone(),
        });
    }

    /// Accepts a smaller list if it undoes a growth. Otherwise a list that grew by mistake could
    /// not be repaired: the right one is much smaller.
    fn undo_growth(&mut self, set: &IpSet) -> Result<(), ListError> {
        let mut growths = self.growths.iter();
        let latest = growths.rposition(|growth| growth.is_undone_by(set));
        self.growths.truncate(latest.ok_or(Problem::Shrunk)? + 1);
        if let Some(growth) = self.growths.pop() {
            self.high_water = growth.high_water;
            self.high_water.raise_to(set);
        }
        Ok(())
    }
}

impl Growth {
    /// Returns whether a list is the one from before the growth, plus what an update may add.
    fn is_undone_by(&self, set: &IpSet) -> bool {
        set.has_all_of(&self.before) && !set.is_more_than_double(&self.before)
    }
}
