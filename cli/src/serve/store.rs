//! The kept requests, bounded by number and by size. Beyond either, the oldest go: deliveries only
//! when all other requests take a tenth or less. Anybody can send those.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::sync::watch;
use tower_whatsapp::event::EventKey;

use super::record::{Record, Verdict};

pub(super) struct Store {
    kept: Mutex<Kept>,
    max_count: usize,
    max_bytes: usize,
    /// Changes when there is something new for the pages.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    /// With a right signature.
    deliveries: Shelf,
    others: Shelf,
    /// Number of the last record.
    last: u64,
    /// Dropped because of a limit.
    gone: u64,
    /// First events of the kept deliveries, and the number of their first record.
    first_keys: HashMap<EventKey, u64>,
    /// Incremented by `clear`.
    generation: u64,
}

#[derive(Default)]
struct Shelf {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

/// What a page must know besides the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    /// Number of the oldest kept delivery. Above `last` if there is none.
    oldest: u64,
    /// The same of the other requests.
    oldest_other: u64,
    last: u64,
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
        let shelf = match record.verdict {
            Verdict::Delivery => &mut kept.deliveries,
            _ => &mut kept.others,
        };
        shelf.bytes += record.size();
        shelf.records.push_back(Arc::new(record));
        while kept.count() > self.max_count || (kept.bytes() > self.max_bytes && kept.count() > 1) {
            kept.drop_oldest(self.max_count, self.max_bytes);
        }
        drop(kept);
        self.notify();
        number
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
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
        let shelves = [&kept.deliveries.records, &kept.others.records];
        shelves.into_iter().find_map(|records| {
            let index = records.binary_search_by_key(&number, |record| record.number);
            records.get(index.ok()?).cloned()
        })
    }

    /// At most `count` records after this number, oldest first.
    pub(super) fn after(&self, number: u64, count: usize) -> Vec<Arc<Record>> {
        let kept = self.lock();
        let after = |shelf: &Shelf| {
            let records = &shelf.records;
            let start = records.partition_point(|record| record.number <= number);
            let records = records.iter().skip(start).take(count);
            records.cloned().collect::<Vec<_>>()
        };
        let (mut records, others) = (after(&kept.deliveries), after(&kept.others));
        drop(kept);
        records.extend(others);
        records.sort_by_key(|record| record.number);
        records.truncate(count);
        records
    }

    pub(super) fn totals(&self) -> Totals {
        let kept = self.lock();
        let oldest = |shelf: &Shelf| {
            let front = shelf.records.front();
            front.map_or(kept.last + 1, |record| record.number)
        };
        Totals {
            oldest: oldest(&kept.deliveries),
            oldest_other: oldest(&kept.others),
            last: kept.last,
            count: kept.count(),
            bytes: kept.bytes(),
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
    fn count(&self) -> usize {
        self.deliveries.records.len() + self.others.records.len()
    }

    fn bytes(&self) -> usize {
        self.deliveries.bytes + self.others.bytes
    }

    /// Drops another request if they take more than a tenth, and a delivery otherwise.
    fn drop_oldest(&mut self, max_count: usize, max_bytes: usize) {
        let front = self.deliveries.records.front();
        // The newest one stays.
        let drops_other = self.others.records.len() > (max_count / 10).max(1)
            || self.others.bytes > max_bytes / 10
            || front.is_none_or(|record| record.number == self.last);
        let shelf = match drops_other {
            true => &mut self.others,
            false => &mut self.deliveries,
        };
        let Some(record) = shelf.records.pop_front() else {
            return;
        };
        shelf.bytes = shelf.bytes.saturating_sub(record.size());
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
    fn other_requests_take_a_tenth_of_a_full_store() {
        let other = || Record::new(Origin::Live, 1, "GET", "/", 404, Duration::ZERO);
        let store = Store::new(20, usize::MAX);
        for number in 1..=30 {
            store.push(record(&number.to_string(), "hi"));
        }
        let counts = || {
            let kept = store.lock();
            (kept.deliveries.records.len(), kept.others.records.len())
        };
        for _ in 0..30 {
            store.push(other());
        }
        assert_eq!(counts(), (18, 2));
        let totals = store.totals();
        assert_eq!((totals.oldest, totals.oldest_other), (13, 59));
        for number in 61..=70 {
            store.push(record(&number.to_string(), "hi"));
        }
        assert_eq!(counts(), (18, 2));
        let numbers: Vec<_> = store.after(22, 12).iter().map(|kept| kept.number).collect();
        assert_eq!(numbers, [23, 24, 25, 26, 27, 28, 29, 30, 59, 60, 61, 62]);
        assert_eq!(store.get(60).unwrap().number, 60);
        assert!(store.get(58).is_none() && store.get(12).is_none());
        store.clear();
        // While there is room, they may take it.
        for _ in 0..30 {
            store.push(other());
        }
        store.push(record("a", "hi"));
        assert_eq!(counts(), (1, 19));
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

    #[test]
    fn a_repeat_that_goes_leaves_the_first_record_that_is_kept() {
        let store = Store::new(3, usize::MAX);
        let ids = ["a", "b", "a", "c", "a", "d", "a"];
        let last = ids.map(|id| store.push(record(id, "hi"))).last().copied();
        // The third one goes after the fifth, which has nothing before it any more, has come.
        assert_eq!(store.totals().oldest, 5);
        let repeat_of = |number| store.get(number).unwrap().repeat_of;
        assert_eq!((last, repeat_of(5), repeat_of(7)), (Some(7), None, Some(5)));
    }
}
