//! The registry behind the loopback endpoint, byte by byte.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simulator_kernel::{Behaviour, Outcome, Reply, Request, RequestId};

use crate::served::{Pace, Server};
use crate::{AccessKey, Principal, Settings, World};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.lines();
        lines
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Code and message of the first error.
    fn error(&self) -> (u16, String, String) {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let text = |member: &str| body["errors"][0][member].as_str().unwrap().to_owned();
        (self.status, text("code"), text("message"))
    }
}

/// A registry, and somebody who speaks to it.
struct Registry {
    server: Server,
    token: String,
}

impl Registry {
    /// With the repositories `api`, whose tags may move, and `fixed`, whose tags may not.
    fn new() -> Self {
        let server = Server::start(Pace::Jump, || World::new(&Settings::default())).unwrap();
        let this = Self {
            token: token(&server, &Principal::Administrator),
            server,
        };
        this.ecr("CreateRepository", json!({"repositoryName": "team/api"}));
        this.ecr(
            "CreateRepository",
            json!({"repositoryName": "fixed", "imageTagMutability": "IMMUTABLE"}),
        );
        this
    }

    fn ecr(&self, operation: &str, input: Value) -> Value {
        ecr(&self.server, operation, input, &Principal::Administrator)
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let authorization = format!("authorization: Basic {}\r\n{headers}", self.token);
        exchange(&self.server, method, path, &authorization, body)
    }

    /// A whole blob at once.
    fn upload(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.send("POST", &path, "", bytes);
        assert_eq!(answer.status, 201, "{}", answer.body);
        digest
    }

    fn put_manifest(&self, repository: &str, reference: &str, manifest: &str) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.send(
            "PUT",
            &path,
            &format!("content-type: {MANIFEST}\r\n"),
            manifest.as_bytes(),
        )
    }
}

fn ecr(server: &Server, operation: &str, input: Value, principal: &Principal) -> Value {
    let (operation, principal) = (operation.to_owned(), principal.clone());
    let result = server.with_world(move |world| {
        let request = Request {
            id: RequestId(0),
            operation,
            input,
            access_key_id: Some(principal.access_key_id()),
            principal,
        };
        match world.call_service("ecr", &request) {
            Some(Reply::Now(result)) => result,
            other => panic!("{other:?}"),
        }
    });
    result.unwrap().unwrap()
}

