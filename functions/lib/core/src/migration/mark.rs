//! The mark by which a task is known for one of ours: `startedBy`, which `ListTasks` filters by and every event of the
//! task carries.

/// What the mark begins with; the rule for the events of tasks selects it.
const PREFIX: &str = "esclusa/";

/// The mark of the task that an announced act starts.
#[must_use]
pub fn started_by(intent_id: &str) -> String {
    format!("{PREFIX}{intent_id}")
}

/// The announced act that started a task with this mark; nothing for the task of somebody else.
#[must_use]
pub fn intent_of(started_by: &str) -> Option<&str> {
    started_by.strip_prefix(PREFIX).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_leads_back_to_its_announcement() {
        assert_eq!(intent_of(&started_by("4f2c")), Some("4f2c"));
        for foreign in ["ecs-svc/123", "esclusa/", ""] {
            assert_eq!(intent_of(foreign), None);
        }
    }
}
