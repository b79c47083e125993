//! Where a command writes: results to standard output, everything about the way there to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anstream::AutoStream;
use anstream::adapter::StripBytes;
use clap::ValueEnum;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

use crate::error::{CommandError, Exit};
use crate::render::palette;

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people: lines and tables.
    #[default]
    #[value(alias = "table")]
    Text,
    /// For programs: one JSON document on standard output, with field names that do not change.
    Json,
    /// For spreadsheets: only `esclusa audit`.
    Csv,
}

/// Where a command writes, and in which form.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    format: Format,
    width: Option<u16>,
    animated: bool,
    spinner: Option<ProgressBar>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Output")
            .field("format", &self.format)
            .field("width", &self.width)
            .field("animated", &self.animated)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Standard output and standard error of this process, with colours where somebody sees them.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            out: Box::new(AutoStream::auto(io::stdout())),
            err: Box::new(AutoStream::auto(io::stderr())),
            format: Format::default(),
            width: if io::stdout().is_terminal() {
                comfy_table::Table::new().width()
            } else {
                None
            },
            animated: io::stderr().is_terminal(),
            spinner: None,
        }
    }

    /// Any two writers; without colours, animation and a width to keep to.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(Plain::new(out)),
            err: Box::new(Plain::new(err)),
            format: Format::default(),
            width: None,
            animated: false,
            spinner: None,
        }
    }

    /// An output that is kept, with what it keeps.
    #[must_use]
    pub fn captured() -> (Self, Captured) {
        let captured = Captured::default();
        (Self::new(captured.out.clone(), captured.err.clone()), captured)
    }

    pub(crate) fn set_format(&mut self, format: Format) {
        self.format = format;
        self.animated &= format == Format::Text;
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The columns of the terminal, where the answer goes to one.
    pub(crate) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Whether somebody looks at a terminal.
    pub(crate) fn is_animated(&self) -> bool {
        self.animated
    }

    /// Writes a part of the answer as it is.
    pub(crate) fn text(&mut self, text: impl Display) -> Result<(), CommandError> {
        self.rest();
        write!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// Writes a line of the answer.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), CommandError> {
        self.text(format_args!("{line}\n"))
    }

    /// Writes a line that is not part of the answer; nothing where a program reads it.
    pub(crate) fn note(&mut self, line: impl Display) -> Result<(), CommandError> {
        if self.format == Format::Text {
            self.rest();
            writeln!(self.err, "{line}")?;
            self.err.flush()?;
        }
        Ok(())
    }

    /// Writes the answer as one JSON document.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
        self.line(text)
    }

    /// Shows on a terminal what is going on at the moment, until something else is written.
    pub(crate) fn moment(&mut self, message: String) {
        if self.animated {
            let spinner = self.spinner.get_or_insert_with(ProgressBar::new_spinner);
            spinner.set_message(message);
            spinner.tick();
        }
    }

    fn rest(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    /// Reports an error in the form of the answer.
    pub(crate) fn report(&mut self, error: &CommandError) -> Exit {
        self.rest();
        let written = match (error, self.format) {
            // Nobody reads any more, as with `esclusa audit | head`.
            (CommandError::Output(_), _) => Ok(()),
            (_, Format::Json) => self.document(&json!({"error": {"kind": error.kind(), "message": error.to_string()}})),
            (_, Format::Text | Format::Csv) => self.error(error),
        };
        match written {
            Ok(()) => error.exit(),
            Err(_) => Exit::Failure,
        }
    }

    /// Writes an error for people.
    pub(crate) fn error(&mut self, error: &impl Display) -> Result<(), CommandError> {
        self.rest();
        writeln!(self.err, "{}: {error}", palette::error("error"))?;
        Ok(self.err.flush()?)
    }

    /// Reports that nothing could be tried.
    pub fn give_up(&mut self, error: &dyn Display) -> Exit {
        // Whether this can be written changes nothing: it fails either way.
        let _written = self.error(&error);
        Exit::Failure
    }

    /// Writes what the parser of the command line has to say: help, the version or an error.
    pub(crate) fn usage(&mut self, usage: &clap::Error) -> Exit {
        if self.format == Format::Json && usage.use_stderr() {
            return self.report(&CommandError::InvalidInput(words(usage)));
        }
        let text = usage.render();
        let stream = if usage.use_stderr() {
            &mut self.err
        } else {
            &mut self.out
        };
        match write!(stream, "{}", text.ansi()).and_then(|()| stream.flush()) {
            Ok(()) if usage.exit_code() == 0 => Exit::Success,
            Ok(()) => Exit::InvalidInput,
            Err(_) => Exit::Failure,
        }
    }
}

/// What is wrong with a command line, without how it is to be used, which is for people.
fn words(usage: &clap::Error) -> String {
    let text = usage.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let message = text.split("\n\nUsage:").next().unwrap_or(text);
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A writer that leaves out colours.
struct Plain<W> {
    writer: W,
    strip: StripBytes,
}

impl<W> Plain<W> {
    fn new(writer: W) -> Self {
        Self {
            writer,
            strip: StripBytes::new(),
        }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for printable in self.strip.strip_next(bytes) {
            self.writer.write_all(printable)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// What a command wrote.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    out: Shared,
    err: Shared,
}

impl Captured {
    /// What went to standard output.
    #[must_use]
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// What went to standard error.
    #[must_use]
    pub fn err(&self) -> String {
        self.err.text()
    }
}

#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
