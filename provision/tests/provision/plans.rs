//! Facts to differences to plans, without any server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use millrace_connectors::{Connection, Definition, Examined, Misfit, MisfitKind, Quotes};
use millrace_model::{Code, Fault};
use millrace_provision::facts::{KafkaFacts, SubjectFacts};
use millrace_provision::plan::Sign;
use millrace_provision::{Doomed, Facts, Options, Plan, Wanted, differences, finding, plan};
use millrace_runtime::kafka::topics::{Described, Operation, TopicFacts};
use millrace_runtime::project::Severity;
use millrace_runtime::registry::Level;

use crate::project::{note, orders, shop, subject};

const EVERYTHING: [Operation; 3] = [Operation::Read, Operation::Write, Operation::Create];

fn wanted() -> Wanted {
    shop("orders", Connection::embedded(Path::new("warehouse.db")))
}

/// Facts in which all is as it is wanted.
fn facts() -> Facts {
    let config = [("cleanup.policy", "delete,compact"), ("retention.ms", "86400000"), ("segment.ms", "1")];
    let config = config.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let topic = TopicFacts { partitions: 3, replication: 1, config: Some(config), operations: Some(BTreeSet::from(EVERYTHING)) };
    Facts {
        kafka: Ok(KafkaFacts {
            topics: BTreeMap::from([("orders".to_owned(), Described::Exists(topic))]),
            cluster: Some(BTreeSet::from(EVERYTHING)),
            groups: BTreeMap::from([("orders.orders".to_owned(), Some(BTreeSet::from(EVERYTHING)))]),
            ..KafkaFacts::default()
        }),
        subjects: Ok(BTreeMap::from([("orders-value".to_owned(), SubjectFacts::Registered)])),
        tables: vec![Ok(Examined { table: "\"orders\"".into(), ..Examined::default() })],
    }
}

fn topic(facts: &mut Facts) -> &mut TopicFacts {
    match facts.kafka.as_mut().expect("Kafka has answered").topics.get_mut("orders").expect("is there") {
        Described::Exists(facts) => facts,
        Described::Hidden => panic!("is not hidden"),
    }
}

/// The changes of the plan as `sign kind name detail`, and its obstacles as `! what`.
fn lines(plan: &Plan) -> Vec<String> {
    let spaces = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let obstacles = plan.obstacles.iter().map(|obstacle| format!("! {}", obstacle.what));
    plan.changes.iter().map(|change| spaces(change.to_string())).chain(obstacles).collect()
}

fn planned(facts: &Facts, options: &Options) -> Vec<String> {
    lines(&plan(&differences(&wanted(), facts), options))
}

fn findings(facts: &Facts) -> Vec<(Severity, Code)> {
    differences(&wanted(), facts).iter().filter_map(|one| finding(&one.what)).map(|finding| (finding.severity, finding.code)).collect()
}

#[test]
fn where_all_is_as_it_is_wanted_there_is_nothing_to_do() {
    assert_eq!(differences(&wanted(), &facts()), []);
    assert!(plan(&[], &Options::default()).to_string().starts_with("Nothing to do"));
}

#[test]
fn what_is_missing_is_added() {
    let mut facts = facts();
    facts.kafka.as_mut().expect("answered").topics.clear();
    facts.subjects = Ok(BTreeMap::from([("orders-value".to_owned(), SubjectFacts::Missing)]));
    let definition = Definition { kind: "table", name: "\"orders\"".into(), sql: "CREATE TABLE \"orders\" (id bigint)".into() };
    facts.tables = vec![Ok(Examined { missing: vec![definition], ..Examined::default() })];
    assert_eq!(
        planned(&facts, &Options::default()),
        [
            "+ topic orders 3 partitions, 1 replica, cleanup.policy=compact,delete, retention.ms=86400000",
            "+ subject orders-value first version: Order of 1 field",
            "+ table \"orders\" in warehouse: CREATE TABLE \"orders\" (id bigint)",
        ]
    );
    assert_eq!(
        findings(&facts),
        [(Severity::Warning, Code::KafkaTopicMissing), (Severity::Warning, Code::TargetSchema)],
        "what services make when they start is no error"
    );
}

