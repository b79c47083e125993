//! Amazon Simple Queue Service: standard queues.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use simulator_kernel::{ApiError, Authorization, Kernel, Reply, Request, RequestId, Service, TimerId};
use simulator_template::Template;

use super::{Input, made};

const OPERATIONS: [&str; 13] = [
    "CreateQueue",
    "DeleteQueue",
    "GetQueueUrl",
    "ListQueues",
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "PurgeQueue",
    "GetQueueAttributes",
    "SetQueueAttributes",
];

/// The attributes that change how a queue behaves here, or nothing that can be seen.
const ATTRIBUTES: [&str; 8] = [
    "DelaySeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    POLICY,
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

/// The attribute that says who else may do something with a queue.
const POLICY: &str = "Policy";

/// The most entries of a batch.
const LARGEST_BATCH: usize = 10;

/// The most seconds for which a message is out of sight: twelve hours.
const LONGEST_VISIBILITY_TIMEOUT: i64 = 43_200;

/// One message of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The message id.
    pub id: String,
    /// The body as it was sent.
    pub body: String,
    /// `MessageAttributes` as they were sent.
    pub attributes: Value,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// From when on a consumer can receive it.
    pub visible_at: Timestamp,
    /// How often it was received.
    pub receives: u32,
    receipt: Option<String>,
}

#[derive(Debug, Default)]
struct Queue {
    attributes: BTreeMap<String, String>,
    messages: VecDeque<Message>,
}

/// A `ReceiveMessage` that waits for a message.
#[derive(Debug)]
struct LongPoll {
    request: RequestId,
    queue: String,
    input: Value,
}

/// The service `sqs`.
#[derive(Debug, Default)]
pub struct Sqs {
    queues: BTreeMap<String, Queue>,
    polls: BTreeMap<TimerId, LongPoll>,
    /// The policies of queues that came over the API, as a template says them.
    template: Template,
}

impl Sqs {
    /// Creates a queue, as the template and tests do.
    pub fn create(&mut self, name: &str, attributes: BTreeMap<String, String>) {
        self.queues
            .entry(name.to_owned())
            .or_default()
            .attributes
            .extend(attributes);
    }

    /// The messages that are in a queue, received or not.
    #[must_use]
    pub fn messages(&self, name: &str) -> Vec<&Message> {
        self.queues
            .get(name)
            .map(|queue| queue.messages.iter().collect())
            .unwrap_or_default()
    }

    /// The URL by which clients name a queue.
    #[must_use]
    pub fn url(name: &str, kernel: &Kernel) -> String {
        format!(
            "https://sqs.{}.amazonaws.com/{}/{name}",
            kernel.region(),
            kernel.account()
        )
    }

