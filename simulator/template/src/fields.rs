//! Reading resolved maps to the last member: one that nobody asked for is an error.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

use crate::error::TemplateError;
use crate::node::{Kind, Member, Node};

/// A resolved value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    path: String,
    node: Node,
}

impl Item {
    pub(crate) fn new(path: impl Into<String>, node: Node) -> Self {
        Self {
            path: path.into(),
            node,
        }
    }

    pub(crate) fn line(&self) -> usize {
        self.node.line
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> TemplateError {
        TemplateError::new(self.node.line, &self.path, message)
    }

    fn wrong(&self, wanted: &str) -> TemplateError {
        self.error(format!("must be {wanted}, not {}", self.node.kind_name()))
    }

    pub(crate) fn text(&self) -> Result<String, TemplateError> {
        self.node.scalar().ok_or_else(|| self.wrong("a text"))
    }

    pub(crate) fn number<T: FromStr>(&self) -> Result<T, TemplateError> {
        let text = self.node.scalar().ok_or_else(|| self.wrong("a number"))?;
        text.parse()
            .map_err(|_| self.error(format!("must be a number within bounds, not `{text}`")))
    }

    pub(crate) fn flag(&self) -> Result<bool, TemplateError> {
        match self.node.scalar().as_deref() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    pub(crate) fn list(&self) -> Result<Vec<Item>, TemplateError> {
        match &self.node.kind {
            Kind::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, item)| Item::new(format!("{}.{index}", self.path), item.clone()))
                .collect()),
            _ => Err(self.wrong("a list")),
        }
    }

    /// A list of texts, or one text in place of a list of one.
    pub(crate) fn texts(&self) -> Result<Vec<String>, TemplateError> {
        if self.is_list() {
            self.list()?.iter().map(Self::text).collect()
        } else {
            Ok(vec![self.text()?])
        }
    }

    /// The members of a map whose names are free, such as environment variables.
    pub(crate) fn members(&self) -> Result<Vec<(String, Item)>, TemplateError> {
        match &self.node.kind {
            Kind::Map(members) => Ok(members
                .iter()
                .map(|member| {
                    (
                        member.name.clone(),
                        Item::new(format!("{}.{}", self.path, member.name), member.value.clone()),
                    )
                })
                .collect()),
            _ => Err(self.wrong("a map")),
        }
    }

    pub(crate) fn fields(self) -> Result<Fields, TemplateError> {
        match self.node.kind {
            Kind::Map(members) => Ok(Fields {
                line: self.node.line,
                path: self.path,
                members,
                known: Vec::new(),
            }),
            _ => Err(self.wrong("a map")),
        }
    }

    pub(crate) fn json(&self) -> Value {
        self.node.json()
    }

    /// A JSON document, written as a map or as a text.
    pub(crate) fn document(&self) -> Result<Value, TemplateError> {
        match self.node.as_text() {
            Some(text) => serde_json::from_str(text).map_err(|error| self.error(format!("is not JSON: {error}"))),
            None => Ok(self.json()),
        }
    }
}

/// A map whose names are known: every member must be asked for before [`Fields::finish`].
#[derive(Debug)]
pub(crate) struct Fields {
    line: usize,
    path: String,
    members: Vec<Member>,
    known: Vec<&'static str>,
}

impl Fields {
    pub(crate) fn error(&self, message: impl Into<String>) -> TemplateError {
        TemplateError::new(self.line, &self.path, message)
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn child(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Item> {
        self.known.push(name);
        let index = self.members.iter().position(|member| member.name == name)?;
        let member = self.members.remove(index);
        Some(Item::new(self.child(name), member.value))
    }

    pub(crate) fn required(&mut self, name: &'static str) -> Result<Item, TemplateError> {
        self.take(name)
            .ok_or_else(|| self.error(format!("`{name}` is missing")))
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<String, TemplateError> {
        self.required(name)?.text()
    }

    pub(crate) fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, TemplateError> {
        self.take(name).map(|item| item.text()).transpose()
    }

    pub(crate) fn optional_texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, TemplateError> {
        self.take(name).map(|item| item.texts()).transpose()
    }

    pub(crate) fn optional_number<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, TemplateError> {
        self.take(name).map(|item| item.number()).transpose()
    }

    pub(crate) fn optional_flag(&mut self, name: &'static str) -> Result<Option<bool>, TemplateError> {
        self.take(name).map(|item| item.flag()).transpose()
    }

    pub(crate) fn optional_fields(&mut self, name: &'static str) -> Result<Option<Fields>, TemplateError> {
        self.take(name).map(Item::fields).transpose()
    }

    /// The items of a list; none when it is absent.
    pub(crate) fn items(&mut self, name: &'static str) -> Result<Vec<Item>, TemplateError> {
        self.take(name).map_or(Ok(Vec::new()), |item| item.list())
    }

    /// Tags, as a list of `Key` and `Value` or as a map.
    pub(crate) fn tags(&mut self) -> Result<BTreeMap<String, String>, TemplateError> {
        let Some(item) = self.take("Tags") else {
            return Ok(BTreeMap::new());
        };
        if item.is_map() {
            return item
                .members()?
                .into_iter()
                .map(|(name, value)| Ok((name, value.text()?)))
                .collect();
        }
        let mut tags = BTreeMap::new();
        for tag in item.list()? {
            let mut tag = tag.fields()?;
            tags.insert(tag.text("Key")?, tag.text("Value")?);
            tag.finish()?;
        }
        Ok(tags)
    }

    /// Ends the reading: a member that is left over is not understood.
    pub(crate) fn finish(self) -> Result<(), TemplateError> {
        match self.members.first() {
            None => Ok(()),
            Some(member) => Err(TemplateError::new(
                member.line,
                self.child(&member.name),
                format!("is not understood here; what is: {}", self.known.join(", ")),
            )),
        }
    }
}
