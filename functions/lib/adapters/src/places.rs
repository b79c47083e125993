//! Places: accounts and Regions other than the one Esclusa runs in, and the credentials for them. In each there is one
//! role per function, which holds that function's power there and trusts that function only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::types::Credentials as Temporary;
use esclusa_core::error::{ErrorKind, Failure};
use esclusa_core::place::{check_event, of_arn, role_arn};
use esclusa_core::task_definition::Home;
use jiff::{SignedDuration, Timestamp};

use crate::client;
use crate::clock::Clock;
use crate::control::Key;
use crate::control::rows::DeploymentRow;
use crate::journal::Journal;
use crate::sdk::{failure, timestamp};

/// How long before their end temporary credentials are not used any more: longer than an invocation lasts.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// How the roles of other places are found and taken.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetRoles {
    /// What their names begin with, before the name of the function.
    pub prefix: String,
    /// The external id that they ask for.
    pub external_id: String,
    /// The accounts in which they are looked for, and in no other: whoever writes a pipeline names accounts.
    pub accounts: Vec<String>,
}

impl TargetRoles {
    /// The roles, by the variables of a function; none where prefix or external id are missing. The accounts are
    /// separated by commas.
    #[must_use]
    pub fn read<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let prefix = variable("ESCLUSA_TARGET_ROLE_PREFIX")?;
        let external_id = variable("ESCLUSA_TARGET_EXTERNAL_ID")?;
        let accounts = variable("ESCLUSA_TARGET_ACCOUNTS").into_iter();
        let accounts = accounts.flat_map(|accounts| accounts.split(','));
        Some(Self {
            prefix: prefix.to_owned(),
            external_id: external_id.to_owned(),
            accounts: accounts.map(|account| account.trim().to_owned()).collect(),
        })
    }
}

/// The external id is known to both sides only.
impl fmt::Debug for TargetRoles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TargetRoles")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A place that is not home, and the configuration by which its clients are made.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The place.
    pub place: Home,
    /// The configuration.
    pub config: SdkConfig,
}

/// Temporary credentials of a role in a place.
#[derive(Debug, Clone)]
struct Session {
    config: SdkConfig,
    expires_at: Timestamp,
}

/// Gives the configuration of a place, by which its clients are made.
#[derive(Debug, Clone)]
pub struct Places {
    config: SdkConfig,
    home: Home,
    function: &'static str,
    roles: Option<TargetRoles>,
    clock: Clock,
    sessions: Arc<Mutex<BTreeMap<Home, Session>>>,
}

impl Places {
    /// The places that `function` reaches: its home, and with `roles` those that have a role for it.
    ///
    /// # Errors
    /// `Defect` when account or Region are none.
    pub fn new(
        config: &SdkConfig,
        function: &'static str,
        account: &str,
        region: &str,
        roles: Option<TargetRoles>,
    ) -> Result<Self, Failure> {
        let defect = |error: &dyn fmt::Display| Failure::defect(error.to_string());
        Ok(Self {
            config: config.clone(),
            home: Home {
                account: account.parse().map_err(|error| defect(&error))?,
                region: region.parse().map_err(|error| defect(&error))?,
            },
            function,
            roles,
            clock: Clock::new(config),
            sessions: Arc::default(),
        })
    }

    /// Where Esclusa runs.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The configuration at home.
    #[must_use]
    pub fn home_config(&self) -> &SdkConfig {
        &self.config
    }

