//! HMAC-SHA256, the only MAC of this crate.
//!
//! Two libraries implement the same two types: [`Key`], which is prepared once, and [`Mac`], which
//! hashes one message. RustCrypto is the default; the feature `aws-lc-rs` replaces it. Tags are
//! always compared by RustCrypto.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc_rs;
#[cfg(any(test, not(feature = "aws-lc-rs")))]
mod rustcrypto;

#[cfg(feature = "aws-lc-rs")]
use hmac::digest::Output;
use hmac::{Hmac, digest::CtOutput};
use sha2::Sha256;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use self::aws_lc_rs::{Key, Mac};
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use self::rustcrypto::{Key, Mac};

/// Length of a tag, in bytes.
pub(crate) const TAG_LENGTH: usize = 32;

/// The MAC of a message. It is compared in constant time, and zeroed on drop.
pub(crate) struct Tag(CtOutput<Hmac<Sha256>>);

impl Tag {
    /// Copies a tag that another library has computed, which has the same length.
    #[cfg(feature = "aws-lc-rs")]
    fn from_slice(bytes: &[u8]) -> Self {
        let mut tag = Output::<Hmac<Sha256>>::default();
        tag.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(CtOutput::new(tag))
    }

    /// Compares the tags in constant time.
    pub(crate) fn matches(&self, other: &[u8; TAG_LENGTH]) -> bool {
        self.0 == CtOutput::new((*other).into())
    }

    pub(crate) fn to_bytes(&self) -> [u8; TAG_LENGTH] {
        (*self.0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TAG_LENGTH;

    /// Computes the tag of a message given in pieces, with the module `$library`.
    macro_rules! tag {
        ($library:ident, $key:expr, $pieces:expr) => {{
            let key = super::$library::Key::new($key);
            // Another message under the same key must not affect this one.
            let mut other = key.new_mac();
            other.update(b"another message");
            drop(other.finalize());
            let mut mac = key.clone().new_mac();
            for piece in $pieces {
                mac.update(piece);
                mac = mac.clone();
            }
            mac.finalize().to_bytes()
        }};
    }

    #[test]
    fn keys_and_macs_are_send_and_sync() {
        fn task<T: Send + Sync + Clone + 'static>() {}
        task::<super::Key>();
        task::<super::Mac>();
    }

    #[test]
    fn the_vectors_of_rfc_4231() {
        let hex = |bytes: [u8; TAG_LENGTH]| bytes.map(|byte| format!("{byte:02x}")).concat();
        let cases: [(&[u8], &[u8], &str); 4] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            // Longer than a block.
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(tag!(rustcrypto, key, [message])), expected);
            #[cfg(feature = "aws-lc-rs")]
            assert_eq!(hex(tag!(aws_lc_rs, key, [message])), expected);
        }
    }

    proptest! {
        #[test]
        fn all_libraries_agree(
            key in prop::collection::vec(any::<u8>(), 0..200),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        ) {
            let expected = tag!(rustcrypto, &key, &pieces);
            prop_assert_eq!(tag!(rustcrypto, &key, [&pieces.concat()]), expected);
            #[cfg(feature = "aws-lc-rs")]
            prop_assert_eq!(tag!(aws_lc_rs, &key, &pieces), expected);
        }

        #[test]
        fn a_tag_equals_only_itself(key in any::<[u8; 8]>(), bit in 0..8 * TAG_LENGTH) {
            let tag = super::Key::new(&key).new_mac().finalize();
            let mut other = tag.to_bytes();
            prop_assert!(tag.matches(&other));
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!tag.matches(&other));
        }
    }
}
