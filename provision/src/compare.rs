//! Two Avro schemas compared: field by field, and whether each reads what the other wrote. Both as the pipelines do it
//! (`millrace_runtime::codec`), so that what is told here is what happens there.

use std::fmt;

use millrace_model::Result;
use millrace_runtime::codec::{self, Difference, Reading};
use millrace_runtime::registry::{Level, SubjectVersion};
use serde_json::{Value, json};

/// Two schemas compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What became of fields, in the order of the schemas.
    pub changes: Vec<Difference>,
    /// Whether the new schema reads what the old one wrote: `BACKWARD`.
    pub backward: Reading,
    /// Whether the old schema reads what the new one writes: `FORWARD`.
    pub forward: Reading,
}

/// Compares two schemas.
///
/// # Errors
/// Those of [`codec::differences`].
pub fn compare(old: &Value, new: &Value) -> Result<Comparison> {
    let (old, new) = (old.to_string(), new.to_string());
    let changes = codec::differences(&old, &new)?;
    Ok(Comparison { changes, backward: codec::reading(&new, &old), forward: codec::reading(&old, &new) })
}

/// Why a schema may not follow `earlier` versions of a subject (ascending) by the subject's rule, as far as Avro's rules say.
pub fn reasons(level: Level, earlier: &[SubjectVersion], new: &str) -> Vec<String> {
    let counting = if level.is_transitive() { earlier } else { &earlier[earlier.len().saturating_sub(1)..] };
    counting.iter().flat_map(|version| reasons_beside(level, version, new)).collect()
}

fn reasons_beside(level: Level, earlier: &SubjectVersion, new: &str) -> Vec<String> {
    let SubjectVersion { version, schema, .. } = earlier;
    let backward = level.is_backward().then(|| told(&codec::reading(new, schema))).flatten();
    let forward = level.is_forward().then(|| told(&codec::reading(schema, new))).flatten();
    let backward = backward.map(|why| format!("it does not read {}what version {version} wrote{}", why.0, why.1));
    let forward = forward.map(|why| format!("version {version} does not read {}what it writes{}", why.0, why.1));
    backward.into_iter().chain(forward).collect()
}

/// How far something is not read, and why.
fn told(reading: &Reading) -> Option<(&'static str, String)> {
    match reading {
        Reading::All => None,
        Reading::Some => Some(("all of ", String::new())),
        Reading::None(why) => Some(("", format!(": {why}"))),
    }
}

impl Comparison {
    /// Whether the schemas are the same to every reader and writer.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty()
    }

    /// The comparison as JSON: `changes`, `backward`, `forward`.
    pub fn to_json(&self) -> Value {
        json!({
            "changes": self.changes.iter().map(Difference::to_json).collect::<Vec<_>>(),
            "backward": json_of(&self.backward),
            "forward": json_of(&self.forward),
        })
    }
}

fn json_of(reading: &Reading) -> Value {
    match reading {
        Reading::All => json!({ "reads": "all" }),
        Reading::Some => json!({ "reads": "some" }),
        Reading::None(reason) => json!({ "reads": "none", "reason": reason }),
    }
}

