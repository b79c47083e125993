//! What is wrong with a file, with the line it is about.

use std::fmt::Write as _;

use crate::pipelines::Problem;
use crate::render::palette;

/// Every problem with the place in `text`, the way compilers show them.
pub(crate) fn problems(file: &str, text: &str, problems: &[Problem]) -> String {
    let mut shown = String::new();
    for problem in problems {
        // Writing to a `String` cannot fail.
        let _ = write_problem(&mut shown, file, text, problem);
    }
    shown
}

fn write_problem(shown: &mut String, file: &str, text: &str, problem: &Problem) -> std::fmt::Result {
    let Problem {
        line,
        column,
        path,
        message,
        hint,
    } = problem;
    writeln!(shown, "{}: {message}", palette::error("error"))?;
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let bar = palette::faint("|");
    writeln!(shown, "{margin}{} {file}:{line}:{column}", palette::faint("-->"))?;
    if let Some(source) = usize::try_from(*line)
        .ok()
        .and_then(|line| text.lines().nth(line.checked_sub(1)?))
    {
        let place = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
        let pad: String = source
            .chars()
            .take(place)
            .map(|each| if each == '\t' { '\t' } else { ' ' })
            .collect();
        let carets = "^".repeat(word_length(source, place));
        writeln!(shown, "{margin} {bar}")?;
        writeln!(shown, "{} {bar} {source}", palette::faint(&number))?;
        writeln!(shown, "{margin} {bar} {pad}{}", palette::error(carets))?;
    }
    if !path.is_empty() {
        writeln!(shown, "{margin} {} at `{path}`", palette::faint("="))?;
    }
    if let Some(hint) = hint {
        writeln!(shown, "{margin} {} help: {hint}", palette::faint("="))?;
    }
    writeln!(shown)
}

/// How many characters the word at `place` has, so that it can be underlined; 1 where there is none.
fn word_length(source: &str, place: usize) -> usize {
    let rest = || source.chars().skip(place);
    let quote = rest().next().filter(|first| matches!(first, '"' | '\''));
    let length = match quote {
        Some(quote) => rest().skip(1).position(|each| each == quote).map(|inner| inner + 2),
        None => rest()
            .position(|each| each.is_whitespace() || ",:]}[{".contains(each))
            .or_else(|| Some(rest().count())),
    };
    length.unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_is_meant_is_underlined() {
        assert_eq!(word_length("  image: ap, x", 9), 2);
        assert_eq!(word_length("  image: ap", 9), 2);
        assert_eq!(word_length(r#"  - "main *" # x"#, 4), 8);
        assert_eq!(word_length("cluster: {}", 9), 1);
        assert_eq!(word_length("", 40), 1);
    }
}
