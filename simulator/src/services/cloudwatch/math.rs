//! Metric math, as far as it is simulated: numbers, ids, `+ - * /`, parentheses, `FILL(id, n)`, `SUM([ids])`,
//! `SUM(METRICS())` and `SERVICE_QUOTA(id)`. <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>

use std::collections::BTreeMap;

use jiff::Timestamp;
use simulator_kernel::ApiError;

use super::validation;

/// Values by the beginnings of their periods. A period without data has none.
pub(super) type Series = BTreeMap<Timestamp, f64>;

/// How deep an expression may nest.
const DEPTH: usize = 32;

/// What an expression gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Number(f64),
    Series(Series),
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Id(String),
    Binary(Box<Expression>, char, Box<Expression>),
    /// With a number where there is no data.
    Fill(Box<Expression>, Box<Expression>),
    /// Of several series, period by period.
    Sum(Vec<Expression>),
    /// Of all metrics of the request.
    SumOfMetrics,
    /// The quota that a usage metric counts against.
    Quota(String),
}

/// What an expression can look at.
pub(super) trait Context {
    /// What another query of the request gives.
    fn query(&mut self, id: &str) -> Result<Outcome, ApiError>;
    /// Every metric of the request.
    fn metrics(&self) -> Vec<Series>;
    /// The quota of the usage metric that another query of the request is, where it is one.
    fn quota(&self, id: &str) -> Result<Series, ApiError>;
    /// Every period of the request.
    fn periods(&self) -> Result<Vec<Timestamp>, ApiError>;
}

impl Expression {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parser = Parser {
            text,
            rest: text,
            depth: DEPTH,
        };
        let expression = parser.sum()?;
        match parser.peek() {
            None => Ok(expression),
            Some(_) => Err(parser.refused()),
        }
    }

    pub(super) fn evaluate(&self, context: &mut impl Context) -> Result<Outcome, ApiError> {
        match self {
            Self::Number(number) => Ok(Outcome::Number(*number)),
            Self::Id(id) => context.query(id),
            Self::Binary(left, operator, right) => {
                Ok(combine(left.evaluate(context)?, *operator, right.evaluate(context)?))
            }
            Self::Fill(series, filler) => match (series.evaluate(context)?, filler.evaluate(context)?) {
                (Outcome::Series(mut series), Outcome::Number(filler)) => {
                    for period in context.periods()? {
                        series.entry(period).or_insert(filler);
                    }
                    Ok(Outcome::Series(series))
                }
                _ => Err(ApiError::unsupported(
                    "`FILL` in metric math but of a time series with a number",
                )),
            },
            Self::Sum(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    match part.evaluate(context)? {
                        Outcome::Series(series) => all.push(series),
                        Outcome::Number(_) => return Err(ApiError::unsupported("`SUM` of numbers in metric math")),
                    }
                }
                Ok(Outcome::Series(total(all)))
            }
            Self::SumOfMetrics => Ok(Outcome::Series(total(context.metrics()))),
            Self::Quota(id) => Ok(Outcome::Series(context.quota(id)?)),
        }
    }
}

fn total(all: Vec<Series>) -> Series {
    let mut total = Series::new();
    for (at, value) in all.into_iter().flatten() {
        *total.entry(at).or_default() += value;
    }
    total
}

