//! The HTTP endpoints of simulated services. They are no service of AWS: a request to a host that is none of AWS comes
//! here as a call, so that it is written down, takes its time and meets faults as every call does.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, RequestId, Service, TimerId};

use super::{Input, ecr};

/// The name of the service in the records of calls and in faults.
pub(crate) const NAME: &str = "site";
/// The code of the error for a host name that leads nowhere: the client sees that it cannot be resolved.
pub(crate) const UNKNOWN_HOST: &str = "UnknownHost";

/// HTTP methods: operations of this service.
const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "DELETE"];

/// What an Application Load Balancer answers when a target group has no target:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html>.
const NO_TARGET: &str = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
    <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n";

/// The sites of `kernel.sites`. The input of a call is `{"host": …, "path": …}`, its output `{"status": …, "headers":
/// {…}, "body": …}`.
#[derive(Debug, Default)]
pub struct Sites {
    /// Answers of containers that take their time.
    delayed: BTreeMap<TimerId, (RequestId, Value)>,
}

impl Sites {
    fn answer(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        let method = request.operation.as_str();
        if !METHODS.contains(&method) {
            return Reply::Now(Err(ApiError::unknown_operation(NAME, method, &METHODS)));
        }
        let input = Input(&request.input);
        let (host, path) = (
            input.text("host").unwrap_or_default(),
            input.text("path").unwrap_or_default(),
        );
        if ecr::is_bucket(host) || kernel.endpoint_url.is_some() && ecr::is_blob(path) {
            return Reply::Now(blob(path, kernel));
        }
        let Some(site) = kernel.sites.hosts.get(host).cloned() else {
            let message = format!("failed to lookup address information of `{host}`: Name or service not known");
            return Reply::Now(Err(ApiError::client(UNKNOWN_HOST, message)));
        };
        let now = kernel.now();
        let Some(server) = kernel.sites.next_server(&site) else {
            let headers = json!({"server": "awselb/2.0", "content-type": "text/html"});
            return Reply::Now(Ok(json!({"status": 503, "headers": headers, "body": NO_TARGET})));
        };
        let age = now.duration_since(server.started_at);
        let Some(page) = server.activity.page(path, age) else {
            return Reply::Now(Ok(json!({"status": 404, "headers": {}, "body": ""})));
        };
        let body = if method == "HEAD" { "" } else { page.body.as_str() };
        let answer = json!({"status": page.status, "headers": page.headers, "body": body});
        let delay = SignedDuration::from_secs(page.delay_seconds.into());
        if delay.is_zero() {
            return Reply::Now(Ok(answer));
        }
        let timer = kernel.wake_after(delay, NAME);
        self.delayed.insert(timer, (request.id, answer));
        Reply::Later
    }
}

/// What the bucket answers in which the registry stores what was pushed.
fn blob(path: &str, kernel: &Kernel) -> Result<Value, ApiError> {
    let Some(blob) = ecr::stored(path, kernel) else {
        return Ok(json!({"status": 404, "headers": {}, "body": ""}));
    };
    let text = std::str::from_utf8(blob)
        .map_err(|_| ApiError::unsupported("a blob that is no text, over the client of a function"))?;
    Ok(json!({"status": 200, "headers": {"content-type": "application/octet-stream"}, "body": text}))
}

impl Service for Sites {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Everybody may ask.
    fn authorizations(&self, _: &Request, _: &Kernel) -> Vec<Authorization> {
        Vec::new()
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        self.answer(request, kernel)
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        if let Some((request, answer)) = self.delayed.remove(&timer) {
            kernel.answer(request, Ok(answer));
        }
    }
}
