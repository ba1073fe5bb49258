use std::marker::PhantomData;

use super::{
    decode::Decode,
    scalar::{Id, Tag},
    string_enum::eq_ignoring_case_and_separators,
    unread::UnreadPaths,
};
use crate::event::json::Cursor;

/// Declares a tagged union as an enum: `type` is the tag and names the key of the body.
///
/// A variant lists its tags after `=`. They are also the possible keys of its body.
macro_rules! tagged_union {
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
            /// A type that this version does not know, or no type.
            /// [`Event::raw`](crate::Event::raw) contains the JSON.
            #[default]
            Unknown,
        }

        impl<'a> $crate::event::schema::TaggedUnion<'a> for $name<'a> {
            const TAGS: &'static [&'static [&'static str]] = &[$(&[$($tag),+]),*];

            #[allow(unused_assignments, reason = "the last increment is of no use")]
            fn decode(index: usize, body: Option<$crate::event::json::Cursor<'a>>) -> (Self, bool) {
                let mut next = 0;
                $(
                    if index == next {
                        return $crate::event::schema::tagged_union!(@read body, Self::$variant $(, $body)?);
                    }
                    next += 1;
                )*
                let _ = body;
                (Self::Unknown, false)
            }

            #[allow(unused_assignments, reason = "the last increment is of no use")]
            fn is_known(index: usize, body: Option<$crate::event::json::Cursor<'a>>, other: bool) -> bool {
                let mut next = 0;
                $(
                    if index == next {
                        return $crate::event::schema::tagged_union!(@known body, other $(, $body)?);
                    }
                    next += 1;
                )*
                let _ = (body, other);
                false
            }

            #[allow(unused_assignments, reason = "the last increment is of no use")]
            fn unread(
                index: usize,
                body: &mut $crate::event::json::Cursor<'a>,
                paths: &mut $crate::event::schema::UnreadPaths,
            ) {
                let mut next = 0;
                $(
                    if index == next {
                        $crate::event::schema::tagged_union!(@unread body, paths $(, $body)?);
                        return;
                    }
                    next += 1;
                )*
                let _ = (body, paths);
            }

            #[cfg(feature = "serde")]
            fn tag(&self) -> Option<&'static str> {
                match self {
                    $($crate::event::schema::tagged_union!(@any Self::$variant $(, $body)?) => {
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
                    $($crate::event::schema::tagged_union!(@pattern body, Self::$variant $(, $body)?) => {
                        let names = &[$($tag),+];
                        $crate::event::schema::tagged_union!(@write body, tag, names, has_body, map $(, $body)?)
                    })*
                    Self::Unknown => Ok(()),
                }
            }
        }
    };
    (@read $cursor:ident, $variant:path) => { ($variant, false) };
    (@read $cursor:ident, $variant:path, $body:ty) => {{
        let body = $cursor
            .and_then(|mut body| <$body as $crate::event::schema::Decode<'a>>::decode(&mut body));
        let has_body = body.is_some();
        ($variant(body.unwrap_or_default()), has_body)
    }};
    (@unread $cursor:ident, $paths:ident) => {{
        $cursor.skip();
        $paths.add();
    }};
    (@unread $cursor:ident, $paths:ident, $body:ty) => {
        <$body as $crate::event::schema::Decode<'a>>::unread($cursor, $paths)
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
            $map.serialize_entry($crate::event::schema::body_key($names, $tag), $binding)
        } else {
            Ok(())
        }
    };
    (@known $cursor:ident, $other:ident) => { true };
    (@known $cursor:ident, $other:ident, $body:ty) => {
        match $cursor {
            Some(mut body) => <$body as $crate::event::schema::Decode<'a>>::is_known(&mut body),
            None => !$other,
        }
    };
}

pub(crate) use tagged_union;

