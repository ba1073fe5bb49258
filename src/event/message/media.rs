//! Media files: images, audio, video, documents and stickers.
//!
//! Source: Meta's page `webhooks/reference/messages/image`.

use crate::{
    event::schema::{Id, UserText, object},
    hex,
};

object! {
    /// A media file: the body of `image`, `audio`, `video`, `document` and `sticker` messages.
    pub struct Media<'a> {
        /// Id for the download from the Media API (`id`).
        pub id: Option<&'a str> = Id["id"],
        /// MIME type (`mime_type`), for example `image/jpeg` or `audio/ogg; codecs=opus`.
        pub mime_type: Option<&'a str> = Id["mime_type"],
        /// SHA-256 of the file (`sha256`): base64, in chat histories hexadecimal.
        pub sha256: Option<&'a str> = Id["sha256"],
        /// Caption (`caption`).
        pub caption: Option<&'a str> = UserText["caption"],
        /// File name of a document (`filename`).
        pub filename: Option<&'a str> = UserText["filename"],
        /// Download URL (`url`, since the end of 2025). Valid for some minutes, with an access
        /// token.
        pub url: Option<&'a str> = UserText["url"],
        /// Whether an audio file is a voice message (`voice`). Absent from voicemail.
        pub voice: Option<bool> = bool["voice"],
        /// Whether a sticker is animated (`animated`).
        pub animated: Option<bool> = bool["animated"],
    }
}

impl Media<'_> {
    /// Decodes [`sha256`](Self::sha256), from base64 or hexadecimal digits.
    #[must_use]
    pub fn sha256_bytes(&self) -> Option<[u8; 32]> {
        let text = self.sha256?.as_bytes();
        match text.len() {
            64 => hex::decode(text),
            _ => decode_base64(text.strip_suffix(b"=").unwrap_or(text)),
        }
    }
}

/// Decodes 32 bytes from base64 without padding, in either alphabet. Returns `None` if unused bits
/// are not zero.
fn decode_base64(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = Vec::with_capacity(33);
    let (mut pending, mut filled) = (0u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        pending = pending << 6 | u32::from(value);
        filled += 6;
        if filled >= 8 {
            filled -= 8;
            bytes.push(u8::try_from(pending >> filled & 0xff).ok()?);
            pending &= (1 << filled) - 1;
        }
    }
    if pending != 0 || filled >= 6 {
        return None;
    }
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sha256_bytes(text: &str) -> Option<[u8; 32]> {
        let media = Media {
            sha256: Some(text),
            ..Media::default()
        };
        media.sha256_bytes()
    }

    proptest! {
        #[test]
        fn decodes_base64_and_hexadecimal(hash in any::<[u8; 32]>(), other in "[A-Za-z0-9+/=]{0,66}") {
            use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine};
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(sha256_bytes(&hex), Some(hash));
            prop_assert_eq!(sha256_bytes(&hex.to_uppercase()), Some(hash));
            prop_assert_eq!(sha256_bytes(&BASE64_STANDARD.encode(hash)), Some(hash));
            prop_assert_eq!(sha256_bytes(&BASE64_STANDARD_NO_PAD.encode(hash)), Some(hash));
            if let Some(hash) = sha256_bytes(&other)
                && other.len() != 64
            {
                prop_assert_eq!(BASE64_STANDARD_NO_PAD.encode(hash), other.trim_end_matches('='));
            }
        }
    }

    #[test]
    fn rejects_other_texts() {
        for text in [
            "",
            "x",
            "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GU==",
            &"0".repeat(63),
            &"g".repeat(64),
        ] {
            assert_eq!(sha256_bytes(text), None, "{text}");
        }
    }
}
