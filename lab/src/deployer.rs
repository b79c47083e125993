//! Installing the deployer into a simulated account, as the stack's creation does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, OnceLock, PoisonError};

use esclusa_core::error::Failure;
use esclusa_runtime::{Diagnostic, Environment, Function, Invocation, diagnostic, invoke};
use jiff::Timestamp;
use serde_json::{Value, json};
use simulator::kernel::Place;
use simulator::services::Slack;
use simulator::{FunctionError, Lambda, Template, TemplateSettings, World};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

use crate::target;

/// The name of the stack, which the names of its functions begin with.
pub const DEPLOYER: &str = "esclusa";

/// Why the deployer cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("`{path}`: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The simulated account refuses something.
    #[error("the simulated account refuses the deployer: {0}")]
    Account(String),
}

/// The repository that this program was built from.
#[must_use]
pub fn repository() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
        lab.parent().unwrap_or(lab).to_owned()
    })
}

/// What people have beside the deployer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nothing: nobody is told.
    Nobody,
    /// A Slack with an app of the deployer in it, whose secrets lie in the account.
    Slack,
    /// Another account, in another Region, which is connected: see [`crate::target`].
    Account,
    /// Another Region, which is connected.
    Region,
}

impl Beside {
    /// The place that is connected.
    fn place(self) -> Option<Place> {
        match self {
            Self::Account => Some(target::account()),
            Self::Region => Some(target::region()),
            Self::Nobody | Self::Slack => None,
        }
    }
}

