//! The GET handshake: is this the callback URL of somebody who knows the verify token?
//!
//! Meta calls the URL with `hub.mode=subscribe`, `hub.verify_token` and `hub.challenge` whenever the URL or the token is set, and
//! takes the URL if the answer is the challenge. The request carries no signature.

use std::borrow::Cow;

use crate::secret::VerifyToken;

/// The longest query that is looked at, in bytes. Meta's is about 100 bytes and the token.
const MAX_QUERY: usize = 2048;

/// More parameters than this are nobody's handshake.
const MAX_PARAMETERS: usize = 16;

/// The longest challenge that is echoed, in bytes. Meta's is about ten digits.
const MAX_CHALLENGE: usize = 256;

/// Why a handshake was not answered with its challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    /// Not exactly one of each parameter, another mode, or a wrong token.
    Refused,
    /// The query is too long, or the challenge is nothing that should be echoed.
    Malformed,
}

/// Checks the query of a handshake and returns the challenge to echo.
///
/// The challenge is echoed only to who knows the token, and only if it is made of characters that mean nothing to a browser, a
/// shell or a header.
pub(crate) fn challenge(
    query: Option<&str>,
    tokens: &[VerifyToken],
) -> Result<String, HandshakeError> {
    let parameters = Parameters::read(query)?;
    let mut known = false;
    for token in tokens {
        known |= token.matches(&parameters.verify_token);
    }
    if !known || *parameters.mode != *b"subscribe" {
        return Err(HandshakeError::Refused);
    }
    echoable(&parameters.challenge).ok_or(HandshakeError::Malformed)
}

/// Whether the query could be that of a handshake, whatever the tokens are.
#[cfg(feature = "apps")]
pub(crate) fn check_parameters(query: Option<&str>) -> Result<(), HandshakeError> {
    Parameters::read(query).map(drop)
}

struct Parameters<'a> {
    mode: Cow<'a, [u8]>,
    verify_token: Cow<'a, [u8]>,
    challenge: Cow<'a, [u8]>,
}

impl<'a> Parameters<'a> {
    /// Refused unless there is a mode and a token, and no parameter of the handshake twice. A challenge that is absent is an empty
    /// one: malformed, which only who knows the token gets to hear.
    fn read(query: Option<&'a str>) -> Result<Self, HandshakeError> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_QUERY || query.split('&').count() > MAX_PARAMETERS {
            return Err(HandshakeError::Malformed);
        }
        let (mut mode, mut verify_token, mut challenge) = (None, None, None);
        for (name, value) in pairs(query) {
            let slot = match &*name {
                b"hub.mode" => &mut mode,
                b"hub.verify_token" => &mut verify_token,
                b"hub.challenge" => &mut challenge,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(HandshakeError::Refused);
            }
        }
        Ok(Self {
            mode: mode.ok_or(HandshakeError::Refused)?,
            verify_token: verify_token.ok_or(HandshakeError::Refused)?,
            challenge: challenge.unwrap_or_default(),
        })
    }
}

fn echoable(challenge: &[u8]) -> Option<String> {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~-".contains(byte);
    if challenge.is_empty() || challenge.len() > MAX_CHALLENGE || !challenge.iter().all(harmless) {
        return None;
    }
    String::from_utf8(challenge.to_vec()).ok()
}

/// The pairs of an `application/x-www-form-urlencoded` query, decoded.
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
}

/// Undoes `+` and `%XX`; a `%` without two digits stands for itself, as browsers have it.
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
            b'%' => match (hex(ahead.next()), hex(ahead.next())) {
                (Some(high), Some(low)) => {
                    bytes = ahead;
                    16 * high + low
                }
                _ => b'%',
            },
            _ => byte,
        });
    }
    Cow::Owned(decoded)
}

fn hex(digit: Option<u8>) -> Option<u8> {
    let value = char::from(digit?).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decodes_as_the_url_standard_does(query in r"[a-c&=+%0-9A-Fa-f.]{0,40}|.{0,20}") {
            let ours: Vec<(String, String)> = pairs(&query)
                .map(|(name, value)| (lossy(&name), lossy(&value)))
                .collect();
            let theirs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn echoes_nothing_but_harmless_characters(challenge in any::<Vec<u8>>()) {
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
    fn each_limit_lets_the_last_good_one_pass() {
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
    fn a_second_token_is_as_good_as_the_first() {
        let tokens = ["old", "new"].map(|token| VerifyToken::new(token).unwrap());
        for (token, ok) in [("old", true), ("new", true), ("ol", false)] {
            let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
            assert_eq!(challenge(Some(&query), &tokens).is_ok(), ok);
        }
    }
}
