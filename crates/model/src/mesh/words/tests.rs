//! Words are what a map of them is.
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::Words;

proptest! {
    #[test]
    fn as_a_map(changes in prop::collection::vec((0..8u8, 0..3usize, 0..9i64), 0..30)) {
        let (mut words, mut map) = (Words::default(), BTreeMap::<String, Value>::new());
        for (word, what, value) in changes {
            let word = word.to_string();
            match what {
                0 => prop_assert_eq!(words.remove(&word), map.remove(&word)),
                _ => prop_assert_eq!(words.insert(word.clone(), value.into()), map.insert(word.clone(), value.into())),
            }
            prop_assert_eq!(words.get(&word), map.get(&word));
            prop_assert_eq!(words.contains_key(&word), map.contains_key(&word));
            prop_assert!(words.iter().eq(&map) && words.keys().eq(map.keys()) && words.is_empty() == map.is_empty());
            prop_assert_eq!(format!("{words:?}"), format!("{map:?}"));
            prop_assert_eq!(map.clone().into_iter().collect::<Words>(), words.clone());
        }
    }
}
