//! What was explored so far, kept in a file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use esclusa_core::canonical::sha256_hex;
use lab::explorer::Outcome;
use serde::{Deserialize, Serialize};

use crate::commands::page::Page;

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
    /// How often each fault struck: by what the struck function was asked for, then by fault and whether the call had had its effect.
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

    pub(crate) fn count(&mut self, seed: u64, outcome: &Outcome) {
        self.explored = self.explored.saturating_add(1);
        for (end, times) in &outcome.ends {
            let count = self.ends.entry(end.clone()).or_default();
            *count = count.saturating_add(*times);
        }
        for landed in &outcome.landed {
            let when = if landed.after { "after" } else { "before" };
            let fault = format!("{} ({when} the effect)", landed.mishap);
            let faults = self.landed.entry(landed.action.clone()).or_default();
            let count = faults.entry(fault).or_default();
            *count = count.saturating_add(1);
        }
        if !outcome.violations.is_empty() {
            let violations = outcome.violations.iter().map(ToString::to_string).collect();
            self.violating.insert(seed, violations);
        }
    }

    /// The distribution of ends, and where faults struck.
    pub(crate) fn tell(&self, page: &mut Page) -> io::Result<()> {
        page.heading("How releases and deployments ended")?;
        for (end, count) in &self.ends {
            page.text(format_args!("  {count:>9}  {end}"))?;
        }
        page.heading("Where faults struck")?;
        for (action, faults) in &self.landed {
            page.text(format_args!("  {action}"))?;
            for (fault, count) in faults {
                page.text(format_args!("  {count:>9}  {fault}"))?;
            }
        }
        for (seed, violations) in &self.violating {
            for violation in violations {
                page.bad(&format!("seed {seed}"), violation)?;
            }
        }
        Ok(())
    }
}
