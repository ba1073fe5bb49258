//! Maps request paths to apps.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use http::uri::PathAndQuery;

#[cfg(feature = "apps")]
use super::resolver::{CachedResolver, is_name};
use super::{app::App, error::ConfigError};

/// Placeholder of the app's name in a pattern.
#[cfg(feature = "apps")]
const PLACEHOLDER: &str = "{app}";

/// Number of path segments that a gateway or a router may have added in front of a path.
const MAX_PREFIX_SEGMENTS: usize = 3;

/// The paths of a layer.
#[derive(Default)]
pub(super) struct Routes {
    /// Compared before `more`: most layers have one path.
    first: Option<(Path, App)>,
    more: HashMap<Arc<str>, App>,
    #[cfg(feature = "apps")]
    pattern: Option<Pattern>,
    /// The ends of the paths from each slash but the first, without a trailing slash: what a layer
    /// inside of a nested router sees.
    suffixes: HashSet<String>,
}

/// The path of the first app.
#[derive(Debug)]
pub(super) enum Path {
    Exact(Arc<str>),
    /// Any path. The text is what telemetry calls it.
    Any(Arc<str>),
}

impl Path {
    pub(super) fn any() -> Self {
        Self::Any(Arc::from("*"))
    }
}

/// The app of a request path, or how to resolve it.
#[derive(Clone, Copy)]
pub(super) enum Route<'a> {
    App {
        path: &'a Arc<str>,
        app: &'a App,
    },
    /// The path contains the name of the app.
    #[cfg(feature = "apps")]
    Named(&'a Pattern),
}

impl<'a> Route<'a> {
    /// The configured path or pattern.
    pub(super) fn path(self) -> &'a Arc<str> {
        match self {
            Self::App { path, .. } => path,
            #[cfg(feature = "apps")]
            Self::Named(pattern) => &pattern.text,
        }
    }
}

impl Routes {
    /// Returns `None` if the path is not configured.
    pub(super) fn find(&self, path: &str) -> Option<Route<'_>> {
        match &self.first {
            Some((Path::Any(path), app)) => return Some(Route::App { path, app }),
            Some((Path::Exact(exact), app)) if **exact == *path => {
                return Some(Route::App { path: exact, app });
            }
            _ => {}
        }
        if !self.more.is_empty()
            && let Some((path, app)) = self.more.get_key_value(path)
        {
            return Some(Route::App { path, app });
        }
        #[cfg(feature = "apps")]
        if let Some(pattern) = &self.pattern
            && pattern.segment(path).is_some()
        {
            return Some(Route::Named(pattern));
        }
        None
    }

    /// Whether a path equals a configured one except for its first segments or a trailing slash.
    /// The number of candidates is limited, because anyone can send any path.
    pub(super) fn has_similar(&self, path: &str) -> bool {
        // A layer inside of a router that is nested at the whole path. If `/` were configured, the
        // request would not have passed through.
        if path == "/" {
            return true;
        }
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let starts = trimmed.match_indices('/').map(|(start, _)| start);
        let mut candidates = (starts.take(1 + MAX_PREFIX_SEGMENTS))
            .filter_map(|start| trimmed.get(start..))
            .filter(|candidate| candidate.len() > 1);
        // Only as a whole: a pattern that ends with its placeholder would match any last segment.
        #[cfg(feature = "apps")]
        if (self.pattern.as_ref()).is_some_and(|pattern| pattern.has_suffix(trimmed)) {
            return true;
        }
        candidates.any(|candidate| {
            self.find(candidate).is_some()
                || self.find(&format!("{candidate}/")).is_some()
                || self.suffixes.contains(candidate)
        })
    }

    fn add_suffixes(&mut self, path: &str) {
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let ends = trimmed.match_indices('/').skip(1);
        let ends = ends.filter_map(|(start, _)| trimmed.get(start..));
        self.suffixes.extend(ends.map(str::to_owned));
    }

    pub(super) fn set_first(&mut self, path: Path, app: App) -> Result<(), ConfigError> {
        if let Path::Exact(path) = &path {
            check_path(path)?;
            self.add_suffixes(path);
        }
        self.first = Some((path, app));
        Ok(())
    }

    pub(super) fn add(&mut self, path: String, app: App) -> Result<(), ConfigError> {
        check_path(&path)?;
        self.add_suffixes(&path);
        match &self.first {
            None => self.first = Some((Path::Exact(path.into()), app)),
            Some((Path::Any(_), _)) => return Err(ConfigError::PathConflict),
            Some((Path::Exact(first), _)) => {
                if **first == *path || self.more.insert(path.into(), app).is_some() {
                    return Err(ConfigError::PathConflict);
                }
            }
        }
        Ok(())
    }

    /// Whether two different apps have the same label.
    pub(super) fn has_label_conflict(&self) -> bool {
        let mut apps_by_label = HashMap::new();
        self.apps()
            .any(|app| !apps_by_label.entry(app.label()).or_insert(app).is_same(app))
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
            .split_once(PLACEHOLDER)
            .filter(|(before, after)| {
                before.ends_with('/') && (after.is_empty() || after.starts_with('/'))
            })
            .filter(|(before, after)| {
                check_path(before).is_ok() && (after.is_empty() || check_path(after).is_ok())
            })
            .ok_or(ConfigError::AppResolverPattern)?;
        if matches!(self.first, Some((Path::Any(_), _))) {
            return Err(ConfigError::PathConflict);
        }
        let pattern = Pattern {
            text: pattern.into(),
            before: before.to_owned(),
            after: after.to_owned(),
            resolver,
        };
        match self.pattern.replace(pattern) {
            None => Ok(()),
            Some(_) => Err(ConfigError::AppResolverConflict),
        }
    }

    /// The apps with a configured path.
    pub(super) fn apps(&self) -> impl Iterator<Item = &App> {
        let first = self.first.iter().map(|(_, app)| app);
        first.chain(self.more.values())
    }
}