fn token(server: &Server, principal: &Principal) -> String {
    let answer = ecr(server, "GetAuthorizationToken", json!({}), principal);
    answer["authorizationData"][0]["authorizationToken"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn exchange(server: &Server, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let address = server.endpoint_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    Answer {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_owned(),
        body: body.to_owned(),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn manifest(config: &str, layers: &[&str]) -> String {
    let layers: Vec<Value> = layers.iter().map(|layer| json!({"digest": layer})).collect();
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": config}, "layers": layers}).to_string()
}

#[test]
fn a_push_in_parts_is_an_image_that_behaves_as_its_label_says_and_an_event() {
    let registry = Registry::new();
    assert_eq!(registry.send("GET", "/v2/", "", b"").status, 200);
    let layer = vec![7_u8; 3000];
    let begun = registry.send("POST", "/v2/team/api/blobs/uploads/", "", b"");
    assert_eq!((begun.status, begun.header("range")), (202, Some("0-0")));
    let first = registry.send("PATCH", begun.header("location").unwrap(), "", &layer[..2000]);
    assert_eq!(
        (first.status, first.header("range")),
        (202, Some("0-1999")),
        "{}",
        first.body
    );
    let range = "content-range: 2000-2999\r\n";
    let second = registry.send("PATCH", first.header("location").unwrap(), range, &layer[2000..]);
    let status = registry.send("GET", begun.header("location").unwrap(), "", b"");
    assert_eq!((status.status, status.header("range")), (204, Some("0-2999")));
    let location = format!("{}?digest={}", second.header("location").unwrap(), digest(&layer));
    let whole = registry.send("PUT", &location, "", b"");
    assert_eq!(
        (whole.status, whole.header("docker-content-digest")),
        (201, Some(digest(&layer).as_str()))
    );
    let head = registry.send("HEAD", whole.header("location").unwrap(), "", b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("3000")));

    let behaviour = json!({"programs": [{"outcome": "exit", "after_seconds": 9, "code": 3}]}).to_string();
    let config = json!({"config": {"Labels": {Behaviour::ANNOTATION: behaviour}}}).to_string();
    let config = registry.upload("team/api", config.as_bytes());
    let manifest = manifest(&config, &[&digest(&layer)]);
    let put = registry.put_manifest("team/api", "v1", &manifest);
    assert_eq!(
        (put.status, put.header("docker-content-digest")),
        (201, Some(digest(manifest.as_bytes()).as_str()))
    );
    let by_digest = registry.send("GET", put.header("location").unwrap(), "", b"");
    assert_eq!(
        (
            by_digest.status,
            by_digest.header("content-type"),
            by_digest.body.as_str()
        ),
        (200, Some(MANIFEST), manifest.as_str())
    );
    assert_eq!(
        registry.send("GET", "/v2/team/api/tags/list", "", b"").body,
        json!({"name": "team/api", "tags": ["v1"]}).to_string()
    );

    // The same push again changes nothing.
    assert_eq!(registry.put_manifest("team/api", "v1", &manifest).status, 201);
    // An index behaves as its images do.
    let image = json!({"digest": digest(manifest.as_bytes())});
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [image]}).to_string();
    let headers = format!("content-type: {media_type}\r\n");
    let path = "/v2/team/api/manifests/multi";
    assert_eq!(registry.send("PUT", path, &headers, index.as_bytes()).status, 201);
    let (events, outcomes) = registry
        .server
        .with_world(|world| {
            let outcomes = ["v1", "multi"].map(|tag| {
                let image = world.kernel().images.by_tag("team/api", tag).unwrap();
                image.behaviour().program("any", &[]).unwrap().outcome.clone()
            });
            (world.events().to_vec(), outcomes)
        })
        .unwrap();
    let exit = Outcome::Exit {
        after_seconds: 9,
        code: 3,
    };
    assert_eq!(outcomes, [exit.clone(), exit]);
    assert_eq!(events.len(), 2);
    let detail = &events[0]["detail"];
    assert_eq!(
        (&detail["action-type"], &detail["image-tag"], &detail["image-digest"]),
        (&json!("PUSH"), &json!("v1"), &json!(digest(manifest.as_bytes())))
    );
}

#[test]
fn what_is_wrong_with_a_push_is_said_in_the_words_of_the_specification() {
    let registry = Registry::new();
    let nobody = exchange(&registry.server, "GET", "/v2/", "", b"");
    assert_eq!((nobody.status, nobody.error().1.as_str()), (401, "UNAUTHORIZED"));
    assert!(nobody.header("www-authenticate").unwrap().starts_with("Basic realm="));

    let unknown = registry.send("POST", "/v2/nowhere/blobs/uploads/", "", b"").error();
    assert_eq!((unknown.0, unknown.1.as_str()), (404, "NAME_UNKNOWN"));
    assert_eq!(
        unknown.2,
        "The repository with name 'nowhere' does not exist in the registry with id '123456789012'"
    );
    let path = format!("/v2/fixed/blobs/uploads/?digest={}", digest(b"other"));
    let wrong = registry.send("POST", &path, "", b"bytes").error();
    assert_eq!((wrong.0, wrong.1.as_str()), (400, "DIGEST_INVALID"));
    let begun = registry.send("POST", "/v2/fixed/blobs/uploads/", "", b"");
    let gap = registry.send(
        "PATCH",
        begun.header("location").unwrap(),
        "content-range: 5-9\r\n",
        b"bytes",
    );
    assert_eq!(gap.error().0, 416);
    for range in ["0-3", "bytes", "0-5", "4-0"] {
        let headers = format!("content-range: {range}\r\n");
        let wrong = registry.send("PATCH", begun.header("location").unwrap(), &headers, b"bytes");
        assert!(matches!(wrong.error().0, 400 | 416), "{range}: {}", wrong.body);
    }
    let ended = registry.send("GET", "/v2/fixed/blobs/uploads/5", "", b"").error();
    assert_eq!((ended.0, ended.1.as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    let referrers = format!("/v2/fixed/referrers/{}", digest(b"{}"));
    assert_eq!(registry.send("GET", &referrers, "", b"").error().0, 404);

    let config = registry.upload("fixed", b"{}");
    let absent = digest(b"absent");
    let missing = registry
        .put_manifest("fixed", "v1", &manifest(&config, &[&absent]))
        .error();
    assert_eq!((missing.0, missing.1.as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
    assert!(missing.2.contains(&absent), "{}", missing.2);
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"digest": absent}]});
    let headers = "content-type: application/vnd.oci.image.index.v1+json\r\n";
    let path = "/v2/fixed/manifests/v1";
    let missing = registry.send("PUT", path, headers, index.to_string().as_bytes());
    assert_eq!(missing.error().1, "MANIFEST_BLOB_UNKNOWN");
    for wrong in [
        json!([]),
        json!("manifest"),
        json!({"config": {}}),
        json!({"config": {"digest": 5}}),
        json!({"config": {"digest": config}, "layers": [{"digest": "sha256:aa"}]}),
        json!({"config": {"digest": config}, "layers": {}}),
        json!({"manifests": [{"digest": config.to_uppercase()}]}),
        json!({"mediaType": 5, "config": {"digest": config}}),
        index,
    ] {
        let refused = registry.put_manifest("fixed", "v1", &wrong.to_string()).error();
        assert_eq!((refused.0, refused.1.as_str()), (400, "MANIFEST_INVALID"), "{wrong}");
    }

    assert_eq!(
        registry.put_manifest("fixed", "v1", &manifest(&config, &[])).status,
        201
    );
    let moved = registry
        .put_manifest("fixed", "v1", &manifest(&config, &[&config]))
        .error();
    assert_eq!((moved.0, moved.1.as_str()), (400, "TAG_INVALID"));
    assert!(
        moved.2.ends_with("cannot be overwritten because the tag is immutable."),
        "{}",
        moved.2
    );
    let other = registry.put_manifest("fixed", &absent, &manifest(&config, &[])).error();
    assert_eq!(other.1, "DIGEST_INVALID");

    assert_eq!(
        registry.send("GET", "/v2/fixed/manifests/v2", "", b"").error().1,
        "MANIFEST_UNKNOWN"
    );
    assert_eq!(
        registry.send("DELETE", "/v2/fixed/manifests/v1", "", b"").error().1,
        "UNSUPPORTED"
    );
}

#[test]
fn a_token_speaks_for_whoever_asked_for_it_and_ends() {
    let registry = Registry::new();
    let role = Principal::Role("nobody".to_owned());
    let known = role.clone();
    registry
        .server
        .with_world(move |world| world.register_principal(known))
        .unwrap();
    let header = |token: &str| format!("authorization: Basic {token}\r\n");
    let of_role = header(&token(&registry.server, &role));
    let denied = exchange(&registry.server, "POST", "/v2/fixed/blobs/uploads/", &of_role, b"").error();
    assert_eq!((denied.0, denied.1.as_str()), (403, "DENIED"));
    assert!(denied.2.contains("ecr:InitiateLayerUpload"), "{}", denied.2);

    let forged = header(&STANDARD.encode("AWS:forged"));
    assert_eq!(exchange(&registry.server, "GET", "/v2/", &forged, b"").status, 401);
    registry
        .server
        .with_world(|world| {
            let sleep = world.sleep(jiff::SignedDuration::from_hours(13));
            drop(world.spawn(sleep));
        })
        .unwrap();
    let expired = (0..1_000).any(|_| registry.send("GET", "/v2/", "", b"").status == 403);
    assert!(expired);
}

#[test]
fn the_permissions_that_are_documented_for_a_push_are_enough_for_it_but_not_for_a_pull() {
    let registry = Registry::new();
    let pushes = [
        "CompleteLayerUpload",
        "UploadLayerPart",
        "InitiateLayerUpload",
        "BatchCheckLayerAvailability",
        "PutImage",
        "BatchGetImage",
    ];
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": pushes.map(|name| format!("ecr:{name}")), "Resource": "arn:aws:ecr:us-east-1:123456789012:repository/team/api"},
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    ]});
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}});
    let role = Principal::Role("pusher".to_owned());
    let known = role.clone();
    let properties = json!({
        "RoleName": "pusher", "AssumeRolePolicyDocument": trust,
        "Policies": [{"PolicyName": "push", "PolicyDocument": policy}],
    });
    let stack = json!({"Resources": {"Pusher": {"Type": "AWS::IAM::Role", "Properties": properties}}}).to_string();
    let made = registry.server.with_world(move |world| {
        world.load(super::template(&stack), std::path::Path::new(".")).unwrap();
        world.register_principal(known);
    });
    made.unwrap();
    let Registry { server, .. } = registry;
    let registry = Registry {
        token: token(&server, &role),
        server,
    };
    let layer = digest(b"layer");
    let absent = registry.send("HEAD", &format!("/v2/team/api/blobs/{layer}"), "", b"");
    assert_eq!(absent.status, 404);
    registry.upload("team/api", b"layer");
    let config = registry.upload("team/api", b"{}");
    let there = registry.send("HEAD", &format!("/v2/team/api/blobs/{layer}"), "", b"");
    assert_eq!((there.status, there.header("content-length")), (200, Some("5")));
    let head = registry.send("HEAD", "/v2/team/api/manifests/v1", "", b"");
    assert_eq!(head.status, 404);
    let put = registry.put_manifest("team/api", "v1", &manifest(&config, &[&layer]));
    assert_eq!(put.status, 201, "{}", put.body);

    let pulled = registry.send("GET", &format!("/v2/team/api/blobs/{layer}"), "", b"");
    assert_eq!(pulled.error().1, "DENIED");
    let elsewhere = registry.send("POST", "/v2/fixed/blobs/uploads/", "", b"");
    assert_eq!(elsewhere.error().1, "DENIED");
}

