use std::{error::Error, fmt};

/// Why credentials are invalid. It contains no secret and no label. Existing credentials are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsError {
    /// No secret is given, or the last one would be removed.
    SecretMissing,
    /// A secret is empty or only white space.
    SecretBlank,
    /// A secret begins or ends with white space, such as the newline at the end of a file.
    SecretWhitespace,
    /// A secret is in quotes, as some tools leave it that read a file of variables.
    SecretQuoted,
    /// There would be more than 16 secrets. Remove those that are no longer in use.
    SecretsTooMany,
    /// No verify token is given, or the last one would be removed.
    TokenMissing,
    /// A verify token is empty or only white space.
    TokenBlank,
    /// A verify token begins or ends with white space, such as the newline at the end of a file.
    TokenWhitespace,
    /// A verify token is in quotes.
    TokenQuoted,
    /// A verify token is longer than 512 bytes.
    TokenTooLong,
    /// A label is not 1 to 64 letters, digits, `.`, `_`, `~` or `-`.
    LabelInvalid,
    /// The label is already in use.
    LabelTaken,
    /// No secret or token has this label.
    LabelUnknown,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretMissing => "app secret: at least one is required",
            Self::SecretBlank => "app secret: must not be blank",
            Self::SecretWhitespace => {
                "app secret: must not begin or end with white space, such as the newline at the end of a file"
            }
            Self::SecretQuoted => "app secret: must not be in quotes",
            Self::SecretsTooMany => "app secret: must not be more than 16; remove those not in use",
            Self::TokenMissing => "verify token: at least one is required",
            Self::TokenBlank => "verify token: must not be blank",
            Self::TokenWhitespace => {
                "verify token: must not begin or end with white space, such as the newline at the end of a file"
            }
            Self::TokenQuoted => "verify token: must not be in quotes",
            Self::TokenTooLong => "verify token: must not be longer than 512 bytes",
            Self::LabelInvalid => "label: must be 1 to 64 letters, digits, `.`, `_`, `~` or `-`",
            Self::LabelTaken => "label: already in use",
            Self::LabelUnknown => "label: not found",
        })
    }
}

/// The text, because a `main` that returns an error prints this.
impl fmt::Debug for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialsError({self})")
    }
}

impl Error for CredentialsError {}
