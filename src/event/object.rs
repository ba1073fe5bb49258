//! How the objects of the protocol are written down once, and read, checked and shown from that.
//!
//! The rule, one for all: a key in a shape that is not its own is absent, its neighbours stay, and [`Decode::is_known`] is false for the
//! whole. `null` is absence and nothing odd; keys that nobody knows are nothing odd either; of two equal keys the last counts.

use std::{fmt, marker::PhantomData};

use super::{raw::Cursor, scalar::Id, unread::UnreadPaths};

/// Reads one value of a kind.
pub(crate) trait Decode<'a> {
    /// What comes out.
    type Out;

    /// Whether `Debug` may show it: no text that a person wrote, no number that names one.
    const DEBUG_VISIBLE: bool;

    /// Whether an empty string stands for absence, and is nothing odd.
    const EMPTY_IS_ABSENT: bool = false;

    /// Reads the next value, which is not `null`, and passes over it in any case.
    fn read(cursor: &mut Cursor<'a>) -> Option<Self::Out>;

    /// Whether the next value is known in all its parts. Passes over it.
    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        if Self::EMPTY_IS_ABSENT {
            cursor.scalar().is_some()
        } else {
            Self::read(cursor).is_some()
        }
    }

    /// Notes the paths of what [`read`](Self::read) ignores in the next value. Passes over it.
    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        let mut again = *cursor;
        // An empty string stands for absence wherever it is not a text.
        if Self::read(cursor).is_none() && again.string() != Some("") {
            paths.note();
        }
    }

    /// Writes a value that was read, in the form in which Meta sends it.
    #[cfg(feature = "serde")]
    fn serialize<S>(value: &Self::Out, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
        Self::Out: serde::Serialize,
    {
        serde::Serialize::serialize(value, serializer)
    }
}

/// A field that may be absent.
#[cfg(feature = "serde")]
pub(crate) trait Slot {
    type Value;

    fn value(&self) -> Option<&Self::Value>;
}

#[cfg(feature = "serde")]
impl<T> Slot for Option<T> {
    type Value = T;

    fn value(&self) -> Option<&T> {
        self.as_ref()
    }
}

#[cfg(feature = "serde")]
impl<T> Slot for List<'_, T> {
    type Value = Self;

    fn value(&self) -> Option<&Self> {
        self.start.is_some().then_some(self)
    }
}

#[cfg(feature = "serde")]
impl<T> Slot for Lazy<'_, T> {
    type Value = Self;

    fn value(&self) -> Option<&Self> {
        self.start.is_some().then_some(self)
    }
}

/// A value that is serialized by its reader.
#[cfg(feature = "serde")]
pub(crate) struct Written<'v, 'a, R: Decode<'a>>(pub(crate) &'v R::Out);

#[cfg(feature = "serde")]
impl<'a, R> serde::Serialize for Written<'_, 'a, R>
where
    R: Decode<'a>,
    R::Out: serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        R::serialize(self.0, serializer)
    }
}

/// A list inside of an event, read while it is iterated: it takes no memory, however long it is.
///
/// An element that is not of the list's type is passed over; [`Event::raw`](super::Event::raw) has it, and
/// [`Event::is_known`](super::Event::is_known) tells.
pub struct List<'a, T> {
    /// Before the opening bracket.
    start: Option<Cursor<'a>>,
    element: PhantomData<fn() -> T>,
}

#[expect(private_bounds, reason = "the elements are types of this crate")]
impl<'a, T> List<'a, T>
where
    T: Decode<'a, Out = T>,
{
    /// Iterates over the elements.
    #[must_use]
    pub fn iter(&self) -> Iter<'a, T> {
        let cursor = self.start.and_then(|mut cursor| {
            cursor.array()?;
            Some(cursor)
        });
        Iter {
            cursor,
            element: PhantomData,
        }
    }

    /// The first element.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }
}

