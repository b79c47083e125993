//! What the commands write on: lines that read well without colours, and a few colours with one meaning each.

use std::fmt::Display;
use std::io::{self, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use lab::walk::{Line, Tone};

/// What is there for orientation only.
const FAINT: Style = Style::new().dimmed();
/// What stands over something, and what is done to the world.
const STRONG: Style = Style::new().bold();
/// What is well.
const GOOD: Style = AnsiColor::Green.on_default();
/// What is wrong.
const BAD: Style = AnsiColor::Red.on_default().bold();

/// States that a machine passes one after another share a line up to this many characters.
const STATES_WIDTH: usize = 76;

/// A stream that somebody reads.
pub(crate) struct Page {
    out: Box<dyn Write>,
    states: Option<Line>,
}

impl Page {
    /// Standard output.
    pub(crate) fn of_process() -> Self {
        Self {
            out: Box::new(AutoStream::auto(io::stdout())),
            states: None,
        }
    }

    /// Standard error.
    pub(crate) fn of_errors() -> Self {
        Self {
            out: Box::new(AutoStream::auto(io::stderr())),
            states: None,
        }
    }

    /// An empty line and a line above what follows.
    pub(crate) fn heading(&mut self, text: impl Display) -> io::Result<()> {
        self.text(format_args!("\n{STRONG}{text}{STRONG:#}"))
    }

    /// A line as it is.
    pub(crate) fn text(&mut self, text: impl Display) -> io::Result<()> {
        self.flush()?;
        writeln!(self.out, "{text}")
    }

    /// A line of orientation.
    pub(crate) fn faint(&mut self, text: impl Display) -> io::Result<()> {
        self.text(format_args!("{FAINT}{text}{FAINT:#}"))
    }

    /// What is proven.
    pub(crate) fn good(&mut self, word: &str, text: impl Display) -> io::Result<()> {
        self.text(format_args!("  {GOOD}{word}{GOOD:#}  {text}"))
    }

    /// What is wrong.
    pub(crate) fn bad(&mut self, word: &str, text: impl Display) -> io::Result<()> {
        self.text(format_args!("  {BAD}{word}{BAD:#}  {text}"))
    }

    /// Why a command could not be carried out.
    pub(crate) fn error(&mut self, error: &impl Display) -> io::Result<()> {
        self.text(format_args!("{BAD}error{BAD:#}: {error}"))
    }

    /// Something that happened. States in a row are kept until something else is to be written.
    pub(crate) fn line(&mut self, line: Line) -> io::Result<()> {
        if let Some(states) = &mut self.states
            && line.state
            && (&states.who, &states.place) == (&line.who, &line.place)
            && states.text.len() + line.text.len() < STATES_WIDTH
        {
            states.text = format!("{}, {}", states.text, line.text);
            return Ok(());
        }
        self.flush()?;
        if line.state {
            self.states = Some(line);
            return Ok(());
        }
        self.write(&line)
    }

    /// Writes what was kept.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(states) = self.states.take() {
            self.write(&states)?;
        }
        self.out.flush()
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let Line {
            at,
            place,
            who,
            text,
            tone,
            ..
        } = line;
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Act => STRONG,
            Tone::Good => GOOD,
            Tone::Bad => BAD,
        };
        let time = at.strftime("%H:%M:%S");
        writeln!(
            self.out,
            "  {FAINT}{time}  {place:<10}{FAINT:#}  {who:<13}  {style}{text}{style:#}"
        )
    }
}