#[test]
fn a_topic_that_the_user_may_not_create_is_an_error() {
    let mut facts = facts();
    facts.kafka = Ok(KafkaFacts { cluster: Some(BTreeSet::new()), ..KafkaFacts::default() });
    assert_eq!(findings(&facts), [(Severity::Error, Code::KafkaTopicMissing)]);
}

#[test]
fn partitions_are_added_only_where_that_was_told() {
    let mut facts = facts();
    topic(&mut facts).partitions = 1;
    assert_eq!(planned(&facts, &Options::default()), ["! the topic `orders` has 1 partition, the project says 3"]);
    let told = Options { add_partitions: BTreeSet::from(["orders".to_owned()]), ..Options::default() };
    assert_eq!(planned(&facts, &told), ["~ topic orders 1 → 3 partitions; keys move"]);
    topic(&mut facts).partitions = 5;
    assert_eq!(planned(&facts, &told), ["! the topic `orders` has 5 partitions, the project says 3"], "none is ever taken away");
}

#[test]
fn settings_are_altered_and_those_that_are_not_declared_are_left_alone() {
    let mut facts = facts();
    let config = topic(&mut facts).config.as_mut().expect("are seen");
    config.insert("retention.ms".into(), "604800000".into());
    config.insert("segment.ms".into(), "2".into());
    assert_eq!(planned(&facts, &Options::default()), ["~ topic orders retention.ms 604800000 → 86400000"]);
    assert_eq!(findings(&facts), [(Severity::Warning, Code::ServerDiffers)]);
}

#[test]
fn replicas_and_rights_are_nothing_that_apply_can_mend() {
    let mut facts = facts();
    topic(&mut facts).replication = 3;
    topic(&mut facts).operations = Some(BTreeSet::from([Operation::Read]));
    assert_eq!(
        planned(&facts, &Options::default()),
        ["! the topic `orders` has 3 replicas, the project says 1", "! the user lacks Write on the topic `orders`"]
    );
    assert_eq!(findings(&facts), [(Severity::Warning, Code::ServerDiffers), (Severity::Error, Code::KafkaAuthorization)]);
}

/// What is found, and what is to be done about it.
fn told(facts: &Facts) -> Vec<(String, String)> {
    differences(&wanted(), facts).iter().map(|one| (one.what.message(), one.what.remedy())).collect()
}

#[test]
fn rights_to_groups_and_transactional_ids_name_whom_and_what_to_give() {
    let mut facts = facts();
    let kafka = facts.kafka.as_mut().expect("Kafka has answered");
    kafka.groups.insert("orders.orders".to_owned(), Some(BTreeSet::from([Operation::Describe])));
    kafka.denied_transactions.insert("orders.orders.".to_owned());
    kafka.principal = Some("User:bob".to_owned());
    assert_eq!(
        told(&facts),
        [
            (
                "the user `User:bob` lacks Read on the consumer group `orders.orders`".to_owned(),
                "allow it: kafka-acls --add --allow-principal User:bob --operation Read --group orders.orders".to_owned()
            ),
            (
                "the user `User:bob` lacks Write on the transactional ids that begin with `orders.orders.`".to_owned(),
                "allow it: kafka-acls --add --allow-principal User:bob --operation Write --transactional-id orders.orders. \
                 --resource-pattern-type prefixed"
                    .to_owned()
            ),
        ]
    );
    assert_eq!(findings(&facts), [(Severity::Error, Code::KafkaAuthorization); 2]);
}

#[test]
fn a_user_without_a_known_name_is_named_by_nobody() {
    let mut facts = facts();
    facts.kafka.as_mut().expect("Kafka has answered").groups.insert("orders.orders".to_owned(), Some(BTreeSet::new()));
    let (message, remedy) = told(&facts).remove(0);
    assert!(message.starts_with("the user lacks Read") && remedy.contains("User:NAME"), "{message}: {remedy}");
}

#[test]
fn a_broker_that_does_not_tell_rights_to_groups_is_taken_to_allow_them() {
    let mut facts = facts();
    facts.kafka.as_mut().expect("Kafka has answered").groups.insert("orders.orders".to_owned(), None);
    assert_eq!(findings(&facts), []);
}

