//! A client of registries: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push>.

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::images::{Image, digest};

/// Why an image could not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The endpoint is not a URL with a host.
    #[error("`{0}` is not the URL of an endpoint")]
    Endpoint(String),
    /// Nobody listens there.
    #[error("nothing listens at `{0}`: {1}; start it with `scripts/local`")]
    Connection(String, std::io::Error),
    /// The connection broke.
    #[error("the connection to the registry broke: {0}")]
    Protocol(#[from] hyper::Error),
    /// A request that cannot be made of what was given.
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    /// The registry says no.
    #[error("the registry answers {status}: {answer}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        answer: String,
    },
}

/// Pushes an image, as whoever `authorization` (user and password, in Base64) was given to. Its digest.
///
/// # Errors
///
/// When the registry cannot be reached or refuses something.
pub async fn push(
    endpoint: &str,
    authorization: &str,
    repository: &str,
    tag: &str,
    image: &Image,
) -> Result<String, PushError> {
    let uri: Uri = endpoint.parse().map_err(|_| PushError::Endpoint(endpoint.to_owned()))?;
    let authority = uri
        .authority()
        .ok_or_else(|| PushError::Endpoint(endpoint.to_owned()))?;
    let stream = TcpStream::connect(authority.as_str()).await;
    let stream = stream.map_err(|error| PushError::Connection(endpoint.to_owned(), error))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut registry = Registry {
        sender,
        host: authority.to_string(),
        authorization: format!("Basic {authorization}"),
    };
    for blob in [&image.layer, &image.configuration] {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(blob));
        let body = blob.clone().into();
        registry
            .send(Method::POST, &path, "application/octet-stream", body)
            .await?;
    }
    let path = format!("/v2/{repository}/manifests/{tag}");
    let manifest = image.manifest.clone().into();
    registry.send(Method::PUT, &path, Image::MEDIA_TYPE, manifest).await?;
    Ok(digest(image.manifest.as_bytes()))
}

struct Registry {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
}

impl Registry {
    async fn send(&mut self, method: Method, path: &str, media_type: &str, body: Bytes) -> Result<(), PushError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", media_type)
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(());
        }
        Err(PushError::Refused {
            status: status.as_u16(),
            answer: String::from_utf8_lossy(&answer).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecr::config::{BehaviorVersion, Credentials, Region};
    use simulator::kernel::Outcome;
    use simulator::served::{Pace, Server};
    use simulator::services::Ecr;
    use simulator::{AccessKey, Principal, SECRET_ACCESS_KEY, Settings, World};

    use super::*;
    use crate::images::Kind;

    #[test]
    fn an_image_is_in_the_served_registry_with_its_behaviour_and_a_refusal_is_told() {
        let server = Server::start(Pace::Jump, || World::new(&Settings::default())).unwrap();
        server.with_world(|world| {
            let (ecr, kernel) = world.service_mut::<Ecr>().unwrap();
            ecr.create("shop", kernel);
        });
        let credentials = Credentials::new(
            Principal::Administrator.access_key_id(),
            SECRET_ACCESS_KEY,
            None,
            None,
            "test",
        );
        let config = aws_sdk_ecr::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .endpoint_url(server.endpoint_url())
            .build();
        let client = aws_sdk_ecr::Client::from_conf(config);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let answer = runtime.block_on(client.get_authorization_token().send()).unwrap();
        let token = answer.authorization_data()[0].authorization_token().unwrap();
        let image = Image::behaving(&Kind::Unhealthy.behaviour(&[], serde_json::json!({})), "v1");
        let endpoint = server.endpoint_url();
        let push = |repository: &str| runtime.block_on(push(&endpoint, token, repository, "v1", &image));
        let digest = push("shop").unwrap();
        let (stored, outcome) = server
            .with_world(|world| {
                let image = world.kernel().images.by_tag("shop", "v1").unwrap().clone();
                let outcome = image.behaviour().program("web", &[]).unwrap().outcome.clone();
                (image.digest, outcome)
            })
            .unwrap();
        assert_eq!((stored, outcome), (digest, Outcome::Unhealthy));
        let refused = push("nowhere").unwrap_err().to_string();
        assert!(refused.contains("404") && refused.contains("NAME_UNKNOWN"), "{refused}");
    }
}
