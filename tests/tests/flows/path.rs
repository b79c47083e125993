//! The paths of states, composed of what one step adds to them.

/// The path of a release through environments, each of which takes one deployment.
pub(crate) fn release(environments: usize) -> Vec<&'static str> {
    let each = [
        "PlanWave",
        "DeployWave",
        "BeginEnvironment",
        "AskGates",
        "GatesOutcome?",
        "StartDeployment",
        "AwaitDeployment",
        "SettleDeployment",
        "DeploymentEnd?",
    ];
    let mut path = vec!["BeginRelease", "OpenRelease", "MoreWaves?"];
    for index in 0..environments {
        if index > 0 {
            path.extend(["EnvironmentEnded", "MoreWaves?"]);
        }
        path.extend(each);
    }
    path
}

/// The end of a release after its last deployment, whether it went through all its environments or did not come into
/// force in one.
pub(crate) const CLOSED: &[&str] = &["EnvironmentEnded", "MoreWaves?", "CloseRelease", "Closed"];

/// A release that is refused when its first wave is planned.
pub(crate) const REFUSED: &[&str] = &[
    "BeginRelease",
    "OpenRelease",
    "MoreWaves?",
    "PlanWave",
    "CloseRelease",
    "Closed",
];

/// From the lock to the first step, with so many revisions to register or to reuse.
pub(crate) fn opening(revisions: usize) -> Vec<&'static str> {
    let mut path = vec![
        "BeginDeployment",
        "AcquireLocks",
        "LocksTaken?",
        "PlanDeployment",
        "AnythingToDo?",
    ];
    path.extend(["MoreRevisions?", "RegisterRevision"].repeat(revisions));
    path.push("MoreRevisions?");
    path
}

/// A task that was placed, up to the judgement about it.
pub(crate) const TASK: &[&str] = &[
    "MoreSteps?",
    "TaskOrService?",
    "RunTask",
    "TaskStarted?",
    "AwaitTask",
    "JudgeTask",
    "TaskOutcome?",
];

/// The same where its database must have a restore point.
pub(crate) const SECURED_TASK: &[&str] = &[
    "MoreSteps?",
    "TaskOrService?",
    "SecureRestorePoint",
    "RestorePointSecured?",
    "RunTask",
    "TaskStarted?",
    "AwaitTask",
    "JudgeTask",
    "TaskOutcome?",
];

/// Another look at a snapshot.
pub(crate) const SNAPSHOT_AGAIN: &[&str] = &["PauseForSnapshot", "SecureRestorePoint", "RestorePointSecured?"];

/// The same task once more.
pub(crate) const TASK_AGAIN: &[&str] = &[
    "PauseBeforeRunningAgain",
    "RunTask",
    "TaskStarted?",
    "AwaitTask",
    "JudgeTask",
    "TaskOutcome?",
];

/// A task that took too long and was stopped.
pub(crate) const TASK_STOPPED: &[&str] = &[
    "MoreSteps?",
    "TaskOrService?",
    "RunTask",
    "TaskStarted?",
    "AwaitTask",
    "StopTask",
    "AwaitStoppedTask",
    "JudgeTask",
    "TaskOutcome?",
];

/// A service whose rollout came to an end by itself.
pub(crate) const SERVICE: &[&str] = &[
    "MoreSteps?",
    "TaskOrService?",
    "UpdateService",
    "AwaitService",
    "JudgeService",
    "ServiceOutcome?",
];

/// The same where the pipeline says how it scales.
pub(crate) const SCALED_SERVICE: &[&str] = &[
    "MoreSteps?",
    "TaskOrService?",
    "PrepareScaling",
    "UpdateService",
    "AwaitService",
    "JudgeService",
    "ServiceOutcome?",
];

/// What was suspended for a service scales again, after its rollout or instead of its success.
pub(crate) const RESTORED: &[&str] = &["RestoreScaling"];
pub(crate) const RESTORED_AND_BACK: &[&str] = &["GoingForward?", "RestoreScalingAfterFailure", "PlanWayBack"];

/// A service whose rollout took too long and was stopped.
pub(crate) const SERVICE_STOPPED: &[&str] = &[
    "MoreSteps?",
    "TaskOrService?",
    "UpdateService",
    "AwaitService",
    "RolloutToStop?",
    "StopRollout",
    "AwaitRollback",
    "JudgeService",
    "ServiceOutcome?",
];

/// A step that did what it should.
pub(crate) const NEXT: &[&str] = &["TakeNextStep"];

/// A step that did not, on the way forward.
pub(crate) const BACK: &[&str] = &["GoingForward?", "PlanWayBack"];

/// A rollout that failed, before anything is done about it.
pub(crate) const EVIDENCE: &[&str] = &["CaptureEvidence"];

/// After the last step on the way forward.
pub(crate) const END: &[&str] = &["MoreSteps?", "ConfirmServices", "StillInForce?", "RecordEnd", "Ended"];

/// After the last step on the way forward, where what was deployed is looked at.
pub(crate) const FIRST_LOOK: &[&str] = &["MoreSteps?", "LookAtChecks", "ChecksOutcome?"];

/// Another look, where an alarm could have ended the pause.
pub(crate) const ANOTHER_LOOK: &[&str] = &["AwaitAlarm", "LookAtChecks", "ChecksOutcome?"];

/// After the look that was the last.
pub(crate) const VERIFIED: &[&str] = &["ConfirmServices", "StillInForce?", "RecordEnd", "Ended"];

/// After the last step of the way back.
pub(crate) const WAY_BACK_END: &[&str] = &["MoreSteps?", "RecordEnd", "Ended"];
