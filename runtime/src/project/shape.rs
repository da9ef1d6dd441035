//! From the tree to the types of the project file.

use std::path::Path;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::sections::{PathOrUrl, ProjectPath, is_url};
use super::shape_error::ShapeError;
use super::suggest;
use super::tree::{Entry, Node, Text, Value};

/// The value at `node` as a `V`; `folder` is the project's.
pub(super) fn shape<V: de::DeserializeOwned>(node: &Node, folder: &Path) -> Result<V, ShapeError> {
    V::deserialize(Shape { node, folder })
}

/// Deserializes one node. Nothing written is an empty section; a text with variables in it is read as whatever is asked for.
#[derive(Clone, Copy)]
struct Shape<'a> {
    node: &'a Node,
    folder: &'a Path,
}

impl<'a> Shape<'a> {
    fn child(self, node: &'a Node) -> Self {
        Self { node, folder: self.folder }
    }

    /// The text at this node, if a variable is in it.
    fn substituted(self) -> Option<&'a Text> {
        match &self.node.value {
            Value::Text(text) if !text.variables.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Whether a variable here has no value, which was said already: any value will do to look at the rest of the project.
    fn is_unset(self) -> bool {
        self.substituted().is_some_and(|text| text.is_unset)
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Uint(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(&text.content),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter(), parent: self }),
            Value::Map(entries) => visitor.visit_map(Entries::new(entries, self)),
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        let Some(text) = self.substituted().map(|text| text.content.trim()) else { return self.visit(visitor) };
        if self.is_unset() {
            return visitor.visit_u64(0);
        }
        if let Ok(value) = text.parse() {
            return visitor.visit_u64(value);
        }
        if let Ok(value) = text.parse() {
            return visitor.visit_i64(value);
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => visitor.visit_f64(value),
            _ => self.visit(visitor),
        }
    }

    fn boolean<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        if self.is_unset() {
            return visitor.visit_bool(false);
        }
        match self.substituted().map(|text| text.content.trim().to_ascii_lowercase()).as_deref() {
            Some("true" | "1" | "yes" | "on") => visitor.visit_bool(true),
            Some("false" | "0" | "no" | "off" | "") => visitor.visit_bool(false),
            _ => self.visit(visitor),
        }
    }

    /// Keys with values. Serde would take the fields of a struct as a list too.
    fn keys<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match &self.node.value {
            Value::List(_) => self.blame(Err(de::Error::invalid_type(Unexpected::Seq, &visitor))),
            _ => self.deserialize_map(visitor),
        }
    }

    fn joined_path<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        let Value::Text(text) = &self.node.value else { return visitor.visit_newtype_struct(self) };
        let joined = self.folder.join(&text.content);
        visitor.visit_newtype_struct(joined.to_string_lossy().into_owned().into_deserializer())
    }

    /// Marks what fails here with this node's place, and hides the values of variables.
    fn blame<T>(self, result: Result<T, ShapeError>) -> Result<T, ShapeError> {
        result.map_err(|error| match self.substituted() {
            Some(text) => error.hide(&text.variables).at(&self.node.place),
            None => error.at(&self.node.place),
        })
    }
}

macro_rules! numbers {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
            self.blame(self.number(visitor))
        }
    )* };
}

impl<'de> Deserializer<'de> for Shape<'_> {
    type Error = ShapeError;

    numbers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
    deserialize_u64 deserialize_f32 deserialize_f64 }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        self.blame(self.visit(visitor))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        self.blame(self.boolean(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            Value::Text(text) if text.content.is_empty() && !text.variables.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, ShapeError> {
        let result = match (name, &self.node.value) {
            (PathOrUrl::NAME, Value::Text(text)) if is_url(&text.content) => visitor.visit_newtype_struct(self),
            (PathOrUrl::NAME | ProjectPath::NAME, _) => self.joined_path(visitor),
            _ => visitor.visit_newtype_struct(self),
        };
        self.blame(result)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match &self.node.value {
            Value::Null => visitor.visit_seq(Items { items: [].iter(), parent: self }),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match &self.node.value {
            Value::Null => {
                let empty = visitor.visit_map(Entries::new(&[], self));
                self.blame(empty.map_err(|error| error.advised(|| "nothing stands below it: indent its keys deeper than it".to_owned())))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        match &self.node.value {
            Value::Null | Value::Map(_) => self.keys(visitor),
            _ => self.keys(visitor).map_err(|error| error.advised(|| format!("its keys are {}", suggest::quoted(fields)))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        let result = match &self.node.value {
            Value::Text(text) => visitor.visit_enum(StrDeserializer::new(&text.content)),
            Value::Map(entries) if entries.len() == 1 => visitor.visit_enum(Variant { entry: &entries[0], parent: self }),
            _ => Err(ShapeError::no_variant(self.node, variants)),
        };
        self.blame(result)
    }

    forward_to_deserialize_any! { char str string bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any i128 u128 }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    parent: Shape<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ShapeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ShapeError> {
        self.items.next().map(|node| seed.deserialize(self.parent.child(node))).transpose()
    }
}

/// The entries of a map, `type` first: what it says decides how the others are read.
struct Entries<'a> {
    list: Vec<&'a Entry>,
    current: usize,
    parent: Shape<'a>,
}

impl<'a> Entries<'a> {
    fn new(entries: &'a [Entry], parent: Shape<'a>) -> Self {
        let mut list: Vec<&Entry> = entries.iter().collect();
        list.sort_by_key(|entry| entry.key != "type");
        Self { list, current: 0, parent }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ShapeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ShapeError> {
        let Some(entry) = self.list.get(self.current) else { return Ok(None) };
        let key = seed.deserialize(StrDeserializer::<ShapeError>::new(&entry.key));
        key.map(Some).map_err(|error| error.at(&entry.key_place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ShapeError> {
        let Some(entry) = self.list.get(self.current) else { return Err(de::Error::custom("a value without a key")) };
        self.current += 1;
        entry_value(entry, self.parent, seed)
    }
}

/// Reads the value of an entry; what fails about all of it is shown at its key.
fn entry_value<'de, V: DeserializeSeed<'de>>(entry: &Entry, parent: Shape<'_>, seed: V) -> Result<V::Value, ShapeError> {
    let result = seed.deserialize(Shape { node: &entry.node, folder: parent.folder });
    result.map_err(|error| error.moved(&entry.node.place, entry.place()))
}

struct Variant<'a> {
    entry: &'a Entry,
    parent: Shape<'a>,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = ShapeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ShapeError> {
        let name = seed.deserialize(StrDeserializer::<ShapeError>::new(&self.entry.key));
        Ok((name.map_err(|error| error.at(&self.entry.key_place))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = ShapeError;

    fn unit_variant(self) -> Result<(), ShapeError> {
        Err(<ShapeError as de::Error>::custom(format_args!("`{}` takes no settings", self.entry.key)).at(&self.entry.key_place))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ShapeError> {
        entry_value(self.entry, self.parent, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ShapeError> {
        self.parent.child(&self.entry.node).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, ShapeError> {
        let result = self.parent.child(&self.entry.node).keys(visitor);
        result.map_err(|error| error.moved(&self.entry.node.place, self.entry.place()))
    }
}
