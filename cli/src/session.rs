//! What a command works with: the tables, the clock, and who calls.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use esclusa_adapters::console::ConsoleClient;
use esclusa_adapters::control::ControlTable;
use esclusa_adapters::journal::Journal;
use esclusa_adapters::ledger::LedgerTable;
use esclusa_adapters::sdk::is_not_signed_in;
use esclusa_core::decision::Refusal;
use esclusa_core::error::Failure;
use esclusa_core::pipeline::{InvalidName, Region};
use esclusa_core::task_definition::Home;
use jiff::Timestamp;
use serde_json::Value;

use crate::arguments::Options;
use crate::aws::{self, Caller};
use crate::error::CommandError;

/// An installation of Esclusa, as a command sees it.
#[derive(Debug)]
pub(crate) struct Session {
    config: SdkConfig,
    stack: Option<String>,
    tables: [String; 2],
    intake_function: String,
    observe_function: String,
    console: Option<ConsoleClient>,
    pub(crate) journal: Journal,
}

impl Session {
    pub(crate) fn new(config: &SdkConfig, options: &Options) -> Self {
        let config = match &options.region {
            Some(region) => config
                .clone()
                .into_builder()
                .region(aws_config::Region::new(region.clone()))
                .build(),
            None => config.clone(),
        };
        Self {
            journal: Journal::new(&config, &options.control_table(), &options.ledger_table()),
            stack: options.stack.clone(),
            tables: [options.control_table(), options.ledger_table()],
            intake_function: options.intake_function(),
            observe_function: options.observe_function(),
            console: options
                .console_url
                .as_deref()
                .map(|url| ConsoleClient::new(&config, url)),
            config,
        }
    }

    /// What somebody decided with the permissions of the caller, if they may. That somebody tried who may not is written
    /// down, as the console does.
    ///
    /// # Errors
    /// The refusal, and what the tables answered.
    pub(crate) async fn heard<T>(
        &self,
        about: Option<(&str, Option<&str>)>,
        principal: &str,
        decided: Result<T, Refusal>,
    ) -> Result<T, CommandError> {
        if let (Some(about), Err(refusal)) = (about, &decided) {
            self.journal.refuse(about, principal, refusal, &[]).await?;
        }
        decided.map_err(|refusal| CommandError::refused(refusal.to_string()))
    }

    /// The name of the stack, where it is given.
    pub(crate) fn stack(&self) -> Option<&str> {
        self.stack.as_deref()
    }

    /// The name of the control table.
    pub(crate) fn control_table(&self) -> &str {
        let [control, _] = &self.tables;
        control
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(crate) fn control(&self) -> &ControlTable {
        self.journal.control()
    }

    pub(crate) fn ledger(&self) -> &LedgerTable {
        self.journal.ledger()
    }

    /// The console of the installation, where one is named.
    pub(crate) fn console(&self) -> Option<&ConsoleClient> {
        self.console.as_ref()
    }

    pub(crate) fn now(&self) -> Result<Timestamp, Failure> {
        self.journal.clock().now()
    }

    /// Says what helps where DynamoDB knows one of the tables not: the installation is elsewhere, or has other names.
    /// So where nobody is signed in.
    pub(crate) fn explained(&self, error: CommandError) -> CommandError {
        let is_table_missing =
            |message: &str| message.starts_with("`dynamodb:") && message.contains("ResourceNotFoundException");
        match error {
            CommandError::Failed(failure) if is_table_missing(&failure.message) => {
                let [control, ledger] = &self.tables;
                let region = self.config.region().map_or("no Region", |region| region.as_ref());
                CommandError::refused(format!(
                    "there is no installation with the tables `{control}` and `{ledger}` in `{region}` of this account: give `--region`, `--profile`, \
                     or `--stack`"
                ))
            }
            CommandError::Failed(failure) if is_not_signed_in(&failure) => CommandError::Failed(Failure::new(
                failure.kind,
                format!("{}; run `aws sso login`, or give `--profile`", failure.message),
            )),
            other => other,
        }
    }

    /// The account and Region of the installation.
    pub(crate) async fn home(&self) -> Result<Home, CommandError> {
        let Some(region) = self.config.region() else {
            return Err(CommandError::InvalidInput(
                "no Region is configured: give `--region`".to_owned(),
            ));
        };
        let invalid = |error: InvalidName| CommandError::InvalidInput(error.to_string());
        let region: Region = region.as_ref().parse().map_err(invalid)?;
        Ok(Home {
            account: self.caller().await?.account.parse().map_err(invalid)?,
            region,
        })
    }

    pub(crate) async fn caller(&self) -> Result<Caller, Failure> {
        aws::caller(&self.config).await
    }

    /// Sends a request to the `intake` function.
    pub(crate) async fn request(&self, payload: &Value) -> Result<Value, Failure> {
        aws::invoke(&self.config, &self.intake_function, "--intake-function", payload).await
    }

    /// Has the `observe` function look.
    pub(crate) async fn observe(&self, payload: &Value) -> Result<Value, Failure> {
        aws::invoke(&self.config, &self.observe_function, "--observe-function", payload).await
    }

    /// Lets time pass, by the clock of the configuration.
    pub(crate) async fn pause(&self, duration: Duration) -> Result<(), Failure> {
        let sleep: SharedAsyncSleep = self
            .config
            .sleep_impl()
            .ok_or_else(|| Failure::defect("the configuration of the AWS SDK cannot wait"))?;
        sleep.sleep(duration).await;
        Ok(())
    }
}
