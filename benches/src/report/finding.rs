//! What is said of a figure beside its rates: ratios to references, and times, each with its aim.

use serde::{Deserialize, Serialize};

use crate::measured::Measured;

/// Something found, such as a ratio to a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// What was found; the same words in every run, as two commits are compared by them.
    pub(crate) what: String,
    pub(crate) value: f64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) aim: Option<Aim>,
}

/// What a finding should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Finding {
    /// A value without a unit: a ratio.
    pub(crate) fn ratio(what: impl Into<String>, value: f64) -> Self {
        Self { what: what.into(), value, unit: String::new(), aim: None }
    }

    /// A value of a unit, such as `ms`.
    pub(crate) fn value(what: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { unit: unit.to_owned(), ..Self::ratio(what, value) }
    }

    /// Records per CPU-second, as a share of the reference's.
    pub(crate) fn per_cpu_second(measured: &Measured, reference: &Measured, whose: &str) -> Self {
        Self::ratio(format!("of {whose} per CPU-second"), measured.per_cpu_second() / reference.per_cpu_second())
    }

    /// Records per second, as a share of the reference's.
    pub(crate) fn per_second(measured: &Measured, reference: &Measured, whose: &str) -> Self {
        Self::ratio(format!("of {whose} per second"), measured.per_second() / reference.per_second())
    }

    pub(crate) fn at_least(self, aim: f64) -> Self {
        Self { aim: Some(Aim::AtLeast(aim)), ..self }
    }

    pub(crate) fn at_most(self, aim: f64) -> Self {
        Self { aim: Some(Aim::AtMost(aim)), ..self }
    }

    /// Whether the aim is met; `None` without one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(match self.aim? {
            Aim::AtLeast(aim) => self.value >= aim,
            Aim::AtMost(aim) => self.value <= aim,
        })
    }

    /// For people: `0.78 of pass-through per CPU-second (aim ≥ 0.75, met)`.
    pub(crate) fn text(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        format!("{}{unit} {}{}", short(self.value), self.what, self.aim_text())
    }

    fn aim_text(&self) -> String {
        let (sign, aim) = match self.aim {
            None => return String::new(),
            Some(Aim::AtLeast(aim)) => ("≥", aim),
            Some(Aim::AtMost(aim)) => ("≤", aim),
        };
        let met = if self.is_met() == Some(true) { "met" } else { "missed" };
        format!(" (aim {sign} {}, {met})", short(aim))
    }
}

/// A number as people read it: ratios to two places, the large without any.
pub(super) fn short(value: f64) -> String {
    if value.abs() >= 20.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_or_missed() {
        let finding = Finding::ratio("of pass-through per CPU-second", 0.745);
        assert_eq!(finding.is_met(), None);
        assert_eq!(finding.text(), "0.74 of pass-through per CPU-second");
        let finding = finding.at_least(0.75);
        assert_eq!(finding.text(), "0.74 of pass-through per CPU-second (aim ≥ 0.75, missed)");
        assert_eq!(Finding::value("to ready", 101.4, "ms").at_most(150.0).text(), "101 ms to ready (aim ≤ 150, met)");
    }
}