/// The iterator of [`List`].
pub struct Iter<'a, T> {
    cursor: Option<Cursor<'a>>,
    element: PhantomData<fn() -> T>,
}

impl<'a, T> Iterator for Iter<'a, T>
where
    T: Decode<'a, Out = T>,
{
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let cursor = self.cursor.as_mut()?;
        while cursor.element() {
            if let Some(element) = T::read(cursor) {
                return Some(element);
            }
        }
        self.cursor = None;
        None
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iter(..)")
    }
}

impl<'a, T> IntoIterator for List<'a, T>
where
    T: Decode<'a, Out = T>,
{
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &List<'a, T>
where
    T: Decode<'a, Out = T>,
{
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self {
            start: None,
            element: PhantomData,
        }
    }
}

impl<'a, T> PartialEq for List<'a, T>
where
    T: Decode<'a, Out = T> + PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T> fmt::Debug for List<'a, T>
where
    T: Decode<'a, Out = T> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T> Decode<'a> for List<'a, T>
where
    T: Decode<'a, Out = T>,
{
    type Out = Self;
    const DEBUG_VISIBLE: bool = true;

    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let start = (cursor.peek() == Some(b'[')).then_some(*cursor);
        cursor.skip();
        Some(Self {
            start: Some(start?),
            element: PhantomData,
        })
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        if cursor.array().is_none() {
            return false;
        }
        let mut known = true;
        while cursor.element() {
            known &= T::is_known(cursor);
        }
        known
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        if cursor.array().is_none() {
            paths.note();
            return;
        }
        let list = paths.enter_list();
        while cursor.element() {
            if !cursor.null() {
                T::unread(cursor, paths);
            }
        }
        paths.leave(list);
    }
}

#[cfg(feature = "serde")]
impl<'a, T> serde::Serialize for List<'a, T>
where
    T: Decode<'a, Out = T> + serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

