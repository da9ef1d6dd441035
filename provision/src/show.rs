//! Plans as people and programs read them.

use std::fmt;

use serde_json::{Value, json};

use crate::plan::{Change, Obstacle, Plan, Sign};

impl Sign {
    /// The sign in a plan: `+`, `~`, `-`.
    pub const fn as_char(self) -> char {
        match self {
            Self::Add => '+',
            Self::Alter => '~',
            Self::Destroy => '-',
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Alter => "alter",
            Self::Destroy => "destroy",
        }
    }
}

impl Plan {
    /// Whether the servers are as the project says.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.obstacles.is_empty()
    }

    /// How many changes there are of a sign.
    pub fn count(&self, sign: Sign) -> usize {
        self.changes.iter().filter(|change| change.sign == sign).count()
    }

    /// The plan as JSON: `changes` and `obstacles`.
    pub fn to_json(&self) -> Value {
        let changes: Vec<Value> = self.changes.iter().map(Change::to_json).collect();
        let obstacles: Vec<Value> = self.obstacles.iter().map(Obstacle::to_json).collect();
        json!({ "changes": changes, "obstacles": obstacles })
    }
}

impl Change {
    /// The change as JSON: `action`, `kind`, `name`, `detail`.
    pub fn to_json(&self) -> Value {
        json!({ "action": self.sign.as_str(), "kind": self.kind, "name": self.name, "detail": self.detail })
    }
}

impl Obstacle {
    fn to_json(&self) -> Value {
        json!({ "message": self.what, "help": self.remedy })
    }
}

/// A line, as in a diff.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:<8} {:<32} {}", self.sign.as_char(), self.kind, self.name, self.detail)
    }
}

/// A line for each change, and two for what stays otherwise.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "Nothing to do: the servers are as the project says.");
        }
        for change in &self.changes {
            writeln!(f, "  {change}")?;
        }
        for Obstacle { what, remedy } in &self.obstacles {
            writeln!(f, "  ! {what}\n      {remedy}")?;
        }
        let count = |sign| self.count(sign);
        let stays = if self.obstacles.is_empty() { String::new() } else { format!(", {} that apply can't do", self.obstacles.len()) };
        writeln!(f, "{} to add, {} to alter, {} to destroy{stays}.", count(Sign::Add), count(Sign::Alter), count(Sign::Destroy))
    }
}