    /// Whether it reaches any place but its home.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.roles.is_some()
    }

    /// The configuration of a place; none at home.
    ///
    /// # Errors
    /// `AccessDenied` when its role cannot be assumed: names the role and says what to do. `Refused` when no other
    /// place is connected.
    pub async fn config(&self, place: &Home) -> Result<Option<SdkConfig>, Failure> {
        if *place == self.home {
            return Ok(None);
        }
        let Some(roles) = &self.roles else {
            return Err(Failure::refused(format!(
                "account {}, `{}` is not where Esclusa runs: deploy the stack with the parameters `TargetAccounts` and `TargetExternalId`, and `target-account.yaml` there",
                place.account, place.region
            )));
        };
        if !roles.accounts.iter().any(|account| account == place.account.as_str()) {
            return Err(Failure::refused(format!(
                "Esclusa is not connected to account {}: correct `account` in the pipeline, or deploy the stack with it in the parameter `TargetAccounts`",
                place.account
            )));
        }
        let now = self.clock.now()?;
        let is_good = |session: &&Session| session.expires_at.duration_since(now) > MARGIN;
        if let Some(session) = self.sessions().get(place).filter(is_good) {
            return Ok(Some(session.config.clone()));
        }
        let session = self.assume(place, roles).await?;
        self.sessions().insert(place.clone(), session.clone());
        Ok(Some(session.config))
    }

    /// The configuration of the place of a deployment; none at home.
    ///
    /// # Errors
    /// Those of [`Places::config`]; `InvalidInput` when there is no such deployment.
    pub async fn of_deployment(&self, journal: &Journal, deployment_id: &str) -> Result<Option<Placed>, Failure> {
        if !self.is_connected() {
            return Ok(None);
        }
        let key = Key::deployment(deployment_id);
        let deployment = journal.control().require::<DeploymentRow>(&key).await?;
        match &deployment.row.place {
            Some(place) => self.placed(place).await,
            None => Ok(None),
        }
    }

    /// A place with its configuration; none at home.
    ///
    /// # Errors
    /// Those of [`Places::config`].
    pub async fn placed(&self, place: &Home) -> Result<Option<Placed>, Failure> {
        let place = place.clone();
        Ok(self.config(&place).await?.map(|config| Placed { place, config }))
    }

    /// The configuration of the place of a resource; none at home.
    ///
    /// # Errors
    /// Those of [`Places::config`].
    pub async fn of_resource(&self, arn: &str) -> Result<Option<Placed>, Failure> {
        match of_arn(arn) {
            Some(place) => self.placed(&place).await,
            None => Ok(None),
        }
    }

    /// That an event of home says something about an execution of home: no other place has one of ours.
    ///
    /// # Errors
    /// `InvalidInput` when it does not.
    pub fn check_execution(&self, account: &str, region: &str, arn: &str) -> Result<(), Failure> {
        check_event(account, region, arn).map_err(Failure::invalid_input)?;
        if of_arn(arn).as_ref() == Some(&self.home) {
            return Ok(());
        }
        Err(Failure::invalid_input(format!(
            "an event of account {account}, `{region}` says something about an execution, and those of esclusa are in account {}, `{}`",
            self.home.account, self.home.region
        )))
    }

    /// Whether a deployment is in the place of a resource.
    ///
    /// # Errors
    /// `InvalidInput` when there is no such deployment.
    pub async fn is_of(&self, journal: &Journal, deployment_id: &str, arn: &str) -> Result<bool, Failure> {
        let there = of_arn(arn);
        if !self.is_connected() {
            return Ok(there.as_ref() == Some(&self.home));
        }
        let key = Key::deployment(deployment_id);
        let deployment = journal.control().require::<DeploymentRow>(&key).await?;
        Ok(there.as_ref() == Some(deployment.row.place.as_ref().unwrap_or(&self.home)))
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, BTreeMap<Home, Session>> {
        // Whole after every statement.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn assume(&self, place: &Home, roles: &TargetRoles) -> Result<Session, Failure> {
        let role = role_arn(place, &format!("{}-{}", roles.prefix, self.function));
        let call = client!(aws_sdk_sts, &self.config)
            .assume_role()
            .role_arn(&role)
            .role_session_name(format!("esclusa-{}", self.function))
            .external_id(&roles.external_id);
        let answer = call.send().await.map_err(|error| {
            let failure = failure("sts:AssumeRole", &error);
            match failure.kind {
                ErrorKind::AccessDenied => Failure::access_denied(format!(
                    "the role `{role}` in account {} cannot be assumed: it does not exist, no longer trusts the function `{}`, or requires another external id; deploy `target-account.yaml` there with the external id of the parameter `TargetExternalId`, after deleting its stack where Esclusa was installed anew, then deploy again ({})",
                    place.account, self.function, failure.message
                )),
                _ => failure,
            }
        })?;
        let credentials = answer
            .credentials()
            .ok_or_else(|| Failure::defect(format!("the answer to `sts:AssumeRole` of `{role}` has no credentials")))?;
        let expires_at = timestamp(credentials.expiration())
            .ok_or_else(|| Failure::defect(format!("the credentials of `{role}` have no end")))?;
        let provider = SharedCredentialsProvider::new(permanent(credentials));
        let config = self
            .config
            .to_builder()
            .region(aws_config::Region::new(place.region.to_string()))
            .credentials_provider(provider)
            .build();
        Ok(Session { config, expires_at })
    }
}

