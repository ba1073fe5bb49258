//! The GET handshake, by which Meta verifies a callback URL.
//!
//! Meta calls the URL with `hub.mode=subscribe`, `hub.verify_token` and `hub.challenge` whenever
//! the URL or the token is set. It accepts the URL if the response body is the challenge. The
//! request has no signature.

use std::{borrow::Cow, fmt};

use crate::{hex, secret::VerifyToken, unreserved::is_unreserved};

/// Maximum length of the query, in bytes. Meta's is about 100 bytes plus the token.
const MAX_QUERY: usize = 2048;

/// Maximum number of parameters. Meta sends three.
const MAX_PARAMETERS: usize = 16;

/// Maximum length of the challenge, in bytes. Meta's is about ten digits.
const MAX_CHALLENGE: usize = 256;

/// Why a handshake was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// None of the parameters is there: a browser or a health check.
    NotHandshake,
    /// The mode or the token is missing.
    Missing(HandshakeParameter),
    Repeated(HandshakeParameter),
    /// The mode is not `subscribe`.
    Mode,
    /// None of the tokens matches.
    Token,
    Malformed(MalformedHandshake),
}

/// A parameter of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeParameter {
    /// `hub.mode`, always `subscribe`.
    Mode,
    /// `hub.verify_token`, which must match one of the configured tokens.
    VerifyToken,
    /// `hub.challenge`, the text to answer with.
    Challenge,
}

/// What is wrong with a handshake that is not acceptable whatever its token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MalformedHandshake {
    /// The query is longer than 2048 bytes.
    QueryTooLong,
    /// The query has more than 16 parameters.
    TooManyParameters,
    /// The token is right, and the challenge is missing or empty.
    ChallengeMissing,
    /// The token is right, and the challenge is longer than 256 bytes.
    ChallengeTooLong,
    /// The token is right, and the challenge has other characters than `A-Z a-z 0-9 . _ ~ -`.
    ChallengeUnsafe,
}

impl fmt::Display for HandshakeParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mode => "hub.mode",
            Self::VerifyToken => "hub.verify_token",
            Self::Challenge => "hub.challenge",
        })
    }
}

impl fmt::Display for MalformedHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueryTooLong => "the query is longer than 2048 bytes",
            Self::TooManyParameters => "the query has more than 16 parameters",
            Self::ChallengeMissing => "hub.challenge is missing",
            Self::ChallengeTooLong => "hub.challenge is longer than 256 bytes",
            Self::ChallengeUnsafe => "hub.challenge has unsafe characters",
        })
    }
}

/// Checks the query of a handshake and returns the challenge to echo.
///
/// The challenge is echoed only for a correct token, and only if none of its characters has a
/// special meaning in a browser, a shell or a header.
pub(crate) fn challenge(
    query: Option<&str>,
    tokens: &[VerifyToken],
) -> Result<String, HandshakeError> {
    let parameters = Parameters::parse(query)?;
    let mut is_known = false;
    // No early exit: the time must not depend on which token matches.
    for token in tokens {
        is_known |= token.matches(&parameters.verify_token);
    }
    if !is_known {
        return Err(HandshakeError::Token);
    }
    if *parameters.mode != *b"subscribe" {
        return Err(HandshakeError::Mode);
    }
    echoable(&parameters.challenge).map_err(HandshakeError::Malformed)
}

/// Checks what does not depend on the tokens: the size of the query, and its mode and token.
#[cfg(feature = "apps")]
pub(crate) fn check_parameters(query: Option<&str>) -> Result<(), HandshakeError> {
    Parameters::parse(query).map(drop)
}

struct Parameters<'a> {
    mode: Cow<'a, [u8]>,
    verify_token: Cow<'a, [u8]>,
    challenge: Cow<'a, [u8]>,
}

