//! Whether bytes are one Avro value of a type, no more and no less.
//!
//! arrow-avro trusts its input: it takes any union branch but the null one for the other, any number for an enum's
//! index, and after an error its columns differ in length. So each value is walked before it is decoded; what passes
//! decodes. The walk allocates nothing, whatever a value claims of its counts and lengths.

use std::fmt;

use super::types::{Base, Logical, Path, Type, Unsupported};
use super::{memory, number};

const MILLIS_A_DAY: i64 = 86_400_000;

/// A writer's type, compiled for walking.
#[derive(Debug)]
pub(super) enum Shape {
    Boolean,
    Int,
    Long,
    /// A long (or int) below the limit, and not negative: a time of day.
    Below(i64),
    /// That many bytes.
    Fixed(usize),
    Bytes,
    Text,
    Uuid,
    Decimal {
        /// 10 to the power of the precision: the unscaled value's magnitude is below it.
        limit: i128,
        size: Option<usize>,
    },
    /// An index below the count of symbols.
    Enum(i64),
    Nullable {
        /// The byte that says that a value follows.
        value_tag: u8,
        /// The byte that says null.
        null_tag: u8,
        value: Box<Shape>,
    },
    Union(Box<[Shape]>),
    Null,
    Array(Items),
    Map(Items),
    Record(Box<[(String, Shape)]>),
}

/// What an array or map repeats.
#[derive(Debug)]
pub(super) struct Items {
    shape: Box<Shape>,
    /// The fewest bytes that one takes, at least 1: a count that the bytes left can't hold is refused unread.
    width: usize,
    /// The bytes that one takes in Arrow, whatever few it has here.
    memory: usize,
}

/// What is wrong with a value, and where. Boxed, so that the walk's results stay small.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw(Box<Details>);

#[derive(Debug, PartialEq, Eq)]
struct Details {
    /// From the inside out.
    path: Vec<String>,
    reason: String,
}

type Walk = Result<(), Flaw>;

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { path, reason } = self.0.as_ref();
        if path.is_empty() {
            return f.write_str(reason);
        }
        f.write_str("field `")?;
        for (depth, part) in path.iter().rev().enumerate() {
            let dot = if depth > 0 && !part.starts_with(['[', '{']) { "." } else { "" };
            write!(f, "{dot}{part}")?;
        }
        write!(f, "`: {reason}")
    }
}

impl Shape {
    /// The shape of what is written as `kind` and read as `read`.
    pub(super) fn of(kind: &Type, read: &Type) -> Result<Self, Unsupported> {
        compile(kind, Some(read), &mut Path::default())
    }

    /// Whether `body` is one value of this shape. `TEXTS` says whether strings and UUIDs are looked into: decoding
    /// finds a bad one too, but not whose it is.
    pub(super) fn check<const TEXTS: bool>(&self, body: &[u8]) -> Walk {
        let mut cursor = Cursor { bytes: body, memory: memory::MOST };
        self.walk::<TEXTS>(&mut cursor)?;
        if cursor.bytes.is_empty() { Ok(()) } else { Err(flaw(format!("{} bytes follow the record", cursor.bytes.len()))) }
    }

    /// How many bytes the value takes that `bytes` begin with.
    pub(super) fn measure(&self, bytes: &[u8]) -> Result<usize, Flaw> {
        let mut cursor = Cursor { bytes, memory: memory::MOST };
        self.walk::<false>(&mut cursor)?;
        Ok(bytes.len() - cursor.bytes.len())
    }

    /// The fewest bytes that a value takes.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Fixed(size) => *size,
            Self::Decimal { size, .. } => size.unwrap_or(1),
            Self::Union(branches) => 1 + branches.iter().map(Self::width).min().unwrap_or(0),
            Self::Record(fields) => fields.iter().map(|(_, shape)| shape.width()).fold(0, usize::saturating_add),
            _ => 1,
        }
    }

    fn walk<const TEXTS: bool>(&self, cursor: &mut Cursor<'_>) -> Walk {
        match self {
            Self::Long => cursor.long().map(drop),
            Self::Int => cursor.int().map(drop),
            Self::Nullable { value_tag, null_tag, value } => match cursor.byte()? {
                tag if tag == *value_tag => value.walk::<TEXTS>(cursor),
                tag if tag == *null_tag => Ok(()),
                tag => Err(flaw(format!("0x{tag:02x} is no branch of a nullable type"))),
            },
            Self::Record(fields) => {
                fields.iter().try_for_each(|(name, shape)| shape.walk::<TEXTS>(cursor).map_err(|flaw| inside(flaw, name)))
            }
            Self::Text => text::<TEXTS>(cursor.sized()?),
            Self::Bytes => cursor.sized().map(drop),
            Self::Fixed(size) => cursor.take(*size).map(drop),
            Self::Boolean => boolean(cursor.byte()?),
            Self::Enum(symbols) => below(i64::from(cursor.int()?), *symbols, "an index of this enum"),
            Self::Below(limit) => below(cursor.long()?, *limit, "a time of day"),
            Self::Uuid => uuid::<TEXTS>(cursor.sized()?),
            Self::Decimal { limit, size: Some(size) } => decimal(cursor.take(*size)?, *limit),
            Self::Decimal { limit, size: None } => decimal(cursor.sized()?, *limit),
            Self::Array(items) => items.walk(cursor, "[]", |cursor| items.shape.walk::<TEXTS>(cursor)),
            Self::Map(values) => values.walk(cursor, "{}", |cursor| {
                text::<TEXTS>(cursor.sized()?)?;
                values.shape.walk::<TEXTS>(cursor)
            }),
            Self::Union(branches) => branch(branches, cursor.long()?)?.walk::<TEXTS>(cursor),
            Self::Null => Ok(()),
        }
    }
}