/// Credentials whose end the SDK does not look at: [`Places`] does.
fn permanent(credentials: &Temporary) -> Credentials {
    Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        Some(credentials.session_token().to_owned()),
        None,
        "esclusa-places",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Answer, Recorded};

    const GRANTED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
        <AccessKeyId>ASIATHERE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2126-11-02T10:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

    fn place(account: &str) -> Home {
        serde_json::from_value(json!({"account": account, "region": "eu-west-1"})).unwrap()
    }

    fn places(config: &SdkConfig, roles: Option<TargetRoles>) -> Places {
        Places::new(config, "update", "123456789012", "us-east-1", roles).unwrap()
    }

    fn roles() -> Option<TargetRoles> {
        TargetRoles::read(|name| match name {
            "ESCLUSA_TARGET_ROLE_PREFIX" => Some("esclusa-target"),
            "ESCLUSA_TARGET_EXTERNAL_ID" => Some("known-to-both"),
            "ESCLUSA_TARGET_ACCOUNTS" => Some("123456789012, 210987654321"),
            _ => None,
        })
    }

    #[tokio::test]
    async fn a_role_is_assumed_once_for_as_long_as_its_credentials_are_good() {
        let recorded = Recorded::new([Answer::text(200, GRANTED)]);
        let places = places(&recorded.config(), roles());
        for _ in 0..2 {
            let config = places.config(&place("210987654321")).await.unwrap().unwrap();
            assert_eq!(config.region().unwrap().as_ref(), "eu-west-1");
        }
        let request = recorded.requests().remove(0);
        let body = request.body.as_str().unwrap();
        for part in [
            "RoleArn=arn%3Aaws%3Aiam%3A%3A210987654321%3Arole%2Fesclusa-target-update",
            "ExternalId=known-to-both",
            "RoleSessionName=esclusa-update",
        ] {
            assert!(body.contains(part), "{body}");
        }
    }

    #[tokio::test]
    async fn a_role_that_does_not_trust_is_named_with_what_helps() {
        let denied =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>";
        let recorded = Recorded::new([Answer::text(403, denied)]);
        let failure = places(&recorded.config(), roles())
            .config(&place("210987654321"))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, ErrorKind::AccessDenied);
        assert!(
            failure
                .message
                .contains("`arn:aws:iam::210987654321:role/esclusa-target-update` in account 210987654321")
                && failure.message.contains("`target-account.yaml`")
                && !failure.message.contains("known-to-both"),
            "{failure}"
        );
    }

    /// Whoever may write a pipeline could send the external id to any account.
    #[tokio::test]
    async fn no_role_is_looked_for_in_an_account_that_nobody_is_connected_with() {
        let recorded = Recorded::new([]);
        let failure = places(&recorded.config(), roles())
            .config(&place("999999999999"))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Refused);
        assert!(
            failure.message.contains("999999999999") && failure.message.contains("`TargetAccounts`"),
            "{failure}"
        );
        assert!(recorded.requests().is_empty());
    }

    #[tokio::test]
    async fn without_an_external_id_there_is_no_other_place() {
        let recorded = Recorded::new([]);
        let places = places(&recorded.config(), None);
        assert!(places.config(places.home()).await.unwrap().is_none());
        let failure = places.config(&place("123456789012")).await.unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Refused);
        assert!(failure.message.contains("`TargetExternalId`"), "{failure}");
        assert!(!format!("{:?}", roles()).contains("known-to-both"));
    }
}
