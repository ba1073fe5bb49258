/// Declares a JSON object as a struct.
///
/// - `field: Type = Decoder["key" | "other"]` decodes a member. Further keys are spellings that
///   were seen in deliveries.
/// - `field: Type` is not decoded but filled in later, from what surrounds the object. It is
///   serialized under its own name. `as "key"` gives another name; `as ""` leaves it out.
/// - `tagged { kind, content: Content, has_body }` adds a tagged union: `type`, and a body under
///   the key that `type` names.
/// - `elsewhere ["key"]` lists keys that other code reads. They are not reported as unread.
macro_rules! object {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$lifetime:lifetime>)? {
            $(
                $(#[$field_meta:meta])*
                $field_vis:vis $field:ident: $type:ty $(as $outer_key:tt)?
                    $(= $decoder:ty [$first_key:literal $(| $key:literal)*])?,
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

        impl<'a> $crate::event::schema::Object<'a> for $name $(<$lifetime>)? {
            #[allow(unused_mut, reason = "an object may have no field of its own")]
            #[inline]
            fn read(&mut self, cursor: &mut $crate::event::json::Cursor<'a>) -> Option<()> {
                $(let mut $content = $crate::event::schema::TaggedDecoder::<'a, $tags>::new(*cursor);)?
                cursor.enter_object()?;
                // Meta writes the keys in the order of the fields, so after a match the next key is
                // compared with the following fields, and an object takes about one round.
                'members: {
                    let Some(mut key) = cursor.next_key() else { break 'members };
                    loop {
                        let mut is_field = false;
                        $($(if key == $first_key.as_bytes() $(|| key == $key.as_bytes())* {
                            if !cursor.take_null()
                                && let Some(value) = <$decoder as $crate::event::schema::Decode<'a>>::decode(cursor)
                            {
                                self.$field = value.into();
                            }
                            is_field = true;
                            let Some(next) = cursor.next_key() else { break 'members };
                            key = next;
                        })?)*
                        if !is_field {
                            $crate::event::schema::object!(@other cursor, key $(, $content)?);
                            let Some(next) = cursor.next_key() else { break 'members };
                            key = next;
                        }
                    }
                }
                $(
                    self.$kind = $content.tag();
                    (self.$content, self.$has_body) = $content.decode();
                )?
                Some(())
            }
        }

        impl<'a> $crate::event::schema::Decode<'a> for $name $(<$lifetime>)? {
            type Output = Self;
            const DEBUG_VISIBLE: bool = true;

            fn decode(cursor: &mut $crate::event::json::Cursor<'a>) -> Option<Self> {
                let mut this = Self::default();
                $crate::event::schema::Object::read(&mut this, cursor)?;
                Some(this)
            }

            fn is_known(cursor: &mut $crate::event::json::Cursor<'a>) -> bool {
                $(let mut $content = $crate::event::schema::TaggedDecoder::<'a, $tags>::new(*cursor);)?
                if cursor.enter_object().is_none() {
                    return false;
                }
                let mut known = true;
                while let Some(key) = cursor.next_key() {
                    $($(if key == $first_key.as_bytes() $(|| key == $key.as_bytes())* {
                        known &= cursor.take_null()
                            || <$decoder as $crate::event::schema::Decode<'a>>::is_known(cursor);
                        continue;
                    })?)*
                    $crate::event::schema::object!(@other cursor, key $(, $content)?);
                }
                $(known &= $content.is_known();)?
                known
            }

            #[allow(unused_assignments, unused_variables, reason = "an object may have no field of its own")]
            fn unread(
                cursor: &mut $crate::event::json::Cursor<'a>,
                paths: &mut $crate::event::schema::UnreadPaths,
            ) {
                $(let $content = $crate::event::schema::TaggedDecoder::<'a, $tags>::from_object(&mut { *cursor });)?
                if cursor.enter_object().is_none() {
                    paths.add();
                    return;
                }
                // The key that each field was last decoded from. Of several spellings in one object
                // only the last is reachable, and the one before is unread.
                $($(
                    let mut $field: Option<&[u8]> = None;
                    let _ = $first_key;
                )?)*
                while let Some(key) = cursor.next_key() {
                    if cursor.take_null() {
                        continue;
                    }
                    let object = paths.enter(key);
                    $($(if key == $first_key.as_bytes() $(|| key == $key.as_bytes())* {
                        if <$decoder as $crate::event::schema::Decode<'a>>::decode(&mut { *cursor }).is_some()
                            && let Some(before) = $field.replace(key)
                        {
                            paths.add_sibling(object, before);
                        }
                        <$decoder as $crate::event::schema::Decode<'a>>::unread(cursor, paths);
                        paths.leave(object);
                        continue;
                    })?)*
                    $($(if key == $elsewhere.as_bytes() {
                        cursor.skip();
                        paths.leave(object);
                        continue;
                    })+)?
                    $crate::event::schema::object!(@unread cursor, key, paths $(, $content)?);
                    paths.leave(object);
                }
            }
        }

        #[cfg(feature = "serde")]
        impl $(<$lifetime>)? serde::Serialize for $name $(<$lifetime>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $($crate::event::schema::object!(
                    @write map, self.$field, $field $(as $outer_key)? $(= $decoder [$first_key])?
                );)*
                $($crate::event::schema::TaggedUnion::write(
                    &self.$content, self.$kind, self.$has_body, &mut map,
                )?;)?
                serde::ser::SerializeMap::end(map)
            }
        }

        impl $(<$lifetime>)? std::fmt::Debug for $name $(<$lifetime>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut debug = f.debug_struct(stringify!($name));
                $($(if <$decoder as $crate::event::schema::Decode<'_>>::DEBUG_VISIBLE {
                    debug.field(stringify!($field), &self.$field);
                })?)*
                $(debug.field(stringify!($content), &self.$content);)?
                debug.finish_non_exhaustive()
            }
        }
    };
    (@unread $cursor:ident, $key:ident, $paths:ident) => {{
        $cursor.skip();
        $paths.add();
    }};
    (@unread $cursor:ident, $key:ident, $paths:ident, $content:ident) => {
        match &$content {
            Some(tagged) => tagged.unread($key, $cursor, $paths),
            None => {
                $cursor.skip();
            }
        }
    };
    // A field that is filled in from outside the object.
    (@write $map:ident, $value:expr, $field:ident) => {
        $crate::event::schema::object!(@write $map, $value, as stringify!($field))
    };
    // A field that Meta's JSON has in another place.
    (@write $map:ident, $value:expr, $field:ident as "") => {};
    (@write $map:ident, $value:expr, $field:ident as $outer_key:tt) => {
        $crate::event::schema::object!(@write $map, $value, as $outer_key)
    };
    (@write $map:ident, $value:expr, as $key:expr) => {
        if let Some(value) = $crate::event::schema::OptionalField::value(&$value) {
            serde::ser::SerializeMap::serialize_entry(&mut $map, $key, value)?;
        }
    };
    (@write $map:ident, $value:expr, $field:ident = $decoder:ty [$key:literal]) => {
        if let Some(value) = $crate::event::schema::OptionalField::value(&$value) {
            let value = $crate::event::schema::SerializeWith::<'_, '_, $decoder>(value);
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

pub(crate) use object;
