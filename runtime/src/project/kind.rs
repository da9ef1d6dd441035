//! The kinds of findings: short names that stay the same over versions.

use std::fmt;

use millrace_model::Code;

macro_rules! kinds {
    ($($name:ident = $text:literal, $title:literal;)*) => {
        /// What sort of finding it is. Finer than its [`Code`], whose page says what to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $title] $name,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The kind as tools see it, such as `unknown-topic`.
            pub const fn as_str(self) -> &'static str { match self { $(Kind::$name => $text,)* } }

            /// What it means, in a line.
            pub const fn title(self) -> &'static str { match self { $(Kind::$name => $title,)* } }
        }
    };
}

kinds! {
    // The files.
    Unreadable = "unreadable", "A file or folder can't be read";
    Syntax = "syntax", "A file is not YAML, or more than a project file may be";
    UnknownKey = "unknown-key", "A key is none that this place knows";
    MissingKey = "missing-key", "A key that this place needs is not there";
    WrongValue = "wrong-value", "A value is not of the form that is expected";
    DeclaredTwice = "declared-twice", "The same thing is declared in two places";
    UnsetVariable = "unset-variable", "A variable has neither a value nor a default";
    BadVariable = "bad-variable", "What follows `${` is no variable";
    IncludeCycle = "include-cycle", "A file includes itself";
    IncludeOutside = "include-outside", "An included file is outside the project's folder";
    IncludeNothing = "include-nothing", "A pattern under `include:` matches no file";
    UnknownProfile = "unknown-profile", "The project has no profile of that name";
    BadProfile = "bad-profile", "A profile has a key that only the project itself may have";
    IdleProfile = "idle-profile", "A profile removes or adds what is probably a misspelling";
    Settings = "settings", "Settings contradict each other, or are Millrace's own";
    // Names.
    BadName = "bad-name", "Kafka or Millrace does not take the name";
    NameTaken = "name-taken", "Two pipelines share what each must have for itself";
    UnknownConnection = "unknown-connection", "A pipeline names a connection that is not declared";
    UnusedConnection = "unused-connection", "No pipeline uses the connection";
    // Topics.
    UnknownTopic = "unknown-topic", "A pipeline reads a topic that nobody writes and nobody declares";
    UnusedTopic = "unused-topic", "A topic is declared that no pipeline reads or writes";
    NoSchema = "no-schema", "A topic has no schema";
    Cycle = "cycle", "What a pipeline writes comes back to it";
    DeadLetterTopic = "dead-letter-topic", "A dead-letter topic holds data too";
    TwoWriters = "two-writers", "Two pipelines write the same topic or table, and do not agree";
    // Schemas and columns.
    InvalidSchema = "invalid-schema", "A schema file is not a valid Avro schema";
    UnsupportedType = "unsupported-type", "A schema has a type that Millrace can't carry";
    RecursiveType = "recursive-type", "A schema has a type that contains itself";
    UnknownColumn = "unknown-column", "There is no such column";
    SchemaMismatch = "schema-mismatch", "What a pipeline makes does not fit the schema that is declared";
    BadKey = "bad-key", "The columns can't be a key";
    NullableKey = "nullable-key", "A key column may be null";
    UnionTouched = "union-touched", "A source, step, key or target would have to look into a union of several types";
    UnknownSymbol = "unknown-symbol", "An enum is compared with a symbol that it does not have";
    Precision = "precision", "Digits would be lost on the way";
    // Pipelines.
    Sql = "sql", "The SQL of a step can't be used";
    NotRowWise = "not-row-wise", "The SQL of a step needs more than one record at a time";
    Target = "target", "The target can't hold what the topic brings";
    Source = "source", "The source can't bring what the topic needs";
    Mode = "mode", "The load's mode and its other settings do not fit";
    Delivery = "delivery", "The pipeline gives a weaker guarantee than exactly once";
    Flow = "flow", "Pipelines do not fit together";
    // What servers know.
    ServerLacks = "server-lacks", "A server does not have what the project needs";
    ServerDiffers = "server-differs", "A server has it otherwise than the project says";
    Denied = "denied", "A user lacks a right that pipelines need";
    RegistryRefuses = "registry-refuses", "A subject does not take the project's schema";
    SchemaDrift = "schema-drift", "A pulled schema is not what it was pulled from";
    NoAnswer = "no-answer", "A server did not answer";
    Advice = "advice", "The project works, and its owner should know something";
    Other = "other", "See the code";
}

impl Kind {
    /// The kind of a finding of which nothing but the code is known.
    pub(super) const fn of(code: Code) -> Self {
        match code {
            Code::ProjectRead => Self::Unreadable,
            Code::ProjectSyntax => Self::WrongValue,
            Code::ProjectVariable => Self::UnsetVariable,
            Code::ProjectFlow => Self::Flow,
            Code::ProjectAdvice => Self::Advice,
            Code::SchemaInvalid => Self::InvalidSchema,
            Code::SchemaUnsupported => Self::UnsupportedType,
            Code::SqlInvalid => Self::Sql,
            Code::SqlUnsupported => Self::NotRowWise,
            Code::TargetSchema => Self::Target,
            Code::FileUnreadable => Self::Source,
            Code::KafkaTopicMissing => Self::ServerLacks,
            Code::ServerDiffers => Self::ServerDiffers,
            Code::KafkaAuthorization | Code::TargetDenied => Self::Denied,
            Code::RegistryRefused => Self::RegistryRefuses,
            Code::SchemaDrift => Self::SchemaDrift,
            Code::KafkaUnavailable | Code::RegistryUnavailable | Code::TargetUnavailable => Self::NoAnswer,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }
}
