//! What may be shown of a definition: values that look like secrets never are.

use serde_json::{Map, Value};

use crate::canonical::sha256_hex;

/// Words in a name that say that its value is a secret.
const SECRET_WORDS: [&str; 13] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "private",
    "credential",
    "auth",
];

/// Beginnings of texts that are secrets whatever they are called.
const SECRET_PREFIXES: [&str; 9] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "github_pat_",
    "xox",
    "eyJ",
    "sk-",
    "-----BEGIN",
];

/// What stands between the name of a header and its secret.
const SCHEMES: [&str; 2] = ["Basic", "Bearer"];

/// From this length on, a word of letters in both cases and digits is taken for a key.
const KEY_CHARACTERS_MIN: usize = 32;

/// Stands for a value that is not shown. Equal values have equal fingerprints, so that a change can be seen.
pub(super) fn fingerprint(value: &str) -> String {
    let digits: String = sha256_hex(value).chars().take(8).collect();
    format!("(hidden, fingerprint {digits})")
}

/// Whether the value of something with this name is likely a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// What is hidden after a word that says that a secret follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hide {
    /// Nothing.
    Nothing,
    /// The next word, or the whole of the next argument.
    Next,
    /// Everything up to this quotation mark.
    Until(char),
}

/// The words of a command line with every value that looks like a secret replaced by a fingerprint.
pub fn masked_arguments<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut hide = Hide::Nothing;
    arguments
        .into_iter()
        .map(|argument| masked_argument(argument, &mut hide))
        .collect()
}

/// A text with everything that looks like a secret replaced by a fingerprint.
pub fn masked_text(text: &str) -> String {
    masked_arguments([text]).concat()
}

/// What a label of this name says, hidden where the name is that of a secret. Who wrote something is none.
pub fn masked_label(name: &str, text: &str) -> String {
    let name = name.to_ascii_lowercase();
    let words = name.split(|character: char| !character.is_alphanumeric());
    let words: Vec<&str> = words
        .filter(|word| !["author", "authors", "authored"].contains(word))
        .collect();
    if is_secret_name(&words.join(".")) {
        fingerprint(text)
    } else {
        masked_text(text)
    }
}

/// A value with every text in it masked, and with what is below the name of a secret replaced by a fingerprint.
pub(crate) fn masked_value(value: &Value) -> Value {
    match value {
        Value::String(text) => masked_text(text).into(),
        Value::Array(elements) => {
            let mut hide = Hide::Nothing;
            let masked = elements.iter().map(|element| match element {
                Value::String(argument) => masked_argument(argument, &mut hide).into(),
                other => masked_value(other),
            });
            masked.collect()
        }
        Value::Object(members) => {
            let named = members.get("name").and_then(Value::as_str).is_some_and(is_secret_name);
            let masked = members.iter().map(|(name, member)| {
                let is_secret = is_secret_name(name) || (named && name == "value");
                let shown = if is_secret {
                    fingerprint(&member.as_str().map_or_else(|| member.to_string(), str::to_owned)).into()
                } else {
                    masked_value(member)
                };
                (name.clone(), shown)
            });
            masked.collect::<Map<_, _>>().into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// An argument is one value with its spaces after an option, an equals sign or the name of a header; otherwise it may
/// be a line for a shell.
fn masked_argument(argument: &str, hide: &mut Hide) -> String {
    if *hide == Hide::Next && !argument.starts_with("--") && !argument.trim().is_empty() {
        *hide = Hide::Nothing;
        return fingerprint(argument);
    }
    let is_name = |name: &str| is_secret_name(name) && !name.contains(char::is_whitespace);
    let option = argument.split_once('=').filter(|(name, _)| name.starts_with('-'));
    for (named, separator) in [(option, "="), (argument.split_once(": "), ": ")] {
        if let Some((name, value)) = named.filter(|(name, value)| is_name(name) && !value.is_empty()) {
            *hide = Hide::Nothing;
            return format!("{name}{separator}{}", fingerprint(value));
        }
    }
    let masked = argument.split_inclusive(char::is_whitespace).map(|piece| {
        let word = piece.trim_end();
        let space = piece.strip_prefix(word).unwrap_or_default();
        masked_word(word, hide) + space
    });
    let masked: String = masked.collect();
    if matches!(hide, Hide::Until(_)) {
        *hide = Hide::Nothing;
    }
    masked
}

fn masked_word(word: &str, hide: &mut Hide) -> String {
    // A line for a shell may go on in the next one.
    if word.is_empty() || word == "\\" {
        return word.to_owned();
    }
    match *hide {
        Hide::Until(mark) => {
            if word.contains(mark) {
                *hide = Hide::Nothing;
            }
            return fingerprint(word);
        }
        Hide::Next if SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) => return word.to_owned(),
        Hide::Next if !word.starts_with("--") => {
            *hide = opened(word).map_or(Hide::Nothing, Hide::Until);
            return fingerprint(word);
        }
        Hide::Next | Hide::Nothing => *hide = Hide::Nothing,
    }
    if let Some((name, value)) = named_secret(word) {
        *hide = opened(value).map_or(Hide::Nothing, Hide::Until);
        return format!("{name}{}", fingerprint(value));
    }
    if (word.starts_with('-') || word.ends_with(':')) && is_secret_name(word) {
        *hide = opened(word).map_or(Hide::Next, Hide::Until);
    }
    if is_secret_value(word) {
        return fingerprint(word);
    }
    masked_addresses(word)
}

/// The quotation mark that a word opens and does not close.
fn opened(word: &str) -> Option<char> {
    let mark = word.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    (word.matches(mark).count() == 1).then_some(mark)
}

/// What comes before the value of a secret, and the value: `DB_PASSWORD=…`, `a=1;DB_PASSWORD=…`, `{"password":…`.
fn named_secret(word: &str) -> Option<(&str, &str)> {
    let separators = word.char_indices().filter(|(_, each)| matches!(each, '=' | ':'));
    let mut named = separators.filter_map(|(position, separator)| {
        let (name, _) = word.split_at_checked(position)?;
        let (before, value) = word.split_at_checked(position + 1)?;
        let is_member = separator == '=' || name.ends_with(['"', '\'']);
        let is_secret = is_member && !value.is_empty() && (is_secret_name(name) || is_secret_value(value));
        is_secret.then_some((before, value))
    });
    named.next()
}

fn is_secret_value(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'']);
    if SECRET_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return true;
    }
    let is_word = text
        .chars()
        .all(|each| each.is_ascii_alphanumeric() || "+/=_-".contains(each));
    let has = |class: fn(&char) -> bool| text.chars().any(|each| class(&each));
    text.len() >= KEY_CHARACTERS_MIN
        && is_word
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit)
}

/// Addresses such as `postgresql://user:password@host`, of which a word may have several, without the passwords.
fn masked_addresses(word: &str) -> String {
    let mut parts = word.split("://");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("://");
        masked.push_str(&masked_account(part).unwrap_or_else(|| part.to_owned()));
    }
    masked
}

/// What comes after `://`, without the password, or without a user that looks like a secret.
fn masked_account(address: &str) -> Option<String> {
    let (authority, path) = address
        .split_once('/')
        .map_or((address, None), |(authority, path)| (authority, Some(path)));
    let (account, host) = authority.rsplit_once('@')?;
    let account = match account.split_once(':') {
        Some((user, password)) => format!("{user}:{}", fingerprint(password)),
        None if is_secret_value(account) => fingerprint(account),
        None => account.to_owned(),
    };
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    Some(format!("{account}@{host}{path}"))
}
