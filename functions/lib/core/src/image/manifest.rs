//! What a registry keeps of an image beside its layers: the [manifest](https://github.com/opencontainers/image-spec/blob/main/manifest.md), the
//! [index](https://github.com/opencontainers/image-spec/blob/main/image-index.md) over several platforms, and the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::canonical::sha256_hex;
use crate::error::Failure;

/// The manifest of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// The images of an index, one per platform, without attestations; empty for the manifest of a single image.
    pub platforms: Vec<PlatformImage>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The configuration; none for an index.
    pub configuration: Option<Configuration>,
}

/// Where the configuration of an image lies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Configuration {
    /// Its digest.
    pub digest: String,
    /// How many bytes it has, as whoever pushed the manifest says.
    #[serde(default)]
    pub size: u64,
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// Its digest.
    pub digest: String,
    /// The operating system, such as `linux`.
    pub os: String,
    /// The architecture, such as `arm64` or `amd64`.
    pub architecture: String,
}

impl Manifest {
    /// Reads a manifest of either standard; an index lists its images under `manifests`. `media_type` is what the
    /// registry says of it.
    ///
    /// # Errors
    /// `Refused` where it is none, or nobody names its media type.
    pub fn read(digest: &str, text: &str, media_type: Option<String>) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            media_type: Option<String>,
            #[serde(default)]
            manifests: Vec<Entry>,
            #[serde(default)]
            annotations: Option<BTreeMap<String, String>>,
            config: Option<Configuration>,
        }
        #[derive(Deserialize)]
        struct Entry {
            digest: String,
            platform: Option<Platform>,
        }
        #[derive(Deserialize)]
        struct Platform {
            os: String,
            architecture: String,
        }
        let document: Document = serde_json::from_str(text).map_err(|error| {
            Failure::refused(format!("the manifest of `{digest}` is not that of an image: {error}"))
        })?;
        let media_type = media_type.or(document.media_type).ok_or_else(|| {
            Failure::refused(format!(
                "the manifest of `{digest}` names no media type: push it again with a current builder"
            ))
        })?;
        // Builders file attestations in the index as images for the platform `unknown/unknown`.
        let platforms = document.manifests.into_iter().filter_map(|entry| {
            let Platform { os, architecture } = entry.platform?;
            (os != "unknown").then_some(PlatformImage {
                digest: entry.digest,
                os,
                architecture,
            })
        });
        Ok(Self {
            media_type,
            platforms: platforms.collect(),
            annotations: document.annotations.unwrap_or_default(),
            configuration: document.config,
        })
    }
}

/// Reads the labels out of a [configuration](https://github.com/opencontainers/image-spec/blob/main/config.md) of either standard, which must be the one
/// with this digest.
///
/// # Errors
/// `Transient` where it is another one, `Refused` where it is none.
pub fn labels(digest: &str, bytes: &[u8]) -> Result<BTreeMap<String, String>, Failure> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default)]
        config: Option<Execution>,
    }
    #[derive(Deserialize)]
    struct Execution {
        #[serde(default, rename = "Labels")]
        labels: Option<BTreeMap<String, Option<String>>>,
    }
    let came = format!("sha256:{}", sha256_hex(bytes));
    if came != digest {
        return Err(Failure::transient(format!(
            "what came as the configuration `{digest}` of the image is `{came}`"
        )));
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| Failure::refused(format!("`{digest}` is not the configuration of an image: {error}")))?;
    let labels = document.config.and_then(|config| config.labels).unwrap_or_default();
    let labels = labels.into_iter();
    Ok(labels.map(|(name, text)| (name, text.unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_need_not_have_labels() {
        let read = |text: &str| labels(&format!("sha256:{}", sha256_hex(text)), text.as_bytes()).unwrap();
        for text in [
            "{}",
            r#"{"config": null}"#,
            r#"{"config": {"Labels": null, "Env": []}}"#,
        ] {
            assert!(read(text).is_empty(), "{text}");
        }
        assert_eq!(read(r#"{"config": {"Labels": {"a": null, "b": "c"}}}"#)["a"], "");
        let digest = format!("sha256:{}", sha256_hex("layer"));
        let failure = labels(&digest, b"layer").unwrap_err();
        assert!(!failure.kind.is_retryable(), "{failure:?}");
    }
}