/// A period that one side does not have, or whose result is no number, has no result.
fn combine(left: Outcome, operator: char, right: Outcome) -> Outcome {
    let apply = |left: f64, right: f64| match operator {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        _ => left / right,
    };
    let kept = |series: &mut dyn Iterator<Item = (Timestamp, f64)>| {
        Outcome::Series(series.filter(|(_, value)| value.is_finite()).collect())
    };
    match (left, right) {
        (Outcome::Number(left), Outcome::Number(right)) => Outcome::Number(apply(left, right)),
        (Outcome::Series(left), Outcome::Number(right)) => {
            kept(&mut left.into_iter().map(|(at, left)| (at, apply(left, right))))
        }
        (Outcome::Number(left), Outcome::Series(right)) => {
            kept(&mut right.into_iter().map(|(at, right)| (at, apply(left, right))))
        }
        (Outcome::Series(left), Outcome::Series(right)) => kept(
            &mut left
                .into_iter()
                .filter_map(|(at, left)| right.get(&at).map(|right| (at, apply(left, *right)))),
        ),
    }
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Takes the next character when it is this one.
    fn takes(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = self.rest.strip_prefix(wanted).unwrap_or_default();
        }
        found
    }

    fn wants(&mut self, wanted: char) -> Result<(), ApiError> {
        if self.takes(wanted) {
            Ok(())
        } else {
            Err(self.refused())
        }
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    fn sum(&mut self) -> Result<Expression, ApiError> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| self.refused())?;
        let mut left = self.product()?;
        while let Some(operator @ ('+' | '-')) = self.peek() {
            self.wants(operator)?;
            left = Expression::Binary(Box::new(left), operator, Box::new(self.product()?));
        }
        self.depth += 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<Expression, ApiError> {
        let mut left = self.factor()?;
        while let Some(operator @ ('*' | '/')) = self.peek() {
            self.wants(operator)?;
            left = Expression::Binary(Box::new(left), operator, Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, ApiError> {
        if self.takes('(') {
            let inner = self.sum()?;
            self.wants(')')?;
            return Ok(inner);
        }
        if self.takes('-') {
            self.depth = self.depth.checked_sub(1).ok_or_else(|| self.refused())?;
            let inner = self.factor()?;
            self.depth += 1;
            return Ok(Expression::Binary(
                Box::new(Expression::Number(-1.0)),
                '*',
                Box::new(inner),
            ));
        }
        match self.peek() {
            Some(first) if first.is_ascii_digit() || first == '.' => {
                let digits = self.word(|letter| letter.is_ascii_digit() || letter == '.');
                digits.parse().map(Expression::Number).map_err(|_| self.refused())
            }
            Some(first) if first.is_ascii_lowercase() => {
                let id = self.word(is_of_id);
                Ok(Expression::Id(id.to_owned()))
            }
            Some(first) if first.is_ascii_uppercase() => self.function(),
            _ => Err(self.refused()),
        }
    }

    fn function(&mut self) -> Result<Expression, ApiError> {
        let name = self.word(is_of_id);
        match name {
            "FILL" => {
                self.wants('(')?;
                let series = self.sum()?;
                self.wants(',')?;
                let filler = self.sum()?;
                self.wants(')')?;
                Ok(Expression::Fill(Box::new(series), Box::new(filler)))
            }
            "SUM" => {
                self.wants('(')?;
                let sum = if self.takes('[') {
                    let mut parts = vec![self.sum()?];
                    while self.takes(',') {
                        parts.push(self.sum()?);
                    }
                    self.wants(']')?;
                    Expression::Sum(parts)
                } else {
                    if !self.rest.trim_start().starts_with("METRICS") {
                        return Err(ApiError::unsupported(
                            "`SUM` in metric math but of `[ids]` and of `METRICS()`",
                        ));
                    }
                    self.rest = self.rest.trim_start().strip_prefix("METRICS").unwrap_or_default();
                    self.wants('(')?;
                    self.wants(')')?;
                    Expression::SumOfMetrics
                };
                self.wants(')')?;
                Ok(sum)
            }
            "SERVICE_QUOTA" => {
                self.wants('(')?;
                self.peek();
                let id = self.word(is_of_id).to_owned();
                self.wants(')')?;
                Ok(Expression::Quota(id))
            }
            other => Err(ApiError::unsupported(format_args!("`{other}` in metric math"))),
        }
    }

    /// What cannot be read is either no metric math or of the part that is not simulated: it is refused as the latter
    /// unless nothing is left.
    fn refused(&mut self) -> ApiError {
        let text = self.text;
        match self.peek() {
            None => validation(format!("Error in expression '{text}': it ends too early.")),
            Some(_) => ApiError::unsupported(format_args!("`{}` in the metric math `{text}`", self.rest)),
        }
    }
}

fn is_of_id(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    impl Context for Two {
        fn query(&mut self, id: &str) -> Result<Outcome, ApiError> {
            Ok(Outcome::Series(match id {
                "errors" => [(at(0), 1.0), (at(60), 3.0)].into(),
                "all" => [(at(0), 0.0), (at(60), 6.0), (at(120), 2.0)].into(),
                other => return Err(validation(other)),
            }))
        }

        fn metrics(&self) -> Vec<Series> {
            vec![[(at(0), 1.0)].into(), [(at(0), 2.0), (at(60), 4.0)].into()]
        }

        fn quota(&self, id: &str) -> Result<Series, ApiError> {
            Ok(if id == "all" {
                [(at(0), 9.0)].into()
            } else {
                Series::new()
            })
        }

        fn periods(&self) -> Result<Vec<Timestamp>, ApiError> {
            Ok(vec![at(0), at(60), at(120)])
        }
    }

    fn values(text: &str) -> Vec<(i64, f64)> {
        match Expression::parse(text).unwrap().evaluate(&mut Two).unwrap() {
            Outcome::Series(series) => series.into_iter().map(|(at, value)| (at.as_second(), value)).collect(),
            Outcome::Number(number) => vec![(-1, number)],
        }
    }

    #[test]
    fn expressions_are_evaluated_period_by_period() {
        assert_eq!(values("1 + 2 * (3 - 1) / 4"), [(-1, 2.0)]);
        assert_eq!(
            values("100 * errors / all"),
            [(60, 50.0)],
            "division by zero has no result"
        );
        assert_eq!(values("FILL(errors, -1)"), [(0, 1.0), (60, 3.0), (120, -1.0)]);
        assert_eq!(values("SUM([errors, all])"), [(0, 1.0), (60, 9.0), (120, 2.0)]);
        assert_eq!(values("SUM( METRICS() )"), [(0, 3.0), (60, 4.0)]);
        assert_eq!(values("SERVICE_QUOTA( all ) - 1"), [(0, 8.0)]);
        assert_eq!(values("SERVICE_QUOTA(errors)"), [], "no usage metric");
    }

    #[test]
    fn what_is_not_simulated_is_refused_by_name() {
        for (text, named) in [
            ("RATE(errors)", "`RATE`"),
            ("errors > 5", "`> 5`"),
            ("SUM(errors)", "`SUM`"),
            ("FILL(errors, REPEAT)", "`REPEAT`"),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert!(error.message.contains(named), "{text}: {error}");
            assert_eq!(error.code, "UnsupportedBySimulatorException");
        }
        assert_eq!(Expression::parse("1 +").unwrap_err().code, "ValidationError");
        assert!(Expression::parse(&"(".repeat(10_000)).is_err());
        assert!(Expression::parse(&"-".repeat(10_000)).is_err());
    }
}