    fn queue<'i>(&mut self, input: Input<'i>) -> Result<(&'i str, &mut Queue), ApiError> {
        let name = queue_name(input.required("QueueUrl")?);
        self.queues
            .get_mut(name)
            .map(|queue| (name, queue))
            .ok_or_else(no_queue)
    }

    /// The policies that came over the API.
    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// Sets attributes of a queue, if its policy is understood.
    fn set(&mut self, name: &str, attributes: BTreeMap<String, String>, kernel: &Kernel) -> Result<(), ApiError> {
        if attributes.contains_key(POLICY) {
            self.template = self.policies(Some((name, &attributes)), kernel)?;
        }
        self.create(name, attributes);
        Ok(())
    }

    /// The policies of all queues, one of them with other attributes.
    fn policies(
        &self,
        changed: Option<(&str, &BTreeMap<String, String>)>,
        kernel: &Kernel,
    ) -> Result<Template, ApiError> {
        let refused = |error: &dyn std::fmt::Display| {
            ApiError::client(
                "InvalidAttributeValue",
                format!("Invalid value for the parameter Policy: {error}"),
            )
        };
        let others = self
            .queues
            .iter()
            .map(|(name, queue)| (name.as_str(), &queue.attributes));
        let others = others.filter(|(name, _)| changed.is_none_or(|(other, _)| other != *name));
        let policies = others
            .chain(changed)
            .filter_map(|(name, attributes)| Some((name, attributes.get(POLICY)?)));
        let mut resources = Map::new();
        for (name, policy) in policies.filter(|(_, policy)| !policy.is_empty()) {
            let document: Value = serde_json::from_str(policy).map_err(|error| refused(&error))?;
            let properties = json!({"Queues": [Self::url(name, kernel)], "PolicyDocument": document});
            let resource = json!({"Type": "AWS::SQS::QueuePolicy", "Properties": properties});
            resources.insert(format!("Policy{}", resources.len()), resource);
        }
        made::template(&resources, kernel).map_err(|error| refused(&error))
    }

    fn create_queue(&mut self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let name = input.required("QueueName")?;
        if name.ends_with(".fifo") {
            return Err(ApiError::unsupported("FIFO queues of `sqs`"));
        }
        let attributes = attributes(input)?;
        match self.queues.get(name) {
            Some(queue) => queue.check_same(&attributes)?,
            None => self.set(name, attributes, kernel)?,
        }
        Ok(json!({"QueueUrl": Self::url(name, kernel)}))
    }

    fn delete_queue(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let (name, _) = self.queue(input)?;
        self.queues.remove(name);
        self.template = self.policies(None, kernel)?;
        self.feed_polls(kernel);
        Ok(json!({}))
    }

    /// One entry of a batch after the other: those that fail do so alone.
    fn batch(
        &mut self,
        operation: &str,
        input: Input<'_>,
        kernel: &mut Kernel,
        one: fn(&mut Self, Input<'_>, &mut Kernel) -> Result<Value, ApiError>,
    ) -> Result<Value, ApiError> {
        self.queue(input)?;
        let url = input.required("QueueUrl")?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (id, entry) in entries(operation, input)? {
            let mut entry = entry.clone();
            if let Some(members) = entry.as_object_mut() {
                members.insert("QueueUrl".to_owned(), url.into());
            }
            match one(self, Input(&entry), kernel) {
                Ok(mut done) => {
                    if let Some(members) = done.as_object_mut() {
                        members.insert("Id".to_owned(), id.into());
                    }
                    successful.push(done);
                }
                Err(error) => failed.push(json!({
                    "Id": id, "SenderFault": error.status < 500, "Code": error.code, "Message": error.message,
                })),
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    fn change_visibility(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let receipt = input.required("ReceiptHandle")?;
        let seconds = visibility_timeout(input)?;
        let (_, queue) = self.queue(input)?;
        let message = queue
            .messages
            .iter_mut()
            .find(|message| message.receipt.as_deref() == Some(receipt));
        let message = message.ok_or_else(|| {
            ApiError::client(
                "ReceiptHandleIsInvalid",
                format!("The input receipt handle \"{receipt}\" is not valid."),
            )
        })?;
        let until = kernel.now().saturating_add(SignedDuration::from_secs(seconds));
        message.visible_at = until.unwrap_or(Timestamp::MAX);
        self.feed_polls(kernel);
        Ok(json!({}))
    }

    fn send(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Result<Value, ApiError> {
        let body = input.required("MessageBody")?.to_owned();
        let id = kernel.uuid();
        let (_, queue) = self.queue(input)?;
        let delay = input
            .number("DelaySeconds")
            .unwrap_or_else(|| queue.attribute("DelaySeconds", 0));
        let now = kernel.now();
        queue.messages.push_back(Message {
            id: id.clone(),
            body,
            attributes: input.0.get("MessageAttributes").cloned().unwrap_or_else(|| json!({})),
            sent_at: now,
            visible_at: now
                .saturating_add(SignedDuration::from_secs(delay))
                .unwrap_or(Timestamp::MAX),
            receives: 0,
            receipt: None,
        });
        self.feed_polls(kernel);
        Ok(json!({"MessageId": id}))
    }

    /// Answers waiting receivers that can have a message now, and those whose queue is gone.
    fn feed_polls(&mut self, kernel: &mut Kernel) {
        for (timer, poll) in std::mem::take(&mut self.polls) {
            let Some(queue) = self.queues.get_mut(&poll.queue) else {
                kernel.answer(poll.request, Err(no_queue()));
                continue;
            };
            let messages = queue.receive(Input(&poll.input), kernel);
            if messages.is_empty() {
                self.polls.insert(timer, poll);
            } else {
                kernel.answer(poll.request, Ok(json!({"Messages": messages})));
            }
        }
    }

    fn receive(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Reply, ApiError> {
        let input = Input(&request.input);
        let (name, queue) = self.queue(input)?;
        let messages = queue.receive(input, kernel);
        let wait = input
            .number("WaitTimeSeconds")
            .unwrap_or_else(|| queue.attribute("ReceiveMessageWaitTimeSeconds", 0));
        if messages.is_empty() && wait > 0 {
            let poll = LongPoll {
                request: request.id,
                queue: name.to_owned(),
                input: request.input.clone(),
            };
            self.polls
                .insert(kernel.wake_after(SignedDuration::from_secs(wait), "sqs"), poll);
            return Ok(Reply::Later);
        }
        Ok(Reply::Now(Ok(json!({"Messages": messages}))))
    }

    fn delete(&mut self, input: Input<'_>, _: &mut Kernel) -> Result<Value, ApiError> {
        let receipt = input.required("ReceiptHandle")?;
        let (_, queue) = self.queue(input)?;
        queue
            .messages
            .retain(|message| message.receipt.as_deref() != Some(receipt));
        Ok(json!({}))
    }

    fn attributes(&mut self, input: Input<'_>, kernel: &Kernel) -> Result<Value, ApiError> {
        let now = kernel.now();
        let (name, queue) = self.queue(input)?;
        let count = |wanted: &dyn Fn(&Message) -> bool| {
            queue
                .messages
                .iter()
                .filter(|message| wanted(message))
                .count()
                .to_string()
        };
        let mut attributes = queue.attributes.clone();
        attributes.insert("QueueArn".to_owned(), kernel.arn("sqs", name));
        attributes.insert(
            "ApproximateNumberOfMessages".to_owned(),
            count(&|message| message.visible_at <= now),
        );
        attributes.insert(
            "ApproximateNumberOfMessagesNotVisible".to_owned(),
            count(&|message| message.visible_at > now && message.receives > 0),
        );
        attributes.insert(
            "ApproximateNumberOfMessagesDelayed".to_owned(),
            count(&|message| message.visible_at > now && message.receives == 0),
        );
        let wanted: Vec<&str> = input.list("AttributeNames").iter().filter_map(Value::as_str).collect();
        attributes.retain(|name, _| wanted.contains(&"All") || wanted.contains(&name.as_str()));
        Ok(json!({"Attributes": attributes}))
    }

    fn operate(&mut self, request: &Request, kernel: &mut Kernel) -> Result<Reply, ApiError> {
        let input = Input(&request.input);
        let output = match request.operation.as_str() {
            "CreateQueue" => self.create_queue(input, kernel),
            "GetQueueUrl" => {
                let name = input.required("QueueName")?;
                self.queues
                    .get(name)
                    .ok_or_else(no_queue)
                    .map(|_| json!({"QueueUrl": Self::url(name, kernel)}))
            }
            "ListQueues" => {
                let prefix = input.text("QueueNamePrefix").unwrap_or_default();
                let names = self.queues.keys().filter(|name| name.starts_with(prefix));
                Ok(json!({"QueueUrls": names.map(|name| Self::url(name, kernel)).collect::<Vec<_>>()}))
            }
            "SendMessage" => self.send(input, kernel),
            "ReceiveMessage" => return self.receive(request, kernel),
            "SendMessageBatch" => self.batch(&request.operation, input, kernel, Self::send),
            "DeleteMessage" => self.delete(input, kernel),
            "DeleteMessageBatch" => self.batch(&request.operation, input, kernel, Self::delete),
            "ChangeMessageVisibility" => self.change_visibility(input, kernel),
            "DeleteQueue" => self.delete_queue(input, kernel),
            "SetQueueAttributes" => {
                let (name, _) = self.queue(input)?;
                self.set(name, attributes(input)?, kernel).map(|()| json!({}))
            }
            "PurgeQueue" => self.queue(input).map(|(_, queue)| {
                queue.messages.clear();
                json!({})
            }),
            "GetQueueAttributes" => self.attributes(input, kernel),
            other => Err(ApiError::unknown_operation("sqs", other, &OPERATIONS)),
        };
        Ok(Reply::Now(Ok(output?)))
    }
}

impl Queue {
    fn attribute(&self, name: &str, default: i64) -> i64 {
        self.attributes
            .get(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    }

    /// Refuses attributes that this queue has otherwise: "only if the request includes attributes whose values differ
    /// from those of the existing queue".
    fn check_same(&self, attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
        let differs = |(name, value): &(&String, &String)| {
            let own = self.attributes.get(*name).map(String::as_str);
            own.unwrap_or_else(|| default_of(name)) != value.as_str()
        };
        match attributes.iter().find(differs) {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::client(
                "QueueNameExists",
                format!("A queue already exists with the same name and a different value for attribute {name}"),
            )),
        }
    }

    /// Takes the oldest visible messages out of sight.
    fn receive(&mut self, input: Input<'_>, kernel: &mut Kernel) -> Vec<Value> {
        let now = kernel.now();
        let timeout = input
            .number("VisibilityTimeout")
            .unwrap_or_else(|| self.attribute("VisibilityTimeout", 30));
        let hidden_until = now
            .saturating_add(SignedDuration::from_secs(timeout))
            .unwrap_or(Timestamp::MAX);
        let limit = input.count("MaxNumberOfMessages").unwrap_or(1);
        let visible = self
            .messages
            .iter_mut()
            .filter(|message| message.visible_at <= now)
            .take(limit);
        visible
            .map(|message| {
                let receipt = kernel.uuid();
                message.visible_at = hidden_until;
                message.receives = message.receives.saturating_add(1);
                message.receipt = Some(receipt.clone());
                json!({
                    "MessageId": message.id,
                    "ReceiptHandle": receipt,
                    "Body": message.body,
                    "MessageAttributes": message.attributes,
                    "Attributes": {
                        "SentTimestamp": message.sent_at.as_millisecond().to_string(),
                        "ApproximateReceiveCount": message.receives.to_string(),
                    },
                })
            })
            .collect()
    }
}

impl Service for Sqs {
    fn name(&self) -> &'static str {
        "sqs"
    }

    fn authorizations(&self, request: &Request, kernel: &Kernel) -> Vec<Authorization> {
        let operation = request.operation.as_str();
        if !OPERATIONS.contains(&operation) {
            return Vec::new();
        }
        let input = Input(&request.input);
        let name = input
            .text("QueueName")
            .or_else(|| input.text("QueueUrl").map(queue_name))
            .unwrap_or("*");
        vec![Authorization::new(format!("sqs:{operation}"), kernel.arn("sqs", name))]
    }

    fn call(&mut self, request: &Request, kernel: &mut Kernel) -> Reply {
        self.operate(request, kernel)
            .unwrap_or_else(|error| Reply::Now(Err(error)))
    }

    fn wake(&mut self, timer: TimerId, kernel: &mut Kernel) {
        if let Some(poll) = self.polls.remove(&timer) {
            let messages = match self.queues.get_mut(&poll.queue) {
                Some(queue) => Ok(queue.receive(Input(&poll.input), kernel)),
                None => Err(no_queue()),
            };
            kernel.answer(poll.request, messages.map(|messages| json!({"Messages": messages})));
        }
    }
}

/// The attributes of an input.
fn attributes(input: Input<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let attributes = input.object("Attributes").into_iter().flatten();
    attributes
        .map(|(name, value)| {
            if !ATTRIBUTES.contains(&name.as_str()) {
                return Err(ApiError::unsupported(format_args!(
                    "the attribute `{name}` of queues; there are `{}`",
                    ATTRIBUTES.join("`, `")
                )));
            }
            let value = value.as_str().ok_or_else(|| {
                ApiError::client(
                    "InvalidAttributeValue",
                    format!("Invalid value for the parameter {name}."),
                )
            })?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

/// What an attribute is of a queue that was made without it.
fn default_of(attribute: &str) -> &'static str {
    match attribute {
        "DelaySeconds" | "ReceiveMessageWaitTimeSeconds" => "0",
        "MaximumMessageSize" => "1048576",
        "MessageRetentionPeriod" => "345600",
        "SqsManagedSseEnabled" => "true",
        "VisibilityTimeout" => "30",
        _ => "",
    }
}

/// The entries of a batch by their ids: one to ten, each with an id of its own.
fn entries<'i>(operation: &str, input: Input<'i>) -> Result<Vec<(&'i str, &'i Value)>, ApiError> {
    let entries = input.list("Entries");
    if entries.is_empty() {
        let message = format!("There should be at least one {operation}RequestEntry in the request.");
        return Err(ApiError::client("EmptyBatchRequest", message));
    }
    if entries.len() > LARGEST_BATCH {
        let message = format!(
            "Maximum number of entries per request are {LARGEST_BATCH}. You have sent {}.",
            entries.len()
        );
        return Err(ApiError::client("TooManyEntriesInBatchRequest", message));
    }
    let mut ids = BTreeSet::new();
    let with_id = entries.iter().map(|entry| {
        let id = Input(entry).required("Id")?;
        if ids.insert(id) {
            Ok((id, entry))
        } else {
            let message = format!("Id {id} repeated.");
            Err(ApiError::client("BatchEntryIdsNotDistinct", message))
        }
    });
    with_id.collect()
}

/// For how long a message shall not be seen.
fn visibility_timeout(input: Input<'_>) -> Result<i64, ApiError> {
    let given = input.0.get("VisibilityTimeout").filter(|given| !given.is_null());
    let given = given.ok_or_else(|| {
        ApiError::client(
            "MissingParameter",
            "The request must contain the parameter VisibilityTimeout.",
        )
    })?;
    let seconds = given
        .as_i64()
        .filter(|seconds| (0..=LONGEST_VISIBILITY_TIMEOUT).contains(seconds));
    seconds.ok_or_else(|| {
        let message = format!(
            "Value {given} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and {LONGEST_VISIBILITY_TIMEOUT}."
        );
        ApiError::client("InvalidParameterValue", message)
    })
}

/// The name at the end of a queue's URL or ARN: services name a queue by its ARN.
fn queue_name(reference: &str) -> &str {
    reference.rsplit(['/', ':']).next().unwrap_or(reference)
}

fn no_queue() -> ApiError {
    ApiError::client("QueueDoesNotExist", "The specified queue does not exist.")
}
