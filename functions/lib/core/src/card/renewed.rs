//! What is different in a plan from the one that was made before it: whoever decides again is told why.

use std::collections::BTreeMap;

use super::{Line, Part, Summary};

/// How many characters of a digest tell it from another one.
const DIGEST_SHOWN: usize = 19;

impl Summary {
    /// What is different from `earlier`, in one line of plain text.
    #[must_use]
    pub fn words_since(&self, earlier: &Self) -> String {
        let lines = self.since(earlier).into_iter();
        lines.map(|line| line.plain(usize::MAX)).collect::<Vec<_>>().join("; ")
    }

    /// What is different from `earlier`, a line each. That only values differ, which are not shown, is said too.
    pub(super) fn since(&self, earlier: &Self) -> Vec<Line> {
        let mut lines = self.sources_since(earlier);
        // Of lists that are cut nobody can say what is new.
        let is_whole = self.changes_left_out == 0 && earlier.changes_left_out == 0;
        let changes = self.changes.iter().filter(|_| is_whole);
        let changes = changes.filter(|change| !earlier.changes.contains(change));
        lines.extend(changes.map(|change| {
            let what = format!(" now {}: ", change.what());
            Line::from([Part::code(&*change.family), Part::text(what), Part::code(&*change.path)])
        }));
        let no_more = earlier.changes.iter().filter(|_| is_whole);
        let no_more = no_more.filter(|change| !self.changes.contains(change));
        lines.extend(no_more.map(|change| {
            let what = format!(" no longer {}: ", change.what());
            Line::from([Part::code(&*change.family), Part::text(what), Part::code(&*change.path)])
        }));
        lines.extend(self.steps_since(earlier));
        if self.replaces != earlier.replaces {
            lines.push(instead(
                "in force before: ",
                self.replaces.as_deref(),
                earlier.replaces.as_deref(),
            ));
        }
        let notes = self.notes.iter().filter(|note| !earlier.notes.contains(note));
        lines.extend(notes.map(Line::text));
        if lines.is_empty() {
            lines.push(Line::text(
                "something that is not listed here, such as the value of a variable",
            ));
        }
        lines
    }

    /// What it is made from.
    fn sources_since(&self, earlier: &Self) -> Vec<Line> {
        let mut lines = Vec::new();
        let Some((now, before)) = self.sources.as_ref().zip(earlier.sources.as_ref()) else {
            return lines;
        };
        for (family, base) in &now.bases {
            let was = before.bases.get(family);
            if was != Some(base) {
                lines.push(instead(
                    "based on task definition ",
                    Some(base),
                    was.map(String::as_str),
                ));
            }
        }
        for (image, digest) in &now.images {
            let was = before.images.get(image);
            if was != Some(digest) {
                let what = format!("image `{image}` is now ");
                lines.push(instead(&what, Some(shortened(digest)), was.map(|was| shortened(was))));
            }
        }
        lines
    }

    /// Which migrations run and which services move.
    fn steps_since(&self, earlier: &Self) -> Vec<Line> {
        let mut lines = Vec::new();
        let migrations = |of: &Self| -> BTreeMap<String, &'static str> {
            let each = of.migrations.iter();
            each.map(|migration| (migration.task.clone(), migration.undo.words()))
                .collect()
        };
        let (now, before) = (migrations(self), migrations(earlier));
        for (task, undo) in &now {
            match before.get(task) {
                Some(was) if was == undo => {}
                Some(was) => lines.push(Line::from([
                    Part::text("migration "),
                    Part::code(&**task),
                    Part::text(format!(" now: {undo}; before: {was}")),
                ])),
                None => lines.push(Line::from([
                    Part::text("migration "),
                    Part::code(&**task),
                    Part::text(format!(" runs as well: {undo}")),
                ])),
            }
        }
        let no_more = before.keys().filter(|task| !now.contains_key(*task));
        lines.extend(no_more.map(|task| {
            Line::from([
                Part::text("migration "),
                Part::code(&**task),
                Part::text(" does not run"),
            ])
        }));
        for moved in &self.services {
            let was = earlier.services.iter().find(|was| was.service == moved.service);
            match was {
                Some(was) if was == moved => {}
                Some(was) => {
                    let mut line = moved.way_back();
                    line.push(Part::text("; before: it"));
                    line.extend(was.way_back_words());
                    lines.push(line);
                }
                None => lines.push(Line::from([Part::code(&*moved.service), Part::text(" moves as well")])),
            }
        }
        let stays = earlier.services.iter();
        let stays = stays.filter(|was| !self.services.iter().any(|moved| moved.service == was.service));
        lines.extend(stays.map(|was| Line::from([Part::code(&*was.service), Part::text(" does not move")])));
        lines
    }
}

/// `what` with what it is now, and what it was.
fn instead(what: &str, now: Option<&str>, was: Option<&str>) -> Line {
    let mut line = Line::text(what);
    line.push(now.map_or_else(|| Part::text("nothing"), Part::code));
    if let Some(was) = was {
        line.push(Part::text(" instead of "));
        line.push(Part::code(was));
    }
    line
}

fn shortened(digest: &str) -> &str {
    digest.get(..DIGEST_SHOWN).unwrap_or(digest)
}