impl Items {
    /// Walks the blocks of an array or map: a count, negative when the block's size in bytes follows it, and the
    /// items; a count of 0 ends them (Avro 1.12, Binary Encoding, Arrays).
    fn walk(&self, cursor: &mut Cursor<'_>, part: &str, mut item: impl FnMut(&mut Cursor<'_>) -> Walk) -> Walk {
        loop {
            let count = cursor.long()?;
            if count == 0 {
                return Ok(());
            }
            let size = if count < 0 { Some(cursor.length()?) } else { None };
            let before = cursor.bytes.len();
            self.items(cursor, count.unsigned_abs(), &mut item).map_err(|flaw| inside(flaw, part))?;
            let taken = before - cursor.bytes.len();
            if size.is_some_and(|size| size != taken) {
                return Err(flaw(format!("a block says another size than its {taken} bytes")));
            }
        }
    }

    fn items(&self, cursor: &mut Cursor<'_>, count: u64, item: &mut impl FnMut(&mut Cursor<'_>) -> Walk) -> Walk {
        let left = cursor.bytes.len();
        if count > (left / self.width) as u64 {
            return Err(flaw(format!("{count} items do not fit into the {left} bytes left")));
        }
        cursor.reserve(count, self.memory)?;
        (0..count).try_for_each(|_| item(cursor))
    }
}

/// What is skipped is read as nothing.
fn compile(kind: &Type, read: Option<&Type>, path: &mut Path) -> Result<Shape, Unsupported> {
    if let Some((value, null_first)) = kind.nullable() {
        let (null_tag, value_tag) = if null_first { (0, 2) } else { (2, 0) };
        return Ok(Shape::Nullable { value_tag, null_tag, value: Box::new(compile(value, memory::branch(read, value), path)?) });
    }
    Ok(match kind {
        Type::Null => Shape::Null,
        Type::Scalar { base, logical } => scalar(*base, *logical),
        Type::Decimal { precision, fixed, .. } => decimal_shape(*precision, fixed.as_ref().map(|fixed| fixed.size)),
        Type::Fixed { fixed, .. } => Shape::Fixed(fixed.size),
        Type::Enum { symbols, .. } => Shape::Enum(symbols.len() as i64),
        Type::Array(items) => Shape::Array(repeated(items, read, 0, "[]", path)?),
        Type::Map(values) => Shape::Map(repeated(values, read, 1, "{}", path)?),
        Type::Record { fields, .. } => Shape::Record(
            fields
                .iter()
                .map(|field| {
                    let read = memory::field(read, &field.name);
                    Ok((field.name.clone(), path.field(&field.name, |path| compile(&field.kind, read, path))?))
                })
                .collect::<Result<_, _>>()?,
        ),
        Type::Union(branches) => {
            let branches = branches.iter().map(|branch| compile(branch, memory::branch(read, branch), path));
            Shape::Union(branches.collect::<Result<_, _>>()?)
        }
        Type::Foreign { written, .. } => compile(written, read, path)?,
    })
}

fn scalar(base: Base, logical: Option<Logical>) -> Shape {
    match (base, logical) {
        (_, Some(Logical::Uuid)) => Shape::Uuid,
        (_, Some(Logical::TimeMillis)) => Shape::Below(MILLIS_A_DAY),
        (_, Some(Logical::TimeMicros)) => Shape::Below(MILLIS_A_DAY * 1000),
        (Base::Boolean, _) => Shape::Boolean,
        (Base::Int, _) => Shape::Int,
        (Base::Long, _) => Shape::Long,
        (Base::Float, _) => Shape::Fixed(4),
        (Base::Double, _) => Shape::Fixed(8),
        (Base::Bytes, _) => Shape::Bytes,
        (Base::String, _) => Shape::Text,
    }
}

