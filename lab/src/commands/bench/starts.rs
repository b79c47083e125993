//! How soon the programs of the functions answer for the first time, how much memory they take and how large they are,
//! beside the smallest function there is.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use lab::{DEPLOYER, Lab};
use serde_json::json;
use simulator::{Lambda, SECRET_ACCESS_KEY, Settings};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::commands::CommandError;
use crate::commands::page::Page;

/// The functions.
pub(super) const FUNCTIONS: [&str; 10] = [
    "intake", "observe", "register", "migrate", "update", "traffic", "record", "resume", "notify", "console",
];

/// How often each program is started, one after the other in turn, so that a noisy moment concerns all of them.
const ROUNDS: usize = 15;

/// Where Debian has all roots of trust in one file. Besides, it has each in a file of its own, and reads them all
/// unless it is told not to; the image that the functions run on has the one file.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What no program should exceed: the ratio, megabytes of memory, megabytes of a zip.
const GOALS: [f64; 3] = [2.0, 64.0, 8.0];

/// The longest time for a first answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One start of a program.
#[derive(Debug, Clone, Copy)]
struct Start {
    first_answer: Duration,
    peak_kibibytes: Option<u32>,
}

/// A program with what it was seen to do.
struct Program {
    name: String,
    path: PathBuf,
    environment: BTreeMap<String, String>,
    starts: Vec<Start>,
}

/// Measures the programs of a folder and prints.
pub(super) fn print(folder: &Path, page: &mut Page) -> Result<(), CommandError> {
    let mut programs = programs(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for _ in 0..ROUNDS {
        for program in &mut programs {
            let start = runtime.block_on(start(&program.path, &program.environment))?;
            program.starts.push(start);
        }
    }
    page.heading("From the start of a function's program to its first answer, as a ratio to the smallest function that this profile builds")?;
    page.faint(format_args!(
        "  medians of {ROUNDS} starts in turn; sizes are those of this machine's architecture, deflated as in a zip"
    ))?;
    let [ratio, memory, size] = GOALS;
    page.faint(format_args!(
        "  the answer is that no such action is known, before any client of AWS is made; goals: {ratio} times, {memory} MB of memory, {size} MB"
    ))?;
    page.faint("  function    ratio        time    peak memory       size")?;
    let base = programs.first().map(|hello| hello.median().as_secs_f64());
    for program in &programs {
        let time = program.median().as_secs_f64();
        let peak = program.starts.iter().filter_map(|start| start.peak_kibibytes).max();
        let shown = [
            time / base.unwrap_or(f64::NAN),
            peak.map_or(f64::NAN, |kibibytes| f64::from(kibibytes) * 1_024.0 / 1.0e6),
            deflated(&program.path)? / 1.0e6,
        ];
        let is_missed = shown.iter().zip(GOALS).any(|(shown, goal)| *shown > goal);
        let [ratio, memory, size] = shown;
        page.text(format_args!(
            "  {:<10}{ratio:>7.2}{:>9.1} ms{memory:>12.1} MB{size:>8.1} MB{}",
            program.name,
            time * 1_000.0,
            if is_missed { "   misses a goal" } else { "" },
        ))?;
    }
    Ok(())
}

impl Program {
    fn median(&self) -> Duration {
        let mut times: Vec<Duration> = self.starts.iter().map(|start| start.first_answer).collect();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// The smallest function, then ours with the variables that the template gives them.
fn programs(folder: &Path) -> Result<Vec<Program>, CommandError> {
    let lab = Lab::new(&Settings::default())?;
    let lambda = lab.world().service::<Lambda>();
    let environment = |name: &str| {
        let configuration = lambda.and_then(|lambda| lambda.configuration(&format!("{DEPLOYER}-{name}")));
        configuration
            .map(|configuration| configuration.environment.clone())
            .unwrap_or_default()
    };
    let hello = ("hello".to_owned(), folder.join("examples/hello"));
    let ours = FUNCTIONS.map(|name| (name.to_owned(), folder.join(name)));
    let all = [hello].into_iter().chain(ours).map(|(name, path)| Program {
        environment: environment(&name),
        name,
        path,
        starts: Vec::new(),
    });
    let all: Vec<Program> = all.collect();
    match all.iter().find(|program| !program.path.is_file()) {
        None => Ok(all),
        Some(missing) => Err(CommandError::Refused(format!(
            "`{}` is missing: run `scripts/bench`, which builds the programs that are measured",
            missing.path.display()
        ))),
    }
}

/// Starts a program as Lambda does, has it answer once, and ends it.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn start(path: &Path, environment: &BTreeMap<String, String>) -> io::Result<Start> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let began = Instant::now();
    let child = spawn(path, environment, listener.local_addr()?)?;
    let answered = tokio::time::timeout(PATIENCE, first_answer(&listener)).await;
    let first_answer = began.elapsed();
    answered.map_err(|_| io::Error::other(format!("`{}` does not answer", path.display())))??;
    Ok(Start {
        first_answer,
        peak_kibibytes: peak_kibibytes(&child),
    })
}

fn spawn(path: &Path, environment: &BTreeMap<String, String>, runtime_api: SocketAddr) -> io::Result<Child> {
    let mut command = Command::new(path);
    command
        .env_clear()
        .envs(environment)
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "measured")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "measured")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "measured")
        .env("AWS_REGION", Settings::default().region)
        .env("AWS_ACCESS_KEY_ID", "AKIAMEASURED")
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .envs(Path::new(ROOTS).is_file().then_some(("SSL_CERT_FILE", ROOTS)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn()
}

/// Serves the Runtime API until the first invocation is answered.
async fn first_answer(listener: &TcpListener) -> io::Result<()> {
    // What every function answers without asking anybody: that it knows no such action.
    let event = json!({"action": "measure"}).to_string();
    loop {
        let (stream, _) = listener.accept().await?;
        let mut stream = BufStream::new(stream);
        while let Some(path) = request(&mut stream).await? {
            if path.ends_with("/invocation/r-1/response") || path.ends_with("/invocation/r-1/error") {
                return Ok(());
            }
            if !path.ends_with("/invocation/next") {
                return Err(io::Error::other(format!("it does not run: it asked for `{path}`")));
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: r-1\r\nlambda-runtime-deadline-ms: 4102444800000\r\n\
                 lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:measured\r\ncontent-length: {}\r\n\r\n",
                event.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(event.as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

/// The path of the next request of a connection, whose body is read too.
async fn request(stream: &mut BufStream<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(path))
}

/// The most memory that a process has had at once; none where the system does not say.
fn peak_kibibytes(child: &Child) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()?)).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The size of a file in a zip, in bytes.
fn deflated(path: &Path) -> io::Result<f64> {
    let mut encoder = DeflateEncoder::new(Counter(0), Compression::best());
    io::copy(&mut std::fs::File::open(path)?, &mut encoder)?;
    let Counter(bytes) = encoder.finish()?;
    Ok(u32::try_from(bytes).map_or(f64::NAN, f64::from))
}

/// Counts what is written.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
