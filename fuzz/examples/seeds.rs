//! Writes the seed inputs of the fuzz targets to `fuzz/seeds/TARGET/`, from the samples of
//! `tower_whatsapp::testing` and of the tests. Also writes the words of these samples to
//! `fuzz/dictionaries/payload.dict`. The output is deterministic.

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use test_support::{
    CHALLENGE, SECRET, TOKEN,
    mutants::{Node, OWN, Random},
    sign,
};
use tower_whatsapp::testing::sample;

/// Targets with structured input. No text can be a seed, so they start from random bytes.
const STRUCTURED: &[&str] = &["frames", "full_service", "lease_ops", "payload_structured"];

fn main() -> Result<(), Box<dyn Error>> {
    let bodies = bodies();
    write("payload", &bodies)?;
    write("json_differential", &bodies)?;
    write("sig_header", &signatures())?;
    write("handshake_query", &queries())?;
    for target in STRUCTURED {
        write(target, &random_bytes())?;
    }

    let mut words = BTreeSet::new();
    for body in &bodies {
        if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
            collect(&Node::parse(std::str::from_utf8(body)?), &mut words);
        }
    }
    let escaped = |word: &String| word.replace('\\', "\\\\").replace('"', "\\\"");
    let lines = words.iter().map(|word| format!("\"{}\"\n", escaped(word)));
    let dictionaries = Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries");
    fs::write(dictionaries.join("payload.dict"), lines.collect::<String>())?;
    Ok(())
}

fn write(target: &str, seeds: &[Vec<u8>]) -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(directory.join(format!("{number:03}")), seed)?;
    }
    Ok(())
}

fn bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<_> = sample::all()
        .iter()
        .map(|(_, sample)| sample.body().to_vec())
        .collect();
    bodies.extend(OWN.iter().map(|body| body.as_bytes().to_vec()));
    bodies.extend([
        br#" [ [ ] , { } , "\"\\" , 1e400 , "\ud83d" , -0.0E-0 , true , false , null ] "#.to_vec(),
        format!("{}0{}", "[".repeat(127), "]".repeat(127)).into_bytes(),
        format!("{}0{}", "[".repeat(128), "]".repeat(128)).into_bytes(),
        b"\xff".to_vec(),
    ]);
    bodies
}

fn signatures() -> Vec<Vec<u8>> {
    let good = sign(SECRET, "{}");
    [
        good.clone(),
        format!("{good}\n{good}"),
        format!("{good},{good}"),
        good.to_uppercase(),
        good.replace("sha256=", "sha1="),
        good[..good.len() - 1].to_owned(),
        format!("{good}0"),
        format!(" {good}"),
        format!("sha256={}", "0".repeat(64)),
        String::new(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn queries() -> Vec<Vec<u8>> {
    let good = test_support::handshake(TOKEN, CHALLENGE);
    let (_, good) = good.split_once('?').unwrap_or_default();
    [
        good.to_owned(),
        format!("&&{good}&x=y"),
        format!("{good}&{good}"),
        good.replace('.', "%2e").replace('-', "%2D"),
        good.replace(TOKEN, "a+b%2Bc%25d%26e%3D%C3%BC"),
        good.replace(CHALLENGE, "%3Cscript%3E"),
        good.replace(CHALLENGE, &"a".repeat(256)),
        good.replace(CHALLENGE, &"a".repeat(257)),
        good.replace("hub.", "hub_"),
        format!("{good}{}", "&a".repeat(13)),
        format!("{good}{}", "&a".repeat(14)),
        format!("{good}&p={}", "x".repeat(2048)),
        String::new(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn random_bytes() -> Vec<Vec<u8>> {
    let mut random = Random(1);
    let mut seed = |length| (0..length).map(|_| random.below(256) as u8).collect();
    (4..10)
        .flat_map(|power| [1 << power; 4])
        .map(|length| seed(length))
        .collect()
}

/// Collects keys, and texts that look like identifiers.
fn collect(node: &Node, words: &mut BTreeSet<String>) {
    match node {
        Node::Object(members) => {
            for (key, value) in members {
                words.insert(format!("{key}:"));
                collect(value, words);
            }
        }
        Node::Array(elements) => elements.iter().for_each(|element| collect(element, words)),
        Node::Scalar(scalar) => {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || b"\"_".contains(&byte);
            if scalar.len() <= 40 && scalar.bytes().all(is_name) {
                words.insert(scalar.clone());
            }
        }
    }
}
