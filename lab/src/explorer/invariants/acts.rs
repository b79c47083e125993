//! I3 and I8: who acts, and when, and that it was announced and settled.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use simulator::plain_item;

use super::{Findings, LEDGER};
use crate::explorer::seen::{place_of, text};

impl Findings<'_> {
    pub(super) fn one_acts_at_a_time(&mut self) {
        let mut found = Vec::new();
        // Of every place, the deployments that have acted there.
        let mut acted: BTreeMap<&(String, String), BTreeSet<&str>> = BTreeMap::new();
        for act in &self.acts {
            let told = format!("`{}` does `{}` at {}", act.deployment_id, act.operation, act.at);
            let acted = acted.entry(&act.place).or_default();
            for other in acted.iter().filter(|other| **other != act.deployment_id) {
                if self.written.ends.get(*other).is_none_or(|end| *end > act.at) {
                    found.push(format!("{told} while `{other}`, which has acted, is not at its end"));
                }
            }
            acted.insert(&act.deployment_id);
            // What was announced in time may reach ECS after the end: ECS knows no fence.
            let end = self.written.ends.get(&act.deployment_id).filter(|end| **end < act.at);
            if let Some(end) = end
                && !self.written.announced(act, *end)
            {
                found.push(format!("{told}, which it announced after its end at {end}"));
            }
            for dirty in self.dirty().filter(|dirty| place_of(dirty) == act.place) {
                let end = self.written.ends.get(&dirty.deployment_id);
                if dirty.deployment_id != act.deployment_id && end.is_some_and(|end| *end < act.at) {
                    found.push(format!("{told} behind the dirty end of `{}`", dirty.deployment_id));
                }
            }
        }
        for what in found {
            self.violated("I3", what);
        }
    }

    pub(super) fn acts_are_announced(&mut self) {
        let ledger = self.shop.items(LEDGER);
        let of_kind = |kind: &'static str| {
            let records = ledger
                .iter()
                .map(plain_item)
                .filter(move |record| text(record, "/kind") == kind);
            records.collect::<Vec<Value>>()
        };
        let (intents, outcomes) = (of_kind("intent"), of_kind("outcome"));
        let mut found = Vec::new();
        for act in &self.acts {
            if !self.written.announced(act, act.at) {
                found.push(format!(
                    "`{}` does `{}` at {} and has not announced it",
                    act.deployment_id, act.operation, act.at
                ));
            }
        }
        let name = |record: &Value| {
            let text = |pointer: &str| text(record, pointer).to_owned();
            (text("/deployment_id"), text("/intent_id"))
        };
        let announced: BTreeSet<_> = intents.iter().map(name).collect();
        let settled: BTreeSet<_> = outcomes.iter().map(name).collect();
        for (deployment, intent) in announced.difference(&settled) {
            found.push(format!("intent `{intent}` of `{deployment}` has no outcome"));
        }
        for (deployment, intent) in settled.difference(&announced) {
            found.push(format!("an outcome of `{deployment}` has no intent: `{intent}`"));
        }
        let mut places: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for record in ledger.iter().map(plain_item) {
            let sequence = record.pointer("/sequence").and_then(Value::as_u64).unwrap_or_default();
            places
                .entry(text(&record, "/chain").to_owned())
                .or_default()
                .insert(sequence);
        }
        for (chain, places) in &places {
            let count = u64::try_from(places.len()).unwrap_or(u64::MAX);
            if !places.iter().copied().eq(1..=count) {
                found.push(format!("chain `{chain}` has only {places:?}"));
            }
        }
        let audit = self.shop.lab.esclusa(&["audit", "verify", "--all"]);
        if audit.code != 0 {
            found.push(format!(
                "`esclusa audit verify --all` answers {}: {}{}",
                audit.code, audit.out, audit.err
            ));
        }
        for what in found {
            self.violated("I8", what);
        }
    }
}
