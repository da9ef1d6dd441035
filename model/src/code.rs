//! The stable codes of faults and rejections. A code is never given another meaning; one that is
//! no longer used stays reserved.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $title:literal, $help:literal;)*) => {
        /// What went wrong, as a code that stays the same over versions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it stands in logs, headers and metrics, such as `MR0301`.
            pub const fn as_str(self) -> &'static str { match self { $(Code::$name => $text,)* } }

            /// What it means, in a line.
            pub const fn title(self) -> &'static str { match self { $(Code::$name => $title,)* } }

            /// What to do about it.
            pub const fn help(self) -> &'static str { match self { $(Code::$name => $help,)* } }
        }
    };
}

codes! {
    // MR01..: the project file.
    ProjectRead = "MR0101", "The project can't be read", "Check the path and its permissions.";
    ProjectSyntax = "MR0102", "The project file is not YAML of the expected shape", "Mend the place that the message names; `millrace check` shows it.";
    ProjectVariable = "MR0103", "A variable has no value", "Set it in the environment or give it a default: ${NAME:default}.";
    ProjectFlow = "MR0104", "The pipelines of the project do not fit together", "Mend the pipeline that the message names.";
    ProjectAdvice = "MR0105", "The project works, and its owner should know something", "Read what the message says.";
    ServerDiffers = "MR0106", "A server has it otherwise than the project says", "`millrace apply` shows what differs and mends what it may; the message says the rest.";
    // MR02..: Kafka.
    KafkaUnavailable = "MR0201", "Kafka can't be reached", "Check kafka.brokers and the network; the pipeline goes on by itself when Kafka answers.";
    KafkaAuthentication = "MR0202", "Kafka refused the credentials", "Check KAFKA_USERNAME and KAFKA_PASSWORD, and kafka.mechanism.";
    KafkaAuthorization = "MR0203", "Kafka denied access", "Grant the user the access that the message names.";
    KafkaTopicMissing = "MR0204", "A topic does not exist", "Create it, or declare it under topics: so that Millrace creates it.";
    KafkaFenced = "MR0205", "Another instance has taken over", "Nothing: this instance gives its work back and goes on with what it gets, as happens when instances come and go. If it repeats while none does, two instances share one millrace.instance.";
    KafkaConfiguration = "MR0206", "Kafka refused a setting", "Mend the setting that the message names.";
    KafkaTooLarge = "MR0207", "A record is larger than the topic takes", "Raise max.message.bytes of the topic, or make the record smaller.";
    KafkaPositionGone = "MR0208", "Records up to the stored position are no longer in the topic", "Retention took them, or the topic was made anew. To accept the gap, run `millrace positions accept PIPELINE`, which goes on with the first record that is there (--from end: with what comes from now on).";
    KafkaTopicAnother = "MR0209", "A topic was deleted and made anew", "Records of the new topic would be skipped, or rows doubled: look at what it holds, then run `millrace positions accept PIPELINE`, which goes on from its beginning (--from end: with what comes from now on).";
    KafkaOther = "MR0299", "Kafka answered with an error", "See the cause.";
    // MR03..: schemas and codecs.
    RegistryUnavailable = "MR0301", "The schema registry can't be reached", "Check registry.url; the pipeline goes on by itself when it answers.";
    RegistryRefused = "MR0302", "The schema registry refused the schema", "Make the schema compatible with the subject's earlier versions, or change the subject's compatibility.";
    SchemaUnknown = "MR0303", "The record's schema id is not in the registry", "Register the producer's schema in the registry that Millrace uses, then replay.";
    SchemaInvalid = "MR0304", "The schema is not a valid Avro record schema", "Mend the schema file.";
    SchemaUnsupported = "MR0305", "The schema has a type that Millrace can't carry", "Change the type that the message names.";
    SchemaIncompatible = "MR0306", "The record was written with a schema that can't be read as the topic's", "Give new fields a default, or change the declared schema.";
    SchemaDrift = "MR0307", "A pulled schema is not what it was pulled from", "Run `millrace schema pull`, look at what changed, and commit it.";
    SchemaChanged = "MR0308", "The topic's schema has changed in a way that the pipeline can't work with", "Change the pipeline or its schema as the message says, or set on_incompatible: dead_letter so that the records are rejected.";
    FramingInvalid = "MR0310", "The value is not Confluent-framed Avro", "Make the producer use the Confluent Avro serializer.";
    AvroInvalid = "MR0311", "The value is not valid Avro of its schema", "Mend the producer, then replay.";
    // MR04..: ingest.
    JsonInvalid = "MR0401", "The record is not valid JSON", "Mend the sender.";
    FieldMissing = "MR0402", "A required field is missing", "Send the field, or give it a default in the schema.";
    FieldUnknown = "MR0403", "A field is not in the schema", "Remove the field, or add it to the schema.";
    FieldType = "MR0404", "A field's value does not fit its type", "Send a value of the type that the message names.";
    CsvInvalid = "MR0405", "The line is not a row of this CSV file", "Mend the line: it must have as many columns as the header.";
    BodyTooLarge = "MR0406", "The request's body is over the limit", "Send less in one request, or raise max_body.";
    FileUnreadable = "MR0407", "A file can't be read", "Check the path and its permissions.";
    EncodingInvalid = "MR0408", "The text is not UTF-8", "Send UTF-8.";
    FileDamaged = "MR0409", "A file is not what its format wants", "Put a whole file in its place under another name; what was read of it before stands.";
    FileChanged = "MR0412", "A file is another one than was read under its name", "Write new data to files of new names, or set on_change: read_again.";
    StoreUnavailable = "MR0410", "The object store can't be reached", "Check the URL, the endpoint and the network; the pipeline goes on by itself when it answers.";
    StoreRefused = "MR0411", "The object store refused the request", "Check the credentials and region of `store`, or of the environment, and what they may do.";
    ColumnsUnfit = "MR0420", "The columns of a source do not fit the topic's schema", "Change the query, the file or the schema as the message says.";
    CursorUnfit = "MR0421", "The cursor of a query does not order its rows", "Name columns that are never null and that together tell rows apart: `cursor: [updated_at, id]`.";
    QueryInvalid = "MR0422", "A query can't be run", "Mend `sql`, or grant the connection's user what it reads.";
    EventInvalid = "MR0413", "The event is not a CloudEvent 1.0", "Send id, source, specversion 1.0 and type, and the data in one form.";
    MediaTypeRefused = "MR0414", "The body is of a kind that the gateway does not take", "Name the body's type in Content-Type; the answer lists those that are taken.";
    BodyUnreadable = "MR0415", "The body is not what its headers say", "Mend the sender: Content-Type and Content-Encoding must be those of the body.";
    ApiKeyRefused = "MR0416", "The request has no API key that the path takes", "Send one of the path's api_keys as Authorization: Bearer KEY, or as X-API-Key.";
    TooManyRequests = "MR0417", "The path is asked for more than its limits allow", "Send again after the seconds of Retry-After, or raise rate or max_in_flight.";
    KeyReused = "MR0418", "The Idempotency-Key was used with another request", "Give every request a key of its own; only a repetition has the same one.";
    KeyHandedOver = "MR0419", "The replica that owns the Idempotency-Key is changing", "Send again, with the same key, after the seconds of Retry-After.";
    KeysFull = "MR0423", "As many Idempotency-Keys are remembered as there is room for", "Send again later, raise idempotency.memory, shorten idempotency.window, or start more replicas.";
    XmlInvalid = "MR0424", "The element is not a record in XML", "Mend the writer of the file.";
    // MR05..: transform.
    SqlInvalid = "MR0501", "The SQL of a step can't be used", "Mend the place that the message names.";
    SqlUnsupported = "MR0502", "The SQL needs more than one row at a time", "Use row-wise expressions; aggregates, joins and windows belong to later steps.";
    ExpressionFailed = "MR0503", "An expression failed for this record", "Mend the record, or guard the expression (nullif, try_cast).";
    RuleBroken = "MR0504", "The record breaks a validation rule", "Mend the record, then replay.";
    KeyInvalid = "MR0505", "The record's key can't be made", "Make sure the key columns are not null.";
    TombstoneRefused = "MR0506", "A tombstone can't pass here", "A pipeline that sets key: or appends can't carry a record without a value.";
    // MR06..: loader.
    TargetUnavailable = "MR0601", "The target can't be reached", "Check the connection; the pipeline goes on by itself when it answers.";
    TargetAuthentication = "MR0602", "The target refused the credentials", "Check the connection's user and password variables.";
    TargetDenied = "MR0603", "The target denied access", "Grant the user what the message names.";
    TargetSchema = "MR0604", "The target table does not fit the schema", "Change the table or the pipeline as the message says.";
    TargetFenced = "MR0605", "A newer writer has taken the partition over", "Nothing: this writer reads its positions again.";
    TargetOther = "MR0699", "The target answered with an error", "See the cause.";
    ValueNull = "MR0610", "A value is null where the target takes none", "Mend the record, or make the column nullable.";
    ValueTooLong = "MR0611", "A value is longer than the target takes", "Mend the record, or widen the column.";
    ValueOutOfRange = "MR0612", "A value is outside the range of the target's type", "Mend the record, or widen the column.";
    ValueForbidden = "MR0613", "A value holds what the target can't store", "Remove the character that the message names.";
    RowRefused = "MR0614", "The target refused the row", "See the reason; mend the record or the constraint, then replay.";
    KeyMissing = "MR0615", "The record has no usable key for this load", "Give the record the key that keys: names.";
    ChangeInvalid = "MR0616", "The record can't be read as a change", "Mend the producer, or `envelope`; see the reason.";
    LoadRefused = "MR0617", "The target refused a load that was to replace its table", "The table keeps its rows. Mend what the reason says and send the load again.";
    // MR08..: dead letters.
    RejectionQuota = "MR0801", "More records were rejected than the pipeline's quota allows", "See `millrace dead-letters stats`; mend the cause or raise dead_letters.max_per_minute, then start the service again.";
    LetterMissing = "MR0802", "There is no such dead letter", "`millrace dead-letters list` prints those there are; with --all those that are settled too.";
    SurgeryInvalid = "MR0803", "A condition or a patch for dead letters can't be used", "Mend what the message names; docs/dead-letters.md has examples.";
    NotReplayable = "MR0804", "A dead letter can't be replayed", "Do what the message says, or discard the letter.";
    PatchUnfit = "MR0805", "A patched record does not fit its schema", "Change the patch as the message says.";
    LetterFileInvalid = "MR0806", "A file of dead letters can't be read", "Give a file or folder that `millrace dead-letters export` wrote; mend the line that the message names.";
    ParkedFull = "MR0807", "More records wait behind rejected ones of their keys than may", "Replay or discard dead letters that many records wait for (`millrace dead-letters list`), or raise `parked`; the pipeline looks again each minute.";
    ParkedLost = "MR0808", "A record that waits behind a rejected one is not to be found", "The topic millrace.parked was changed or deleted: put it back. Where that can't be, set `on_error: dead_letter` to go on without what is lost.";
    // MR09..: the machine itself.
    Internal = "MR0901", "A defect in Millrace", "Please report it with this message.";
    Io = "MR0902", "The operating system refused an operation", "See the cause.";
    TelemetryInvalid = "MR0903", "Logs or traces can't be set up as asked", "Check --log, RUST_LOG and the OTEL_ variables; the message names which.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_a_text_of_its_own_that_reads_back() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.as_str().parse() == Ok(*code)));
    }
}
