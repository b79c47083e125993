//! The pieces of the stack, and what starts them.

use super::expected::{FUNCTIONS, MACHINES, Only, RULES, SCHEDULES, TABLES, Trigger};
use super::{DEPLOY, Group, Observed, Recovery, Seen, TableFacts, Verdict, listed};

/// The variable in which a function says of which version it is.
const VERSION: &str = "ESCLUSA_VERSION";

/// Of how many seconds a clock may be wrong before people read wrong times, and before AWS refuses what is signed with
/// it.
const SKEW_SEEN_SECONDS: i64 = 30;
const SKEW_REFUSED_SECONDS: i64 = 300;

/// How old the last moment may be to which a table can be restored: it is usually five minutes.
const RESTORABLE_SECONDS: i64 = 3_600;

pub(super) fn stack(observed: &Observed, group: &mut Group<'_>) {
    group.look("clock of this machine", &observed.clock_ahead, "", |ahead| {
        let seconds = ahead.as_secs();
        let seen = match seconds {
            0 => "in step with AWS".to_owned(),
            1.. => format!("{seconds} s ahead of AWS"),
            _ => format!("{} s behind AWS", seconds.unsigned_abs()),
        };
        let help = "sync it with a time server: `timedatectl set-ntp true`";
        match seconds.abs() {
            SKEW_REFUSED_SECONDS.. => Verdict::problem(format!("{seen}: AWS refuses requests signed by it"), help),
            SKEW_SEEN_SECONDS.. => Verdict::warning(seen, help),
            _ => Verdict::ok(seen),
        }
    });
    for (name, expires_by) in TABLES {
        let table = format!("{}-{name}", observed.stack);
        let seen = observed.tables.get(name).unwrap_or(&Seen::Absent);
        group.look(format!("table {table}"), seen, DEPLOY, |facts| {
            table_verdict(observed, &table, expires_by, facts)
        });
    }
    for name in FUNCTIONS {
        let function = format!("{}-{name}", observed.stack);
        let seen = observed.functions.get(name).unwrap_or(&Seen::Absent);
        group.look(format!("function {function}"), seen, DEPLOY, |facts| {
            let update = facts.last_update.as_deref().unwrap_or("Successful");
            let version = facts.variables.get(VERSION).map(String::as_str);
            let said = version.unwrap_or("of an unknown version");
            let help = format!("`aws lambda get-function-configuration --function-name {function}` says why");
            match (facts.state.as_str(), update) {
                ("Active", "Successful") if version == Some(&observed.version) => {
                    Verdict::ok(format!("Active, {said}"))
                }
                ("Active", "Successful") => Verdict::warning(
                    format!("{said}; this command line is {}", observed.version),
                    "deploy the stack, or install the command line, of the same version: `scripts/deploy`",
                ),
                ("Active", update) => Verdict::problem(format!("its last update is {update}"), help),
                // Lambda takes the network interface of an idle function, and gives it back at the next invocation.
                ("Inactive", _) => Verdict::ok(format!("{said}, asleep: the next invocation wakes it")),
                (state, _) => Verdict::problem(format!("it is {state}"), help),
            }
        });
    }
    for name in MACHINES {
        let machine = format!("{}-{name}", observed.stack);
        let seen = observed.machines.get(name).unwrap_or(&Seen::Absent);
        group.look(format!("state machine {machine}"), seen, DEPLOY, |facts| {
            if facts.status != "ACTIVE" {
                return Verdict::problem(format!("it is {}", facts.status), DEPLOY);
            }
            match &facts.known {
                Some(known) if *known == facts.definition => {
                    Verdict::ok("ACTIVE, with the definition that this command line knows")
                }
                Some(_) => Verdict::warning(
                    "its definition is not the one that this command line knows",
                    "deploy the stack, or install the command line, of the same version: `scripts/deploy`",
                ),
                None => Verdict::ok("ACTIVE; its definition cannot be compared without its functions"),
            }
        });
    }
}