/// The variants of a tagged union, by index. Implemented by `tagged_union!`.
pub(crate) trait TaggedUnion<'a>: Sized {
    /// Tags of each variant, which are also the keys of its body.
    const TAGS: &'static [&'static [&'static str]];

    /// Decodes a variant. Also returns whether it has a body of the expected shape.
    fn decode(index: usize, body: Option<Cursor<'a>>) -> (Self, bool);

    /// Whether this version knows all parts of a variant. `other` is true if the object has the
    /// body of another variant instead.
    fn is_known(index: usize, body: Option<Cursor<'a>>, other: bool) -> bool;

    /// Adds the paths of the unread keys in the body of a variant. Skips the body.
    fn unread(index: usize, body: &mut Cursor<'a>, paths: &mut UnreadPaths);

    /// Returns the documented tag of the variant.
    #[cfg(feature = "serde")]
    fn tag(&self) -> Option<&'static str>;

    /// Serializes the tag and the body as entries of the enclosing object.
    #[cfg(feature = "serde")]
    fn write<M: serde::ser::SerializeMap>(
        &self,
        tag: Option<&str>,
        has_body: bool,
        map: &mut M,
    ) -> Result<(), M::Error>;
}

/// Returns the key of a variant's body: the tag if it is a documented name, else the first name.
#[cfg(feature = "serde")]
pub(crate) fn body_key(names: &[&'static str], tag: Option<&str>) -> &'static str {
    let is_tag = |name: &&&str| Some(**name) == tag;
    let name = names.iter().find(is_tag).or(names.first());
    name.copied().unwrap_or_default()
}

/// Finds the tag and the body of a tagged union, in either order.
#[derive(Clone, Copy)]
pub(crate) struct TaggedDecoder<'a, T> {
    object: Cursor<'a>,
    tag: Option<&'a str>,
    /// The most likely body so far: the index of its variant, and a cursor before it.
    body: Option<(usize, Cursor<'a>)>,
    tags: PhantomData<fn() -> T>,
}

impl<'a, T> TaggedDecoder<'a, T>
where
    T: TaggedUnion<'a> + Default,
{
    /// Starts a search. `object` is a cursor before the object.
    pub(crate) fn new(object: Cursor<'a>) -> Self {
        Self {
            object,
            tag: None,
            body: None,
            tags: PhantomData,
        }
    }

    /// Searches a whole object. Skips the object.
    pub(crate) fn from_object(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut this = Self::new(*cursor);
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key() {
            this.member(key, cursor);
        }
        Some(this)
    }

    /// Examines a member of the object. The cursor is before the value, which is skipped.
    pub(crate) fn member(&mut self, key: &'a [u8], cursor: &mut Cursor<'a>) {
        if key == b"type" {
            if !cursor.take_null() {
                self.tag = Tag::decode(cursor).flatten();
            }
            return;
        }
        let value = *cursor;
        if cursor.take_null() {
            return;
        }
        cursor.skip();
        // Without a tag the first declared variant counts, whatever the order of the keys.
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

    pub(crate) fn decode(&self) -> (T, bool) {
        self.index()
            .map(|index| T::decode(index, self.body(index)))
            .unwrap_or_default()
    }

    /// Adds the paths of the unread keys in a member that belongs to no field. Skips the value.
    pub(crate) fn unread(&self, key: &[u8], cursor: &mut Cursor<'a>, paths: &mut UnreadPaths) {
        let place = *cursor;
        let is_body = |index: &usize| {
            Self::index_of_key(key) == Some(*index)
                && self
                    .body(*index)
                    .is_some_and(|body| body.is_at_same_value(place))
        };
        if key == b"type" {
            let tag = Id::decode(&mut { *cursor }).filter(|tag| !tag.is_empty());
            // Of two tags the last one counts, and the other is unread.
            if tag.is_some() && tag != self.tag {
                paths.add();
            }
            Id::unread(cursor, paths);
        } else if let Some(index) = self.index().filter(is_body) {
            T::unread(index, cursor, paths);
        } else {
            cursor.skip();
            paths.add();
        }
    }

    /// Whether this version knows all parts. An absent body is known, the body of another variant
    /// is not.
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
            // Two bodies, or a body that does not match the tag. Rare, so the object is read again.
            _ => {
                let mut cursor = self.object;
                let mut body = None;
                cursor.enter_object()?;
                while let Some(key) = cursor.next_key() {
                    let value = cursor;
                    if !cursor.take_null() {
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
            let same = |tags: &&[&str]| {
                tags.iter()
                    .any(|name| eq_ignoring_case_and_separators(name, tag))
            };
            T::TAGS.iter().position(same)
        })
    }
}
