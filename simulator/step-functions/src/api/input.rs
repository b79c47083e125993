//! Reads the members of a request and insists that all of them are implemented.

use serde_json::{Map, Value, json};
use simulator_kernel::ApiError;

/// The most items of one page, which is also how many there are when the request does not say.
const PAGE_SIZE: (usize, usize) = (100, 1000);

/// The members of one request.
pub(super) struct Input<'a> {
    operation: &'a str,
    members: &'a Map<String, Value>,
}

impl<'a> Input<'a> {
    pub(super) fn new(operation: &'a str, value: &'a Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(members) => Ok(Self { operation, members }),
            _ => Err(validation("the request must be a JSON object")),
        }
    }

    /// Refuses members that are not in the list.
    pub(super) fn only(&self, implemented: &[&str]) -> Result<(), ApiError> {
        match self
            .members
            .iter()
            .find(|(name, value)| !value.is_null() && !implemented.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::unsupported(format!(
                "parameter `{name}` of states:{}",
                self.operation
            ))),
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(validation(format!("`{name}` must be a string"))),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name)?
            .ok_or_else(|| validation(format!("`{name}` is missing")))
    }

    /// A text of at most so many characters.
    pub(super) fn limited(&self, name: &str, characters: usize) -> Result<Option<&'a str>, ApiError> {
        match self.text(name)? {
            Some(text) if text.chars().count() > characters => Err(validation(format!(
                "`{name}` must have at most {characters} characters"
            ))),
            text => Ok(text),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match value.as_bool() {
                Some(flag) => Ok(Some(flag)),
                None => Err(validation(format!("`{name}` must be true or false"))),
            },
        }
    }

    /// Cuts one page out of `items`: the answer with the page as its member `member`.
    pub(super) fn page(&self, member: &str, items: Vec<Value>) -> Result<Value, ApiError> {
        let (default, longest) = PAGE_SIZE;
        let size = match self.value("maxResults") {
            None => default,
            Some(value) => match value.as_u64().and_then(|size| usize::try_from(size).ok()) {
                Some(0) => default,
                Some(size) if size <= longest => size,
                _ => return Err(validation(format!("`maxResults` must be between 0 and {longest}"))),
            },
        };
        let from = match self.text("nextToken")? {
            None => 0,
            Some(token) => token
                .strip_prefix("page-")
                .and_then(|from| from.parse::<usize>().ok())
                .filter(|from| *from <= items.len())
                .ok_or_else(|| ApiError::client("InvalidToken", "the provided token is not valid"))?,
        };
        let to = from.saturating_add(size);
        let more = to < items.len();
        let page: Vec<Value> = items.into_iter().skip(from).take(size).collect();
        let mut answer = json!({member: page});
        if more && let Some(members) = answer.as_object_mut() {
            members.insert("nextToken".to_owned(), format!("page-{to}").into());
        }
        Ok(answer)
    }
}

pub(super) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}
