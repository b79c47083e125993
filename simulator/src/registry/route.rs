//! What a request to the registry asks for.

use http::Method;

use super::answers::{self, Refusal};

/// An upload that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) repository: String,
    pub(super) id: String,
}

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    Tag(String),
    Digest(String),
}

/// Which tags are asked for: at most `limit` of those after `last`, which need not be there itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: Option<usize>,
    pub(super) last: Option<String>,
}

/// One endpoint of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Version,
    Tags {
        repository: String,
        page: Page,
    },
    /// The head of a blob.
    HasBlob {
        repository: String,
        digest: String,
    },
    Blob {
        repository: String,
        digest: String,
    },
    Manifest {
        repository: String,
        reference: Reference,
    },
    PutManifest {
        repository: String,
        reference: Reference,
    },
    /// With a digest the body is the whole blob. A mount becomes an upload, which the specification allows.
    Begin {
        repository: String,
        digest: Option<String>,
    },
    Status {
        upload: Upload,
    },
    Append {
        upload: Upload,
    },
    Finish {
        upload: Upload,
        digest: String,
    },
}

pub(super) fn parse(method: &Method, uri: &http::Uri) -> Result<Route, Refusal> {
    let path = uri.path();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let reads = method == Method::GET || method == Method::HEAD;
    let parameter = |name: &str| {
        let pairs = form_urlencoded(uri.query().unwrap_or_default());
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    };
    let upload = |name: &[&str], id: &str| Upload {
        repository: name.join("/"),
        id: id.to_owned(),
    };
    let reference = |text: &str| {
        if text.contains(':') {
            Reference::Digest(text.to_owned())
        } else {
            Reference::Tag(text.to_owned())
        }
    };
    let route = match segments.as_slice() {
        ["v2"] if reads => Route::Version,
        ["v2", name @ .., "tags", "list"] if reads && !name.is_empty() => {
            let limit = parameter("n").map(|limit| limit.parse().map_err(|_| answers::wrong_page(&limit)));
            Route::Tags {
                repository: name.join("/"),
                page: Page {
                    limit: limit.transpose()?,
                    last: parameter("last"),
                },
            }
        }
        ["v2", name @ .., "blobs", "uploads"] if method == Method::POST && !name.is_empty() => Route::Begin {
            repository: name.join("/"),
            digest: parameter("digest"),
        },
        ["v2", name @ .., "blobs", "uploads", id] if !name.is_empty() => {
            let upload = upload(name, id);
            match *method {
                Method::GET => Route::Status { upload },
                Method::PATCH => Route::Append { upload },
                Method::PUT => Route::Finish {
                    digest: parameter("digest").ok_or_else(answers::no_digest)?,
                    upload,
                },
                _ => return Err(answers::unsupported(method, path)),
            }
        }
        ["v2", name @ .., "blobs", digest] if reads && !name.is_empty() => {
            let (repository, digest) = (name.join("/"), (*digest).to_owned());
            if method == Method::HEAD {
                Route::HasBlob { repository, digest }
            } else {
                Route::Blob { repository, digest }
            }
        }
        ["v2", name @ .., "manifests", text] if !name.is_empty() => {
            let (repository, reference) = (name.join("/"), reference(text));
            match *method {
                Method::GET | Method::HEAD => Route::Manifest { repository, reference },
                Method::PUT => Route::PutManifest { repository, reference },
                _ => return Err(answers::unsupported(method, path)),
            }
        }
        // "A registry that does not support the referrers API MUST return a 404", and clients look for a tag instead.
        ["v2", name @ .., "referrers", _] if reads && !name.is_empty() => return Err(answers::no_referrers()),
        _ => return Err(answers::unsupported(method, path)),
    };
    Ok(route)
}

/// The parameters of a query, decoded.
fn form_urlencoded(query: &str) -> Vec<(String, String)> {
    let form = crate::protocol::form(query.as_bytes());
    let pairs = form.into_iter();
    pairs
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, uri: &str) -> Option<Route> {
        parse(&method.parse().unwrap(), &uri.parse().unwrap()).ok()
    }

    #[test]
    fn names_of_repositories_have_slashes_and_may_look_like_routes() {
        let repository = "tags/blobs".to_owned();
        assert_eq!(
            route("GET", "/v2/tags/blobs/tags/list"),
            Some(Route::Tags {
                repository,
                page: Page::default()
            })
        );
        assert_eq!(
            route("POST", "/v2/imagy/catalog/blobs/uploads/?mount=sha256%3Aaa&from=other"),
            Some(Route::Begin {
                repository: "imagy/catalog".to_owned(),
                digest: None
            })
        );
    }

    #[test]
    fn an_upload_ends_at_its_location_with_its_digest() {
        let upload = Upload {
            repository: "api".to_owned(),
            id: "5".to_owned(),
        };
        let location = format!("{}?digest=sha256%3Aaa", answers::upload_path(&upload));
        let digest = "sha256:aa".to_owned();
        assert_eq!(route("PUT", &location), Some(Route::Finish { upload, digest }));
    }

    #[test]
    fn what_the_registry_does_not_do_is_no_route() {
        for (method, uri) in [
            ("DELETE", "/v2/api/manifests/v1"),
            ("GET", "/v2/api/referrers/sha256:aa"),
            ("PUT", "/v2/api/blobs/uploads/5"),
            ("GET", "/v2/tags/list"),
            ("POST", "/v2/"),
            ("GET", "/v2/api/tags/list?n=-1"),
            ("GET", "/v2/api/tags/list?n=many"),
        ] {
            assert_eq!(route(method, uri), None, "{method} {uri}");
        }
    }
}
