//! Functions that are programs of their own, such as the binaries that are shipped: each process is driven through the
//! Lambda Runtime API. See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_kernel::Principal;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::identity::SECRET_ACCESS_KEY;
use crate::lambda::{FunctionError, InvocationId, Start};
use crate::mailbox::{Arrival, Mailbox};
use crate::served::accept;
use crate::world::ProcessHost;

/// One invocation as its process gets it.
#[derive(Debug, Clone)]
struct Job {
    invocation: InvocationId,
    request_id: String,
    arn: String,
    payload: Value,
    timeout: SignedDuration,
}

/// One process.
struct Instance {
    function: String,
    access_key_id: String,
    /// Present while the process waits for work.
    idle: Option<oneshot::Sender<Job>>,
    /// Work that the process has not asked for yet.
    queued: Option<Job>,
    /// What it works on, from the moment the work was given to it.
    current: Option<Job>,
    /// Dropped, the process is killed.
    _life: oneshot::Sender<()>,
}

/// The processes of all functions, shared with the tasks that serve their Runtime API.
pub(crate) struct Processes {
    mailbox: Arc<Mailbox>,
    instances: Mutex<BTreeMap<u64, Instance>>,
}

impl Processes {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Arc<Self> {
        Arc::new(Self {
            mailbox,
            instances: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Instance>> {
        // Whole after every statement.
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills every process.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Answers a request of a process to its Runtime API.
    async fn answer(&self, process: u64, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = || serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let segments: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let ["2018-06-01", "runtime", rest @ ..] = segments.as_slice() else {
            return Ok(status(StatusCode::NOT_FOUND));
        };
        Ok(match (&parts.method, rest) {
            (&Method::GET, ["invocation", "next"]) => match self.next_job(process).await {
                Some(job) => next_answer(&job),
                None => status(StatusCode::GONE),
            },
            (&Method::POST, ["invocation", request_id, "response"]) => self.end(process, Some(request_id), Ok(body())),
            (&Method::POST, ["invocation", request_id, "error"]) => {
                self.end(process, Some(request_id), Err(error(&body())))
            }
            (&Method::POST, ["init", "error"]) => self.end(process, None, Err(error(&body()))),
            _ => status(StatusCode::NOT_FOUND),
        })
    }

    async fn next_job(&self, process: u64) -> Option<Job> {
        let job = {
            let mut instances = self.lock();
            let instance = instances.get_mut(&process)?;
            match instance.queued.take() {
                Some(job) => return Some(job),
                None => {
                    let (sender, job) = oneshot::channel();
                    instance.idle = Some(sender);
                    job
                }
            }
        };
        job.await.ok()
    }

    fn end(
        &self,
        process: u64,
        request_id: Option<&str>,
        result: Result<Value, FunctionError>,
    ) -> Response<Full<Bytes>> {
        let job = self.lock().get_mut(&process).and_then(|instance| {
            instance
                .current
                .take_if(|job| request_id.is_none_or(|request_id| request_id == job.request_id))
        });
        match job {
            Some(job) => {
                self.mailbox.put(Arrival::Ended {
                    invocation: job.invocation,
                    result,
                });
                status(StatusCode::ACCEPTED)
            }
            None => status(StatusCode::BAD_REQUEST),
        }
    }

    /// Gives work to an idle process of the function; gives it back when there is none.
    fn give(&self, function: &str, principal: &Principal, job: Job) -> Option<Job> {
        let mut instances = self.lock();
        let Some(instance) = instances
            .values_mut()
            .find(|instance| instance.function == function && instance.current.is_none())
        else {
            return Some(job);
        };
        self.mailbox
            .register_key(&instance.access_key_id, principal.clone(), Some(job.invocation));
        instance.current = Some(job.clone());
        match instance.idle.take() {
            None => instance.queued = Some(job),
            Some(idle) => {
                if let Err(job) = idle.send(job) {
                    // The process gave up that request; it will ask again, or end.
                    instance.queued = Some(job);
                }
            }
        }
        None
    }

    /// A process has ended: what it worked on has failed.
    fn ended(&self, process: u64, why: &str) {
        let job = self.lock().remove(&process).and_then(|instance| instance.current);
        if let Some(job) = job {
            let message = format!("RequestId: {} Error: Runtime exited with error: {why}", job.request_id);
            let result = Err(FunctionError::new("Runtime.ExitError", message));
            self.mailbox.put(Arrival::Ended {
                invocation: job.invocation,
                result,
            });
        }
    }
}

/// Starts and kills the processes, on the world's thread.
pub(crate) struct Programs {
    pub(crate) processes: Arc<Processes>,
    pub(crate) programs: BTreeMap<String, PathBuf>,
    pub(crate) endpoint: SocketAddr,
    pub(crate) region: String,
    pub(crate) runtime: Handle,
    pub(crate) next: u64,
}

impl fmt::Debug for Programs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Programs")
            .field("programs", &self.programs)
            .finish_non_exhaustive()
    }
}

impl ProcessHost for Programs {
    fn start(&mut self, start: &Start) {
        let job = Job {
            invocation: start.id,
            request_id: start.request_id.clone(),
            arn: start.arn.clone(),
            payload: start.payload.clone(),
            timeout: start.timeout,
        };
        let principal = start.role.clone().map_or(Principal::Administrator, Principal::Role);
        let Some(job) = self.processes.give(&start.function, &principal, job) else {
            return;
        };
        if let Err(error) = self.spawn(start) {
            let result = Err(FunctionError::new("Runtime.InvalidEntrypoint", error));
            self.processes.mailbox.put(Arrival::Ended {
                invocation: start.id,
                result,
            });
        } else if self.processes.give(&start.function, &principal, job).is_some() {
            let result = Err(FunctionError::new(
                "Runtime.ExitError",
                "the process ended before its first invocation",
            ));
            self.processes.mailbox.put(Arrival::Ended {
                invocation: start.id,
                result,
            });
        }
    }

