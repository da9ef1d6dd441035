//! Unions of several types, which pass through a pipeline and can't be looked into.

use serde_json::Value;

/// The branches of an Avro type in words, if it is a union of more than one type beside null.
pub(super) fn branches(avro: &Value) -> Option<String> {
    let branches: Vec<&Value> = avro.as_array()?.iter().filter(|branch| *branch != "null").collect();
    (branches.len() > 1).then(|| branches.into_iter().map(title).collect::<Vec<_>>().join(", "))
}

fn title(branch: &Value) -> String {
    let named = branch["name"].as_str().or_else(|| branch["logicalType"].as_str()).or_else(|| branch["type"].as_str());
    branch.as_str().or(named).unwrap_or("another type").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_union_is_one_of_several_types_beside_null() {
        assert_eq!(branches(&json!(["null", "string"])), None);
        assert_eq!(branches(&json!("string")), None);
        let card = json!({ "type": "record", "name": "Card", "fields": [] });
        assert_eq!(branches(&json!(["null", "string", card, { "type": "array", "items": "int" }])).as_deref(), Some("string, Card, array"));
    }
}