/// The paths, separated by blanks.
impl fmt::Display for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first.iter().map(|(path, _)| match path {
            Path::Exact(path) | Path::Any(path) => path,
        });
        let paths = first.chain(self.more.keys());
        #[cfg(feature = "apps")]
        let paths = paths.chain(self.pattern.iter().map(|pattern| &pattern.text));
        for (index, path) in paths.enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{path}")?;
        }
        Ok(())
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

/// A path in which one segment is the name of an app.
#[cfg(feature = "apps")]
#[derive(Debug)]
pub(super) struct Pattern {
    /// The whole pattern.
    pub(super) text: Arc<str>,
    before: String,
    after: String,
    pub(super) resolver: CachedResolver,
}

#[cfg(feature = "apps")]
impl Pattern {
    /// Returns the name in a path, or `None` if the segment is not a valid name.
    pub(super) fn name<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.segment(path).filter(|segment| is_name(segment))
    }

    /// Whether the pattern ends with `path`, with a name in place of its placeholder if `path` goes
    /// that far.
    fn has_suffix(&self, path: &str) -> bool {
        let after = self.after.strip_suffix('/').unwrap_or(&self.after);
        if after.ends_with(path) {
            return true;
        }
        let head = path.strip_suffix(after);
        let head = head.and_then(|head| Some(head.split_at(head.rfind('/')? + 1)));
        head.is_some_and(|(before, name)| is_name(name) && self.before.ends_with(before))
    }

    /// Returns the segment in place of the name, if the rest of the path matches.
    fn segment<'a>(&self, path: &'a str) -> Option<&'a str> {
        let segment = path
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.after)?;
        (!segment.is_empty() && !segment.contains('/')).then_some(segment)
    }
}

fn check_path(path: &str) -> Result<(), ConfigError> {
    let is_parameter = |segment: &str| segment.starts_with(':');
    if path.contains(['{', '}', '*']) || path.split('/').any(is_parameter) {
        return Err(ConfigError::PathPattern);
    }
    if path.contains('+') {
        return Err(ConfigError::PathPlus);
    }
    let is_path = path.starts_with('/')
        && path.is_ascii()
        && !path.contains(['#', '\\'])
        && PathAndQuery::try_from(path).is_ok_and(|parsed| parsed.path() == path);
    if is_path {
        Ok(())
    } else {
        Err(ConfigError::PathInvalid)
    }
}