/// Declares an object of the protocol: for each field its reader, and its key on the wire with other spellings that were seen. A field
/// without these is filled in from what stands around the object.
///
/// With `tagged kind, content: Content`, the object also has a `type` and a body under a key of that name: they go into the fields
/// `kind` and `content`.
macro_rules! object {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$lifetime:lifetime>)? {
            $(
                $(#[$field_meta:meta])*
                $field_vis:vis $field:ident: $type:ty $(as $around:literal)?
                    $(= $reader:ty [$first_key:literal $(| $key:literal)*])?,
            )*
        }
        $(tagged {
            $(#[$kind_meta:meta])*
            $kind_vis:vis $kind:ident,
            $(#[$content_meta:meta])*
            $content_vis:vis $content:ident: $tags:ty,
            $(#[$has_body_meta:meta])*
            $has_body_vis:vis $has_body:ident,
        })?
        $(elsewhere [$($elsewhere:literal)|+])?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq)]
        #[non_exhaustive]
        $vis struct $name $(<$lifetime>)? {
            $(
                $(#[$field_meta])*
                $field_vis $field: $type,
            )*
            $(
                $(#[$kind_meta])*
                $kind_vis $kind: Option<&'a str>,
                $(#[$content_meta])*
                $content_vis $content: $tags,
                $(#[$has_body_meta])*
                $has_body_vis $has_body: bool,
            )?
        }

        impl<'a> $crate::event::object::Decode<'a> for $name $(<$lifetime>)? {
            type Out = Self;
            const DEBUG_VISIBLE: bool = true;

            fn read(cursor: &mut $crate::event::raw::Cursor<'a>) -> Option<Self> {
                $(let mut $content = $crate::event::object::Tagged::<'a, $tags>::new(*cursor);)?
                cursor.object()?;
                let mut this = Self::default();
                while let Some(key) = cursor.key() {
                    $($(if key == $first_key.as_bytes() $(|| key == $key.as_bytes())* {
                        if !cursor.null()
                            && let Some(value) = <$reader as $crate::event::object::Decode<'a>>::read(cursor)
                        {
                            this.$field = value.into();
                        }
                        continue;
                    })?)*
                    $crate::event::object::object!(@other cursor, key $(, $content)?);
                }
                $(
                    this.$kind = $content.tag();
                    (this.$content, this.$has_body) = $content.read();
                )?
                Some(this)
            }

            fn is_known(cursor: &mut $crate::event::raw::Cursor<'a>) -> bool {
                $(let mut $content = $crate::event::object::Tagged::<'a, $tags>::new(*cursor);)?
                if cursor.object().is_none() {
                    return false;
                }
                let mut known = true;
                while let Some(key) = cursor.key() {
                    $($(if key == $first_key.as_bytes() $(|| key == $key.as_bytes())* {
                        known &= cursor.null()
                            || <$reader as $crate::event::object::Decode<'a>>::is_known(cursor);
                        continue;
                    })?)*
                    $crate::event::object::object!(@other cursor, key $(, $content)?);
                }
                $(known &= $content.is_known();)?
                known
            }

            #[allow(unused_assignments, unused_variables, reason = "an object may have no field of its own")]
            fn unread(
                cursor: &mut $crate::event::raw::Cursor<'a>,
                paths: &mut $crate::event::unread::UnreadPaths,
            ) {
                $(let $content = $crate::event::object::Tagged::<'a, $tags>::object(&mut { *cursor });)?
                if cursor.object().is_none() {
                    paths.note();
                    return;
                }
                // For each field the key that it was read from last: of several only one is reachable.
                $($(
                    let mut $field: Option<&[u8]> = None;
                    let _ = $first_key;
                )?)*
                while let Some(key) = cursor.key() {
                    if cursor.null() {
                        continue;
                    }
                    let object = paths.enter(key);
                    $($(if key == $first_key.as_bytes() $(|| key == $key.as_bytes())* {
                        if <$reader as $crate::event::object::Decode<'a>>::read(&mut { *cursor }).is_some()
                            && let Some(before) = $field.replace(key)
                        {
                            paths.note_beside(object, before);
                        }
                        <$reader as $crate::event::object::Decode<'a>>::unread(cursor, paths);
                        paths.leave(object);
                        continue;
                    })?)*
                    $($(if key == $elsewhere.as_bytes() {
                        cursor.skip();
                        paths.leave(object);
                        continue;
                    })+)?
                    $crate::event::object::object!(@unread cursor, key, paths $(, $content)?);
                    paths.leave(object);
                }
            }
        }

        #[cfg(feature = "serde")]
        impl $(<$lifetime>)? serde::Serialize for $name $(<$lifetime>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $($crate::event::object::object!(
                    @write map, self.$field, $field $(as $around)? $(= $reader [$first_key])?
                );)*
                $($crate::event::object::Tags::write(
                    &self.$content, self.$kind, self.$has_body, &mut map,
                )?;)?
                serde::ser::SerializeMap::end(map)
            }
        }

        impl $(<$lifetime>)? std::fmt::Debug for $name $(<$lifetime>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $($(if <$reader as $crate::event::object::Decode<'_>>::DEBUG_VISIBLE {
                    shown.field(stringify!($field), &self.$field);
                })?)*
                $(shown.field(stringify!($content), &self.$content);)?
                shown.finish_non_exhaustive()
            }
        }
    };
    (@unread $cursor:ident, $key:ident, $paths:ident) => {{
        $cursor.skip();
        $paths.note();
    }};
    (@unread $cursor:ident, $key:ident, $paths:ident, $content:ident) => {
        match &$content {
            Some(tagged) => tagged.unread($key, $cursor, $paths),
            None => {
                $cursor.skip();
            }
        }
    };
    // What is filled in from around the object.
    (@write $map:ident, $value:expr, $field:ident) => {
        $crate::event::object::object!(@write $map, $value, as stringify!($field))
    };
    // What stands elsewhere in what Meta writes.
    (@write $map:ident, $value:expr, $field:ident as "") => {};
    (@write $map:ident, $value:expr, $field:ident as $around:literal) => {
        $crate::event::object::object!(@write $map, $value, as $around)
    };
    (@write $map:ident, $value:expr, as $key:expr) => {
        if let Some(value) = $crate::event::object::Slot::value(&$value) {
            serde::ser::SerializeMap::serialize_entry(&mut $map, $key, value)?;
        }
    };
    (@write $map:ident, $value:expr, $field:ident = $reader:ty [$key:literal]) => {
        if let Some(value) = $crate::event::object::Slot::value(&$value) {
            let value = $crate::event::object::Written::<'_, '_, $reader>(value);
            serde::ser::SerializeMap::serialize_entry(&mut $map, $key, &value)?;
        }
    };
    (@other $cursor:ident, $key:ident) => {{
        $cursor.skip();
    }};
    (@other $cursor:ident, $key:ident, $content:ident) => {
        $content.member($key, $cursor)
    };
}

/// Declares a tagged union: `type` names the key under which the body stands.
///
/// After `=` the tags, which are also the names of the body's key.
macro_rules! tagged {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident<'a> {
            $(
                $(#[$variant_meta:meta])*
                $variant:ident $(($body:ty))? = $($tag:literal)|+,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        #[non_exhaustive]
        $vis enum $name<'a> {
            $(
                $(#[$variant_meta])*
                $variant $(($body))?,
            )*
            /// A type that this version does not know, or none at all. [`Event::raw`](super::Event::raw) has it.
            #[default]
            Unknown,
        }

        impl<'a> $crate::event::object::Tags<'a> for $name<'a> {
            const TAGS: &'static [&'static [&'static str]] = &[$(&[$($tag),+]),*];

            #[allow(unused_assignments, reason = "the last increment is of no use")]
            fn read(index: usize, body: Option<$crate::event::raw::Cursor<'a>>) -> (Self, bool) {
                let mut next = 0;
                $(
                    if index == next {
                        return $crate::event::object::tagged!(@read body, Self::$variant $(, $body)?);
                    }
                    next += 1;
                )*
                let _ = body;
                (Self::Unknown, false)
            }

            #[allow(unused_assignments, reason = "the last increment is of no use")]
            fn is_known(index: usize, body: Option<$crate::event::raw::Cursor<'a>>, other: bool) -> bool {
                let mut next = 0;
                $(
                    if index == next {
                        return $crate::event::object::tagged!(@known body, other $(, $body)?);
                    }
                    next += 1;
                )*
                let _ = (body, other);
                false
            }

            #[allow(unused_assignments, reason = "the last increment is of no use")]
            fn unread(
                index: usize,
                body: &mut $crate::event::raw::Cursor<'a>,
                paths: &mut $crate::event::unread::UnreadPaths,
            ) {
                let mut next = 0;
                $(
                    if index == next {
                        $crate::event::object::tagged!(@unread body, paths $(, $body)?);
                        return;
                    }
                    next += 1;
                )*
                let _ = (body, paths);
            }

            #[cfg(feature = "serde")]
            fn tag(&self) -> Option<&'static str> {
                match self {
                    $($crate::event::object::tagged!(@any Self::$variant $(, $body)?) => {
                        [$($tag),+].first().copied()
                    })*
                    Self::Unknown => None,
                }
            }

            #[cfg(feature = "serde")]
            fn write<M: serde::ser::SerializeMap>(
                &self,
                tag: Option<&str>,
                has_body: bool,
                map: &mut M,
            ) -> Result<(), M::Error> {
                if let Some(tag) = tag {
                    map.serialize_entry("type", tag)?;
                }
                match self {
                    $($crate::event::object::tagged!(@pattern body, Self::$variant $(, $body)?) => {
                        let names = &[$($tag),+];
                        $crate::event::object::tagged!(@write body, tag, names, has_body, map $(, $body)?)
                    })*
                    Self::Unknown => Ok(()),
                }
            }
        }
    };
    (@read $cursor:ident, $variant:path) => { ($variant, false) };
    (@read $cursor:ident, $variant:path, $body:ty) => {{
        let body = $cursor
            .and_then(|mut body| <$body as $crate::event::object::Decode<'a>>::read(&mut body));
        let has_body = body.is_some();
        ($variant(body.unwrap_or_default()), has_body)
    }};
    (@unread $cursor:ident, $paths:ident) => {{
        $cursor.skip();
        $paths.note();
    }};
    (@unread $cursor:ident, $paths:ident, $body:ty) => {
        <$body as $crate::event::object::Decode<'a>>::unread($cursor, $paths)
    };
    (@any $variant:path) => { $variant };
    (@any $variant:path, $body:ty) => { $variant(_) };
    (@pattern $binding:ident, $variant:path) => { $variant };
    (@pattern $binding:ident, $variant:path, $body:ty) => { $variant($binding) };
    (@write $binding:ident, $tag:ident, $names:ident, $has_body:ident, $map:ident) => {{
        let _ = ($names, $has_body);
        Ok(())
    }};
    (@write $binding:ident, $tag:ident, $names:ident, $has_body:ident, $map:ident, $body:ty) => {
        if $has_body {
            $map.serialize_entry($crate::event::object::body_key($names, $tag), $binding)
        } else {
            Ok(())
        }
    };
    (@known $cursor:ident, $other:ident) => { true };
    (@known $cursor:ident, $other:ident, $body:ty) => {
        match $cursor {
            Some(mut body) => <$body as $crate::event::object::Decode<'a>>::is_known(&mut body),
            None => !$other,
        }
    };
}

/// The variants of a tagged union.
pub(crate) trait Tags<'a>: Sized {
    /// For each variant its tags, which are also the keys of its body.
    const TAGS: &'static [&'static [&'static str]];

    /// Also tells whether there is a body of the right shape.
    fn read(index: usize, body: Option<Cursor<'a>>) -> (Self, bool);

    /// `other`: there is a body, and it is not that of this variant.
    fn is_known(index: usize, body: Option<Cursor<'a>>, other: bool) -> bool;

    /// Notes what is not read of the body of a variant. Passes over it.
    fn unread(index: usize, body: &mut Cursor<'a>, paths: &mut UnreadPaths);

    /// The tag of the variant, as it is documented.
    #[cfg(feature = "serde")]
    fn tag(&self) -> Option<&'static str>;

    /// Writes the tag and the body into the object that they stand in.
    #[cfg(feature = "serde")]
    fn write<M: serde::ser::SerializeMap>(
        &self,
        tag: Option<&str>,
        has_body: bool,
        map: &mut M,
    ) -> Result<(), M::Error>;
}

/// The key of the body of a variant: its tag if that is one of its names as they are documented.
#[cfg(feature = "serde")]
pub(crate) fn body_key(names: &[&'static str], tag: Option<&str>) -> &'static str {
    let is_tag = |name: &&&str| Some(**name) == tag;
    let name = names.iter().find(is_tag).or(names.first());
    name.copied().unwrap_or_default()
}

/// Finds the tag and the body of a tagged union, in whatever order they come.
#[derive(Clone, Copy)]
pub(crate) struct Tagged<'a, T> {
    object: Cursor<'a>,
    tag: Option<&'a str>,
    /// The body seen so far that is the likeliest: its variant and where it is.
    body: Option<(usize, Cursor<'a>)>,
    tags: PhantomData<fn() -> T>,
}

impl<'a, T> Tagged<'a, T>
where
    T: Tags<'a> + Default,
{
    /// `object`: before the object that is about to be walked over.
    pub(crate) fn new(object: Cursor<'a>) -> Self {
        Self {
            object,
            tag: None,
            body: None,
            tags: PhantomData,
        }
    }

    /// Walks over an object that has nothing else.
    pub(crate) fn object(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut this = Self::new(*cursor);
        cursor.object()?;
        while let Some(key) = cursor.key() {
            this.member(key, cursor);
        }
        Some(this)
    }

    /// Takes a member of the object, with the cursor before its value, and passes over it.
    pub(crate) fn member(&mut self, key: &'a [u8], cursor: &mut Cursor<'a>) {
        if key == b"type" {
            if !cursor.null() {
                self.tag = cursor.scalar().filter(|tag| !tag.is_empty());
            }
            return;
        }
        let value = *cursor;
        if cursor.null() {
            return;
        }
        cursor.skip();
        // Without a tag the first variant in the order of the declaration counts, whatever the order of the keys.
        if let Some(index) = Self::index_of_key(key)
            && self
                .body
                .is_none_or(|(other, _)| index <= other || self.is_tag(index))
        {
            self.body = Some((index, value));
        }
    }

    pub(crate) fn tag(&self) -> Option<&'a str> {
        self.tag
    }

    pub(crate) fn read(&self) -> (T, bool) {
        self.index()
            .map(|index| T::read(index, self.body(index)))
            .unwrap_or_default()
    }

    /// Notes what is not read of a member that belongs to no field. Passes over it.
    pub(crate) fn unread(&self, key: &[u8], cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        let place = *cursor;
        let is_body = |index: &usize| {
            Self::index_of_key(key) == Some(*index)
                && self.body(*index).is_some_and(|body| body.is_at(place))
        };
        if key == b"type" {
            let tag = Id::read(&mut { *cursor }).filter(|tag| !tag.is_empty());
            // Of two tags the last counts.
            if tag.is_some() && tag != self.tag {
                paths.note();
            }
            Id::unread(cursor, paths);
        } else if let Some(index) = self.index().filter(is_body) {
            T::unread(index, cursor, paths);
        } else {
            cursor.skip();
            paths.note();
        }
    }

    /// A body that is absent is nothing odd; that of another type is.
    pub(crate) fn is_known(&self) -> bool {
        self.index().is_some_and(|index| {
            let body = self.body(index);
            T::is_known(index, body, body.is_none() && self.body.is_some())
        })
    }

    fn index(&self) -> Option<usize> {
        match self.tag {
            Some(tag) => Self::index_of_tag(tag),
            None => self.body.map(|(index, _)| index),
        }
    }

    fn body(&self, index: usize) -> Option<Cursor<'a>> {
        match self.body? {
            (found, body) if found == index => Some(body),
            // Two bodies, or a body that is not the tag's: rare enough to walk again.
            _ => {
                let mut cursor = self.object;
                let mut body = None;
                cursor.object()?;
                while let Some(key) = cursor.key() {
                    let value = cursor;
                    if !cursor.null() {
                        cursor.skip();
                        if Self::index_of_key(key) == Some(index) {
                            body = Some(value);
                        }
                    }
                }
                body
            }
        }
    }

    fn is_tag(&self, index: usize) -> bool {
        self.tag
            .is_some_and(|tag| Self::index_of_tag(tag) == Some(index))
    }

    fn index_of_key(key: &[u8]) -> Option<usize> {
        let is_key = |tag: &&str| tag.as_bytes() == key;
        T::TAGS.iter().position(|tags| tags.iter().any(is_key))
    }

    fn index_of_tag(tag: &str) -> Option<usize> {
        Self::index_of_key(tag.as_bytes()).or_else(|| {
            let same = |tags: &&[&str]| tags.iter().any(|name| same_name(name, tag));
            T::TAGS.iter().position(same)
        })
    }
}

/// An object that goes with an event and is read when it is asked for: because it is larger than what most want of it, or because its type contains
/// itself.
pub struct Lazy<'a, T> {
    /// Before the opening bracket.
    start: Option<Cursor<'a>>,
    object: PhantomData<fn() -> T>,
}

impl<'a, T> Lazy<'a, T> {
    pub(crate) fn new(start: Option<Cursor<'a>>) -> Self {
        Self {
            start,
            object: PhantomData,
        }
    }
}

#[expect(private_bounds, reason = "the objects are types of this crate")]
impl<'a, T> Lazy<'a, T>
where
    T: Decode<'a, Out = T>,
{
    /// The object, if there is one. Read at each call.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        T::read(&mut self.start?)
    }
}

impl<T> Clone for Lazy<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lazy<'_, T> {}

impl<T> Default for Lazy<'_, T> {
    fn default() -> Self {
        Self {
            start: None,
            object: PhantomData,
        }
    }
}

impl<'a, T> PartialEq for Lazy<'a, T>
where
    T: Decode<'a, Out = T> + PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<'a, T> fmt::Debug for Lazy<'a, T>
where
    T: Decode<'a, Out = T> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl<'a, T> Decode<'a> for Lazy<'a, T>
where
    T: Decode<'a, Out = T>,
{
    type Out = Self;
    const DEBUG_VISIBLE: bool = true;

    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let start = (cursor.peek() == Some(b'{')).then_some(*cursor);
        cursor.skip();
        Some(Self {
            start: Some(start?),
            object: PhantomData,
        })
    }

    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        T::is_known(cursor)
    }

    fn unread(cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        T::unread(cursor, paths);
    }
}

#[cfg(feature = "serde")]
impl<'a, T> serde::Serialize for Lazy<'a, T>
where
    T: Decode<'a, Out = T> + serde::Serialize,
{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

/// Declares a set of names that Meta adds to. They are compared without regard to case, and with `-`, `_` and space as the same.
macro_rules! names {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident<'a> {
            $(
                $(#[$variant_meta:meta])*
                $variant:ident = $text:literal $(| $alias:literal)*,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        $vis enum $name<'a> {
            $(
                $(#[$variant_meta])*
                $variant,
            )*
            /// A name that this version does not know, as it was sent.
            Other(&'a str),
        }

        impl<'a> $name<'a> {
            /// The name as Meta documents it, or as it was sent if it is not known.
            #[must_use]
            pub fn as_str(&self) -> &'a str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }

            fn from_text(text: &'a str) -> Self {
                match text {
                    $($text $(| $alias)* => Self::$variant,)*
                    $(_ if [$text $(, $alias)*].iter().any(|name| $crate::event::object::same_name(name, text)) => {
                        Self::$variant
                    })*
                    _ => Self::Other(text),
                }
            }
        }

        impl<'a> $crate::event::object::Decode<'a> for $name<'a> {
            type Out = Self;
            const DEBUG_VISIBLE: bool = true;

            fn read(cursor: &mut $crate::event::raw::Cursor<'a>) -> Option<Self> {
                cursor.scalar().map(Self::from_text)
            }

            fn is_known(cursor: &mut $crate::event::raw::Cursor<'a>) -> bool {
                Self::read(cursor).is_some_and(|name| !matches!(name, Self::Other(_)))
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        /// A name that is not known is not shown: nobody can say what it is.
        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str(stringify!($variant)),)*
                    Self::Other(_) => f.write_str("Other(..)"),
                }
            }
        }
    };
}

pub(crate) use {names, object, tagged};

pub(crate) fn same_name(name: &str, text: &str) -> bool {
    let fold = |byte: u8| match byte {
        b'-' | b' ' => b'_',
        byte => byte.to_ascii_lowercase(),
    };
    name.len() == text.len()
        && name
            .bytes()
            .zip(text.bytes())
            .all(|(left, right)| fold(left) == fold(right))
}
