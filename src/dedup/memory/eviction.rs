/// The lowest ages of evicted entries: of one hour, and of the hour before it.
#[derive(Default)]
pub(super) struct EvictionAges {
    /// Hours since the store was created.
    hour: u32,
    /// Lowest age within `hour`, seconds.
    current: Option<u32>,
    /// Lowest age within the hour before, seconds.
    previous: Option<u32>,
}

impl EvictionAges {
    /// Records an eviction of an entry of this age, in seconds.
    pub(super) fn record(&mut self, hour: u32, age: u32) {
        if hour > self.hour {
            self.previous = self.current.take().filter(|_| hour == self.hour + 1);
            self.hour = hour;
        }
        self.current = Some(self.current.map_or(age, |least| least.min(age)));
    }

    /// Returns the lowest age within this hour and the one before, in seconds.
    pub(super) fn least(&self, hour: u32) -> Option<u32> {
        match hour.saturating_sub(self.hour) {
            0 => self.current.into_iter().chain(self.previous).min(),
            1 => self.current,
            _ => None,
        }
    }
}
