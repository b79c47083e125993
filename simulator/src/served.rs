//! The world behind a loopback endpoint: the AWS CLI, boto3 and any SDK can talk to it, and functions can be programs
//! of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator_kernel::ApiError;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::mailbox::{Arrival, Mailbox};
use crate::processes::{Processes, Programs};
use crate::protocol::{self, LARGEST_PLAIN_BYTES};
use crate::registry;
use crate::sdk;
use crate::services::ecr;
use crate::world::World;

/// The longest wait for something to arrive before the pace is looked at again.
const PATIENCE: Duration = Duration::from_millis(50);

/// The longest body that the registry takes, which is kept in memory as a whole: clients send a layer at once.
const LARGEST_BLOB_BYTES: u32 = 1 << 30;

/// How simulated time passes while nobody works. While a function's process works, it passes as fast as real time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Time jumps to the next timer.
    Jump,
    /// This many simulated seconds in one real second.
    Factor(f64),
    /// Time stands still but for the travel of answers.
    Hold,
}

/// Why a world cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The world could not be built.
    #[error("the world cannot be built: {0}")]
    World(String),
    /// No port, no thread or no runtime.
    #[error("the endpoint cannot be opened: {0}")]
    Endpoint(#[from] std::io::Error),
}

/// A served world. Dropping it ends the endpoint, the world and its processes.
pub struct Server {
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
    processes: Arc<Processes>,
    control: Arc<Control>,
    world: Option<thread::JoinHandle<()>>,
    runtime: Runtime,
}

struct Control {
    stop: AtomicBool,
    pace: Mutex<Pace>,
}

impl Control {
    fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("address", &self.address)
            .field("pace", &self.control.pace())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Builds a world on a thread of its own and opens an endpoint on the loopback interface, on a port that the system
    /// chooses.
    ///
    /// # Errors
    ///
    /// When the world cannot be built or the endpoint cannot be opened.
    pub fn start<E, B>(pace: Pace, build: B) -> Result<Self, ServeError>
    where
        E: fmt::Display,
        B: FnOnce() -> Result<World, E> + Send + 'static,
    {
        Self::start_at(0, pace, build)
    }

    /// The same on a port of the caller's choice; on 0, as the system chooses.
    ///
    /// # Errors
    ///
    /// When the world cannot be built or the endpoint cannot be opened.
    pub fn start_at<E, B>(port: u16, pace: Pace, build: B) -> Result<Self, ServeError>
    where
        E: fmt::Display,
        B: FnOnce() -> Result<World, E> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", port)))?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control {
            stop: AtomicBool::new(false),
            pace: Mutex::new(pace),
        });
        let (built, ready) = mpsc::channel();
        let of_thread = Arc::clone(&control);
        let world = thread::Builder::new()
            .name("world".to_owned())
            .spawn(move || match build() {
                Ok(mut world) => {
                    if built.send(Ok(Arc::clone(world.mailbox()))).is_ok() {
                        run(&mut world, &of_thread);
                    }
                }
                Err(error) => {
                    // The receiver waits for exactly this message.
                    let _gone = built.send(Err(error.to_string()));
                }
            })?;
        let mailbox = ready
            .recv()
            .unwrap_or_else(|_| Err("its thread ended".to_owned()))
            .map_err(ServeError::World)?;
        mailbox.put(Arrival::Errand(Box::new(move |world| {
            world.kernel_mut().endpoint_url = Some(format!("http://{address}"));
        })));
        let processes = Processes::new(Arc::clone(&mailbox));
        let of_endpoint = Arc::clone(&mailbox);
        runtime.spawn(accept(listener, move |request| {
            answer(Arc::clone(&of_endpoint), request)
        }));
        Ok(Self {
            address,
            mailbox,
            processes,
            control,
            world: Some(world),
            runtime,
        })
    }

    /// For `--endpoint-url` and `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how time passes.
    pub fn set_pace(&self, pace: Pace) {
        *self.control.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
    }

    /// Lets functions without in-process code be run as these programs, by function name: a process is started when
    /// there is work for it, stays for more, and is replaced when it has died.
    pub fn run_programs(&self, programs: BTreeMap<String, PathBuf>) {
        let (processes, endpoint, runtime) = (Arc::clone(&self.processes), self.address, self.runtime.handle().clone());
        self.mailbox.put(Arrival::Errand(Box::new(move |world| {
            let region = world.kernel().region().to_owned();
            world.set_process_host(Box::new(Programs {
                processes,
                programs,
                endpoint,
                region,
                runtime,
                next: 0,
            }));
        })));
    }

    /// Does something on the world's thread and waits for its result. `None` when the world has ended.
    pub fn with_world<T, F>(&self, errand: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut World) -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        self.mailbox.put(Arrival::Errand(Box::new(move |world| {
            // Whoever asked may have gone.
            let _gone = done.send(errand(world));
        })));
        self.runtime.block_on(result).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Relaxed);
        if let Some(world) = self.world.take() {
            // A world that panicked has said so on its own thread.
            let _panicked = world.join();
        }
        self.processes.clear();
    }
}

