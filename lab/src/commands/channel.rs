//! The channel of the simulated Slack, as text.

use std::io;
use std::path::{Path, PathBuf};

use lab::Lab;
use lab::example::Example;
use serde_json::Value;
use simulator::services::{Slack, SlackMessage};

use super::CommandError;
use super::page::Page;

/// The channel that people are told in.
const CHANNEL: &str = "C0DEPLOY";

/// Lets people be told in the channel what becomes of the releases of an example: as a person does, by another version
/// of its pipeline.
pub(crate) fn open(lab: &mut Lab, example: &Example) -> Result<(), CommandError> {
    if let Some((slack, _)) = lab.world_mut().service_mut::<Slack>() {
        slack.invite(CHANNEL);
    }
    let folder = std::env::temp_dir().join(format!("esclusa-local-{}", std::process::id()));
    let file = told(example, &folder)?;
    let answer = lab.esclusa(&["pipelines", "apply", &file.display().to_string()]);
    std::fs::remove_dir_all(&folder)?;
    if answer.code == 0 {
        Ok(())
    } else {
        Err(CommandError::Refused(answer.err))
    }
}

/// The pipeline of an example with the channel in it, beside its task definitions.
fn told(example: &Example, folder: &Path) -> io::Result<PathBuf> {
    const DEFINITIONS: &str = "task-definitions";
    std::fs::create_dir_all(folder.join(DEFINITIONS))?;
    let definitions = example.file.with_file_name(DEFINITIONS);
    if definitions.is_dir() {
        for definition in std::fs::read_dir(definitions)? {
            let definition = definition?;
            std::fs::copy(definition.path(), folder.join(DEFINITIONS).join(definition.file_name()))?;
        }
    }
    let text = std::fs::read_to_string(&example.file)?;
    let file = folder.join("pipeline.yaml");
    std::fs::write(
        &file,
        format!("{text}\nnotifications: {{slack: {{channel: {CHANNEL}}}}}\n"),
    )?;
    Ok(file)
}

/// Shows what stands in the channel.
pub(crate) fn show(lab: &Lab, page: &mut Page) -> io::Result<()> {
    page.heading("What people see in the channel of the simulated Slack")?;
    let messages = lab.world().service::<Slack>().map(|slack| slack.messages(CHANNEL));
    for message in messages.unwrap_or_default() {
        for line in lines(message) {
            page.text(format_args!("  {line}"))?;
        }
    }
    Ok(())
}

/// The lines of a message: its blocks, or its text where it has none.
fn lines(message: &SlackMessage) -> Vec<String> {
    let blocks = message.blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    if blocks.is_empty() {
        let indent = if message.thread_ts.is_some() { "  > " } else { "" };
        return vec![format!("{indent}{}", plain(&message.text))];
    }
    blocks.iter().flat_map(block).collect()
}

fn block(block: &Value) -> Vec<String> {
    let text = |value: &Value| value.get("text").and_then(Value::as_str).map(plain);
    let elements = block.get("elements").and_then(Value::as_array).into_iter().flatten();
    match block.get("type").and_then(Value::as_str) {
        Some("header") => vec![String::new(), block.get("text").and_then(text).unwrap_or_default()],
        Some("actions") => {
            let labels = elements.filter_map(|element| text(element.get("text")?));
            vec![labels.map(|label| format!("[{label}]")).collect::<Vec<_>>().join(" ")]
        }
        Some("context") => elements.filter_map(text).collect(),
        _ => {
            let all = block.get("text").and_then(text).unwrap_or_default();
            all.lines().map(str::to_owned).collect()
        }
    }
}

/// Markup of Slack as it is read: moments by their text, and what was written as several characters as one.
fn plain(text: &str) -> String {
    let mut parts = text.split("<!date^");
    let mut read = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (date, rest) = part.split_once('>').unwrap_or((part, ""));
        read.push_str(date.rsplit('|').next().unwrap_or_default());
        read.push_str(rest);
    }
    read.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
