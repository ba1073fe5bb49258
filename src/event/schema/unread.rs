//! Paths of the keys that the typed view does not read.

/// Maximum number of paths. Further ones are dropped: a hostile body may have millions of keys.
const MAX_PATHS: usize = 64;

/// Maximum length of a key in a path, bytes. Longer ones are masked: Meta's own keys are shorter.
const MAX_KEY_LENGTH: usize = 64;

/// Collects paths while a value is traversed.
#[derive(Debug, Default)]
pub(crate) struct UnreadPaths {
    path: String,
    found: Vec<String>,
}

/// Length of a path before a key was appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parent(usize);

impl UnreadPaths {
    /// Appends a key to the current path.
    pub(crate) fn enter(&mut self, key: &[u8]) -> Parent {
        let parent = Parent(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(masked(key));
        parent
    }

    /// Appends several keys; `[]` stands for the elements of a list. Returns the first parent.
    pub(crate) fn enter_all(&mut self, path: &[&[u8]]) -> Option<Parent> {
        let mut first = None;
        for key in path {
            let parent = match *key {
                b"[]" => self.enter_list(),
                key => self.enter(key),
            };
            first.get_or_insert(parent);
        }
        first
    }

    /// Appends `[]`, which stands for the elements of a list, to the current path.
    pub(crate) fn enter_list(&mut self) -> Parent {
        let parent = Parent(self.path.len());
        self.path.push_str("[]");
        parent
    }

    /// Returns to the path of the parent.
    pub(crate) fn leave(&mut self, parent: Parent) {
        self.path.truncate(parent.0);
    }

    /// Adds the current path, once.
    pub(crate) fn add(&mut self) {
        let path = if self.path.is_empty() {
            "."
        } else {
            &self.path
        };
        if self.found.len() < MAX_PATHS && !self.found.iter().any(|found| found == path) {
            self.found.push(path.to_owned());
        }
    }

    /// Adds the path of another member of the object `parent`.
    pub(crate) fn add_sibling(&mut self, parent: Parent, key: &[u8]) {
        let rest = self.path.split_off(parent.0);
        let other = self.enter(key);
        self.add();
        self.leave(other);
        self.path.push_str(&rest);
    }

    pub(crate) fn into_paths(self) -> Vec<String> {
        self.found
    }
}

/// Masks a key that does not look like an identifier: it may be data, such as a phone number.
fn masked(key: &[u8]) -> &str {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
    let is_identifier = key.len() <= MAX_KEY_LENGTH
        && key
            .first()
            .is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && key.iter().all(is_word);
    match std::str::from_utf8(key) {
        Ok(key) if is_identifier => key,
        _ => "*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_may_be_data_are_masked() {
        for (key, name) in [
            ("previous_user_id", "previous_user_id"),
            ("_x-1", "_x-1"),
            ("16505550001", "*"),
            ("Ada Lovelace", "*"),
            ("", "*"),
        ] {
            assert_eq!(masked(key.as_bytes()), name);
        }
        assert_eq!(masked(&[b'a'; MAX_KEY_LENGTH + 1]), "*");
        assert_eq!(masked(b"\xff"), "*");
    }

    #[test]
    fn a_path_is_added_once_and_the_number_is_bounded() {
        let mut paths = UnreadPaths::default();
        for index in 0..200 {
            let parent = paths.enter(format!("k{index}").as_bytes());
            paths.add();
            paths.add();
            paths.leave(parent);
        }
        paths.add();
        let paths = paths.into_paths();
        assert_eq!(paths.len(), MAX_PATHS);
        assert_eq!(paths.first().map(String::as_str), Some("k0"));
    }
}
