//! Random lists against a naive model: lookups, and the guard against bad updates.
//!
//! The generator is seeded, so that every run has the same lists. All addresses are in
//! `10.0.0.0/24` and `fd00::/120`, where the model has one boolean per address.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tower_whatsapp::admission::{IpAllowList, ListErrorKind, Reload, Shrink};

/// Lists, with `LONG_TESTS`.
const LISTS: usize = 100_000;
/// Consecutive updates of one list.
const RUN: usize = 10;

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) >> 33).unwrap() % bound
    }
}

/// Whether each of the 256 IPv4 and IPv6 addresses is in the list.
type Model = [[bool; 256]; 2];

fn address(kind: usize, last: u8) -> IpAddr {
    match kind {
        0 => Ipv4Addr::new(10, 0, 0, last).into(),
        _ => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into(),
    }
}

/// One to eight prefixes, as text and as the model. Some lists have only one address family.
fn random_list(random: &mut Random) -> (String, Model) {
    let (mut text, mut model) = (String::new(), [[false; 256]; 2]);
    let kinds = random.below(4);
    for _ in 0..1 + random.below(8) {
        let kind = match kinds {
            0 => 0,
            1 => 1,
            _ => random.below(2),
        };
        // The number of addresses is a power of two, and small ones are more frequent.
        let bits = random.below(9).min(random.below(9));
        let first = random.below(256) >> bits << bits;
        for slot in &mut model[kind][first..first + (1 << bits)] {
            *slot = true;
        }
        let length = if kind == 0 { 32 } else { 128 } - bits;
        let first = address(kind, u8::try_from(first).unwrap());
        writeln!(text, "{first}/{length}").unwrap();
    }
    (text, model)
}

fn count(model: &[bool; 256]) -> usize {
    model.iter().filter(|is_in| **is_in).count()
}

fn keeps_half(new: &Model, old: &Model) -> bool {
    (0..2).all(|kind| {
        let both = new[kind].iter().zip(&old[kind]);
        let stay = both.filter(|(new, old)| **new && **old).count();
        2 * stay >= count(&old[kind])
    })
}

fn check_lookups(list: &IpAllowList, model: &Model, text: &str) {
    for (kind, model) in model.iter().enumerate() {
        for last in 0..=255 {
            let found = list.contains(address(kind, last));
            assert_eq!(found, model[usize::from(last)], "{kind} {last} in {text:?}");
        }
    }
    for outside in ["10.0.1.0", "9.255.255.255", "fd00::100", "::1", "::a00:1"] {
        assert!(
            !list.contains(outside.parse().unwrap()),
            "{outside} in {text:?}"
        );
    }
    let mapped = Ipv4Addr::new(10, 0, 0, 7).to_ipv6_mapped();
    assert_eq!(list.contains(mapped.into()), model[0][7], "{text:?}");
}

/// Whether the update removes nothing, and adds no more than is allowed.
fn is_as_before(new: &Model, before: &Model) -> bool {
    let has_all = |kind: usize| (0..256).all(|last| new[kind][last] || !before[kind][last]);
    (0..2).all(has_all) && !has_grown(new, before)
}

fn has_grown(new: &Model, old: &Model) -> bool {
    (0..2).any(|kind| count(&new[kind]) > 2 * count(&old[kind]))
}

/// Expected state of the list and its guard after each step.
struct Expected {
    in_force: Model,
    high_water: Model,
    /// The list and the reference before each growth.
    growths: Vec<(Model, Model)>,
}

impl Expected {
    fn new(first: Model) -> Self {
        Self {
            in_force: first,
            high_water: first,
            growths: Vec::new(),
        }
    }

    fn replace(&mut self, new: &Model, shrink: Shrink) -> Result<Reload, ListErrorKind> {
        let old = self.in_force;
        let has_grown = has_grown(new, &old);
        let mut takes_back = false;
        if shrink == Shrink::Allow {
            self.high_water = *new;
            self.growths.clear();
        } else if keeps_half(new, &old) && keeps_half(new, &self.high_water) {
            if has_grown {
                let surplus = self.growths.len().saturating_sub(7);
                self.growths.drain(..surplus);
                self.growths.push((old, self.high_water));
            }
        } else {
            let mut befores = self.growths.iter().rev();
            let back = befores.position(|(before, _)| is_as_before(new, before));
            let Some(back) = back else {
                return Err(ListErrorKind::Shrunk);
            };
            for _ in 0..=back {
                self.high_water = self.growths.pop().unwrap().1;
            }
            takes_back = true;
        }
        for (mark, new) in self.high_water.iter_mut().zip(new) {
            if count(new) >= count(mark) {
                *mark = *new;
            }
        }
        self.in_force = *new;
        Ok(match has_grown && !takes_back {
            true => Reload::Grown,
            false if old == *new => Reload::Unchanged,
            false => Reload::Replaced,
        })
    }
}

#[test]
fn random_lists_match_a_naive_model() {
    let mut random = Random(17);
    let mut outcomes = [0_usize; 4];
    let mut repairs = 0;
    let lists = test_support::repetitions(LISTS);
    for _ in 0..lists / RUN {
        let (text, model) = random_list(&mut random);
        let list = IpAllowList::parse(&text).unwrap();
        check_lookups(&list, &model, &text);
        let mut expected = Expected::new(model);
        let mut base = model;
        let mut base_text = text;
        // The previous list, if the current one has grown.
        let mut smaller = None;
        for _ in 1..RUN {
            let (mut text, mut model) = random_list(&mut random);
            let repaired = smaller.take().filter(|_| random.below(2) == 0);
            let is_repaired = repaired.is_some();
            if let Some(repaired) = repaired {
                (text, model) = repaired;
            } else if random.below(2) == 0 {
                // Every other list contains the current one. Otherwise almost all
                // would be rejected.
                text.push_str(&base_text);
                for (slot, is_in) in model.iter_mut().flatten().zip(base.iter().flatten()) {
                    *slot |= is_in;
                }
            }
            let shrink = match random.below(8) {
                0 => Shrink::Allow,
                _ => Shrink::Refuse,
            };
            let outcome = list.replace(&text, shrink).map_err(|error| error.kind());
            let wanted = expected.replace(&model, shrink);
            assert_eq!(outcome, wanted, "{text:?} {shrink:?} after {base_text:?}");
            assert!(
                !is_repaired || outcome.is_ok(),
                "{text:?} after {base_text:?}"
            );
            repairs += usize::from(is_repaired);
            outcomes[match outcome {
                Ok(Reload::Unchanged) => 0,
                Ok(Reload::Replaced) => 1,
                Ok(_) => 2,
                Err(_) => 3,
            }] += 1;
            if outcome == Ok(Reload::Grown) && shrink == Shrink::Refuse {
                smaller = Some((base_text.clone(), base));
            }
            if outcome.is_ok() {
                (base, base_text) = (model, text);
            }
            check_lookups(&list, &expected.in_force, &base_text);
        }
    }
    // Every outcome occurs often enough to be tested.
    assert_eq!(outcomes.iter().sum::<usize>(), lists / RUN * (RUN - 1));
    assert!(
        outcomes.iter().all(|count| *count > lists / 200),
        "{outcomes:?}"
    );
    assert!(repairs > lists / 200, "{repairs}");
}