/// The life of the world's thread.
#[expect(clippy::disallowed_methods, reason = "the pace relates simulated time to real time")]
fn run(world: &mut World, control: &Control) {
    let mut last = Instant::now();
    while !control.stop.load(Ordering::Relaxed) {
        let passed = last.elapsed();
        last = Instant::now();
        while world.step_now() {}
        let pace = match control.pace() {
            _ if world.holds_the_clock() => Pace::Factor(1.0),
            pace => pace,
        };
        match pace {
            Pace::Jump => {
                if !world.step_time(Timestamp::MAX) {
                    world.mailbox().wait(PATIENCE);
                }
            }
            Pace::Hold => {
                if !(world.is_busy() && world.step_time(Timestamp::MAX)) {
                    world.mailbox().wait(PATIENCE);
                }
            }
            Pace::Factor(factor) => {
                let simulated =
                    SignedDuration::try_from(passed.mul_f64(factor.clamp(0.0, 1e6))).unwrap_or(SignedDuration::ZERO);
                pass(world, simulated);
                let patience = until_next(world, factor);
                world.mailbox().wait(patience);
            }
        }
    }
}

/// Lets time pass with everything that happens in it.
fn pass(world: &mut World, duration: SignedDuration) {
    let end = world.now().saturating_add(duration).unwrap_or(Timestamp::MAX);
    while world.step_now() || world.step_time(end) {}
    world.move_clock(end);
}

/// The real time until the next timer rings at this pace.
fn until_next(world: &mut World, factor: f64) -> Duration {
    let now = world.now();
    let simulated = world.next_due().map_or(PATIENCE, |due| {
        Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO)
    });
    if factor <= 0.0 {
        return PATIENCE;
    }
    Duration::try_from_secs_f64(simulated.as_secs_f64() / factor)
        .unwrap_or(PATIENCE)
        .clamp(Duration::from_millis(1), PATIENCE)
}

/// Serves every connection of a listener. A request whose answer is an error has its connection closed.
pub(crate) async fn accept<F, A, E>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(answer.clone());
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

/// Answers one request. An error closes the connection: the client sees it reset.
async fn answer(mailbox: Arc<Mailbox>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, ApiError> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let is_registry = registry::is_registry(parts.uri.path(), header("authorization"));
    let limit = if is_registry {
        LARGEST_BLOB_BYTES
    } else {
        LARGEST_PLAIN_BYTES
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => Some(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => None,
        Err(error) => return Err(ApiError::client("RequestAborted", error.to_string())),
    };
    let answer = match body {
        Some(body) if sdk::api_path(parts.uri.path()).is_some() => {
            let headers = parts.headers.iter();
            let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
            let body = String::from_utf8_lossy(&body);
            return page(sdk::submit_to_api(&mailbox, parts.method.as_str(), &parts.uri, headers, &body).await);
        }
        Some(_) if ecr::is_blob(parts.uri.path()) => {
            return page(sdk::submit_to_bucket(&mailbox, parts.method.as_str(), parts.uri.path()).await);
        }
        Some(body) if is_registry => registry::serve(&mailbox, &parts.method, &parts.uri, &parts.headers, body).await,
        None if is_registry => Some(registry::too_large(limit)),
        Some(body) => {
            let call = protocol::parse(parts.method.as_str(), &parts.uri, header, &body);
            sdk::submit(&mailbox, call, None).await
        }
        None => sdk::submit(&mailbox, Err(too_large(limit)), None).await,
    };
    let answer = answer.ok_or_else(|| ApiError::server("ConnectionReset", "the connection is reset"))?;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response
        .body(Full::new(Bytes::from(answer.body)))
        .map_err(|error| ApiError::server("InternalFailure", error.to_string()))
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("the body of a request is at most {limit} bytes long");
    ApiError {
        status: 413,
        ..ApiError::client("RequestEntityTooLargeException", message)
    }
}

/// The answer that a page is; none is a connection that is reset.
fn page(page: Option<Value>) -> Result<Response<Full<Bytes>>, ApiError> {
    let page = page.ok_or_else(|| ApiError::server("ConnectionReset", "the connection is reset"))?;
    let status = page.get("status").and_then(Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(502);
    let mut response = Response::builder().status(status);
    for (name, value) in page.get("headers").and_then(Value::as_object).into_iter().flatten() {
        response = response.header(name, value.as_str().unwrap_or_default());
    }
    let text = page.get("body").and_then(Value::as_str).unwrap_or_default().to_owned();
    response
        .body(Full::new(Bytes::from(text)))
        .map_err(|error| ApiError::server("InternalFailure", error.to_string()))
}
