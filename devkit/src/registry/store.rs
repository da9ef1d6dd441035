//! Subjects, versions and ids: a value, without I/O.

use std::collections::BTreeMap;

use apache_avro::Schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Refusal;
use super::compatibility::Level;

/// All that a registry knows. Ids count from 1, and one schema has one id in whatever subjects it stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Store {
    /// The texts of the schemas; the id of each is its place, from 1.
    schemas: Vec<String>,
    subjects: BTreeMap<String, Subject>,
    level: Level,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Subject {
    /// In ascending order.
    versions: Vec<Version>,
    level: Option<Level>,
    /// The number of the last version there ever was: numbers are not used again.
    last: u32,
}

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// Its number, from 1.
    pub(super) number: u32,
    /// The id of its schema.
    pub(super) id: u32,
    deleted: bool,
}

impl Subject {
    fn live(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.versions.iter().filter(|version| !version.deleted)
    }
}

impl Store {
    /// The subjects that have a version, in alphabetical order.
    pub(super) fn subjects(&self) -> Vec<&str> {
        self.subjects.iter().filter(|(_, subject)| subject.live().next().is_some()).map(|(name, _)| name.as_str()).collect()
    }

    /// The text of the schema of an id. It stays known when the versions it stood in are deleted.
    pub(super) fn schema(&self, id: u32) -> Option<&str> {
        self.schemas.get((id as usize).checked_sub(1)?).map(String::as_str)
    }

    /// The subjects and versions that the schema of an id stands in.
    pub(super) fn uses(&self, id: u32) -> Vec<(&str, u32)> {
        self.subjects.iter().flat_map(|(name, subject)| uses_in(name, subject, id)).collect()
    }

    /// The versions of a subject, in ascending order.
    pub(super) fn versions(&self, subject: &str) -> Result<Vec<&Version>, Refusal> {
        let versions: Vec<&Version> = self.subjects.get(subject).into_iter().flat_map(Subject::live).collect();
        if versions.is_empty() { Err(Refusal::subject_not_found(subject)) } else { Ok(versions) }
    }

    /// One version by its number, or the latest by `latest` or `-1`.
    pub(super) fn version(&self, subject: &str, version: &str) -> Result<&Version, Refusal> {
        let number = number(version)?;
        let versions = self.versions(subject)?;
        let found = match number {
            None => versions.last(),
            Some(number) => versions.iter().find(|version| version.number == number),
        };
        found.copied().ok_or_else(|| Refusal::version_not_found(version))
    }

    /// The version of a subject that has this schema.
    pub(super) fn lookup(&self, subject: &str, text: &str) -> Result<&Version, Refusal> {
        let versions = self.versions(subject)?;
        parse(text)?;
        let id = self.id_of(text);
        versions.into_iter().rev().find(|version| Some(version.id) == id).ok_or_else(Refusal::schema_not_found)
    }

    /// Registers a schema under a subject, unless it stands there already; returns its id.
    pub(super) fn register(&mut self, subject: &str, text: &str) -> Result<u32, Refusal> {
        let schema = parse(text)?;
        let known = self.id_of(text);
        let earlier: Vec<u32> = self.subjects.get(subject).into_iter().flat_map(Subject::live).map(|version| version.id).collect();
        if let Some(id) = known.filter(|id| earlier.contains(id)) {
            return Ok(id);
        }
        self.level(subject).allows(&schema, &self.parsed(&earlier)?).map_err(|why| Refusal::incompatible(subject, &why))?;
        let id = known.unwrap_or_else(|| self.add(text));
        let subject = self.subjects.entry(subject.to_owned()).or_default();
        subject.last += 1;
        subject.versions.push(Version { number: subject.last, id, deleted: false });
        Ok(id)
    }

    /// Whether a schema could follow the given version of a subject, or all of them when there is none given.
    pub(super) fn compatible(&self, subject: &str, version: Option<&str>, text: &str) -> Result<Result<(), String>, Refusal> {
        let schema = parse(text)?;
        let ids = match version {
            Some(version) => vec![self.version(subject, version)?.id],
            None => self.versions(subject)?.iter().map(|version| version.id).collect(),
        };
        Ok(self.level(subject).allows(&schema, &self.parsed(&ids)?))
    }

