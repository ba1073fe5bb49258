//! HMAC-SHA256 of Wycheproof against the signature header of a delivery.
//!
//! The messages are random bytes, so a delivery with a valid signature is refused as
//! [`RejectionKind::NotJson`], which the layer finds only after the signature. A tag of 128 bits is
//! valid in Wycheproof's terms and malformed for a header, which has the whole tag. Every key of
//! the set can be an app secret: none begins or ends with white space.

use test_support::{builder, hex};
use tower_whatsapp::{
    RejectionKind,
    secret::AppSecret,
    signature::{MalformedSignature, Signature, SignatureError, Verifier},
    webhook::RejectionDetail,
};
use wycheproof::{TestResult, mac};

/// Length of a tag in a header, bytes.
const TAG: usize = 32;

#[derive(Debug, Default, PartialEq)]
struct Tally {
    accepted: usize,
    mismatched: usize,
    truncated: usize,
}

#[tokio::test]
async fn signatures_are_verified_as_wycheproof_says() {
    let vectors = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut tally = Tally::default();
    for test in vectors.test_groups.iter().flat_map(|group| &group.tests) {
        let id = test.tc_id;
        let layer = builder().app_secret(&test.key).build().unwrap();
        let header = format!("sha256={}", hex(&test.tag));
        let rejection = super::deliver(&layer, test.msg.to_vec(), &header)
            .await
            .unwrap_err();
        let (expected, count) = match (test.tag.len(), test.result) {
            (TAG, TestResult::Valid) => (RejectionKind::NotJson, &mut tally.accepted),
            (TAG, TestResult::Invalid) => (RejectionKind::SignatureMismatch, &mut tally.mismatched),
            (16, _) => {
                let detail = RejectionDetail::Signature(MalformedSignature::Length);
                assert_eq!(rejection.detail(), Some(detail), "{id}");
                (RejectionKind::SignatureMalformed, &mut tally.truncated)
            }
            other => panic!("{id}: {other:?}"),
        };
        assert_eq!(rejection.kind(), expected, "{id}");
        *count += 1;
        if test.tag.len() == TAG {
            verify_in_pieces(&test.key, &test.msg, &header, test.result);
        }
    }
    println!("Wycheproof: {} vectors, {tally:?}", vectors.number_of_tests);
    let expected = Tally {
        accepted: 33,
        mismatched: 54,
        truncated: 87,
    };
    assert_eq!(tally, expected);
}

/// The same verdict without HTTP, wherever the message is split, and for no shortened header.
fn verify_in_pieces(key: &[u8], message: &[u8], header: &str, result: TestResult) {
    let secret = AppSecret::new(key).unwrap();
    let signature = Signature::parse(header.as_bytes()).unwrap();
    for at in 0..=message.len() {
        let mut verifier = Verifier::new(std::slice::from_ref(&secret));
        verifier.update(&message[..at]);
        verifier.update(&message[at..]);
        let expected = match result {
            TestResult::Valid => Ok(0),
            _ => Err(SignatureError::Mismatch),
        };
        assert_eq!(verifier.verify(&signature), expected);
    }
    for length in 0..header.len() {
        assert!(Signature::parse(&header.as_bytes()[..length]).is_err());
    }
}
