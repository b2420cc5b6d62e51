//! Essential ways: the weaknesses that a derivation needs, as sets. Of the derivations of one thing only those count whose
//! weaknesses are not more than another's, so that a thousand detours are one way.
use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use crate::closure::By;

/// Weaknesses, each once.
pub(crate) type Weaknesses = HashSet<By, BuildHasherDefault<Mixed>>;

type Known<K, V> = HashMap<K, V, BuildHasherDefault<Mixed>>;

/// Hashes what is made of small numbers that nobody chooses, in a fraction of the time that a hash against chosen ones takes.
#[derive(Default)]
pub(crate) struct Mixed(u64);

impl Mixed {
    fn mix(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.mix(chunk.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    // A product is mixed in its high bits only; a table looks at the low ones as well.
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// A set of weaknesses by its place among the sets.
pub(crate) type WayId = u32;

/// Sets of weaknesses, each once.
#[derive(Default)]
pub(crate) struct Ways {
    sets: Vec<Vec<u32>>,
    ids: Known<Vec<u32>, WayId>,
    unions: Known<(WayId, WayId), WayId>,
    weaknesses: Vec<By>,
    numbers: Known<By, u32>,
}

impl Ways {
    /// The set of none.
    pub(crate) fn none(&mut self) -> WayId {
        self.id(Vec::new())
    }

    /// The set of one.
    pub(crate) fn one(&mut self, weakness: By) -> WayId {
        let next = u32::try_from(self.weaknesses.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(weakness).or_insert(next);
        if number == next {
            self.weaknesses.push(weakness);
        }
        self.id(vec![number])
    }

    /// Whether any set may have it.
    pub(crate) fn knows(&self, weakness: By) -> bool {
        self.numbers.contains_key(&weakness)
    }

    /// Both.
    pub(crate) fn union(&mut self, a: WayId, b: WayId) -> WayId {
        let key = (a.min(b), a.max(b));
        if a == b || self.set(key.0).is_empty() {
            return key.1;
        }
        if self.set(key.1).is_empty() {
            return key.0;
        }
        if let Some(known) = self.unions.get(&key) {
            return *known;
        }
        let mut both = [self.set(a), self.set(b)].concat();
        both.sort_unstable();
        both.dedup();
        let id = self.id(both);
        self.unions.insert(key, id);
        id
    }

    /// Whether all of the first is in the second.
    pub(crate) fn is_within(&self, a: WayId, b: WayId) -> bool {
        a == b || self.set(a).iter().all(|w| self.set(b).binary_search(w).is_ok())
    }

    /// What is in it.
    pub(crate) fn weaknesses(&self, way: WayId) -> impl Iterator<Item = By> {
        self.set(way).iter().filter_map(|w| self.weaknesses.get(*w as usize).copied())
    }

    fn set(&self, way: WayId) -> &[u32] {
        self.sets.get(way as usize).map_or(&[], Vec::as_slice)
    }

    fn id(&mut self, set: Vec<u32>) -> WayId {
        if let Some(known) = self.ids.get(&set) {
            return *known;
        }
        let id = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }
}
