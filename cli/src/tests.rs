//! What can be asked without AWS, up to the exit code.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use insta::assert_snapshot;

use super::*;

/// A configuration without credentials: whoever calls AWS with it fails.
async fn esclusa(words: &[&str]) -> (Exit, Captured) {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .build();
    let (mut output, captured) = Output::captured();
    let exit = run([&["esclusa"], words].concat(), &config, &mut output).await;
    (exit, captured)
}

#[tokio::test]
async fn a_sound_file_is_valid() {
    let (exit, captured) = esclusa(&["pipelines", "validate", "fixtures/sound.yaml"]).await;
    assert_eq!((exit, exit.code()), (Exit::Success, 0), "{}", captured.err());
    assert_snapshot!(captured.out());
}

#[tokio::test]
async fn everything_that_is_wrong_is_shown_where_it_is_written() {
    let (exit, captured) = esclusa(&["pipelines", "validate", "fixtures/broken.yaml"]).await;
    assert_eq!((exit, exit.code()), (Exit::InvalidInput, 2));
    assert_eq!(captured.out(), "");
    assert_snapshot!(captured.err());
}

#[tokio::test]
async fn a_program_gets_the_same_errors_as_one_document() {
    let (exit, captured) = esclusa(&["pipelines", "validate", "fixtures/broken.yaml", "--output", "json"]).await;
    assert_eq!((exit, captured.err().as_str()), (Exit::InvalidInput, ""));
    assert_snapshot!(captured.out());
}

#[tokio::test]
async fn the_files_that_a_pipeline_refers_to_are_checked_with_it() {
    for file in ["fixtures/file-missing.yaml", "fixtures/container-missing.yaml"] {
        let (exit, captured) = esclusa(&["pipelines", "validate", file]).await;
        assert_eq!(exit, Exit::InvalidInput);
        assert_snapshot!(captured.err());
    }
}

#[tokio::test]
async fn an_invalid_file_is_not_applied_and_aws_is_not_asked() {
    let (exit, captured) = esclusa(&["pipelines", "apply", "fixtures/broken.yaml"]).await;
    assert_eq!(exit, Exit::InvalidInput);
    assert!(
        captured
            .err()
            .contains("4 errors in `fixtures/broken.yaml`; nothing was changed"),
        "{}",
        captured.err()
    );
}

