//! Avro schemas as the codec sees them: a tree of types with all named references resolved.

use std::collections::HashMap;
use std::fmt::Write as _;

use apache_avro::Schema as Avro;
use apache_avro::schema::{Aliases, InnerDecimalSchema, Name, RecordSchema, UuidSchema};
use serde_json::Value;

/// How large a tree may grow when its named references are put in place: a hundred thousand fields
/// out of a small text would cost more memory than any real schema.
const MOST_TYPES: usize = 20_000;

/// One Avro type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Null,
    Scalar {
        base: Base,
        logical: Option<Logical>,
    },
    Decimal {
        precision: usize,
        scale: usize,
        fixed: Option<Fixed>,
    },
    Fixed {
        fixed: Fixed,
        uuid: bool,
    },
    Enum {
        names: Names,
        symbols: Vec<String>,
        default: Option<String>,
    },
    Array(Box<Type>),
    Map(Box<Type>),
    Record {
        names: Names,
        fields: Vec<Field>,
    },
    Union(Vec<Type>),
    /// A logical type that Millrace has no form for, over the type it is written as.
    Foreign {
        what: &'static str,
        written: Box<Type>,
    },
}

/// A primitive type other than null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

/// What a primitive type means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logical {
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    Uuid,
}

/// A full name and its aliases.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Names {
    pub(super) full: String,
    pub(super) aliases: Vec<String>,
}

/// The name and the size in bytes of a fixed type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fixed {
    pub(super) names: Names,
    pub(super) size: usize,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) default: Option<Value>,
    pub(super) kind: Type,
}

/// A type that can't be carried: where it stands, and what it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsupported {
    pub(super) path: String,
    pub(super) what: String,
}

impl Base {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }
}

impl Logical {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
            Self::LocalTimestampMicros => "local-timestamp-micros",
            Self::LocalTimestampNanos => "local-timestamp-nanos",
            Self::Uuid => "uuid",
        }
    }
}

impl Names {
    /// The name without its namespace.
    pub(super) fn simple(&self) -> &str {
        self.full.rsplit('.').next().unwrap_or(&self.full)
    }

    /// Whether a writer's type of the name `writer` can be read as this one: by the specification's rule the
    /// names without namespace are equal, or the writer's is an alias here.
    pub(super) fn reads(&self, writer: &Names) -> bool {
        self.simple() == writer.simple() || self.aliases.contains(&writer.full)
    }
}

impl Type {
    /// The tree of a schema that apache-avro has parsed.
    pub(super) fn of(schema: &Avro) -> Result<Self, Unsupported> {
        Resolver::default().resolve(schema, &mut Path::default())
    }

    /// The other branch of a union of null and one type, and whether null comes first.
    pub(super) fn nullable(&self) -> Option<(&Type, bool)> {
        match self {
            Self::Union(branches) => match branches.as_slice() {
                [Self::Null, value] if *value != Self::Null => Some((value, true)),
                [value, Self::Null] if *value != Self::Null => Some((value, false)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The type itself, or the one that null is added to.
    pub(super) fn value(&self) -> &Type {
        self.nullable().map_or(self, |(value, _)| value)
    }

    /// Its branches, if it is a union of more than null and one type.
    pub(super) fn branches(&self) -> Option<&[Type]> {
        match self {
            Self::Union(branches) if self.nullable().is_none() => Some(branches),
            _ => None,
        }
    }

    /// Whether such a union is in it, at whatever depth.
    pub(super) fn has_branches(&self) -> bool {
        match self {
            Self::Union(branches) => self.branches().is_some() || branches.iter().any(Self::has_branches),
            Self::Array(inner) | Self::Map(inner) => inner.has_branches(),
            Self::Record { fields, .. } => fields.iter().any(|field| field.kind.has_branches()),
            Self::Foreign { written, .. } => written.has_branches(),
            Self::Null | Self::Scalar { .. } | Self::Decimal { .. } | Self::Fixed { .. } | Self::Enum { .. } => false,
        }
    }

    /// Whether a union that has this branch may have no other of the written type: it is the same primitive type, or a named
    /// type that reads it.
    pub(super) fn is_kin_of(&self, written: &Type) -> bool {
        match (self, written) {
            (Self::Null, Self::Null) | (Self::Array(_), Self::Array(_)) | (Self::Map(_), Self::Map(_)) => true,
            (Self::Record { names, .. }, Self::Record { names: written, .. })
            | (Self::Enum { names, .. }, Self::Enum { names: written, .. }) => names.reads(written),
            _ => match (self.written_as(), written.written_as()) {
                (Written::Base(read), Written::Base(written)) => read == written,
                (Written::Fixed(read), Written::Fixed(written)) => read.names.reads(&written.names),
                _ => false,
            },
        }
    }

    fn written_as(&self) -> Written<'_> {
        match self {
            Self::Scalar { base, .. } => Written::Base(*base),
            Self::Decimal { fixed: None, .. } => Written::Base(Base::Bytes),
            Self::Decimal { fixed: Some(fixed), .. } | Self::Fixed { fixed, .. } => Written::Fixed(fixed),
            _ => Written::Otherwise,
        }
    }

    /// What it is, in a word, for messages.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Scalar { base, logical: None } => base.text().to_owned(),
            Self::Scalar { logical: Some(logical), .. } => logical.text().to_owned(),
            Self::Decimal { precision, scale, .. } => format!("decimal({precision},{scale})"),
            Self::Fixed { fixed, uuid: false } => format!("fixed({})", fixed.size),
            Self::Fixed { uuid: true, .. } => "uuid".to_owned(),
            Self::Enum { names, .. } => format!("enum {}", names.full),
            Self::Array(items) => format!("array of {}", items.title()),
            Self::Map(values) => format!("map of {}", values.title()),
            Self::Record { names, .. } => format!("record {}", names.full),
            Self::Union(branches) => format!("union of {}", branches.iter().map(Self::title).collect::<Vec<_>>().join(", ")),
            Self::Foreign { what, .. } => (*what).to_owned(),
        }
    }
}

/// What values of a type are under their logical type.
enum Written<'a> {
    Base(Base),
    Fixed(&'a Fixed),
    Otherwise,
}

/// A place in a schema: `a.b[].c`, where `[]` is an array's item and `{}` a map's value.
#[derive(Debug, Default)]
pub(super) struct Path(String);

impl Path {
    /// Runs `work` at the field `name` of this place.
    pub(super) fn field<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let dot = if self.0.is_empty() { "" } else { "." };
        self.at(&format!("{dot}{name}"), work)
    }

