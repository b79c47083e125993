//! How an alarm comes to its state, from the datapoints alone:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>.

use jiff::Timestamp;
use simulator_kernel::AlarmState;

/// How many periods before the evaluated ones are looked at when some of these have no data. AWS does not say.
const EXTRA_PERIODS: usize = 2;

/// `ComparisonOperator` with a fixed threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "GreaterThanThreshold" => Self::Greater,
            "GreaterThanOrEqualToThreshold" => Self::GreaterOrEqual,
            "LessThanThreshold" => Self::Less,
            "LessThanOrEqualToThreshold" => Self::LessOrEqual,
            _ => return None,
        })
    }

    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Greater => "greater than",
            Self::GreaterOrEqual => "greater than or equal to",
            Self::Less => "less than",
            Self::LessOrEqual => "less than or equal to",
        }
    }
}

/// `TreatMissingData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

impl Treatment {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "missing" => Self::Missing,
            "ignore" => Self::Ignore,
            "breaching" => Self::Breaching,
            "notBreaching" => Self::NotBreaching,
            _ => return None,
        })
    }
}

/// When an alarm fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    pub(super) comparison: Comparison,
    pub(super) threshold: f64,
    /// `EvaluationPeriods`.
    pub(super) periods: usize,
    /// `DatapointsToAlarm`.
    pub(super) to_alarm: usize,
    pub(super) treatment: Treatment,
}

impl Rule {
    /// How many periods are looked at.
    pub(super) fn range(&self) -> usize {
        self.periods.saturating_add(EXTRA_PERIODS)
    }

    fn breaches(&self, value: f64) -> bool {
        self.comparison.holds(value, self.threshold)
    }

    /// The state that follows from the values of the evaluation range, oldest first.
    pub(super) fn judge(&self, values: &[Option<f64>], current: AlarmState) -> AlarmState {
        let newest: Vec<f64> = values.iter().rev().flatten().copied().take(self.periods).collect();
        let breaching = newest.iter().filter(|value| self.breaches(**value)).count();
        let lacking = self.periods - newest.len().min(self.periods);
        let alarm_when = |fires: bool| if fires { AlarmState::Alarm } else { AlarmState::Ok };
        if lacking == 0 || breaching >= self.to_alarm {
            return alarm_when(breaching >= self.to_alarm);
        }
        match self.treatment {
            Treatment::Breaching => alarm_when(breaching + lacking >= self.to_alarm),
            Treatment::NotBreaching => AlarmState::Ok,
            Treatment::Ignore if breaching == newest.len() => current,
            Treatment::Missing if newest.is_empty() => AlarmState::InsufficientData,
            Treatment::Missing if breaching < newest.len() => AlarmState::Ok,
            Treatment::Missing if self.has_breached_since_long(values) => AlarmState::Alarm,
            // All that there is breaches, but not for long enough.
            Treatment::Missing => current,
            Treatment::Ignore => AlarmState::Ok,
        }
    }

    /// Whether the oldest datapoint of the evaluated periods, all of which breach, is old enough.
    fn has_breached_since_long(&self, values: &[Option<f64>]) -> bool {
        let newest_first = values.iter().rev().take(self.periods);
        let mut ages = newest_first.enumerate().filter(|(_, value)| value.is_some());
        ages.next_back().is_some_and(|(age, _)| age + 1 >= self.to_alarm)
    }