/// Beyond 38 digits an `i128` has no limit to check; no reader's type is that wide.
fn decimal_shape(precision: usize, size: Option<usize>) -> Shape {
    match (10_i128.checked_pow(precision as u32), size) {
        (Some(limit), size) => Shape::Decimal { limit, size },
        (None, Some(size)) => Shape::Fixed(size),
        (None, None) => Shape::Bytes,
    }
}

fn repeated(kind: &Type, read: Option<&Type>, key: usize, part: &str, path: &mut Path) -> Result<Items, Unsupported> {
    let shape = path.at(part, |path| compile(kind, memory::item(read), path))?;
    match shape.width().saturating_add(key) {
        0 => Err(path.unsupported(format!("repeats {}, which takes no bytes", kind.title()))),
        width => Ok(Items { shape: Box::new(shape), width, memory: memory::of_item(read) }),
    }
}

fn boolean(byte: u8) -> Walk {
    if byte < 2 { Ok(()) } else { Err(flaw(format!("0x{byte:02x} is no boolean"))) }
}

fn below(value: i64, limit: i64, what: &str) -> Walk {
    if (0..limit).contains(&value) { Ok(()) } else { Err(flaw(format!("{value} is not {what}"))) }
}

fn branch(branches: &[Shape], index: i64) -> Result<&Shape, Flaw> {
    let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
    branch.ok_or_else(|| flaw(format!("{index} is no branch of a union of {}", branches.len())))
}

fn text<const TEXTS: bool>(bytes: &[u8]) -> Walk {
    if TEXTS { std::str::from_utf8(bytes).map(drop).map_err(|error| flaw(format!("a string is not UTF-8: {error}"))) } else { Ok(()) }
}

fn uuid<const TEXTS: bool>(bytes: &[u8]) -> Walk {
    if TEXTS { uuid::Uuid::try_parse_ascii(bytes).map(drop).map_err(|error| flaw(format!("a string is no UUID: {error}"))) } else { Ok(()) }
}

/// A decimal is a big-endian two's complement number, here of any length, but no larger than its precision says.
fn decimal(bytes: &[u8], limit: i128) -> Walk {
    let Some(&first) = bytes.first() else { return Err(flaw("a decimal has no bytes")) };
    let sign = if first < 0x80 { 0x00 } else { 0xff };
    let (high, low) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut unscaled = [sign; 16];
    unscaled[16 - low.len()..].copy_from_slice(low);
    let unscaled = i128::from_be_bytes(unscaled);
    let fits = high.iter().all(|&byte| byte == sign) && (unscaled < 0) == (first >= 0x80);
    if fits && -limit < unscaled && unscaled < limit { Ok(()) } else { Err(flaw("a decimal has more digits than its precision")) }
}

#[cold]
fn flaw(reason: impl Into<String>) -> Flaw {
    Flaw(Box::new(Details { path: Vec::new(), reason: reason.into() }))
}

#[cold]
fn inside(mut flaw: Flaw, part: &str) -> Flaw {
    flaw.0.path.push(part.to_owned());
    flaw
}

/// The bytes of a value that are not walked yet.
struct Cursor<'a> {
    bytes: &'a [u8],
    /// What the items that follow may still take in Arrow.
    memory: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Flaw> {
        let (&byte, rest) = self.bytes.split_first().ok_or_else(truncated)?;
        self.bytes = rest;
        Ok(byte)
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn reserve(&mut self, count: u64, each: usize) -> Walk {
        let left = usize::try_from(count).ok().and_then(|count| self.memory.checked_sub(count.checked_mul(each)?));
        self.memory = left.ok_or_else(|| flaw(format!("the record's items take more than {} MiB of memory", memory::MOST >> 20)))?;
        Ok(())
    }

    #[inline]
    fn long(&mut self) -> Result<i64, Flaw> {
        number::read(|| self.byte(), || flaw("a number has more than 64 bits"))
    }

    #[inline]
    fn int(&mut self) -> Result<i32, Flaw> {
        let number = self.long()?;
        i32::try_from(number).map_err(|_| flaw(format!("{number} does not fit into an int")))
    }

    #[inline]
    fn length(&mut self) -> Result<usize, Flaw> {
        let length = self.long()?;
        usize::try_from(length).map_err(|_| flaw(format!("a length is negative: {length}")))
    }

    #[inline]
    fn sized(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.length()?;
        let left = self.bytes.len();
        if length > left {
            return Err(flaw(format!("a length of {length} is beyond the {left} bytes left")));
        }
        self.take(length)
    }
}

#[cold]
fn truncated() -> Flaw {
    flaw("the value ends too early")
}
