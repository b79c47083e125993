//! Manifests and configurations of images, as whoever pushed them wrote them.

use std::collections::BTreeMap;

use esclusa_core::canonical::sha256_hex;
use esclusa_core::error::ErrorKind;
use esclusa_core::image::{Manifest, labels};
use serde_json::Value;

use super::assert_one_line;
use super::json::{list, read, reordered};

const DIGEST: &str = "sha256:0f";

/// What is read is what the document says, however it is written, and nothing for a platform that is none; what is
/// refused is told on one line with the digest of the image.
pub(super) fn check(input: &[u8]) {
    match serde_json::from_slice::<Value>(input) {
        Ok(document) if is_positional(&document) => return,
        Ok(_) | Err(_) => configuration(input),
    }
    if let Some(document) = read(input) {
        manifest(&document);
    }
}

/// Whether a list stands in the place of an object. Serde takes it for the members in their order; no builder writes one.
fn is_positional(document: &Value) -> bool {
    let entries = list(document, "manifests");
    let mut objects = vec![Some(document), document.get("config")];
    objects.extend(entries.iter().flat_map(|entry| [Some(entry), entry.get("platform")]));
    objects.into_iter().flatten().any(Value::is_array)
}

fn manifest(document: &Value) {
    let read = |document: &Value| Manifest::read(DIGEST, &document.to_string(), None);
    match read(document) {
        Ok(manifest) => {
            assert_eq!(
                read(&reordered(document)).as_ref(),
                Ok(&manifest),
                "the order of members counts"
            );
            assert_eq!(member(document, "mediaType"), Some(manifest.media_type.as_str()));
            let entries = document.get("manifests").and_then(Value::as_array);
            let named: Vec<&str> = entries
                .into_iter()
                .flatten()
                .filter_map(|entry| member(entry, "digest"))
                .collect();
            for platform in &manifest.platforms {
                assert_ne!(platform.os, "unknown");
                assert!(named.contains(&platform.digest.as_str()), "{platform:?} is not listed");
            }
            said(&manifest.annotations, document.get("annotations"));
            let told = Manifest::read(DIGEST, &document.to_string(), Some("of/the-registry".to_owned()));
            assert_eq!(told.map(|told| told.media_type).as_deref(), Ok("of/the-registry"));
        }
        Err(failure) => {
            assert_eq!(failure.kind, ErrorKind::Refused);
            assert!(failure.message.contains(DIGEST), "{failure}");
            assert_one_line(&failure.message);
        }
    }
}

/// Only what has the digest that is asked for is believed.
fn configuration(bytes: &[u8]) {
    let digest = format!("sha256:{}", sha256_hex(bytes));
    match labels(&digest, bytes) {
        Ok(labels) => {
            // What nobody looks at may be no text.
            let document: Value = serde_json::from_str(&String::from_utf8_lossy(bytes)).unwrap_or_default();
            said(&labels, document.pointer("/config/Labels"));
        }
        Err(failure) => {
            assert_eq!(failure.kind, ErrorKind::Refused);
            assert!(failure.message.contains(&digest), "{failure}");
            assert_one_line(&failure.message);
        }
    }
    let other = labels(DIGEST, bytes).err();
    assert!(
        other.is_some_and(|failure| failure.kind.is_retryable()),
        "bytes of another digest"
    );
}

/// That every text is one of the document.
fn said(texts: &BTreeMap<String, String>, document: Option<&Value>) {
    for (name, text) in texts {
        let there = document.and_then(|document| document.get(name));
        assert_eq!(there.and_then(Value::as_str).unwrap_or_default(), text, "{name:?}");
    }
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}
