//! What may be shown of a definition: values that look like secrets never are.

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

/// The words of a command line with every value that looks like a secret replaced by a fingerprint.
pub fn masked_arguments<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut hide_next = false;
    arguments
        .into_iter()
        .map(|argument| {
            argument
                .split(' ')
                .map(|word| masked_word(word, &mut hide_next))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

/// A text with everything that looks like a secret replaced by a fingerprint.
pub fn masked_text(text: &str) -> String {
    masked_arguments([text]).concat()
}

fn masked_word(word: &str, hide_next: &mut bool) -> String {
    if word.is_empty() {
        return String::new();
    }
    if std::mem::take(hide_next) && !word.starts_with("--") {
        return fingerprint(word);
    }
    if let Some((name, value)) = word.split_once('=') {
        if !value.is_empty() && (is_secret_name(name) || is_secret_value(value)) {
            return format!("{name}={}", fingerprint(value));
        }
    } else if word.starts_with('-') && is_secret_name(word) {
        *hide_next = true;
    }
    if is_secret_value(word) {
        return fingerprint(word);
    }
    masked_address(word)
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

/// An address such as `postgresql://user:password@host` without the password.
fn masked_address(word: &str) -> String {
    let masked = || {
        let (scheme, rest) = word.split_once("://")?;
        let (authority, path) = rest
            .split_once('/')
            .map_or((rest, None), |(authority, path)| (authority, Some(path)));
        let (account, host) = authority.rsplit_once('@')?;
        let (user, password) = account.split_once(':')?;
        let path = path.map(|path| format!("/{path}")).unwrap_or_default();
        Some(format!("{scheme}://{user}:{}@{host}{path}", fingerprint(password)))
    };
    masked().unwrap_or_else(|| word.to_owned())
}