    /// The words of CloudWatch for a change of state.
    pub(super) fn reason(&self, points: &[(Timestamp, Option<f64>)], from: AlarmState, to: AlarmState) -> String {
        let newest = points.iter().rev().filter_map(|(at, value)| Some((*at, (*value)?)));
        let newest: Vec<(Timestamp, f64)> = newest.take(self.periods).collect();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        if to == AlarmState::InsufficientData {
            let (periods, verb) = (self.periods, if self.periods == 1 { "was" } else { "were" });
            return format!(
                "Insufficient Data: {periods} datapoint{} {verb} unknown.",
                plural(periods)
            );
        }
        let missing = self.periods - newest.len().min(self.periods);
        let treated = match self.treatment {
            Treatment::Breaching => "Breaching",
            Treatment::NotBreaching => "NonBreaching",
            Treatment::Missing | Treatment::Ignore => "Missing",
        };
        if newest.is_empty() {
            let treats = if missing == 1 {
                "datapoint was"
            } else {
                "datapoints were"
            };
            return format!(
                "Threshold Crossed: no datapoints were received for {missing} period{} and {missing} missing {treats} treated as [{treated}].",
                plural(missing)
            );
        }
        let is_alarm = to == AlarmState::Alarm;
        let matching: Vec<&(Timestamp, f64)> = newest
            .iter()
            .filter(|(_, value)| self.breaches(*value) == is_alarm)
            .collect();
        let shown: Vec<String> = matching
            .iter()
            .map(|(at, value)| format!("{value:?} ({})", at.strftime("%d/%m/%y %H:%M:%S")))
            .collect();
        let count = matching.len();
        let (verb, minimum) = match (is_alarm, count) {
            (true, 1) => ("was", self.to_alarm),
            (true, _) => ("were", self.to_alarm),
            (false, 1) => ("was not", self.minimum_to_recover()),
            (false, _) => ("were not", self.minimum_to_recover()),
        };
        format!(
            "Threshold Crossed: {count} out of the last {} datapoint{} [{}] {verb} {} the threshold ({:?}) (minimum {minimum} datapoint{} for {} -> {} \
             transition).",
            newest.len(),
            plural(newest.len()),
            shown.join(", "),
            self.comparison.words(),
            self.threshold,
            plural(minimum),
            if from == AlarmState::InsufficientData {
                if is_alarm { "OK" } else { "ALARM" }
            } else {
                from.as_str()
            },
            to.as_str(),
        )
    }

    fn minimum_to_recover(&self) -> usize {
        (self.periods + 1).saturating_sub(self.to_alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Treatment; 4] = [
        Treatment::Missing,
        Treatment::Ignore,
        Treatment::Breaching,
        Treatment::NotBreaching,
    ];

    /// `X` breaches, `0` does not, `-` is missing; the states for each treatment, of an alarm that knows nothing yet.
    fn states(points: &str, periods: usize, to_alarm: usize) -> [&'static str; 4] {
        let values: Vec<Option<f64>> = points
            .chars()
            .map(|point| match point {
                'X' => Some(9.0),
                '0' => Some(1.0),
                _ => None,
            })
            .collect();
        ALL.map(|treatment| {
            let rule = Rule {
                comparison: Comparison::Greater,
                threshold: 5.0,
                periods,
                to_alarm,
                treatment,
            };
            match rule.judge(&values, AlarmState::InsufficientData) {
                AlarmState::InsufficientData if treatment == Treatment::Ignore => "retained",
                state => state.as_str(),
            }
        })
    }

    #[test]
    fn missing_data_is_treated_as_the_guide_says() {
        assert_eq!(states("0-X-X", 3, 3), ["OK"; 4]);
        assert_eq!(states("----0", 3, 3), ["OK"; 4]);
        assert_eq!(states("-----", 3, 3), ["INSUFFICIENT_DATA", "retained", "ALARM", "OK"]);
        assert_eq!(states("0XX-X", 3, 3), ["ALARM"; 4]);
        assert_eq!(states("--X--", 3, 3), ["ALARM", "retained", "ALARM", "OK"]);
        assert_eq!(states("00X0X", 3, 2), ["ALARM"; 4]);
        assert_eq!(states("0-X-X", 3, 2), ["ALARM"; 4]);
        assert_eq!(states("0-X--", 3, 2), ["OK", "OK", "ALARM", "OK"]);
        assert_eq!(states("---X-", 3, 2), ["ALARM", "retained", "ALARM", "OK"]);
        assert_eq!(states("00000", 3, 3), ["OK"; 4]);
    }
}
