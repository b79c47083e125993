//! Few colours, each with one meaning.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

/// A text in a style.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Styled<T> {
    style: Style,
    text: T,
}

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, text } = self;
        write!(formatter, "{style}{text}{style:#}")
    }
}

/// What is wrong.
pub(crate) fn error<T: Display>(text: T) -> Styled<T> {
    Styled {
        style: AnsiColor::Red.on_default().bold(),
        text,
    }
}

/// What needs somebody's attention.
pub(crate) fn warning<T: Display>(text: T) -> Styled<T> {
    Styled {
        style: AnsiColor::Yellow.on_default().bold(),
        text,
    }
}

/// What is well.
pub(crate) fn good<T: Display>(text: T) -> Styled<T> {
    Styled {
        style: AnsiColor::Green.on_default(),
        text,
    }
}

/// What stands over something.
pub(crate) fn heading<T: Display>(text: T) -> Styled<T> {
    Styled {
        style: Style::new().bold(),
        text,
    }
}

/// What is there for orientation only.
pub(crate) fn faint<T: Display>(text: T) -> Styled<T> {
    Styled {
        style: Style::new().dimmed(),
        text,
    }
}
