//! Finds different apps with one label. Their events would share deduplication keys.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::app::{App, WeakApp};

/// Number of apps remembered, about 3 MB with the longest labels. Beyond it, all of them are
/// forgotten, and the check starts again.
const MAX_APPS: usize = 16_384;

/// The apps seen so far, by label. `O` is where an app came from.
pub(crate) struct Labels<O>(RwLock<HashMap<Arc<str>, Seen<O>>>);

struct Seen<O> {
    /// Weak, so that the secrets of a removed app are freed.
    app: WeakApp,
    origin: O,
}

impl<O: PartialEq> Labels<O> {
    pub(crate) fn new() -> Self {
        Self(RwLock::new(HashMap::new()))
    }

    /// Returns whether an app that came from elsewhere has the same label and no secret in common.
    /// Otherwise remembers this one.
    ///
    /// Two values with a common secret are one app: a host may create its apps more than once. Of
    /// apps with one origin, the last one counts, because its secrets may have been replaced.
    pub(crate) fn is_shared(&self, app: &App, origin: O) -> bool {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if (seen.get(app.label())).is_some_and(|seen| seen.app.is(app)) {
            return false;
        }
        drop(seen);
        self.compare(app, origin)
    }

    #[cold]
    fn compare(&self, app: &App, origin: O) -> bool {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let other = (seen.get(app.label())).filter(|other| other.origin != origin);
        let other = other.and_then(|other| other.app.upgrade());
        if other.is_some_and(|other| !other.credentials().share_secret(app.credentials())) {
            return true;
        }
        if seen.len() >= MAX_APPS {
            seen.clear();
        }
        let app_seen = Seen {
            app: app.downgrade(),
            origin,
        };
        seen.insert(app.shared_label(), app_seen);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;

    fn app(label: &str, secret: &str) -> App {
        let credentials = Credentials::new([("1", secret)], [("1", "token")]).unwrap();
        App::new(label, credentials).unwrap()
    }

    #[test]
    fn apps_from_elsewhere_without_a_common_secret_share_a_label() {
        let labels = Labels::new();
        let first = app("a", "one");
        assert!(!labels.is_shared(&first, 1));
        assert!(!labels.is_shared(&app("b", "two"), 2));
        assert!(labels.is_shared(&app("a", "two"), 2));
        // The first one stays remembered.
        assert!(!labels.is_shared(&first, 1));
        assert!(labels.is_shared(&app("a", "two"), 2));
        // The same app from elsewhere, and another value with its secret.
        assert!(!labels.is_shared(&first, 2));
        assert!(!labels.is_shared(&app("a", "one"), 2));
    }

    #[test]
    fn a_replaced_or_dropped_app_is_not_compared() {
        let labels = Labels::new();
        let [first, second] = ["one", "two"].map(|secret| app("a", secret));
        assert!(!labels.is_shared(&first, 1));
        assert!(!labels.is_shared(&second, 1));
        assert!(labels.is_shared(&first, 2));
        drop(second);
        assert!(!labels.is_shared(&first, 2));
    }

    #[test]
    fn the_number_of_apps_is_bounded() {
        let labels = Labels::new();
        let one = app("a", "one");
        for number in 0..=2 * MAX_APPS {
            let label = number.to_string();
            let app = App::new(label, one.credentials().clone()).unwrap();
            assert!(!labels.is_shared(&app, 1));
        }
        assert_eq!(labels.0.read().unwrap().len(), 1);
    }
}
