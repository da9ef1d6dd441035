//! Good records in one pass over their text.
//!
//! What is taken here is what the careful walk of the parent takes, and becomes the same values. Everything else, be it bad or only
//! unusual, is left to that walk, which finds the words for it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::datum::Datum;
use super::super::scalar;
use super::super::shape::{Kind, Shape, Slot};
use super::value;

/// The values of a record's fields, if the text is a good record.
pub(super) fn row<'a>(shape: &Shape, text: &'a str) -> Option<Vec<Datum<'a>>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let row = Fields(shape).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(row)
}

/// Says only that the careful walk is to look at it.
fn unusual<E: Error>() -> E {
    E::custom("")
}

/// The fields of a record.
struct Fields<'s>(&'s Shape);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Vec<Datum<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<Datum<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut row = Row { shape: self.0, values: Vec::with_capacity(self.0.fields.len()), skipped: Vec::new() };
        let mut likely = 0;
        while let Some(index) = members.next_key_seed(Name { shape: self.0, likely })? {
            let value = members.next_value_seed(Value(&self.0.fields[index].slot))?;
            row.put(index, value).ok_or_else(unusual)?;
            likely = index + 1;
        }
        row.finish().ok_or_else(unusual)
    }
}

/// The values of a record that have come.
struct Row<'s, 'de> {
    shape: &'s Shape,
    /// Up to the last field that has come.
    values: Vec<Datum<'de>>,
    /// Those of them that have not: senders mostly keep to the order of the schema, so that few or none are passed over.
    skipped: Vec<usize>,
}

impl<'de> Row<'_, 'de> {
    /// Takes a field's value, if it is the first one.
    fn put(&mut self, index: usize, value: Datum<'de>) -> Option<()> {
        if index >= self.values.len() {
            self.skip_to(index);
            self.values.push(value);
        } else {
            let place = self.skipped.iter().position(|&skipped| skipped == index)?;
            self.skipped.swap_remove(place);
            self.values[index] = value;
        }
        Some(())
    }

    fn skip_to(&mut self, index: usize) {
        self.skipped.extend(self.values.len()..index);
        self.values.resize(index, Datum::Null);
    }

    /// All values, those of fields that were left out as the schema says.
    fn finish(mut self) -> Option<Vec<Datum<'de>>> {
        self.skip_to(self.shape.fields.len());
        for index in self.skipped {
            self.values[index] = self.shape.fields[index].absent()?;
        }
        Some(self.values)
    }
}

/// The name of a field, as its index. Senders mostly keep to one order: the field after the last one is looked at first.
struct Name<'s> {
    shape: &'s Shape,
    likely: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        match self.shape.fields.get(self.likely) {
            Some(member) if *member.name == *name => Ok(self.likely),
            _ => self.shape.index(name).ok_or_else(unusual),
        }
    }
}

/// A value.
#[derive(Clone, Copy)]
struct Value<'s>(&'s Slot);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Datum<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum<'de>, D::Error> {
        if self.0.nullable { deserializer.deserialize_option(self) } else { self.present(deserializer) }
    }
}

impl Value<'_> {
    /// A value that is not null. Numbers that may have a fraction, whose digits `serde_json` does not keep, go by their text.
    fn present<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum<'de>, D::Error> {
        match &self.0.kind {
            Kind::Float | Kind::Double | Kind::Decimal { .. } | Kind::Map(_) => {
                let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
                value(self.0, raw).map_err(|_| unusual())
            }
            Kind::Array(items) => deserializer.deserialize_seq(Items(items)),
            Kind::Record(shape) => Fields(shape).deserialize(deserializer).map(Datum::Record),
            _ => deserializer.deserialize_any(self),
        }
    }

    fn text<E: Error>(self, text: Cow<'_, str>) -> Result<Datum<'_>, E> {
        scalar::of_text(&self.0.kind, text).map_err(|_| unusual())
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Datum<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E: Error>(self) -> Result<Datum<'de>, E> {
        Ok(Datum::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum<'de>, D::Error> {
        self.present(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Datum<'de>, E> {
        if matches!(self.0.kind, Kind::Boolean) { Ok(Datum::Boolean(value)) } else { Err(unusual()) }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Datum<'de>, E> {
        self.visit_i64(i64::try_from(value).map_err(|_| unusual())?)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Datum<'de>, E> {
        let fits = match self.0.kind {
            Kind::Int => i32::try_from(value).is_ok(),
            Kind::Long | Kind::Timestamp(_) | Kind::LocalTimestamp(_) => true,
            _ => false,
        };
        if fits { Ok(Datum::Integer(value)) } else { Err(unusual()) }
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Datum<'de>, E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Datum<'de>, E> {
        self.text(Cow::Owned(text.to_owned()))
    }
}

/// The items of an array.
struct Items<'s>(&'s Slot);

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Datum<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Datum<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Value(self.0))? {
            values.push(value);
        }
        Ok(Datum::Array(values))
    }
}