#[test]
fn a_schema_that_the_subject_takes_becomes_its_next_version() {
    let mut facts = facts();
    facts.subjects = Ok(BTreeMap::from([("orders-value".to_owned(), SubjectFacts::Behind { latest: 4 })]));
    assert_eq!(planned(&facts, &Options::default()), ["~ subject orders-value version after 4: Order of 1 field"]);
    assert_eq!(findings(&facts), [], "a service registers it when it starts");
}

#[test]
fn a_schema_that_the_subject_refuses_is_an_error_with_the_reason() {
    let mut facts = facts();
    let reasons = vec!["field x has no default".to_owned()];
    facts.subjects =
        Ok(BTreeMap::from([("orders-value".to_owned(), SubjectFacts::Refuses { latest: 2, level: Some(Level::Backward), reasons })]));
    let told = planned(&facts, &Options::default());
    assert!(told[0].starts_with("! ") && told[0].contains("field x has no default"), "{told:?}");
    assert_eq!(findings(&facts), [(Severity::Error, Code::RegistryRefused)]);
}

#[test]
fn a_table_gets_columns_and_keeps_the_types_that_it_has() {
    let misfit = |kind| Misfit { table: "\"orders\"".into(), kind, quotes: Quotes::Double };
    let mut facts = facts();
    facts.tables = vec![Ok(Examined {
        misfits: vec![
            misfit(MisfitKind::Missing { column: "note".into(), sql_type: "text".into() }),
            misfit(MisfitKind::Type { column: "id".into(), declared: "text".into(), wanted: "bigint".into() }),
        ],
        denied: vec!["DELETE ON orders".into()],
        ..Examined::default()
    })];
    assert_eq!(
        planned(&facts, &Options::default()),
        [
            "~ table \"orders\" in warehouse: ALTER TABLE \"orders\" ADD COLUMN \"note\" text",
            "! column \"id\" of \"orders\" is text, and the schema's values need bigint (in `warehouse`)",
            "! the user of `warehouse` lacks DELETE ON orders",
        ]
    );
    assert_eq!(
        findings(&facts),
        [(Severity::Warning, Code::TargetSchema), (Severity::Error, Code::TargetSchema), (Severity::Error, Code::TargetDenied)],
        "a load adds a column by itself"
    );
}

#[test]
fn what_several_tables_lack_is_made_once() {
    let mut wanted = wanted();
    wanted.tables.push(wanted.tables[0].clone());
    let definition = Definition { kind: "table", name: "millrace_positions".into(), sql: "CREATE TABLE millrace_positions".into() };
    let lacks = || Ok(Examined { missing: vec![definition.clone()], ..Examined::default() });
    let facts = Facts { tables: vec![lacks(), lacks()], ..facts() };
    assert_eq!(differences(&wanted, &facts).len(), 1);
}

#[test]
fn nothing_is_destroyed_but_what_was_named() {
    let mut wanted = wanted();
    wanted.topics.clear();
    wanted.subjects = vec![subject("orders-value", orders(&[note()]))];
    assert_eq!(plan(&differences(&wanted, &facts()), &Options::default()).count(Sign::Destroy), 0);
    let doomed = vec![Doomed::Topic("old".into()), Doomed::Table { connection: "warehouse".into(), table: "old".into() }];
    let plan = plan(&[], &Options { doomed, ..Options::default() });
    assert_eq!(plan.count(Sign::Destroy), 2);
    assert!(lines(&plan)[1].contains("millrace_positions"), "{plan}");
    assert_eq!(plan.to_json()["changes"][0]["action"], "destroy");
}

#[test]
fn a_server_that_told_nothing_is_not_taken_for_an_empty_one() {
    let away = |code| Fault::passing(code, "away");
    let facts = Facts {
        kafka: Err(away(Code::KafkaUnavailable)),
        subjects: Err(away(Code::RegistryUnavailable)),
        tables: vec![Err(away(Code::TargetUnavailable))],
    };
    assert_eq!(differences(&wanted(), &facts), []);
    assert_eq!(facts.silent().count(), 3);
}