#[test]
fn tags_are_listed_page_by_page() {
    let registry = Registry::new();
    let config = registry.upload("team/api", b"{}");
    for tag in ["c", "a", "d", "b"] {
        let put = registry.put_manifest("team/api", tag, &manifest(&config, &[]));
        assert_eq!(put.status, 201, "{}", put.body);
    }
    let page = |query: &str| {
        let answer = registry.send("GET", &format!("/v2/team/api/tags/list{query}"), "", b"");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        (body["tags"].clone(), answer.header("link").map(str::to_owned))
    };
    let next = "</v2/team/api/tags/list?n=3&last=c>; rel=\"next\"".to_owned();
    assert_eq!(page("?n=3"), (json!(["a", "b", "c"]), Some(next)));
    assert_eq!(page("?n=3&last=c"), (json!(["d"]), None));
    assert_eq!(page("?n=4"), (json!(["a", "b", "c", "d"]), None));
    assert_eq!(page("?last=aa"), (json!(["b", "c", "d"]), None));
    assert_eq!(page("?n=0"), (json!([]), None));
}

#[test]
fn a_call_that_is_too_long_is_refused_and_a_layer_of_that_length_is_not() {
    let registry = Registry::new();
    let long = vec![0; usize::try_from(crate::protocol::LARGEST_PLAIN_BYTES).unwrap() + 1];
    let refused = exchange(&registry.server, "POST", "/", "", &long);
    assert_eq!(refused.status, 413, "{}", refused.body);
    registry.upload("team/api", &long);
}

/// What an image says of itself is read by an address that the registry hands out, from wherever it leads to.
#[test]
fn a_blob_is_there_at_the_address_that_the_registry_hands_out() {
    let registry = Registry::new();
    let text = r#"{"config": {"Labels": {"a": "b"}}}"#;
    let digest = registry.upload("team/api", text.as_bytes());
    let input = json!({"repositoryName": "team/api", "layerDigest": digest});
    let answer = registry.ecr("GetDownloadUrlForLayer", input);
    let endpoint = registry.server.endpoint_url();
    let path = answer["downloadUrl"]
        .as_str()
        .unwrap()
        .strip_prefix(&endpoint)
        .unwrap()
        .to_owned();
    let blob = exchange(&registry.server, "GET", &path, "", b"");
    assert_eq!((blob.status, blob.body.as_str()), (200, text));
    let other = path.replace("team/api", "fixed");
    assert_eq!(exchange(&registry.server, "GET", &other, "", b"").status, 404);
}
