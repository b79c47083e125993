//! Stretches of time, each from its beginning to before its end.

use jiff::Timestamp;

/// From the first moment to before the second.
pub(super) type Stretch = (Timestamp, Timestamp);

/// The same time in order and without overlaps; a stretch that ends when it begins is none.
pub(super) fn joined(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.retain(|(from, to)| from < to);
    stretches.sort_unstable();
    let mut joined: Vec<Stretch> = Vec::new();
    for (from, to) in stretches {
        match joined.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            Some(_) | None => joined.push((from, to)),
        }
    }
    joined
}

/// What is left of stretches without others; both are joined, and so is what is left.
pub(super) fn without(stretches: &[Stretch], taken: &[Stretch]) -> Vec<Stretch> {
    let mut left = Vec::new();
    for (from, to) in stretches {
        let mut from = *from;
        let first = taken.partition_point(|(_, ends)| *ends <= from);
        for (begins, ends) in taken.iter().skip(first).take_while(|(begins, _)| begins < to) {
            if from < *begins {
                left.push((from, *begins));
            }
            from = *ends;
        }
        if from < *to {
            left.push((from, *to));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(stretches: &[(i64, i64)]) -> Vec<Stretch> {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        stretches.iter().map(|(from, to)| (at(*from), at(*to))).collect()
    }

    #[test]
    fn stretches_that_touch_are_one() {
        let joined = joined(seconds(&[(20, 30), (0, 5), (5, 10), (22, 25), (40, 40)]));
        assert_eq!(joined, seconds(&[(0, 10), (20, 30)]));
    }

    #[test]
    fn what_is_taken_away_leaves_what_is_before_between_and_after_it() {
        let all = seconds(&[(0, 10), (20, 30), (40, 50)]);
        for (taken, left) in [
            (&[][..], &[(0, 10), (20, 30), (40, 50)][..]),
            (&[(2, 4), (6, 8)], &[(0, 2), (4, 6), (8, 10), (20, 30), (40, 50)]),
            (&[(5, 25)], &[(0, 5), (25, 30), (40, 50)]),
            (&[(0, 10), (30, 40)], &[(20, 30), (40, 50)]),
            (&[(0, 60)], &[]),
        ] {
            assert_eq!(without(&all, &seconds(taken)), seconds(left), "{taken:?}");
        }
    }
}
