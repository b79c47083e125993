//! The `Parameters` section.

use std::collections::BTreeMap;

use regex_lite::Regex;

use crate::error::TemplateError;
use crate::fields::{Fields, Item};
use crate::node::{Kind, Member, Node};
use crate::scope::Settings;

/// The value of every parameter: the one given, else its default.
pub(crate) fn parameters(section: &[Member], settings: &Settings) -> Result<BTreeMap<String, Kind>, TemplateError> {
    for given in settings.parameters.keys() {
        if !section.iter().any(|member| member.name == *given) {
            return Err(TemplateError::new(
                1,
                "Parameters",
                format!("the template has no parameter `{given}`"),
            ));
        }
    }
    section
        .iter()
        .map(|member| {
            let item = Item::new(format!("Parameters.{}", member.name), member.value.clone());
            Ok((
                member.name.clone(),
                parameter(item, settings.parameters.get(&member.name))?,
            ))
        })
        .collect()
}

fn parameter(item: Item, given: Option<&String>) -> Result<Kind, TemplateError> {
    let line = item.line();
    let mut fields = item.fields()?;
    let kind = fields.text("Type")?;
    let default = fields.optional_text("Default")?;
    let value = given
        .cloned()
        .or(default)
        .ok_or_else(|| fields.error("no value is given, and the parameter has no default"))?;
    check(&mut fields, &value)?;
    fields.optional_text("Description")?;
    fields.optional_text("ConstraintDescription")?;
    fields.optional_flag("NoEcho")?;
    let kind = match kind.as_str() {
        "String" => Kind::Text(value),
        "Number" => match value.parse::<f64>() {
            Ok(_) => Kind::Text(value),
            Err(_) => return Err(fields.error(format!("`{value}` is not a number"))),
        },
        "CommaDelimitedList" => Kind::List(value.split(',').map(|part| Node::text(line, part.trim())).collect()),
        other => return Err(fields.error(format!("parameters of the type `{other}` are not supported"))),
    };
    fields.finish()?;
    Ok(kind)
}

/// Holds the value against the constraints of the parameter.
fn check(fields: &mut Fields, value: &str) -> Result<(), TemplateError> {
    let refused =
        |fields: &Fields, constraint: &str| fields.error(format!("the value `{value}` breaks `{constraint}`"));
    if let Some(allowed) = fields.optional_texts("AllowedValues")?
        && !allowed.iter().any(|allowed| allowed == value)
    {
        return Err(refused(fields, "AllowedValues"));
    }
    if let Some(pattern) = fields.optional_text("AllowedPattern")? {
        let pattern = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| fields.error(format!("`AllowedPattern` is not a regular expression: {error}")))?;
        if !pattern.is_match(value) {
            return Err(refused(fields, "AllowedPattern"));
        }
    }
    let length = value.chars().count();
    if fields
        .optional_number::<usize>("MinLength")?
        .is_some_and(|least| length < least)
    {
        return Err(refused(fields, "MinLength"));
    }
    if fields
        .optional_number::<usize>("MaxLength")?
        .is_some_and(|most| length > most)
    {
        return Err(refused(fields, "MaxLength"));
    }
    let number = value.parse::<f64>().ok();
    if fields
        .optional_number::<f64>("MinValue")?
        .is_some_and(|least| number.is_none_or(|number| number < least))
    {
        return Err(refused(fields, "MinValue"));
    }
    if fields
        .optional_number::<f64>("MaxValue")?
        .is_some_and(|most| number.is_none_or(|number| number > most))
    {
        return Err(refused(fields, "MaxValue"));
    }
    Ok(())
}
