/// Declares an enum of names to which Meta keeps adding, with an `Other` variant for the rest.
///
/// Names are compared case-insensitively; `-`, `_` and space are equal.
macro_rules! string_enum {
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
            /// A name that this version does not know, as received.
            Other(&'a str),
        }

        impl<'a> $name<'a> {
            /// Returns the name as Meta documents it, or as received if it is not known.
            #[must_use]
            pub fn as_str(&self) -> &'a str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// Only an unknown name is converted to text.
            fn from_bytes(text: &'a [u8]) -> Self {
                $(if text == $text.as_bytes() $(|| text == $alias.as_bytes())* {
                    return Self::$variant;
                })*
                Self::from_other_spelling($crate::event::json::valid_str(text))
            }

            fn from_other_spelling(text: &'a str) -> Self {
                $(if [$text $(, $alias)*].iter().any(|name| $crate::event::schema::eq_ignoring_case_and_separators(name, text)) {
                    return Self::$variant;
                })*
                Self::Other(text)
            }
        }

        impl<'a> $crate::event::schema::Decode<'a> for $name<'a> {
            type Output = Self;
            const DEBUG_VISIBLE: bool = true;

            fn decode(cursor: &mut $crate::event::json::Cursor<'a>) -> Option<Self> {
                cursor.scalar_bytes().map(Self::from_bytes)
            }

            fn is_known(cursor: &mut $crate::event::json::Cursor<'a>) -> bool {
                Self::decode(cursor).is_some_and(|name| !matches!(name, Self::Other(_)))
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        /// Hides an unknown name, as it may contain anything.
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

pub(crate) use string_enum;

/// Compares case-insensitively; `-`, `_` and space are equal.
pub(crate) fn eq_ignoring_case_and_separators(name: &str, text: &str) -> bool {
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
