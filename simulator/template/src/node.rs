//! The template as a tree: YAML with its lines, and the intrinsic functions as nodes of their own.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

use crate::error::TemplateError;

/// One node of the template and the line it begins at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Flag(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
    /// An intrinsic function, whether written as a short tag or as `Fn::…`.
    Call(Function, Box<Node>),
    /// `!Ref AWS::NoValue`, after resolution: as if it was not written.
    Nothing,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) value: Node,
}

/// The intrinsic functions that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Ref,
    GetAtt,
    Sub,
    Join,
    Select,
    Split,
    FindInMap,
    If,
    Equals,
    And,
    Or,
    Not,
    Condition,
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Ref" => Self::Ref,
            "GetAtt" => Self::GetAtt,
            "Sub" => Self::Sub,
            "Join" => Self::Join,
            "Select" => Self::Select,
            "Split" => Self::Split,
            "FindInMap" => Self::FindInMap,
            "If" => Self::If,
            "Equals" => Self::Equals,
            "And" => Self::And,
            "Or" => Self::Or,
            "Not" => Self::Not,
            "Condition" => Self::Condition,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ref => "Ref",
            Self::GetAtt => "GetAtt",
            Self::Sub => "Sub",
            Self::Join => "Join",
            Self::Select => "Select",
            Self::Split => "Split",
            Self::FindInMap => "FindInMap",
            Self::If => "If",
            Self::Equals => "Equals",
            Self::And => "And",
            Self::Or => "Or",
            Self::Not => "Not",
            Self::Condition => "Condition",
        }
    }
}

impl Node {
    pub(crate) fn text(line: usize, text: impl Into<String>) -> Self {
        Self {
            line,
            kind: Kind::Text(text.into()),
        }
    }

    /// What stands under a name, where the node is a map.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.members()
            .iter()
            .find(|member| member.name == name)
            .map(|member| &member.value)
    }

    /// The members of a map; none for anything else.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Map(members) => members,
            _ => &[],
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node as a text, where `CloudFormation` takes it for one.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Number(number) => Some(number.to_string()),
            Kind::Flag(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// The resolved node as JSON.
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            Kind::Flag(flag) => Value::Bool(*flag),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::json).collect(),
            Kind::Map(members) => members
                .iter()
                .map(|member| (member.name.clone(), member.value.json()))
                .collect::<Map<_, _>>()
                .into(),
            Kind::Call(..) | Kind::Nothing => Value::Null,
        }
    }

    pub(crate) fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Flag(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Call(..) => "a function",
            Kind::Nothing => "nothing",
        }
    }
}

/// Reads the one document of a template.
pub(crate) fn read(text: &str) -> Result<Node, TemplateError> {
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        path: Vec::new(),
    };
    let root = loop {
        match builder.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (event, span) => break builder.node(event, span)?,
        }
    };
    match (builder.next()?, builder.next()?) {
        ((Event::DocumentEnd, _), (Event::StreamEnd, _)) => Ok(root),
        (_, (_, span)) => Err(builder.refuse(span, "a template is one YAML document")),
    }
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    path: Vec<String>,
}

impl<'a> Builder<'a> {
    fn refuse(&self, span: Span, message: impl Into<String>) -> TemplateError {
        TemplateError::new(span.start.line(), self.path.join("."), message)
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), TemplateError> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.malformed(&error)),
            None => Err(self.refuse(Span::default(), "the template is empty")),
        }
    }

    fn malformed(&self, error: &ScanError) -> TemplateError {
        TemplateError::new(
            error.marker().line(),
            self.path.join("."),
            format!("not YAML: {}", error.info()),
        )
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, TemplateError> {
        let line = span.start.line();
        let (kind, tag) = match event {
            Event::Scalar(text, style, _, tag) => (self.scalar(&text, style, tag.as_ref(), span)?, tag),
            Event::SequenceStart(_, tag) => (Kind::List(self.items()?), tag),
            Event::MappingStart(_, tag) => (Kind::Map(self.map()?), tag),
            Event::Alias(_) => return Err(self.refuse(span, "YAML aliases are not supported")),
            _ => return Err(self.refuse(span, "a template is one YAML document")),
        };
        let node = Node { line, kind };
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => {
                let function = self.function(&tag.suffix, &tag.to_string(), span)?;
                Ok(Node {
                    line,
                    kind: Kind::Call(function, Box::new(node)),
                })
            }
            _ => self.long_form(node, span),
        }
    }

    fn items(&mut self) -> Result<Vec<Node>, TemplateError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => {
                    self.path.push(items.len().to_string());
                    items.push(self.node(event, span)?);
                    self.path.pop();
                }
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Member>, TemplateError> {
        let mut members: Vec<Member> = Vec::new();
        loop {
            let (name, key) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(members),
                (Event::Scalar(name, ..), span) => (name.into_owned(), span),
                (_, span) => return Err(self.refuse(span, "a key must be a text")),
            };
            self.path.push(name.clone());
            if members.iter().any(|member| member.name == name) {
                return Err(self.refuse(key, "the key stands here twice"));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            self.path.pop();
            members.push(Member {
                name,
                line: key.start.line(),
                value,
            });
        }
    }

    /// `{"Fn::Sub": …}` and `{"Ref": …}` as the same node as `!Sub …` and `!Ref …`.
    fn long_form(&self, node: Node, span: Span) -> Result<Node, TemplateError> {
        let line = node.line;
        let function = match node.members() {
            [only] if only.name == "Ref" => Some(Function::Ref),
            [only] => match only.name.strip_prefix("Fn::") {
                Some(name) => Some(self.function(name, &only.name, span)?),
                None => None,
            },
            _ => None,
        };
        match (function, node.kind) {
            (Some(function), Kind::Map(members)) => Ok(members.into_iter().next().map_or(
                Node {
                    line,
                    kind: Kind::Nothing,
                },
                |member| Node {
                    line,
                    kind: Kind::Call(function, Box::new(member.value)),
                },
            )),
            (_, kind) => Ok(Node { line, kind }),
        }
    }

    fn function(&self, name: &str, written: &str, span: Span) -> Result<Function, TemplateError> {
        if name == "ImportValue" {
            return Err(self.refuse(span, "`ImportValue` needs another stack, and the simulator has one"));
        }
        Function::named(name).ok_or_else(|| self.refuse(span, format!("the function `{written}` is not supported")))
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Cow<'_, Tag>>,
        span: Span,
    ) -> Result<Kind, TemplateError> {
        let quoted = style != ScalarStyle::Plain;
        let forced = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        if quoted || forced {
            return Ok(Kind::Text(text.to_owned()));
        }
        plain(text).map_err(|message| self.refuse(span, message))
    }
}