impl<'a> Parameters<'a> {
    /// Fails unless there is a mode and a token and no parameter is repeated. A missing challenge
    /// counts as an empty one, which is malformed and reported only for a correct token.
    fn parse(query: Option<&'a str>) -> Result<Self, HandshakeError> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_QUERY {
            return Err(HandshakeError::Malformed(MalformedHandshake::QueryTooLong));
        }
        if query.split('&').count() > MAX_PARAMETERS {
            let problem = MalformedHandshake::TooManyParameters;
            return Err(HandshakeError::Malformed(problem));
        }
        let (mut mode, mut verify_token, mut challenge) = (None, None, None);
        for (name, value) in pairs(query) {
            let (slot, parameter) = match &*name {
                b"hub.mode" => (&mut mode, HandshakeParameter::Mode),
                b"hub.verify_token" => (&mut verify_token, HandshakeParameter::VerifyToken),
                b"hub.challenge" => (&mut challenge, HandshakeParameter::Challenge),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(HandshakeError::Repeated(parameter));
            }
        }
        match (mode, verify_token, challenge) {
            (Some(mode), Some(verify_token), challenge) => Ok(Self {
                mode,
                verify_token,
                challenge: challenge.unwrap_or_default(),
            }),
            (None, None, None) => Err(HandshakeError::NotHandshake),
            (None, ..) => Err(HandshakeError::Missing(HandshakeParameter::Mode)),
            (_, None, _) => Err(HandshakeError::Missing(HandshakeParameter::VerifyToken)),
        }
    }
}

/// Returns the challenge if it is safe to echo.
fn echoable(challenge: &[u8]) -> Result<String, MalformedHandshake> {
    if challenge.is_empty() {
        return Err(MalformedHandshake::ChallengeMissing);
    }
    if challenge.len() > MAX_CHALLENGE {
        return Err(MalformedHandshake::ChallengeTooLong);
    }
    if !challenge.iter().copied().all(is_unreserved) {
        return Err(MalformedHandshake::ChallengeUnsafe);
    }
    String::from_utf8(challenge.to_vec()).map_err(|_| MalformedHandshake::ChallengeUnsafe)
}

/// The decoded pairs of an `application/x-www-form-urlencoded` query.
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
}

/// Decodes `+` and `%XX`. A `%` without two digits stays, as in the URL standard.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match decode_percent(&mut ahead) {
                Some(decoded) => {
                    bytes = ahead;
                    decoded
                }
                None => b'%',
            },
            _ => byte,
        });
    }
    Cow::Owned(decoded)
}

/// Decodes the two digits after a `%`.
fn decode_percent(digits: &mut impl Iterator<Item = u8>) -> Option<u8> {
    hex::decode_byte(digits.next()?, digits.next()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decodes_like_the_url_standard(query in r"[a-c&=+%0-9A-Fa-f.]{0,40}|.{0,20}") {
            let ours: Vec<(String, String)> = pairs(&query)
                .map(|(name, value)| (lossy(&name), lossy(&value)))
                .collect();
            let theirs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn echoes_only_safe_characters(challenge in any::<Vec<u8>>()) {
            let token = [VerifyToken::new("t").unwrap()];
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("hub.mode", "subscribe")
                .append_pair("hub.verify_token", "t")
                .finish()
                + "&hub.challenge="
                + &form_urlencoded::byte_serialize(&challenge).collect::<String>();
            if let Ok(echo) = super::challenge(Some(&query), &token) {
                prop_assert_eq!(echo.as_bytes(), &challenge[..]);
                prop_assert!(echo.chars().all(|c| c.is_ascii_alphanumeric() || "._~-".contains(c)));
                prop_assert!((1..=256).contains(&echo.len()));
            }
        }
    }

    fn lossy(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn each_limit_is_inclusive() {
        let token = [VerifyToken::new("t").unwrap()];
        let ask = |challenge: &str, padding: usize, more: usize| {
            let query = format!(
                "hub.mode=subscribe&hub.verify_token=t&hub.challenge={challenge}&p={}{}",
                "x".repeat(padding),
                "&a".repeat(more)
            );
            (query.len(), super::challenge(Some(&query), &token))
        };
        assert!(ask(&"a".repeat(MAX_CHALLENGE), 0, 0).1.is_ok());
        assert!(ask(&"a".repeat(MAX_CHALLENGE + 1), 0, 0).1.is_err());
        assert!(ask("a", 0, MAX_PARAMETERS - 4).1.is_ok());
        assert!(ask("a", 0, MAX_PARAMETERS - 3).1.is_err());
        let room = MAX_QUERY - ask("a", 0, 0).0;
        assert!(ask("a", room, 0).1.is_ok());
        assert!(ask("a", room + 1, 0).1.is_err());
    }

    #[test]
    fn every_token_is_accepted() {
        let tokens = ["old", "new"].map(|token| VerifyToken::new(token).unwrap());
        for (token, ok) in [("old", true), ("new", true), ("ol", false)] {
            let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
            assert_eq!(challenge(Some(&query), &tokens).is_ok(), ok);
        }
    }
}
