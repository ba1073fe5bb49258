//! The paths of keys that the typed view does not read.

/// Maximum number of paths. A hostile body could have millions of keys, and a few paths say as much.
const MAX_PATHS: usize = 64;

/// Maximum length of a key that is shown. Keys of objects that Meta declares are shorter.
const MAX_KEY: usize = 64;

/// Collects paths while a value is walked over.
#[derive(Debug, Default)]
pub(crate) struct UnreadPaths {
    path: String,
    found: Vec<String>,
}

/// Where a path ended before a key was appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parent(usize);

impl UnreadPaths {
    /// Appends a key to the current path.
    pub(crate) fn enter(&mut self, key: &[u8]) -> Parent {
        let parent = Parent(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(shown(key));
        parent
    }

    /// Appends several keys; `[]` is the mark of a list's elements. Returns the first parent.
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

    /// Appends the mark of a list's elements to the current path.
    pub(crate) fn enter_list(&mut self) -> Parent {
        let parent = Parent(self.path.len());
        self.path.push_str("[]");
        parent
    }

    /// Goes back to the path of the parent.
    pub(crate) fn leave(&mut self, parent: Parent) {
        self.path.truncate(parent.0);
    }

    /// Notes the current path.
    pub(crate) fn note(&mut self) {
        let path = if self.path.is_empty() {
            "."
        } else {
            &self.path
        };
        if self.found.len() < MAX_PATHS && !self.found.iter().any(|found| found == path) {
            self.found.push(path.to_owned());
        }
    }

    /// Notes the path of another member of the object `parent`.
    pub(crate) fn note_sibling(&mut self, parent: Parent, key: &[u8]) {
        let rest = self.path.split_off(parent.0);
        let other = self.enter(key);
        self.note();
        self.leave(other);
        self.path.push_str(&rest);
    }

    pub(crate) fn into_paths(self) -> Vec<String> {
        self.found
    }
}

/// A key of a declared object looks like an identifier. Anything else may be data, a phone number for example.
fn shown(key: &[u8]) -> &str {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
    let is_shown = key.len() <= MAX_KEY
        && key
            .first()
            .is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && key.iter().all(is_word);
    match std::str::from_utf8(key) {
        Ok(key) if is_shown => key,
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
            assert_eq!(shown(key.as_bytes()), name);
        }
        assert_eq!(shown(&[b'a'; MAX_KEY + 1]), "*");
        assert_eq!(shown(b"\xff"), "*");
    }

    #[test]
    fn a_path_is_noted_once_and_their_number_is_bounded() {
        let mut paths = UnreadPaths::default();
        for index in 0..200 {
            let parent = paths.enter(format!("k{index}").as_bytes());
            paths.note();
            paths.note();
            paths.leave(parent);
        }
        paths.note();
        let paths = paths.into_paths();
        assert_eq!(paths.len(), MAX_PATHS);
        assert_eq!(paths.first().map(String::as_str), Some("k0"));
    }
}
