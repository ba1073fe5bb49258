//! Which path is whose.

use std::{collections::HashMap, fmt};

use http::uri::PathAndQuery;

#[cfg(feature = "apps")]
use super::resolver::CachedResolver;
use super::{app::App, builder::ConfigError};

#[cfg(feature = "apps")]
const PLACE: &str = "{app}";
#[cfg(feature = "apps")]
const MAX_NAME: usize = 128;

/// The paths of a layer.
#[derive(Default)]
pub(super) struct Routes {
    /// Most layers have one path, and it is looked at first.
    first: Option<(Path, App)>,
    more: HashMap<String, App>,
    #[cfg(feature = "apps")]
    pattern: Option<Pattern>,
}

/// The path of a layer's only app.
#[derive(Debug)]
pub(super) enum Path {
    Exact(String),
    Any,
}

/// Whose request this is.
#[derive(Clone, Copy)]
pub(super) enum Route<'a> {
    App(&'a App),
    /// That of an app whose name is in the path.
    #[cfg(feature = "apps")]
    Named(&'a Pattern),
}

impl Routes {
    /// `None` if the path is none of ours.
    pub(super) fn find(&self, path: &str) -> Option<Route<'_>> {
        match &self.first {
            Some((Path::Any, app)) => return Some(Route::App(app)),
            Some((Path::Exact(exact), app)) if exact == path => return Some(Route::App(app)),
            _ => {}
        }
        if !self.more.is_empty()
            && let Some(app) = self.more.get(path)
        {
            return Some(Route::App(app));
        }
        #[cfg(feature = "apps")]
        if let Some(pattern) = &self.pattern
            && pattern.segment(path).is_some()
        {
            return Some(Route::Named(pattern));
        }
        None
    }

    /// Whether the first path ends with this one: what is left of it inside of a nested router.
    pub(super) fn has_suffix(&self, path: &str) -> bool {
        matches!(&self.first, Some((Path::Exact(exact), _)) if exact.ends_with(path))
    }

    pub(super) fn set_first(&mut self, path: Path, app: App) -> Result<(), ConfigError> {
        if let Path::Exact(path) = &path {
            check_path(path)?;
        }
        self.first = Some((path, app));
        Ok(())
    }

    pub(super) fn add(&mut self, path: String, app: App) -> Result<(), ConfigError> {
        check_path(&path)?;
        match &self.first {
            None => self.first = Some((Path::Exact(path), app)),
            Some((Path::Any, _)) => return Err(ConfigError::PathConflict),
            Some((Path::Exact(first), _)) => {
                if *first == path || self.more.insert(path, app).is_some() {
                    return Err(ConfigError::PathConflict);
                }
            }
        }
        Ok(())
    }

    /// Whether two different apps have one label.
    pub(super) fn have_equal_labels(&self) -> bool {
        let apps: Vec<_> = self.apps().collect();
        let mut rest = apps.as_slice();
        while let Some((app, others)) = rest.split_first() {
            let is_conflict = |other: &&App| other.label() == app.label() && !other.is_same(app);
            if others.iter().any(is_conflict) {
                return true;
            }
            rest = others;
        }
        false
    }

    #[cfg(feature = "apps")]
    pub(super) fn add_pattern(
        &mut self,
        pattern: &str,
        resolver: CachedResolver,
    ) -> Result<(), ConfigError> {
        if pattern.contains('+') {
            return Err(ConfigError::PathPlus);
        }
        let (before, after) = pattern
            .split_once(PLACE)
            .filter(|(before, after)| {
                before.ends_with('/') && (after.is_empty() || after.starts_with('/'))
            })
            .filter(|(before, after)| {
                check_path(before).is_ok() && (after.is_empty() || check_path(after).is_ok())
            })
            .ok_or(ConfigError::PatternInvalid)?;
        if matches!(self.first, Some((Path::Any, _))) {
            return Err(ConfigError::PathConflict);
        }
        let pattern = Pattern {
            before: before.to_owned(),
            after: after.to_owned(),
            resolver,
        };
        match self.pattern.replace(pattern) {
            None => Ok(()),
            Some(_) => Err(ConfigError::PatternConflict),
        }
    }

    /// Those that have a path of their own.
    pub(super) fn apps(&self) -> impl Iterator<Item = &App> {
        let first = self.first.iter().map(|(_, app)| app);
        first.chain(self.more.values())
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Routes");
        debug
            .field("first", &self.first)
            .field("more", &self.more.len());
        #[cfg(feature = "apps")]
        debug.field("pattern", &self.pattern);
        debug.finish()
    }
}

/// One segment of a path is the name of an app.
#[cfg(feature = "apps")]
#[derive(Debug)]
pub(super) struct Pattern {
    before: String,
    after: String,
    pub(super) resolver: CachedResolver,
}

#[cfg(feature = "apps")]
impl Pattern {
    /// The name in a path. `None` if something else is in its place.
    pub(super) fn name<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.segment(path).filter(|segment| is_name(segment))
    }

    /// What stands in the place of the name, if the rest is right.
    fn segment<'a>(&self, path: &'a str) -> Option<&'a str> {
        let segment = path
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.after)?;
        (!segment.is_empty() && !segment.contains('/')).then_some(segment)
    }
}

/// Characters that are never written in two ways in a path, so that one app has one name.
#[cfg(feature = "apps")]
pub(super) fn is_name(segment: &str) -> bool {
    (1..=MAX_NAME).contains(&segment.len())
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

fn check_path(path: &str) -> Result<(), ConfigError> {
    if path.contains(['{', '}']) {
        return Err(ConfigError::PathBraces);
    }
    if path.contains('+') {
        return Err(ConfigError::PathPlus);
    }
    let is_path = path.starts_with('/')
        && !path.contains('#')
        && PathAndQuery::try_from(path).is_ok_and(|parsed| parsed.path() == path);
    if is_path {
        Ok(())
    } else {
        Err(ConfigError::PathInvalid)
    }
}
