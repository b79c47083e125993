//! `lab push`: another image for a simulated AWS that is up.

use std::process::ExitCode;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_ecr::config::Credentials;
use aws_sdk_ecr::error::DisplayErrorContext;
use clap::Args;
use esclusa_adapters::client;
use lab::example::{Example, NAMES};
use lab::images::{Image, Kind};
use lab::registry;
use simulator::{AccessKey, Principal, SECRET_ACCESS_KEY};

use super::CommandError;
use super::page::Page;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Whose image is pushed
    #[arg(long, default_value = "imagy-catalog", value_parser = NAMES)]
    application: String,
    /// How the image behaves
    #[arg(long, value_enum, default_value_t)]
    image: Kind,
    /// The tag, which also makes it another image
    #[arg(long, default_value = "v1.6.0")]
    tag: String,
    /// Where `lab local` listens
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    endpoint_url: String,
}

pub(crate) fn execute(push: &Push) -> Result<ExitCode, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let example = Example::load(&push.application)?;
    let image = example.pipeline.images.values().next();
    let repository = image.map(|image| image.repository.to_string()).unwrap_or_default();
    let image = Image::behaving(&example.behaviour(push.image), &push.tag);
    let digest = runtime.block_on(put(push, &repository, &image))?;
    let environments = example.pushed_through(&push.tag);
    let page = &mut Page::of_process();
    page.text(format_args!("{repository}:{} is {digest}", push.tag))?;
    if environments.is_empty() {
        page.text(format_args!(
            "no environment of `{}` takes a push of this tag",
            push.application
        ))?;
    } else {
        page.text(format_args!(
            "on its way to {}: `esclusa status {}`",
            environments.join(", then "),
            push.application
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Pushes the image with the key of the simulated administrator, which no real account knows.
async fn put(push: &Push, repository: &str, image: &Image) -> Result<String, CommandError> {
    let key = Principal::Administrator.access_key_id();
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .endpoint_url(&push.endpoint_url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, SECRET_ACCESS_KEY, None, None, "lab"))
        .load()
        .await;
    let answer = client!(aws_sdk_ecr, &config).get_authorization_token().send().await;
    let answer = answer.map_err(|error| {
        CommandError::Refused(format!("the image cannot be pushed: {}", DisplayErrorContext(error)))
    })?;
    let token = answer.authorization_data.into_iter().flatten().next();
    let token = token.and_then(|data| data.authorization_token).unwrap_or_default();
    let pushed = registry::push(&push.endpoint_url, &token, repository, &push.tag, image).await;
    pushed.map_err(|error| CommandError::Refused(error.to_string()))
}
