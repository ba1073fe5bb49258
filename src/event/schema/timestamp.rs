use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::{decode::Decode, scalar::parse_integral};
use crate::event::json::{Cursor, valid_str};

/// A point in time: Unix seconds, which Meta writes as a string or a number.
///
/// Values of 10^12 and above are taken as milliseconds, which some relaying services send.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_whatsapp::{Notification, Payload};
///
/// let body = r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[
///     {"id":"wamid.A","timestamp":"1760000000","type":"text","text":{"body":"hi"}}]}}]}]}"#;
/// let notification = Notification::parse(body)?;
/// let [event] = notification.events() else { unreachable!() };
/// let Payload::Message(message) = event.payload() else { unreachable!() };
/// let timestamp = message.timestamp.ok_or("none")?;
/// assert_eq!(timestamp.seconds(), 1_760_000_000);
/// let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
/// assert_eq!(timestamp.to_system_time(), time);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    millis: u64,
}

impl Timestamp {
    /// Returns the Unix time in seconds, rounded down.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.millis / 1000
    }

    /// Returns the Unix time in milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.millis
    }

    /// Converts the timestamp to a [`SystemTime`].
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.millis)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        /// Numbers from here on are milliseconds: as seconds, they would mean the year 33,658 or
        /// later.
        const MILLIS: u64 = 1_000_000_000_000;
        /// Upper limit, which keeps the time within what calendar libraries can represent.
        const LIMIT: u64 = 1000 * MILLIS;
        /// Maximum number of digits that always fit into 64 bits.
        const DIGITS: usize = 19;
        if !(1..=DIGITS).contains(&text.len()) {
            return None;
        }
        let number = text.iter().try_fold(0, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + u64::from(digit - b'0'))
        });
        let in_other_form = || {
            let starts_with_digit = text.first().is_some_and(u8::is_ascii_digit);
            let number = parse_integral(valid_str(text)).filter(|_| starts_with_digit);
            number.and_then(|number| u64::try_from(number).ok())
        };
        let number = number.or_else(in_other_form)?;
        let millis = if number < MILLIS {
            number * 1000
        } else {
            number
        };
        (millis < LIMIT).then_some(Self { millis })
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({}.{:03})", self.seconds(), self.millis % 1000)
    }
}

impl<'a> Decode<'a> for Timestamp {
    type Output = Self;
    const DEBUG_VISIBLE: bool = true;

    fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        Self::parse(cursor.scalar_bytes()?)
    }

    /// An empty string means absent and is known.
    fn is_known(cursor: &mut Cursor<'a>) -> bool {
        let text = cursor.scalar_bytes();
        text.is_some_and(|text| text.is_empty() || Self::parse(text).is_some())
    }
}

/// Serializes as Meta does: a string of seconds, or of milliseconds if there is a fraction.
#[cfg(feature = "serde")]
impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.millis % 1000 {
            0 => serializer.collect_str(&self.seconds()),
            _ => serializer.collect_str(&self.millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds() {
        for (text, millis) in [
            ("0", Some(0)),
            ("1760000000", Some(1_760_000_000_000)),
            ("999999999999", Some(999_999_999_999_000)),
            ("1760000000123", Some(1_760_000_000_123)),
            ("999999999999999", Some(999_999_999_999_999)),
            ("1000000000000000", None),
            ("0001760000000", Some(1_760_000_000_000)),
            ("9999999999999999999", None),
            ("+1", None),
            (" 1", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("1.5", None),
            ("1760000000.0", Some(1_760_000_000_000)),
            ("1.76e9", Some(1_760_000_000_000)),
            ("1e30", None),
            ("", None),
            ("2026-01-01", None),
        ] {
            assert_eq!(
                Timestamp::parse(text.as_bytes()).map(Timestamp::millis),
                millis,
                "{text}"
            );
        }
    }
}