/// The value of a plain scalar. What YAML 1.1 (`CloudFormation`) and YAML 1.2 read differently is refused.
fn plain(text: &str) -> Result<Kind, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Err("null values are not allowed in templates".to_owned()),
        "true" | "True" | "TRUE" => return Ok(Kind::Flag(true)),
        "false" | "False" | "FALSE" => return Ok(Kind::Flag(false)),
        _ => {}
    }
    if matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off") {
        return Err(format!(
            "`{text}` is a boolean for some readers and a text for others: write true or false, or quote it"
        ));
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = digits.starts_with(|first: char| first.is_ascii_digit());
    let sexagesimal = digits.contains(':') && digits.split(':').all(|part| part.parse::<u32>().is_ok());
    let based = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if numeric
        && (sexagesimal
            || (based
                && digits
                    .chars()
                    .all(|digit| digit.is_ascii_alphanumeric() || digit == '_')))
    {
        return Err(format!(
            "`{text}` is a number for some readers and a text for others: quote it"
        ));
    }
    if numeric && let Ok(integer) = text.trim_start_matches('+').parse::<i64>() {
        return Ok(Kind::Number(integer.into()));
    }
    if numeric && text.contains(['e', 'E']) && text.parse::<f64>().is_ok() {
        return Err(format!(
            "`{text}` is a number for some readers and a text for others: quote it"
        ));
    }
    if numeric && let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64) {
        return Ok(Kind::Number(number));
    }
    Ok(Kind::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        read(&format!("a: {text}")).unwrap().get("a").unwrap().kind.clone()
    }

    #[test]
    fn scalars_are_what_cloudformation_takes_them_for() {
        assert_eq!(kind("30"), Kind::Number(30.into()));
        assert_eq!(kind("-1"), Kind::Number((-1).into()));
        assert_eq!(kind("0"), Kind::Number(0.into()));
        assert_eq!(kind("0.5"), Kind::Number(Number::from_f64(0.5).unwrap()));
        assert_eq!(kind("true"), Kind::Flag(true));
        for text in [
            "'30'",
            "\"true\"",
            "2012-10-17",
            "arn:aws:s3:::x",
            "1.2.3",
            "rate(5 minutes)",
            "!!str 30",
        ] {
            assert!(matches!(kind(text), Kind::Text(_)), "{text} became {:?}", kind(text));
        }
    }

    #[test]
    fn what_readers_disagree_about_is_refused_with_its_line() {
        for text in ["yes", "Off", "012", "12:30", "0x1F", "1e3", "null", "~", ""] {
            let error = read(&format!("first: 1\na: {text}")).unwrap_err();
            assert_eq!((error.line, error.path.as_str()), (2, "a"), "{text}: {error}");
        }
    }

    #[test]
    fn short_tags_and_long_names_are_the_same_function() {
        for text in ["!Ref X", "{Ref: X}"] {
            assert!(matches!(kind(text), Kind::Call(Function::Ref, argument) if argument.as_text() == Some("X")));
        }
        for text in [
            "!Join ['', [a, b]]",
            "{'Fn::Join': ['', [a, b]]}",
            "\n  Fn::Join:\n    - ''\n    - [a, b]",
        ] {
            assert!(
                matches!(kind(text), Kind::Call(Function::Join, argument) if matches!(argument.kind, Kind::List(_)))
            );
        }
        assert!(matches!(kind("!Sub [text, {A: b}]"), Kind::Call(Function::Sub, _)));
        assert!(matches!(
            kind("!Sub\n    - text\n    - A: b"),
            Kind::Call(Function::Sub, _)
        ));
    }

    #[test]
    fn an_unknown_function_and_a_repeated_key_are_refused() {
        assert!(read("a: !Base64 x").unwrap_err().message.contains("`!Base64`"));
        assert!(read("a: {'Fn::Cidr': x}").unwrap_err().message.contains("`Fn::Cidr`"));
        assert!(read("a: !ImportValue x").unwrap_err().message.contains("another stack"));
        let twice = read("a:\n  b: 1\n  b: 2").unwrap_err();
        assert_eq!((twice.line, twice.path.as_str()), (3, "a.b"));
        assert!(read("a: &x 1\nb: *x").unwrap_err().message.contains("aliases"));
        assert!(read("a: [").unwrap_err().message.contains("not YAML"));
        assert!(read("a: 1\n---\nb: 2").is_err());
        assert!(read("").is_err());
    }
}