#[tokio::test]
async fn what_has_no_meaning_is_refused_before_aws_is_asked() {
    let table: [(&[&str], &str); 12] = [
        (
            &["pipelines", "validate", "fixtures/none.yaml"],
            "error: cannot read `fixtures/none.yaml`",
        ),
        (
            &["pipelines", "show", "Shop"],
            "error: application name `Shop` is not valid",
        ),
        (
            &["deploy", "shop", "Production", "v1"],
            "error: environment name `Production` is not valid",
        ),
        (
            &["deploy", "shop", "production", "sha256:12"],
            "error: digest `sha256:12` is not valid",
        ),
        (
            &["deploy", "shop", "production", "v1", "--reason", " "],
            "error: a reason is required",
        ),
        (
            &["rollback", "shop", "production", "--to", "shop", "--reason", "x"],
            "error: `shop` is not a release id",
        ),
        (
            &["status", "--release", "shop"],
            "error: `shop` is not a release id, which is the application and twenty hexadecimal digits",
        ),
        (&["status", "--watch", "--output", "json"], r#""kind": "InvalidInput""#),
        (
            &["status", "--output", "csv"],
            "error: only `esclusa audit` answers with `--output csv`",
        ),
        (
            &["audit", "--day", "2026-13-01"],
            "error: `2026-13-01` is not a day: write `2026-11-21`",
        ),
        (
            &["audit", "--day", "2026-11-21T14:00"],
            "error: `2026-11-21T14:00` is not a day: write `2026-11-21`",
        ),
        (
            &["unlock", "production", "--reason", "x"],
            "error: `production` is not the name of a lock",
        ),
    ];
    for (words, message) in table {
        let (exit, captured) = esclusa(words).await;
        assert_eq!(exit, Exit::InvalidInput, "{words:?}: {}", captured.err());
        let text = captured.err() + &captured.out();
        assert!(text.contains(message), "{words:?}: {text}");
    }
}

#[tokio::test]
async fn usage_is_told_on_the_right_stream_with_the_right_code() {
    let (exit, captured) = esclusa(&["--help"]).await;
    assert_eq!(exit, Exit::Success);
    assert!(captured.out().contains("Exit codes:") && captured.err().is_empty());
    let (exit, captured) = esclusa(&["rollback", "shop", "production"]).await;
    assert_eq!(exit, Exit::InvalidInput);
    assert!(captured.err().contains("--reason") && captured.out().is_empty());
    let (exit, captured) = esclusa(&["reject", "shop-0f3a9c1d2e4b5f6a7081"]).await;
    assert_eq!(exit, Exit::InvalidInput);
    assert!(captured.err().contains("--reason <REASON>"), "{}", captured.err());
}

#[tokio::test]
async fn a_program_is_told_in_one_document_that_its_arguments_are_wrong() {
    let table: [(&[&str], &str); 4] = [
        (
            &["rollback", "shop", "production", "--output", "json"],
            "the following required arguments were not provided: --reason <REASON>",
        ),
        (&["--output=json", "stats"], "unrecognized subcommand 'stats'"),
        (
            &["status", "--output", "json", "--relase", "x"],
            "unexpected argument '--relase' found",
        ),
        (
            &["pipelines", "--output", "json"],
            "'esclusa pipelines' requires a subcommand but one was not provided",
        ),
    ];
    for (words, message) in table {
        let (exit, captured) = esclusa(words).await;
        assert_eq!((exit, captured.err().as_str()), (Exit::InvalidInput, ""), "{words:?}");
        let answer: serde_json::Value = serde_json::from_str(&captured.out()).unwrap();
        assert_eq!(answer["error"]["kind"], "InvalidInput");
        let told = answer["error"]["message"].as_str().unwrap();
        assert!(
            told.starts_with(message) && !told.contains("Usage"),
            "{words:?}: {told}"
        );
    }
    let (exit, captured) = esclusa(&["--help", "--output", "json"]).await;
    assert_eq!(exit, Exit::Success);
    assert!(captured.out().contains("Exit codes:"));
}

#[tokio::test]
async fn an_error_of_plan_is_no_difference() {
    let table: [&[&str]; 4] = [
        &["plan", "shop"],
        &["--region", "us-east-1", "plan", "shop", "production", "--version"],
        &["plan", "Shop", "production"],
        &["plan", "shop", "production", "--output", "csv"],
    ];
    for words in table {
        let (exit, _) = esclusa(words).await;
        assert_eq!((exit, exit.code()), (Exit::Failure, 1), "{words:?}");
    }
    let (exit, _) = esclusa(&["deploy", "plan"]).await;
    assert_eq!(exit, Exit::InvalidInput);
    assert_eq!(Exit::Difference.of_plan().code(), 2);
}

#[tokio::test]
async fn without_credentials_a_command_fails_and_says_so() {
    let (exit, captured) = esclusa(&["pipelines", "list"]).await;
    assert_eq!((exit, exit.code()), (Exit::Failure, 1));
    assert!(captured.err().starts_with("error: "), "{}", captured.err());
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_told_what_helps_by_every_command() {
    let nobody = SharedCredentialsProvider::new(provide_credentials_fn(|| async {
        Err(CredentialsError::not_loaded("the token has expired"))
    }));
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(nobody)
        .build();
    let words: [&[&str]; 4] = [
        &["pipelines", "list"],
        &["deploy", "shop", "production", "v1"],
        &["doctor"],
        &["approve", "shop-0f3a9c1d2e4b5f6a7081"],
    ];
    for words in words {
        let (mut output, captured) = Output::captured();
        let words = [&["esclusa"], words, &["--output", "json"]].concat();
        let exit = run(words.clone(), &config, &mut output).await;
        assert_eq!(exit, Exit::Failure, "{words:?}");
        let answer: serde_json::Value = serde_json::from_str(&captured.out()).unwrap();
        let text = |member: &str| answer["error"][member].as_str().unwrap().to_owned();
        assert_eq!(text("kind"), "AccessDenied", "{words:?}: {answer}");
        let message = text("message");
        assert!(
            message.starts_with("there are no AWS credentials"),
            "{words:?}: {message}"
        );
        assert!(
            message.ends_with("; run `aws sso login`, or give `--profile`") && !message.contains('{'),
            "{words:?}: {message}"
        );
    }
}