/// Loads the template with its state machines, and gives every function its handler.
///
/// # Errors
/// When a file is missing or wrong, or the simulated account refuses a resource.
pub fn install(world: &mut World, beside: Beside) -> Result<(), InstallError> {
    let [token, signing] = match beside {
        Beside::Nobody | Beside::Account | Beside::Region => [String::new(), String::new()],
        Beside::Slack => secrets(world)?,
    };
    let place = beside.place();
    let (accounts, external_id) = match &place {
        Some(place) => (place.account.clone(), target::EXTERNAL_ID),
        None => (String::new(), ""),
    };
    let kernel = world.kernel();
    let parameters = [
        ("RepositoryPattern", "*"),
        ("ClusterPattern", "*"),
        ("FamilyPattern", "*"),
        ("PassableRoleArns", &passable_roles(kernel.account())),
        ("SlackBotTokenArn", &token),
        ("SlackSigningSecretArn", &signing),
        ("TargetAccounts", &accounts),
        ("TargetExternalId", external_id),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = TemplateSettings {
        account: kernel.account().to_owned(),
        region: kernel.region().to_owned(),
        stack: DEPLOYER.to_owned(),
        parameters: BTreeMap::from(parameters),
    };
    world
        .load(template(&settings)?, repository())
        .map_err(|error| InstallError::Account(error.to_string()))?;
    register::<esclusa_intake::Intake>(world);
    register::<esclusa_observe::Observe>(world);
    register::<esclusa_register::Register>(world);
    register::<esclusa_migrate::Migrate>(world);
    register::<esclusa_update::Update>(world);
    register::<esclusa_traffic::Traffic>(world);
    register::<esclusa_record::Record>(world);
    register::<esclusa_resume::Resume>(world);
    register::<esclusa_notify::Notify>(world);
    register::<esclusa_console::Console>(world);
    if beside == Beside::Slack {
        connect(world)?;
    }
    if let Some(place) = place {
        target::open(world, &place)?;
        target::connect(world, &place, target::EXTERNAL_ID)?;
    }
    Ok(())
}

/// Puts the secrets of the Slack app into the account, as whoever sets it up does. Their ARNs: the token, then what it
/// signs with.
fn secrets(world: &mut World) -> Result<[String; 2], InstallError> {
    let (slack, _) = world.service_mut::<Slack>().ok_or_else(no_slack)?;
    let values = [
        ("slack-bot-token", slack.token.clone()),
        ("slack-signing-secret", slack.signing_secret.clone()),
    ];
    let mut arns = [String::new(), String::new()];
    for (arn, (name, value)) in arns.iter_mut().zip(values) {
        let input = json!({"Name": format!("{DEPLOYER}/{name}"), "SecretString": value});
        let created = world
            .administer("secretsmanager", "CreateSecret", input)
            .map_err(|error| InstallError::Account(error.to_string()))?;
        *arn = created
            .get("ARN")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
    }
    Ok(arns)
}

/// Tells Slack where the presses of buttons go.
fn connect(world: &mut World) -> Result<(), InstallError> {
    let endpoint = world
        .template()
        .and_then(|template| template.outputs.get("ConsoleEndpoint"));
    let host = endpoint
        .and_then(|output| output.value.strip_prefix("https://"))
        .map(str::to_owned);
    let host = host.ok_or_else(|| InstallError::Account("the template has no `ConsoleEndpoint`".to_owned()))?;
    let (slack, _) = world.service_mut::<Slack>().ok_or_else(no_slack)?;
    slack.request_url = Some((host, "/slack/interactions".to_owned()));
    Ok(())
}

fn no_slack() -> InstallError {
    InstallError::Account("there is no Slack in this world".to_owned())
}

/// The deployer's template for an account. It is read once for all accounts that are alike: whoever explores opens
/// thousands of them.
fn template(settings: &TemplateSettings) -> Result<Template, InstallError> {
    static LAST: Mutex<Option<(TemplateSettings, Template)>> = Mutex::new(None);
    // Whole after every statement.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, template)) = &*last
        && of == settings
    {
        return Ok(template.clone());
    }
    let template = read_template("template.yaml", settings)?;
    *last = Some((settings.clone(), template.clone()));
    Ok(template)
}

/// Reads a template of the repository.
pub(crate) fn read_template(name: &str, settings: &TemplateSettings) -> Result<Template, InstallError> {
    let path = repository().join(name);
    let text = std::fs::read_to_string(&path).map_err(|source| InstallError::File {
        path: path.clone(),
        source,
    })?;
    Template::load(&text, settings).map_err(|error| InstallError::Content {
        path,
        reason: error.to_string(),
    })
}

/// The roles that the task definitions of the examples name.
fn passable_roles(account: &str) -> String {
    ["ecsTaskExecutionRole", "*-task-role", "*-execution-role", "orbiquant-*"]
        .map(|role| format!("arn:aws:iam::{account}:role/{role}"))
        .join(",")
}

fn register<F: Function>(world: &mut World) {
    let built: Rc<OnceLock<Result<F, Failure>>> = Rc::new(OnceLock::new());
    // As in a process of its own, but for the limit: the simulated Lambda ends an invocation in its own time.
    let handler = move |payload, invocation: simulator::Invocation| {
        let built = Rc::clone(&built);
        let future = async move {
            let cold_start = built.get().is_none();
            let function = built.get_or_init(|| F::build(&invocation.sdk_config, &environment(&invocation)));
            let context = Invocation {
                request_id: invocation.request_id.clone(),
                function_arn: invocation.function_arn.clone(),
                deadline: invocation.deadline,
                trace_id: None,
            };
            let now = now(&invocation);
            let handled = invoke(function.as_ref(), payload, &context, now, None, cold_start);
            let answer = match output::<F>(&invocation) {
                Some(output) => handled.with_subscriber(output).await,
                None => handled.await,
            };
            answer.map_err(|failure| error(&failure))
        };
        Box::pin(future) as std::pin::Pin<Box<dyn Future<Output = _>>>
    };
    if let Some((lambda, _)) = world.service_mut::<Lambda>() {
        lambda.register(&format!("{DEPLOYER}-{}", F::NAME), Rc::new(handler));
    }
}

/// What takes the lines that the function writes, as its process would; none where nobody keeps them.
fn output<F: Function>(invocation: &simulator::Invocation) -> Option<Dispatch> {
    let stdout = invocation.stdout.clone()?;
    let of_clock = invocation.clone();
    let clock = move || now(&of_clock);
    let writer = move || stdout.clone();
    Some(Dispatch::new(esclusa_runtime::subscriber(
        &environment(invocation),
        F::NAME,
        clock,
        writer,
    )))
}

/// What Lambda adds to the variables of the template.
fn environment(invocation: &simulator::Invocation) -> Environment {
    let region = invocation
        .sdk_config
        .region()
        .map(ToString::to_string)
        .unwrap_or_default();
    let own = [("AWS_REGION".to_owned(), region)];
    invocation.environment.clone().into_iter().chain(own).collect()
}

/// The simulated time.
fn now(invocation: &simulator::Invocation) -> Timestamp {
    let clock = invocation.sdk_config.time_source().unwrap_or_default();
    Timestamp::try_from(clock.now()).unwrap_or_default()
}

fn error(failure: &Failure) -> FunctionError {
    let Diagnostic {
        error_type,
        error_message,
    } = diagnostic(failure);
    FunctionError::new(error_type, error_message)
}
