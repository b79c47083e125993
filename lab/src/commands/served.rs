//! The same world behind a loopback endpoint, for the command `esclusa`, the AWS CLI and every SDK.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use lab::example::Example;
use lab::is_moving;
use lab::walk::{Line, Walk};
use simulator::served::{Pace, Server};
use simulator::{AccessKey, Principal, SECRET_ACCESS_KEY, World};

use super::CommandError;
use super::page::Page;

/// How long nothing is looked at while nothing is at work.
const REST: Duration = Duration::from_millis(100);

/// How many steps of the world are made at most before what happened is shown.
const STEPS_AT_ONCE: usize = 2_000;

/// How a world is served.
pub(super) struct Serving {
    /// Where it listens.
    pub(super) port: u16,
    /// Simulated seconds in a second.
    pub(super) pace: u32,
    /// The file with what other shells need, which is there once it can be used.
    pub(super) environment: PathBuf,
}

/// Serves the world that `build` makes on its own thread, until somebody interrupts.
pub(super) fn execute(
    example: &Example,
    serving: &Serving,
    build: impl FnOnce() -> Result<(World, Walk), CommandError> + Send + 'static,
) -> Result<ExitCode, CommandError> {
    // Who waits for the file must not take one that another world has left there.
    remove(&serving.environment)?;
    let (sender, receiver) = mpsc::channel();
    let server = Server::start_at(serving.port, Pace::Factor(f64::from(serving.pace)), move || {
        let (world, walk) = build()?;
        sender
            .send(walk)
            .map_err(|_| CommandError::Refused("it was interrupted".to_owned()))?;
        Ok::<World, CommandError>(world)
    })?;
    let mut walk = receiver.recv().map_err(|_| ended())?;
    let page = &mut Page::of_process();
    explain(example, &server.endpoint_url(), &serving.environment, page)?;
    let _exports = Exports::write(&server.endpoint_url(), &serving.environment)?;
    let interrupted = interruption()?;
    loop {
        let (told, lines, at_work) = server.with_world(move |world| advance(world, walk)).ok_or_else(ended)?;
        walk = told;
        for line in lines {
            page.line(line)?;
        }
        page.flush()?;
        let rest = if at_work { Duration::ZERO } else { REST };
        if interrupted.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
            page.text("\nInterrupted: the simulated AWS is gone, with everything in it.")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn ended() -> CommandError {
    CommandError::Refused("the simulated AWS has ended".to_owned())
}

/// While a release is at work its time does not pass, it jumps; one that waits at a gate waits for people, who live in
/// their own time. Everything else happens at the pace of the world outside.
fn advance(world: &mut World, mut walk: Walk) -> (Walk, Vec<Line>, bool) {
    let mut lines = walk.look(world);
    for _ in 0..STEPS_AT_ONCE {
        if !is_moving(world) || !world.step() {
            break;
        }
        lines.extend(walk.look(world));
    }
    (walk, lines, is_moving(world))
}

/// Tells when somebody presses Ctrl-C.
fn interruption() -> io::Result<Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Without a signal to wait for the run ends at once, which shows.
        let _signal = runtime.block_on(tokio::signal::ctrl_c());
        // Whoever waited may have gone.
        let _gone = sender.send(());
    });
    Ok(receiver)
}

/// Says what can be tried in another terminal.
fn explain(example: &Example, endpoint: &str, environment: &Path, page: &mut Page) -> Result<(), CommandError> {
    let application = &example.name;
    let ecr = example
        .pipeline
        .images
        .values()
        .next()
        .map(|image| image.repository.to_string())
        .unwrap_or_default();
    let registry = endpoint.trim_start_matches("http://");
    let environments = example.environments();
    let pushed = environments.first().copied().unwrap_or_default();
    let manual = environments.last().copied().unwrap_or_default();
    let cluster = example
        .question(manual, &first_image(example), "", lab::oracle::Arrival::Deployed)?
        .cluster;
    page.heading(format_args!("It stays up at {endpoint}"))?;
    page.text("Time jumps while a release is at work, and passes as it does for you otherwise. Every release is told here. Ctrl-C ends it.")?;
    page.text("\nIn another terminal:")?;
    for (command, meaning) in [
        (
            format!(". {}", environment.display()),
            "where the simulated AWS is, and the programs",
        ),
        ("esclusa status".to_owned(), "what runs where"),
        (
            format!("esclusa plan {application} {manual} --version v1.5.0"),
            "what a deployment would change there",
        ),
        (
            format!("esclusa deploy {application} {manual} v1.5.0"),
            "bring it there by hand",
        ),
        (
            "lab push --image crash-loop".to_owned(),
            "a push that fails and goes the way back",
        ),
        ("lab push".to_owned(), "a push that comes up"),
        (
            format!("esclusa rollback {application} {pushed} --reason 'try it'"),
            "back to what was verified before it",
        ),
        (
            format!("esclusa audit --application {application}"),
            "what happened, who did it",
        ),
        (
            "esclusa audit verify --all".to_owned(),
            "nothing was changed or cut off",
        ),
        (
            format!("aws ecs list-services --cluster {cluster}"),
            "any AWS client can look",
        ),
        (
            format!("aws ecr get-login-password | docker login --username AWS --password-stdin {registry}"),
            "it is a registry, too",
        ),
        (
            format!("docker push {registry}/{ecr}:v1.7.0"),
            "any client of registries can push: docs/LOCAL.md says what its image must say",
        ),
    ] {
        page.text(format_args!("  {command:<62}  {meaning}"))?;
    }
    page.heading("What happens")?;
    Ok(page.flush()?)
}

fn first_image(example: &Example) -> String {
    example
        .pipeline
        .images
        .keys()
        .next()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The file with the lines for other shells, which goes with the world that it leads to.
struct Exports {
    environment: PathBuf,
    lines: String,
}

impl Exports {
    /// Writes all of them at once: who waits for the file can use it.
    fn write(endpoint: &str, environment: &Path) -> io::Result<Self> {
        if let Some(folder) = environment.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let lines = exports(endpoint);
        let unfinished = environment.with_extension("unfinished");
        std::fs::write(&unfinished, &lines)?;
        std::fs::rename(unfinished, environment)?;
        Ok(Self {
            environment: environment.to_owned(),
            lines,
        })
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        // Another world may have written its own lines there since.
        if std::fs::read_to_string(&self.environment).is_ok_and(|lines| lines == self.lines) {
            // What cannot be removed leads nowhere, which whoever uses it sees.
            let _stays = remove(&self.environment);
        }
    }
}

fn remove(environment: &Path) -> io::Result<()> {
    match std::fs::remove_file(environment) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Lines for a shell. The credentials open nothing but the simulated account.
fn exports(endpoint: &str) -> String {
    let key = Principal::Administrator.access_key_id();
    let programs = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.display().to_string()));
    let path = programs
        .map(|folder| format!("export PATH='{folder}':\"$PATH\"\n"))
        .unwrap_or_default();
    format!(
        "# The simulated AWS that `lab local` serves. Gone with it.\n\
         export AWS_ENDPOINT_URL={endpoint}\n\
         export AWS_ACCESS_KEY_ID={key}\n\
         export AWS_SECRET_ACCESS_KEY={SECRET_ACCESS_KEY}\n\
         export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1\n\
         unset AWS_SESSION_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE AWS_IGNORE_CONFIGURED_ENDPOINT_URLS\n{path}"
    )
}
