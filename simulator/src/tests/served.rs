//! The loopback endpoint, through the SDK's real HTTP client on real threads.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_sdk_ecr::config::{BehaviorVersion, Credentials, Region};
use simulator_kernel::ApiError;

use crate::served::{Pace, Server};
use crate::{AccessKey, Fault, FaultKind, Principal, SECRET_ACCESS_KEY, Selector, Settings, World};

fn config(server: &Server, access_key_id: &str) -> aws_config::SdkConfig {
    let credentials = Credentials::new(access_key_id, SECRET_ACCESS_KEY, None, None, "test");
    aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(aws_sdk_ecr::config::SharedCredentialsProvider::new(credentials))
        .endpoint_url(server.endpoint_url())
        .build()
}

fn server(pace: Pace) -> Server {
    Server::start(pace, || World::new(&Settings::default())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_on_another_thread_is_served_and_the_world_can_be_looked_at() {
    let server = tokio::task::spawn_blocking(|| server(Pace::Jump)).await.unwrap();
    let client = aws_sdk_ecr::Client::new(&config(&server, &Principal::Administrator.access_key_id()));
    client.create_repository().repository_name("api").send().await.unwrap();
    let repositories = client.describe_repositories().send().await.unwrap();
    assert_eq!(repositories.repositories()[0].repository_name(), Some("api"));
    let calls = tokio::task::spawn_blocking(move || server.with_world(|world| world.calls().len()))
        .await
        .unwrap();
    assert_eq!(calls, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_a_reset_connection_that_the_client_tries_again() {
    let server = tokio::task::spawn_blocking(|| server(Pace::Hold)).await.unwrap();
    let client = aws_sdk_ecr::Client::new(&config(&server, &Principal::Administrator.access_key_id()));
    let server = tokio::task::spawn_blocking(move || {
        let selector = Selector::operation("ecr", "CreateRepository").nth(1);
        server.with_world(|world| world.add_fault(Fault::new(selector, FaultKind::AnswerLost)));
        server
    })
    .await
    .unwrap();
    let error = client
        .create_repository()
        .repository_name("api")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_repository_already_exists_exception(), "{error:?}");
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_told_which_one_to_use() {
    let server = tokio::task::spawn_blocking(|| server(Pace::Jump)).await.unwrap();
    let client = aws_sdk_ecr::Client::new(&config(&server, "AKIASOMEBODYELSE0000"));
    let error = client
        .describe_repositories()
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let message = error.meta().message().unwrap_or_default().to_owned();
    assert!(message.contains(&Principal::Administrator.access_key_id()), "{message}");
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

#[test]
fn held_time_stands_still_and_jumped_time_does_not() {
    let server = server(Pace::Hold);
    let (start, woken) = server
        .with_world(|world| {
            let sleep = world.sleep(jiff::SignedDuration::from_hours(1));
            drop(world.spawn(sleep));
            (world.now(), world.now() + jiff::SignedDuration::from_hours(1))
        })
        .unwrap();
    assert_eq!(server.with_world(|world| world.now()), Some(start));
    server.set_pace(Pace::Jump);
    let reached = (0..1_000).any(|_| server.with_world(|world| world.now()) == Some(woken));
    assert!(reached, "{:?}", server.with_world(|world| world.now()));
}

/// Not a test: the body of the function `child`, when this binary is started as a function's program.
#[test]
#[ignore = "runs only as the program of a function"]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the `main` of a program whose configuration is its environment"
)]
fn child() {
    use std::io::{Read, Write};

    let runtime_api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let exchange = |head: &str, body: &str| {
        let mut stream = std::net::TcpStream::connect(&runtime_api).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    loop {
        let next = exchange("GET /2018-06-01/runtime/invocation/next", "");
        let (head, payload) = next.split_once("\r\n\r\n").unwrap();
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "))
            .unwrap();
        match payload {
            "\"die\"" => std::process::exit(3),
            "\"hang\"" => std::thread::park(),
            _ => {
                let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap();
                let stage = std::env::var("STAGE").unwrap();
                let body = format!(r#"{{"function": "{function}", "stage": "{stage}", "payload": {payload}}}"#);
                exchange(&format!("POST /2018-06-01/runtime/invocation/{id}/response"), &body);
            }
        }
    }
}

/// A server whose function `child` is a process.
#[cfg(unix)]
fn server_with_child() -> (Server, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt;

    let program = std::env::temp_dir().join(format!("simulator-child-{}-{}", std::process::id(), fastrand::u64(..)));
    let tests = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nexec {} --exact tests::served::child --ignored --nocapture\n",
        tests.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = server(Pace::Jump);
    server.run_programs([("child".to_owned(), program.clone())].into());
    (server, program)
}

#[cfg(unix)]
fn set_timeout(server: &Server, timeout_seconds: u32) {
    server.with_world(move |world| {
        let (lambda, _) = world.service_mut::<crate::Lambda>().unwrap();
        lambda.configure(crate::FunctionConfiguration {
            timeout_seconds,
            environment: [("STAGE".to_owned(), "test".to_owned())].into(),
            ..crate::FunctionConfiguration::named("child")
        });
    });
}

#[cfg(unix)]
#[test]
fn a_program_is_a_function_that_is_started_again_when_it_has_died_or_hung() {
    let (server, program) = server_with_child();
    set_timeout(&server, 60);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = aws_sdk_lambda::Client::new(&config(&server, &Principal::Administrator.access_key_id()));
    let invoke = |payload: &str| -> serde_json::Value {
        let invoke = client
            .invoke()
            .function_name("child")
            .payload(aws_sdk_lambda::primitives::Blob::new(payload));
        let output = runtime.block_on(invoke.send()).unwrap();
        serde_json::from_slice(output.payload.unwrap().as_ref()).unwrap()
    };
    let answered = serde_json::json!({"function": "child", "stage": "test", "payload": 1});
    assert_eq!(invoke("1"), answered);
    assert_eq!(invoke("\"die\"")["errorType"], "Runtime.ExitError");
    assert_eq!(invoke("1"), answered);
    set_timeout(&server, 1);
    assert_eq!(invoke("\"hang\"")["errorType"], "Sandbox.Timedout");
    set_timeout(&server, 60);
    assert_eq!(invoke("1"), answered);
    drop(server);
    std::fs::remove_file(program).unwrap();
}

/// What the loopback endpoint answers to a request that no SDK sends: the status line and the rest.
fn plain_request(server: &Server, path: &str, headers: &str) -> (String, String) {
    let address = server.endpoint_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 2\r\n{headers}\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (status, rest) = answer.split_once("\r\n").unwrap();
    (status.to_owned(), rest.to_owned())
}

#[test]
fn an_http_api_is_behind_its_id_and_asks_who_calls_there_too() {
    let server = Server::start(Pace::Jump, || Ok::<_, ApiError>(super::http_apis::door().into_world())).unwrap();
    let (status, body) = plain_request(&server, "/_apis/api/open?a=b", "content-type: application/json\r\n");
    assert!(status.contains("201") && body.contains("POST /open"), "{status} {body}");
    assert!(plain_request(&server, "/_apis/api/own", "").0.contains("403"));
    assert!(plain_request(&server, "/_apis/other/open", "").0.contains("400"));
    let key = Principal::Administrator.access_key_id();
    let scope = |key: &str| {
        format!(
            "authorization: AWS4-HMAC-SHA256 Credential={key}/20261102/us-east-1/execute-api/aws4_request, Signature=0\r\n"
        )
    };
    let (status, body) = plain_request(&server, "/_apis/api/own", &scope(&key));
    assert!(
        status.contains("201") && body.contains("user/administrator"),
        "{status} {body}"
    );
    assert!(
        plain_request(&server, "/_apis/api/own", &scope("AKIASOMEBODYELSE0000"))
            .0
            .contains("403")
    );
}