    /// Runs `work` at this place with `part` added.
    pub(super) fn at<T>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.0.push_str(part);
        let result = work(self);
        self.0.truncate(length);
        result
    }

    /// The place, empty for the whole.
    pub(super) fn place(&self) -> &str {
        &self.0
    }

    /// The place as text, for a message.
    pub(super) fn text(&self) -> String {
        if self.0.is_empty() { "the record".to_owned() } else { format!("field `{}`", self.0) }
    }

    pub(super) fn unsupported(&self, what: impl Into<String>) -> Unsupported {
        Unsupported { path: self.text(), what: what.into() }
    }
}

/// Puts the definition of each named type where it is referred to.
#[derive(Default)]
struct Resolver<'a> {
    definitions: HashMap<&'a Name, &'a Avro>,
    /// The named types that enclose the present place: one that refers to itself has no end.
    open: Vec<&'a Name>,
    types: usize,
}

impl<'a> Resolver<'a> {
    fn resolve(&mut self, schema: &'a Avro, path: &mut Path) -> Result<Type, Unsupported> {
        self.types += 1;
        if self.types > MOST_TYPES {
            return Err(path.unsupported("has more types than Millrace carries, once its named types are put in place"));
        }
        match schema.name() {
            Some(name) if !matches!(schema, Avro::Ref { .. }) => self.named(name, schema, path),
            _ => self.unnamed(schema, path),
        }
    }

    fn named(&mut self, name: &'a Name, schema: &'a Avro, path: &mut Path) -> Result<Type, Unsupported> {
        if self.open.contains(&name) {
            return Err(path.unsupported(format!("is recursive: {} contains itself", full(name))));
        }
        let before = self.definitions.insert(name, schema);
        if before.is_some_and(|before| !std::ptr::eq(before, schema)) {
            return Err(path.unsupported(format!("defines {} again", full(name))));
        }
        self.open.push(name);
        let result = self.definition(schema, path);
        self.open.pop();
        result
    }

    fn definition(&mut self, schema: &'a Avro, path: &mut Path) -> Result<Type, Unsupported> {
        Ok(match schema {
            Avro::Record(record) => self.record(record, path)?,
            Avro::Enum(e) => {
                Type::Enum { names: names(&e.name, e.aliases.as_ref()), symbols: e.symbols.clone(), default: e.default.clone() }
            }
            Avro::Fixed(f) => Type::Fixed { fixed: fixed(f), uuid: false },
            Avro::Uuid(UuidSchema::Fixed(f)) => Type::Fixed { fixed: fixed(f), uuid: true },
            Avro::Decimal(d) => decimal(d),
            Avro::Duration(f) => foreign("a duration", Type::Fixed { fixed: fixed(f), uuid: false }),
            other => return Err(path.unsupported(format!("has a type that Millrace does not know: {other}"))),
        })
    }

