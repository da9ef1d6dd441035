//! How a project is put together of files and profiles.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The keys of a project file that say what else belongs to the project. They are gone when it has been read.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Composition {
    /// More files of the project: a path or a pattern (`*` for any part of a name, `**` for any folders), or a list of them, relative to the
    /// file that has the key and inside the project's folder. Sections may be spread over files; what a section holds is declared once.
    pub(super) include: Include,
    /// Values that lie over those of the project when a command is given `--profile NAME`. Keys with values are laid over each other,
    /// lists and single values replace what was there, and null removes it. What a file `millrace.NAME.yaml` has lies over this.
    pub(super) profiles: BTreeMap<String, Overlay>,
}

/// Paths and patterns: one or a list of them.
#[derive(Debug, Default)]
pub(super) struct Include(pub(super) Vec<String>);

/// Keys of a project with other values.
#[derive(Debug)]
pub(super) struct Overlay;

struct IncludeVisitor;

impl<'de> Visitor<'de> for IncludeVisitor {
    type Value = Include;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path or a list of them")
    }

    fn visit_unit<E: Error>(self) -> Result<Include, E> {
        Ok(Include::default())
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<Include, E> {
        Ok(Include(vec![path.into()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Include, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element()? {
            paths.push(path);
        }
        Ok(Include(paths))
    }
}

impl<'de> Deserialize<'de> for Include {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IncludeVisitor)
    }
}

impl JsonSchema for Include {
    fn schema_name() -> Cow<'static, str> {
        "Include".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

struct OverlayVisitor;

impl<'de> Visitor<'de> for OverlayVisitor {
    type Value = Overlay;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys of the project with other values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Overlay, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Overlay)
    }
}

impl<'de> Deserialize<'de> for Overlay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OverlayVisitor)
    }
}

impl JsonSchema for Overlay {
    fn schema_name() -> Cow<'static, str> {
        "Overlay".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}
