//! A file with all handled and committed events. What was written survives the death
//! of the process.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    process,
};

use tower_whatsapp::event::EventKey;

use test_support::hex;

/// Appends each line with one write, so that lines of several processes do not interleave.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Self(file.unwrap())
    }

    /// The handler has handled the event, in this call of the process.
    pub(crate) fn handled(&self, key: EventKey, call: u32) {
        self.write(&format!("H {} {} {call}\n", name(key), process::id()));
    }

    /// The store has confirmed the commit.
    pub(crate) fn committed(&self, key: EventKey) {
        self.write(&format!("C {} {} 0\n", name(key), process::id()));
    }

    fn write(&self, line: &str) {
        let written = (&self.0).write(line.as_bytes()).unwrap();
        assert_eq!(written, line.len());
    }
}

/// What happened to an event, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Handled { process: u32 },
    Committed { process: u32 },
}

/// Reads the file, by the name of the event.
pub(crate) fn read(path: &Path) -> HashMap<String, Vec<Entry>> {
    let mut entries: HashMap<String, Vec<Entry>> = HashMap::new();
    // The file does not exist before the first server has started.
    let text = fs::read_to_string(path).unwrap_or_default();
    for line in text.lines() {
        let [what, key, process, _call] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let process = process.parse().unwrap();
        let entry = match what {
            "H" => Entry::Handled { process },
            _ => Entry::Committed { process },
        };
        entries.entry(key.to_owned()).or_default().push(entry);
    }
    entries
}

/// How many times each event was handled, for those that were.
pub(crate) fn handled(path: &Path) -> HashMap<String, usize> {
    let entries = read(path).into_iter();
    let counts = entries.map(|(key, entries)| {
        let handled = entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Handled { .. }));
        (key, handled.count())
    });
    counts.filter(|(_, count)| *count > 0).collect()
}

pub(crate) fn name(key: EventKey) -> String {
    hex(&key.to_bytes())
}
