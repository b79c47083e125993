//! What a queue shows of those who consume it.

use super::*;
use crate::pipeline::{ConsumersMeasure, Idle};

/// The verification began at 10, so its first whole minute begins at 60.
const BEGAN: i64 = 10;

fn measure(idle: Idle) -> ConsumersMeasure {
    ConsumersMeasure {
        queue: "orders".to_owned(),
        stalled_seconds: 180,
        idle,
    }
}

/// Minutes of a queue: waiting, in flight, received, empty receives, deleted.
type Minute = [f64; 5];

const WORKED_ON: Minute = [2.0, 1.0, 12.0, 3.0, 11.0];
const STALLED: Minute = [40.0, 0.0, 0.0, 0.0, 0.0];
/// Received again and again, and never done with.
const CRASHES: Minute = [0.0, 5.0, 5.0, 0.0, 0.0];
const ASKED: Minute = [0.0, 0.0, 0.0, 3.0, 0.0];
const LEFT_ALONE: Minute = [0.0, 0.0, 0.0, 0.0, 0.0];

/// What a look shows at the end of these minutes, the first of which is the first whole one of the verification, of
/// those that are there.
fn shows(idle: Idle, minutes: &[Option<Minute>]) -> (Outcome, String) {
    let sight = (1..).zip(minutes).filter_map(|(minute, shown)| {
        let [waiting, in_flight, received, empty_receives, deleted] = (*shown)?;
        let shown = QueueMinute {
            waiting,
            in_flight,
            received,
            empty_receives,
            deleted,
        };
        Some((at(60 * minute).as_second(), shown))
    });
    let now = at(60 + 60 * i64::try_from(minutes.len()).unwrap() + 5);
    consumers(&measure(idle), at(BEGAN), &sight.collect(), now)
}

#[test]
fn consumers_are_at_work_while_they_delete_and_are_not_when_messages_lie_there_for_too_long() {
    use Outcome::{Fail, Inconclusive, Pass};
    for (minutes, by_default, with_pass) in [
        // Work shows itself, at once and for as long as is declared.
        (&[WORKED_ON][..], Pass, Pass),
        (&[WORKED_ON, STALLED, STALLED], Pass, Pass),
        (&[WORKED_ON, STALLED, STALLED, STALLED], Fail, Fail),
        (&[STALLED, STALLED], Inconclusive, Inconclusive),
        (&[STALLED, STALLED, STALLED], Fail, Fail),
        (&[CRASHES, CRASHES, CRASHES], Fail, Fail),
        (&[STALLED, CRASHES, WORKED_ON], Pass, Pass),
        // Without messages there is nothing to see, but that somebody asks for them.
        (&[ASKED], Inconclusive, Pass),
        (&[LEFT_ALONE, LEFT_ALONE, LEFT_ALONE], Inconclusive, Inconclusive),
        (&[STALLED, STALLED, ASKED], Inconclusive, Pass),
        // Whoever asked before may have died since, as long as a message lies there.
        (&[ASKED, ASKED, STALLED], Inconclusive, Inconclusive),
        (&[LEFT_ALONE, STALLED, STALLED], Inconclusive, Inconclusive),
    ] {
        let minutes: Vec<Option<Minute>> = minutes.iter().copied().map(Some).collect();
        let shown = [Idle::Inconclusive, Idle::Pass].map(|idle| shows(idle, &minutes).0);
        assert_eq!(shown, [by_default, with_pass], "{minutes:?}");
    }
}

#[test]
fn minutes_that_cloudwatch_does_not_show_are_not_guessed() {
    let (none, stalled) = (None, Some(STALLED));
    for (minutes, outcome, said) in [
        (
            &[][..],
            Outcome::Inconclusive,
            "there is no datapoint of the release yet",
        ),
        (
            &[none; 2],
            Outcome::Inconclusive,
            "there is no datapoint of the release yet",
        ),
        (
            &[none; 3],
            Outcome::Inconclusive,
            "there is no datapoint of the queue `orders`: nobody has used it for hours, or it does not exist",
        ),
        (
            &[Some(WORKED_ON), none, none, none],
            Outcome::Inconclusive,
            "there is no datapoint of the queue `orders`: nobody has used it for hours, or it does not exist",
        ),
        // The newest are not there yet.
        (
            &[stalled, stalled, stalled, none, none],
            Outcome::Fail,
            "messages in `orders`: 40 waiting, 0 in flight; in 180 seconds: deleted 0, received 0, empty receives 0",
        ),
        // One in between is missing.
        (
            &[stalled, stalled, none, stalled],
            Outcome::Inconclusive,
            "messages in `orders`: 40 waiting, 0 in flight; in 60 seconds: deleted 0, received 0, empty receives 0",
        ),
    ] {
        assert_eq!(shows(Idle::Pass, minutes), (outcome, said.to_owned()), "{minutes:?}");
    }
}

#[test]
fn as_many_minutes_are_read_as_decide_and_none_from_before_the_release() {
    let window = |now: i64| {
        let window = queue_window(&measure(Idle::Pass), at(BEGAN), at(now));
        (window.from - at(0).as_second(), window.to - at(0).as_second())
    };
    assert_eq!(window(70), (60, 60));
    assert_eq!(window(190), (60, 180));
    assert_eq!(window(3_601), (3_600 - 360, 3_600));
}