    fn kill(&mut self, invocation: InvocationId) {
        self.processes.lock().retain(|_, instance| {
            instance
                .current
                .as_ref()
                .is_none_or(|current| current.invocation != invocation)
        });
    }
}

impl Programs {
    fn spawn(&mut self, start: &Start) -> Result<(), String> {
        let program = self
            .programs
            .get(&start.function)
            .ok_or_else(|| format!("no program is known for the function `{}`", start.function))?;
        self.next += 1;
        let process = self.next;
        let access_key_id = format!("ASIAPROCESS{process:09}");
        // A port of its own: clients of the Runtime API take an address without a path.
        let listener = self.runtime.block_on(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.map_err(|error| format!("no port for the Runtime API: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&start.environment)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", &start.function)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", start.memory_mebibytes.to_string())
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", &start.log_group)
            .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("process/{process}"))
            .env("AWS_REGION", &self.region)
            .env("AWS_DEFAULT_REGION", &self.region)
            .env("AWS_ACCESS_KEY_ID", &access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.endpoint))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let _context = self.runtime.enter();
        let child = command
            .spawn()
            .map_err(|error| format!("`{}` cannot be started: {error}", program.display()))?;
        let (life, over) = oneshot::channel();
        self.processes.lock().insert(
            process,
            Instance {
                function: start.function.clone(),
                access_key_id,
                idle: None,
                queued: None,
                current: None,
                _life: life,
            },
        );
        let processes = Arc::clone(&self.processes);
        let runtime_api = self.runtime.spawn(accept(listener, move |request| {
            let processes = Arc::clone(&processes);
            async move { processes.answer(process, request).await }
        }));
        let attended = attend(
            child,
            over,
            process,
            start.function.clone(),
            Arc::clone(&self.processes),
        );
        self.runtime.spawn(async move {
            attended.await;
            runtime_api.abort();
        });
        Ok(())
    }
}

/// Reads what a process writes until it ends, or is to end.
async fn attend(
    mut child: Child,
    over: oneshot::Receiver<()>,
    process: u64,
    function: String,
    processes: Arc<Processes>,
) {
    for output in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)]
        .into_iter()
        .flatten()
    {
        let (mailbox, function) = (Arc::clone(&processes.mailbox), function.clone());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                mailbox.put(Arrival::Line {
                    function: function.clone(),
                    line,
                });
            }
        });
    }
    let why = tokio::select! {
        ended = child.wait() => ended.map_or_else(|error| error.to_string(), |status| status.to_string()),
        _ = over => {
            if let Err(error) = child.kill().await {
                tracing::debug!(%error, process, "a process could not be killed");
            }
            "signal: killed".to_owned()
        }
    };
    processes.ended(process, &why);
}

fn boxed(output: impl AsyncRead + Send + Unpin + 'static) -> Box<dyn AsyncRead + Send + Unpin> {
    Box::new(output)
}

/// The work in the shape of the Runtime API.
#[expect(
    clippy::disallowed_methods,
    reason = "the deadline is of real time: the process compares it with its own clock"
)]
fn next_answer(job: &Job) -> Response<Full<Bytes>> {
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + job.timeout.unsigned_abs();
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &job.request_id)
        .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", &job.arn)
        .header(
            "lambda-runtime-trace-id",
            "Root=1-00000000-000000000000000000000000;Sampled=0",
        )
        .body(Full::new(Bytes::from(job.payload.to_string())))
        .unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json!({"status": status.as_str()}).to_string())));
    *response.status_mut() = status;
    response
}

fn error(body: &Value) -> FunctionError {
    let text = |member: &str| body.get(member).and_then(Value::as_str).unwrap_or("Unknown");
    FunctionError::new(text("errorType"), text("errorMessage"))
}
