//! What was explored so far, kept in a file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use esclusa_core::canonical::sha256_hex;
use lab::explorer::{Known, Mishap, Outcome};
use serde::{Deserialize, Serialize};

use crate::commands::page::Page;

/// How often every fault is to strike every Task.
const WANTED: u64 = 50;

/// In how many runs.
const IN: u64 = 100_000;

/// How wide the column of a fault is: a little wider than the longest of their names.
const CELL: usize = 14;

/// The fault of a service that is away.
const AWAY: &str = "away";

/// The name of what asks for nothing that is known.
const UNKNOWN: &str = "something else";

/// What many runs came to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// The hash of the program that explored: another one begins anew.
    program: String,
    /// The first seed.
    from: u64,
    /// How many seeds were explored.
    pub(crate) explored: u64,
    /// The violations by seed.
    pub(crate) violating: BTreeMap<u64, Vec<String>>,
    /// How often each end came out.
    ends: BTreeMap<String, u64>,
    /// How often each fault struck: by the Task that the struck function was invoked for, or by what it was asked for,
    /// then by fault. What was to strike after the effect and struck before is left out.
    landed: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Tally {
    /// The tally of a file, where it was kept by this very program for the same first seed.
    pub(crate) fn resumed(file: &Path, from: u64) -> io::Result<Self> {
        let program = sha256_hex(&fs::read(std::env::current_exe()?)?);
        let kept = fs::read(file)
            .ok()
            .and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        Ok(kept
            .filter(|kept| kept.program == program && kept.from == from)
            .unwrap_or_else(|| Self {
                program,
                from,
                ..Self::default()
            }))
    }

    /// Keeps it.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        // Under another name first: whoever is interrupted leaves a whole file.
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, file)
    }

    /// The first seed that violated an invariant.
    pub(crate) fn first(&self, invariant: &str) -> Option<u64> {
        let of_it = format!("{invariant}:");
        let mut violating = self.violating.iter();
        violating
            .find(|(_, violations)| violations.iter().any(|violation| violation.starts_with(&of_it)))
            .map(|(seed, _)| *seed)
    }

    pub(crate) fn count(&mut self, seed: u64, outcome: &Outcome) {
        self.explored = self.explored.saturating_add(1);
        for (end, times) in &outcome.ends {
            let count = self.ends.entry(end.clone()).or_default();
            *count = count.saturating_add(*times);
        }
        for landed in &outcome.landed {
            let by_nature = Mishap::ALL.into_iter().find(|mishap| mishap.as_str() == landed.mishap);
            if by_nature.is_some_and(|mishap| mishap.is_after() != landed.after) {
                continue;
            }
            let asked = landed.asked.as_ref().map_or(UNKNOWN.to_owned(), ToString::to_string);
            let count = self
                .landed
                .entry(landed.task.clone().unwrap_or(asked))
                .or_default()
                .entry(landed.mishap.to_owned())
                .or_default();
            *count = count.saturating_add(1);
        }
        if !outcome.violations.is_empty() {
            let violations = outcome.violations.iter().map(ToString::to_string).collect();
            self.violating.insert(seed, violations);
        }
    }

    /// The distribution of ends, and where faults struck.
    pub(crate) fn tell(&self, known: &Known, page: &mut Page) -> io::Result<()> {
        page.heading("How releases and deployments ended")?;
        for (end, count) in &self.ends {
            page.text(format_args!("  {count:>9}  {end}"))?;
        }
        self.tell_faults(known, page)?;
        for (seed, violations) in &self.violating {
            for violation in violations {
                page.bad(&format!("seed {seed}"), violation)?;
            }
        }
        Ok(())
    }

    /// A row for every Task, a column for every fault, and the cells that are struck too seldom by name.
    fn tell_faults(&self, known: &Known, page: &mut Page) -> io::Result<()> {
        page.heading("Where faults struck, by Task; `-` cannot be")?;
        let columns = Mishap::ALL.map(|mishap| format!("{:>CELL$}", mishap.as_str())).concat();
        page.faint(format_args!("  {:<40}{columns}", ""))?;
        let mut seldom = Vec::new();
        for (name, asked) in &known.tasks {
            let possible = known.mishaps(asked);
            if possible.is_empty() {
                seldom.push(format!("{name}: no story reaches it"));
            }
            let mut cells = String::new();
            for mishap in Mishap::ALL {
                if !possible.contains(&mishap) {
                    cells.push_str(&format!("{:>CELL$}", "-"));
                    continue;
                }
                let count = self.count_of(name, mishap.as_str());
                cells.push_str(&format!("{count:>CELL$}"));
                if count.saturating_mul(IN) < WANTED.saturating_mul(self.explored) {
                    seldom.push(format!("{name}: {} {count}", mishap.as_str()));
                }
            }
            page.text(format_args!("  {name:<40}{cells}"))?;
        }
        page.heading("Where else faults struck")?;
        page.faint(format_args!("  {:<40}{columns}{:>CELL$}", "", AWAY))?;
        for (name, faults) in &self.landed {
            let of_task = known.tasks.contains_key(name);
            if of_task && !faults.contains_key(AWAY) {
                continue;
            }
            let mishaps = Mishap::ALL.map(Mishap::as_str).into_iter();
            let mut cells = String::new();
            for mishap in mishaps.chain([AWAY]) {
                let count = if of_task && mishap != AWAY {
                    0
                } else {
                    self.count_of(name, mishap)
                };
                cells.push_str(&format!("{count:>CELL$}"));
            }
            page.text(format_args!("  {name:<40}{cells}"))?;
        }
        page.heading(format_args!("Struck fewer than {WANTED} times in {IN} runs"))?;
        if seldom.is_empty() {
            return page.good("none", "every fault struck every Task often enough");
        }
        for cell in seldom {
            page.bad("seldom", cell)?;
        }
        Ok(())
    }

    fn count_of(&self, asked: &str, fault: &str) -> u64 {
        let faults = self.landed.get(asked);
        faults.and_then(|faults| faults.get(fault)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use lab::explorer::Violation;

    use super::*;

    #[test]
    fn a_tally_goes_on_where_the_same_program_left_it_and_begins_anew_otherwise() {
        let file = std::env::temp_dir().join(format!("esclusa-tally-{}.json", std::process::id()));
        let mut tally = Tally::resumed(&file, 7).unwrap();
        assert_eq!(tally.explored, 0, "there is no file");
        let outcome = |violations| Outcome {
            violations,
            ends: [("SUCCEEDED none".to_owned(), 2)].into(),
            landed: Vec::new(),
            transcript: Vec::new(),
        };
        let violation = Violation {
            invariant: "I4",
            what: "it ran twice".to_owned(),
        };
        tally.count(7, &outcome(Vec::new()));
        tally.count(8, &outcome(vec![violation]));
        tally.write(&file).unwrap();
        let resumed = Tally::resumed(&file, 7).unwrap();
        assert_eq!(
            (resumed.explored, resumed.first("I4"), resumed.first("I")),
            (2, Some(8), None)
        );
        assert_eq!(resumed.ends["SUCCEEDED none"], 4);
        assert_eq!(Tally::resumed(&file, 8).unwrap().explored, 0, "other seeds");
        let other = Tally {
            program: "another".to_owned(),
            ..resumed
        };
        other.write(&file).unwrap();
        assert_eq!(Tally::resumed(&file, 7).unwrap().explored, 0, "another program");
        fs::remove_file(file).unwrap();
    }
}