fn shown(reading: &Reading) -> String {
    match reading {
        Reading::All => "yes".to_owned(),
        Reading::Some => "some: a union's branch or an enum's symbol is not in the reader's schema".to_owned(),
        Reading::None(reason) => format!("no: {reason}"),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            writeln!(f, "No field differs.")?;
        }
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        writeln!(f, "B reads what A wrote (BACKWARD): {}", shown(&self.backward))?;
        writeln!(f, "A reads what B wrote (FORWARD):  {}", shown(&self.forward))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &Value) -> Value {
        json!({ "type": "record", "name": "Order", "fields": fields })
    }

    fn changes(old: &Value, new: &Value) -> Vec<String> {
        compare(&record(old), &record(new)).expect("are schemas").changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_are_told_by_their_paths() {
        let address = |fields: &Value| json!({ "type": "record", "name": "Address", "fields": fields });
        let old = json!([
            { "name": "id", "type": "int" },
            { "name": "gone", "type": "string" },
            { "name": "to", "type": ["null", address(&json!([{ "name": "street", "type": "string" }]))], "default": null },
            { "name": "lines", "type": { "type": "array", "items": { "type": "map", "values": "int" } } },
        ]);
        let new = json!([
            { "name": "number", "type": "long", "aliases": ["id"] },
            { "name": "to", "type": ["null", address(&json!([{ "name": "street", "type": ["null", "string"] }]))], "default": null },
            { "name": "lines", "type": { "type": "array", "items": { "type": "map", "values": "double" } } },
            { "name": "note", "type": "string", "default": "" },
        ]);
        assert_eq!(
            changes(&old, &new),
            [
                "~ number: was called id",
                "~ number: int → long",
                "~ number: aliases none → [\"id\"]",
                "~ to.street: string → string or null",
                "~ lines[]{}: int → double",
                "+ note: string, default \"\"",
                "- gone: string",
            ]
        );
    }

    #[test]
    fn a_schema_is_the_same_as_itself() {
        let schema =
            record(&json!([{ "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 } }]));
        assert!(compare(&schema, &schema).expect("are schemas").is_same());
    }

    #[test]
    fn each_direction_has_its_own_verdict() {
        let old = record(&json!([{ "name": "id", "type": "int" }]));
        let wider = record(&json!([{ "name": "id", "type": "long" }]));
        let told = compare(&old, &wider).expect("are schemas");
        assert_eq!(told.backward, Reading::All);
        assert!(matches!(told.forward, Reading::None(_)));
        let more = record(&json!([{ "name": "id", "type": "int" }, { "name": "note", "type": "string" }]));
        let told = compare(&old, &more).expect("are schemas");
        assert!(matches!(&told.backward, Reading::None(reason) if reason.contains("note") && !reason.contains("schemata!")), "{told:?}");
        assert_eq!(told.forward, Reading::All);
    }

    #[test]
    fn what_the_pipelines_refuse_is_not_said_to_be_read() {
        let at = |unit: &str| record(&json!([{ "name": "at", "type": { "type": "long", "logicalType": unit } }]));
        let told = compare(&at("timestamp-millis"), &at("timestamp-micros")).expect("are schemas");
        assert!(matches!(told.backward, Reading::None(_)) && matches!(told.forward, Reading::None(_)), "{told:?}");
    }

    /// A subject whose first version has `id`, and whose second has `id` and a note that may be left out.
    fn versions() -> Vec<SubjectVersion> {
        let note = json!({ "name": "note", "type": "string", "default": "" });
        let fields = [json!([{ "name": "id", "type": "int" }]), json!([{ "name": "id", "type": "int" }, note])];
        (1..).zip(fields).map(|(version, fields)| SubjectVersion { version, id: version, schema: record(&fields).to_string() }).collect()
    }

    fn refused(level: Level, fields: &Value) -> Vec<String> {
        reasons(level, &versions(), &record(fields).to_string())
    }

    #[test]
    fn a_refusal_is_told_by_the_rule_of_the_subject() {
        let demanding = json!([{ "name": "id", "type": "int" }, { "name": "note", "type": "string" }, { "name": "to", "type": "string" }]);
        let backward = refused(Level::Backward, &demanding);
        assert_eq!(backward.len(), 1);
        assert!(backward[0].starts_with("it does not read what version 2 wrote: field `to`"), "{backward:?}");
        assert_eq!(refused(Level::Forward, &demanding), [""; 0], "an additional field harms no earlier reader");
        assert_eq!(refused(Level::Full, &demanding), backward);
        assert_eq!(refused(Level::None, &demanding), [""; 0]);
        let dropped = refused(Level::Forward, &json!([{ "name": "note", "type": "string" }]));
        assert!(dropped[0].starts_with("version 2 does not read what it writes: field `id`"), "{dropped:?}");
    }

    #[test]
    fn a_transitive_rule_looks_at_all_versions() {
        // Version 2 has a note to read; version 1 has none, and the new schema no default for it.
        let demanding = json!([{ "name": "id", "type": "int" }, { "name": "note", "type": "string" }]);
        assert_eq!(refused(Level::Backward, &demanding), [""; 0]);
        let transitive = refused(Level::BackwardTransitive, &demanding);
        assert!(transitive.len() == 1 && transitive[0].contains("version 1"), "{transitive:?}");
        assert_eq!(refused(Level::FullTransitive, &demanding), transitive);
        assert_eq!(refused(Level::ForwardTransitive, &json!([{ "name": "note", "type": "string" }])).len(), 2);
    }
}