    /// The level that holds for a subject: its own, else that of all.
    pub(super) fn level(&self, subject: &str) -> Level {
        self.own_level(subject).unwrap_or(self.level)
    }

    /// The subject's own level.
    pub(super) fn own_level(&self, subject: &str) -> Option<Level> {
        self.subjects.get(subject)?.level
    }

    /// The level of subjects without one of their own.
    pub(super) fn common_level(&self) -> Level {
        self.level
    }

    /// Sets the level of a subject, or of all without one of their own.
    pub(super) fn set_level(&mut self, subject: Option<&str>, level: Level) {
        match subject {
            None => self.level = level,
            Some(subject) => self.subjects.entry(subject.to_owned()).or_default().level = Some(level),
        }
    }

    /// Takes a subject's own level away; returns what it was.
    pub(super) fn reset_level(&mut self, subject: &str) -> Result<Level, Refusal> {
        let own = self.subjects.get_mut(subject).and_then(|subject| subject.level.take());
        own.ok_or_else(|| Refusal::no_config(subject))
    }

    /// Deletes a subject's versions, for good when they are deleted already; returns their numbers.
    pub(super) fn delete(&mut self, name: &str, permanent: bool) -> Result<Vec<u32>, Refusal> {
        let not_found = || Refusal::subject_not_found(name);
        let subject = self.subjects.get_mut(name).filter(|subject| !subject.versions.is_empty()).ok_or_else(not_found)?;
        let live: Vec<u32> = subject.live().map(|version| version.number).collect();
        match (permanent, live.is_empty()) {
            (false, true) => Err(not_found()),
            (false, false) => {
                subject.versions.iter_mut().for_each(|version| version.deleted = true);
                Ok(live)
            }
            (true, false) => Err(Refusal::not_soft_deleted(name)),
            (true, true) => Ok(std::mem::take(subject).versions.iter().map(|version| version.number).collect()),
        }
    }

    /// Deletes one version; returns its number.
    pub(super) fn delete_version(&mut self, subject: &str, version: &str) -> Result<u32, Refusal> {
        let number = self.version(subject, version)?.number;
        let versions = self.subjects.get_mut(subject).map(|subject| subject.versions.iter_mut());
        for version in versions.into_iter().flatten().filter(|version| version.number == number) {
            version.deleted = true;
        }
        Ok(number)
    }

    fn add(&mut self, text: &str) -> u32 {
        self.schemas.push(text.to_owned());
        self.schemas.len() as u32
    }

    /// Two texts are one schema when they are the same JSON. The canonical form would be too coarse: it leaves out
    /// defaults and logical types, without which records are read differently.
    fn id_of(&self, text: &str) -> Option<u32> {
        let schema: Value = serde_json::from_str(text).ok()?;
        let same = |known: &String| serde_json::from_str::<Value>(known).is_ok_and(|known| known == schema);
        self.schemas.iter().position(same).map(|index| index as u32 + 1)
    }

    fn parsed(&self, ids: &[u32]) -> Result<Vec<Schema>, Refusal> {
        ids.iter().map(|&id| parse(self.schema(id).unwrap_or_default())).collect()
    }
}

fn uses_in<'a>(name: &'a str, subject: &'a Subject, id: u32) -> impl Iterator<Item = (&'a str, u32)> {
    subject.live().filter(move |version| version.id == id).map(move |version| (name, version.number))
}

/// `None` is the latest.
fn number(version: &str) -> Result<Option<u32>, Refusal> {
    match version {
        "latest" | "-1" => Ok(None),
        number => match number.parse::<i32>() {
            Ok(number) if number > 0 => Ok(Some(number.unsigned_abs())),
            _ => Err(Refusal::invalid_version(version)),
        },
    }
}

fn parse(text: &str) -> Result<Schema, Refusal> {
    Schema::parse_str(text).map_err(|error| Refusal::invalid_schema(&error.to_string()))
}