/// The first thing that is wrong with a table; the worst first.
fn table_verdict(observed: &Observed, table: &str, expires_by: Option<&str>, facts: &TableFacts) -> Verdict {
    if facts.status != "ACTIVE" {
        return Verdict::problem(
            format!("it is {}", facts.status),
            format!("`aws dynamodb describe-table --table-name {table}` says why"),
        );
    }
    if !facts.deletion_protection {
        return Verdict::problem(
            "anybody with the permission can delete it with one call: deletion protection is off",
            format!("`aws dynamodb update-table --table-name {table} --deletion-protection-enabled`"),
        );
    }
    let kept = match &facts.recovery {
        Seen::Found(Recovery::Off) => {
            return Verdict::problem(
                "there is nothing to restore it from: point-in-time recovery is off",
                format!(
                    "`aws dynamodb update-continuous-backups --table-name {table} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true`"
                ),
            );
        }
        Seen::Found(Recovery::Until(None)) => "point-in-time recovery is on".to_owned(),
        Seen::Found(Recovery::Until(Some(until))) => {
            let age = observed.now.duration_since(*until).as_secs();
            if age > RESTORABLE_SECONDS {
                return Verdict::warning(
                    format!("it can be restored to {until} at the latest, {} min ago", age / 60),
                    format!("`aws dynamodb describe-continuous-backups --table-name {table}`"),
                );
            }
            format!("restorable until {until}")
        }
        Seen::Absent => "nothing is known about its backups".to_owned(),
        Seen::Denied { action } => format!("you may not see its backups (`{action}`)"),
        Seen::Unreadable { why } => format!("its backups could not be checked ({why})"),
    };
    match (&facts.expires_by, expires_by) {
        (Seen::Found(found), expected) if found.as_deref() != expected => {
            let said =
                |attribute: Option<&str>| attribute.map_or("nothing".to_owned(), |attribute| format!("`{attribute}`"));
            Verdict::problem(
                format!(
                    "its items expire by {} and must expire by {}",
                    said(found.as_deref()),
                    said(expected)
                ),
                DEPLOY,
            )
        }
        _ => Verdict::ok(format!("ACTIVE, protected from deletion, {kept}")),
    }
}

pub(super) fn triggers(observed: &Observed, group: &mut Group<'_>) {
    for rule in RULES {
        let name = format!("{}-{}", observed.stack, rule.name);
        let seen = observed.rules.get(rule.name).unwrap_or(&Seen::Absent);
        let enable = format!("`aws events enable-rule --name {name}`");
        group.look(format!("rule {name}"), seen, DEPLOY, |facts| {
            let targets = facts
                .targets
                .found()
                .map(|targets| targets.iter().map(String::as_str).collect());
            verdict(observed, rule, facts.enabled, targets, "enabled", enable)
        });
    }
    for schedule in SCHEDULES {
        let name = format!("{}-{}", observed.stack, schedule.name);
        let seen = observed.schedules.get(schedule.name).unwrap_or(&Seen::Absent);
        group.look(format!("schedule {name}"), seen, DEPLOY, |facts| {
            let targets = Some(vec![facts.target.as_str()]);
            verdict(
                observed,
                schedule,
                facts.enabled,
                targets,
                &facts.expression,
                DEPLOY.to_owned(),
            )
        });
    }
}

/// Whether what not every installation has is needed in this one; nothing where that cannot be seen, which decides
/// nothing.
pub(super) fn is_needed(observed: &Observed, only: Option<Only>) -> Option<bool> {
    match only {
        None => Some(true),
        Some(Only::Slack) => configured(observed, "notify", "ESCLUSA_SLACK_BOT_TOKEN_ARN"),
        Some(Only::Targets) => configured(observed, "resume", "ESCLUSA_TARGET_ACCOUNTS"),
    }
}

/// Whether a rule or a schedule is enabled as it must be, and invokes its function. `targets` are not known where they
/// cannot be seen.
fn verdict(
    observed: &Observed,
    trigger: Trigger,
    enabled: bool,
    targets: Option<Vec<&str>>,
    well: &str,
    enable: String,
) -> Verdict {
    match (is_needed(observed, trigger.only), enabled) {
        (Some(true), false) => return Verdict::problem("it is disabled: it delivers nothing", enable),
        (Some(false), true) => {
            return Verdict::warning("it is enabled, but what it serves is not configured", DEPLOY);
        }
        (_, false) => return Verdict::ok("disabled, as nothing needs it"),
        (_, true) => {}
    }
    let function = format!(":function:{}-{}", observed.stack, trigger.function);
    match targets {
        Some(targets) if targets.is_empty() => Verdict::problem("it invokes nothing", DEPLOY),
        Some(targets) if !targets.iter().any(|target| target.ends_with(&function)) => Verdict::problem(
            format!(
                "it invokes {}, not `{}-{}`",
                listed(targets),
                observed.stack,
                trigger.function
            ),
            DEPLOY,
        ),
        Some(_) => Verdict::ok(format!("{well}, invokes `{}-{}`", observed.stack, trigger.function)),
        None => Verdict::ok(format!("{well}; what it invokes could not be checked")),
    }
}

/// Whether a function was told something; nothing where that cannot be seen.
fn configured(observed: &Observed, function: &str, variable: &str) -> Option<bool> {
    let facts = observed.functions.get(function)?.found()?;
    Some(facts.variables.get(variable).is_some_and(|value| !value.is_empty()))
}