    fn record(&mut self, record: &'a RecordSchema, path: &mut Path) -> Result<Type, Unsupported> {
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let kind = path.field(&field.name, |path| self.resolve(&field.schema, path))?;
            fields.push(Field { name: field.name.clone(), aliases: field.aliases.clone(), default: field.default.clone(), kind });
        }
        Ok(Type::Record { names: names(&record.name, record.aliases.as_ref()), fields })
    }

    fn unnamed(&mut self, schema: &'a Avro, path: &mut Path) -> Result<Type, Unsupported> {
        Ok(match schema {
            Avro::Ref { name } => return self.reference(name, path),
            Avro::Array(array) => Type::Array(Box::new(path.at("[]", |path| self.resolve(&array.items, path))?)),
            Avro::Map(map) => Type::Map(Box::new(path.at("{}", |path| self.resolve(&map.types, path))?)),
            Avro::Union(union) => {
                Type::Union(union.variants().iter().map(|variant| self.resolve(variant, path)).collect::<Result<_, _>>()?)
            }
            Avro::Decimal(d) => decimal(d),
            scalar => primitive(scalar).ok_or_else(|| path.unsupported(format!("has a type that Millrace does not know: {scalar}")))?,
        })
    }

    fn reference(&mut self, name: &'a Name, path: &mut Path) -> Result<Type, Unsupported> {
        if self.open.contains(&name) {
            return Err(path.unsupported(format!("is recursive: {} contains itself", full(name))));
        }
        let definition = self.definitions.get(name).copied();
        let definition = definition.ok_or_else(|| path.unsupported(format!("refers to {}, which is not defined before it", full(name))))?;
        self.resolve(definition, path)
    }
}

fn primitive(schema: &Avro) -> Option<Type> {
    let logical = |base, logical| Type::Scalar { base, logical: Some(logical) };
    let plain = |base| Type::Scalar { base, logical: None };
    Some(match schema {
        Avro::Null => Type::Null,
        Avro::Boolean => plain(Base::Boolean),
        Avro::Int => plain(Base::Int),
        Avro::Long => plain(Base::Long),
        Avro::Float => plain(Base::Float),
        Avro::Double => plain(Base::Double),
        Avro::Bytes => plain(Base::Bytes),
        Avro::String => plain(Base::String),
        Avro::Date => logical(Base::Int, Logical::Date),
        Avro::TimeMillis => logical(Base::Int, Logical::TimeMillis),
        Avro::TimeMicros => logical(Base::Long, Logical::TimeMicros),
        Avro::TimestampMillis => logical(Base::Long, Logical::TimestampMillis),
        Avro::TimestampMicros => logical(Base::Long, Logical::TimestampMicros),
        Avro::TimestampNanos => logical(Base::Long, Logical::TimestampNanos),
        Avro::LocalTimestampMillis => logical(Base::Long, Logical::LocalTimestampMillis),
        Avro::LocalTimestampMicros => logical(Base::Long, Logical::LocalTimestampMicros),
        Avro::LocalTimestampNanos => logical(Base::Long, Logical::LocalTimestampNanos),
        Avro::Uuid(UuidSchema::String) => logical(Base::String, Logical::Uuid),
        Avro::Uuid(UuidSchema::Bytes) => foreign("a uuid in bytes", plain(Base::Bytes)),
        Avro::BigDecimal => foreign("a big-decimal", plain(Base::Bytes)),
        _ => return None,
    })
}

fn decimal(schema: &apache_avro::schema::DecimalSchema) -> Type {
    let fixed = match &schema.inner {
        InnerDecimalSchema::Bytes => None,
        InnerDecimalSchema::Fixed(f) => Some(fixed(f)),
    };
    Type::Decimal { precision: schema.precision, scale: schema.scale, fixed }
}

fn foreign(what: &'static str, written: Type) -> Type {
    Type::Foreign { what, written: Box::new(written) }
}

fn fixed(schema: &apache_avro::schema::FixedSchema) -> Fixed {
    Fixed { names: names(&schema.name, schema.aliases.as_ref()), size: schema.size }
}

fn names(name: &Name, aliases: Option<&Vec<apache_avro::schema::Alias>>) -> Names {
    let aliases: &Aliases = &aliases.cloned();
    let aliases = aliases.iter().flatten().map(|alias| alias.fullname(name.namespace())).collect();
    Names { full: full(name), aliases }
}

fn full(name: &Name) -> String {
    let mut text = String::new();
    if let Some(namespace) = name.namespace().filter(|namespace| !namespace.is_empty()) {
        write!(text, "{namespace}.").expect("a String takes any text");
    }
    text.push_str(name.name());
    text
}
