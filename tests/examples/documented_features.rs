//! The default features in the manifest and in the docs.

use std::collections::{BTreeMap, BTreeSet};

const MANIFEST: &str = include_str!("../../Cargo.toml");

/// The features of the manifest, with what each of them enables.
fn features() -> BTreeMap<&'static str, &'static str> {
    let (_, section) = MANIFEST.split_once("\n[features]\n").unwrap();
    let (section, _) = section.split_once("\n[").unwrap();
    section
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .collect()
}

fn is_default(feature: &str) -> bool {
    features()["default"].contains(&format!("\"{feature}\""))
}

/// Without it slow bodies have no deadline, and there is no `DedupLayer`: a host must
/// opt out of that.
#[test]
fn tokio_is_on_by_default() {
    assert!(is_default("tokio"));
}

#[test]
fn the_tables_say_what_is_on_by_default() {
    let tables = [
        ("README.md", include_str!("../../README.md")),
        ("src/lib.rs", include_str!("../../src/lib.rs")),
    ];
    for (file, text) in tables {
        let mut named = BTreeSet::new();
        for line in text.lines() {
            let line = line.trim_start_matches("//!").trim();
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let first = cells.first().copied().unwrap_or_default();
            let names: Vec<_> = first.split('`').skip(1).step_by(2).collect();
            if names.is_empty() || !names.iter().all(|name| features().contains_key(*name)) {
                continue;
            }
            for feature in names {
                let default = first.contains("(default)");
                assert_eq!(default, is_default(feature), "{file}: {feature}");
            }
            named.extend(line.split('`').skip(1).step_by(2));
        }
        for feature in features()
            .into_keys()
            .filter(|feature| *feature != "default")
        {
            assert!(
                named.contains(feature),
                "{file}: {feature} is not in the table"
            );
        }
    }
}
