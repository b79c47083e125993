//! A session at a terminal: what is typed, what is answered, and what happens in between.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

use esclusa_cli::Output;
use jiff::SignedDuration;
use lab::Lab;
use lab::example::Example;
use lab::images::Kind;

use crate::flows;

/// A simulated account with one example, and the session so far.
pub(crate) struct Story {
    pub(crate) lab: Lab,
    pub(crate) example: Example,
    told: String,
}

impl Story {
    /// The account of an example whose services have become steady.
    pub(crate) fn of(example: &str) -> Self {
        let (lab, example) = flows::steady(example);
        Self {
            lab,
            example,
            told: String::new(),
        }
    }

    /// A comment of whoever types.
    pub(crate) fn say(&mut self, comment: &str) {
        let blank = if self.told.is_empty() { "" } else { "\n" };
        writeln!(self.told, "{blank}# {comment}").unwrap();
    }

    /// Types a command and shows what a terminal shows: the answer and what is said on the way, in order.
    pub(crate) fn run(&mut self, words: &[&str]) {
        self.run_as(words, words);
    }

    /// Types one command and runs another: where a path of this machine must not be shown.
    pub(crate) fn run_as(&mut self, shown: &[&str], words: &[&str]) {
        let screen = Screen::default();
        let mut output = Output::new(screen.clone(), screen.clone());
        let code = self.lab.esclusa_into(words, &mut output);
        drop(output);
        let quoted: Vec<String> = shown.iter().map(|word| quoted(word)).collect();
        write!(self.told, "$ esclusa {}\n{}", quoted.join(" "), screen.text()).unwrap();
        if code != 0 {
            writeln!(self.told, "[exit code {code}]").unwrap();
        }
    }

    /// Pushes an image of the example; answers its digest.
    pub(crate) fn push(&mut self, tag: &str, kind: Kind) -> String {
        let image = self.example.pipeline.images.keys().next().unwrap().to_string();
        self.lab.push_example(&self.example, &image, tag, kind).unwrap()
    }

    /// Lets time pass until nothing is on its way.
    pub(crate) fn settle(&mut self) {
        assert!(self.lab.settle(), "an execution still runs");
    }

    /// Lets this much time pass.
    pub(crate) fn wait(&mut self, duration: SignedDuration) {
        self.lab.simulation().run_for(duration);
    }

    /// The newest release.
    pub(crate) fn release(&self) -> String {
        self.lab.executions("release").last().unwrap().clone()
    }

    /// The session.
    pub(crate) fn told(&self) -> &str {
        &self.told
    }
}

/// Where standard output and standard error come together.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn quoted(word: &str) -> String {
    if word.contains(' ') {
        format!("\"{word}\"")
    } else {
        word.to_owned()
    }
}
