//! The kept requests, bounded by number and by size. Beyond either, the oldest go.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::watch;
use tower_whatsapp::event::EventKey;

use super::record::Record;

pub(super) struct Store {
    kept: Mutex<Kept>,
    max_count: usize,
    max_bytes: usize,
    /// Changes when there is something new for the pages.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    /// Number of the last record.
    last: u64,
    /// Dropped because of a limit.
    gone: u64,
    /// First events of the kept deliveries, and the number of their first record.
    first_keys: HashMap<EventKey, u64>,
    /// Incremented by `clear`.
    generation: u64,
}

/// What a page must know besides the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    /// Number of the oldest kept record. Above `last` if there is none.
    pub(super) oldest: u64,
    pub(super) last: u64,
    count: usize,
    bytes: usize,
    gone: u64,
    max_count: usize,
    max_bytes: usize,
    generation: u64,
}

impl Store {
    pub(super) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self {
            kept: Mutex::default(),
            max_count,
            max_bytes,
            changes: watch::Sender::new(0),
        }
    }

    /// Keeps a record and returns its number, from 1 on.
    pub(super) fn push(&self, mut record: Record) -> u64 {
        let mut kept = self.lock();
        kept.last += 1;
        let number = kept.last;
        record.number = number;
        if let Some(key) = record.first_key {
            let first = *kept.first_keys.entry(key).or_insert(number);
            record.repeat_of = (first != number).then_some(first);
        }
        kept.bytes += record.size();
        kept.records.push_back(Arc::new(record));
        while kept.records.len() > self.max_count
            || (kept.bytes > self.max_bytes && kept.records.len() > 1)
        {
            kept.drop_oldest();
        }
        drop(kept);
        self.notify();
        number
    }

    pub(super) fn clear(&self) {
        let mut kept = self.lock();
        let (last, generation) = (kept.last, kept.generation + 1);
        *kept = Kept {
            last,
            generation,
            ..Kept::default()
        };
        drop(kept);
        self.notify();
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Record>> {
        let kept = self.lock();
        let oldest = kept.records.front()?.number;
        let index = usize::try_from(number.checked_sub(oldest)?).ok()?;
        kept.records.get(index).cloned()
    }

    /// At most `count` records after this number, oldest first.
    pub(super) fn after(&self, number: u64, count: usize) -> Vec<Arc<Record>> {
        let kept = self.lock();
        let start = kept
            .records
            .partition_point(|record| record.number <= number);
        kept.records
            .iter()
            .skip(start)
            .take(count)
            .cloned()
            .collect()
    }

    pub(super) fn totals(&self) -> Totals {
        let kept = self.lock();
        let front = kept.records.front();
        Totals {
            oldest: front.map_or(kept.last + 1, |record| record.number),
            last: kept.last,
            count: kept.records.len(),
            bytes: kept.bytes,
            gone: kept.gone,
            max_count: self.max_count,
            max_bytes: self.max_bytes,
            generation: kept.generation,
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn notify(&self) {
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// No panic can leave it inconsistent.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn drop_oldest(&mut self) {
        let Some(record) = self.records.pop_front() else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(record.size());
        self.gone += 1;
        if let Some(key) = record.first_key
            && self.first_keys.get(&key) == Some(&record.number)
        {
            self.first_keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower_whatsapp::testing::sample;

    use super::{
        super::record::{Origin, Record},
        *,
    };

    fn record(id: &str, text: &str) -> Record {
        let notification = sample::text(text).id(id).notification();
        let record = Record::new(Origin::Live, 1, "POST", "/webhook", 200, Duration::ZERO);
        record.delivered(&notification)
    }

    #[test]
    fn beyond_the_count_the_oldest_go() {
        let store = Store::new(3, usize::MAX);
        for number in 1..=5 {
            assert_eq!(store.push(record(&number.to_string(), "hi")), number);
        }
        let totals = store.totals();
        assert_eq!(
            (totals.oldest, totals.last, totals.count, totals.gone),
            (3, 5, 3, 2)
        );
        assert!(store.get(2).is_none());
        assert_eq!(store.get(3).unwrap().number, 3);
        assert!(store.get(6).is_none());
        let numbers: Vec<_> = store
            .after(3, 9)
            .iter()
            .map(|record| record.number)
            .collect();
        assert_eq!(numbers, [4, 5]);
        assert_eq!(store.after(0, 2).len(), 2);
    }

    #[test]
    fn beyond_the_bytes_the_oldest_go_and_the_newest_stays() {
        let long = "x".repeat(10_000);
        let store = Store::new(100, 25_000);
        for number in 1..=9 {
            store.push(record(&number.to_string(), &long));
            assert!(store.totals().bytes <= 25_000);
        }
        assert_eq!(store.totals().count, 2);
        store.push(record("10", &"x".repeat(50_000)));
        assert_eq!((store.totals().count, store.totals().gone), (1, 9));
        store.push(record("11", "hi"));
        assert_eq!(store.totals().count, 1);
    }

    #[test]
    fn a_repeat_names_the_first_record_that_is_still_kept() {
        let store = Store::new(2, usize::MAX);
        let repeat_of = |number| store.get(number).unwrap().repeat_of;
        store.push(record("a", "hi"));
        store.push(record("a", "hi"));
        assert_eq!((repeat_of(1), repeat_of(2)), (None, Some(1)));
        store.push(record("b", "hi"));
        // The first one is gone.
        store.push(record("a", "hi"));
        assert_eq!(repeat_of(4), None);
        store.clear();
        assert_eq!(store.push(record("a", "hi")), 5);
        assert_eq!((repeat_of(5), store.totals().gone), (None, 0));
    }
}
