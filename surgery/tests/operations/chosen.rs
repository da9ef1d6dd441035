use millrace_model::{Code, Header, Stage};
use millrace_runtime::dead_letters::How;
use millrace_surgery::condition::choose;
use millrace_surgery::discard::{Discarded, discard};
use millrace_surgery::letters::{self, Topics};

use crate::world::{World, identity, order};

fn header(key: &str, value: &[u8]) -> Header {
    Header { key: key.to_owned(), value: Some(value.to_vec()) }
}

/// The offsets of the records that a condition chooses.
async fn offsets(world: &World, condition: &str) -> Vec<i64> {
    let chosen = choose(world.letters().await, condition, &world.theatre.registry).await.expect("chooses");
    chosen.iter().map(|letter| letter.letter.offset().unwrap_or(-1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_sees_the_headers_and_the_values_of_every_kind() {
    let world = World::start().await;
    for (offset, amount) in [(1, -1.0), (2, -50.0)] {
        let value = world.avro(&order(offset, "ann", amount)).await;
        world.reject("shop.clean", Stage::Step("0:validate".into()), offset, Some(b"ann"), Some(&value));
    }
    world.reject("shop.web", Stage::Read, 3, None, Some(br#"{"id": 3, "amount": "much"}"#));
    world.reject("shop.web", Stage::Read, 4, None, Some(b"{\"id\": 4"));
    world.write("millrace.dead-letters", Some(b"\xff"), &[header("millrace.error.partition", b"\xff"), header("mine", b"")]);
    assert_eq!(world.letters().await.len(), 5, "one without sense is listed too");
    assert_eq!(offsets(&world, "pipeline = 'shop.clean' AND \"offset\" > 1").await, [2]);
    assert_eq!(offsets(&world, "value.amount < -10").await, [2]);
    assert_eq!(offsets(&world, "customer = 'ann' AND code = 'MR0504'").await, [1, 2]);
    assert_eq!(offsets(&world, "id = 3").await, [3]);
    assert_eq!(offsets(&world, "value LIKE '%4'").await, [4]);
    assert_eq!(offsets(&world, "key = 'ann' AND at > now() - INTERVAL '1 hour'").await, [1, 2]);
    assert_eq!(offsets(&world, "1 / (id - 1) >= 0 AND stage LIKE 'step%'").await, [2], "a row that fails is not chosen");
    let wrong = choose(world.letters().await, "amuont > 1", &world.theatre.registry).await.expect_err("no such column");
    assert!(wrong.code() == Code::SurgeryInvalid && wrong.to_string().contains("did you mean amount"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_record_that_two_topics_have_is_one_letter_and_a_named_topic_must_exist() {
    let world = World::start().await;
    let said = ["topic", "partition", "offset", "connector.name"].map(|name| header(&format!("__connect.errors.{name}"), b"7"));
    world.write("elsewhere", Some(b"a"), &said);
    world.write("elsewhere", Some(b"b"), &said);
    let named = |topic: &str| Topics::Named(vec![topic.to_owned()]);
    let letters = letters::read(&world.theatre.cluster, &named("elsewhere")).await.expect("reads");
    assert_eq!((letters.len(), letters[0].letter.copies.len(), letters[0].letter.said("pipeline")), (1, 1, "7"));
    let missing = letters::read(&world.theatre.cluster, &named("nowhere")).await.expect_err("is missing");
    assert_eq!(missing.code(), Code::KafkaTopicMissing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_is_marked_once_with_who_and_why() {
    let world = World::start().await;
    world.reject("shop.clean", Stage::Decode, 1, None, Some(b"x"));
    world.reject("shop.table", Stage::Write, 1, None, Some(b"x"));
    let dead = |letters: Vec<letters::Letter>| letters.into_iter().map(|letter| letter.letter).collect::<Vec<_>>();
    let done = discard(&world.theatre, dead(world.letters().await), "ann", "test data").await.expect("discards");
    assert!(done.len() == 2 && done.iter().all(|(_, outcome)| *outcome == Discarded::Marked), "{done:?}");
    let again = discard(&world.theatre, dead(world.letters().await), "bob", "again").await.expect("discards");
    assert!(again.iter().all(|(_, outcome)| matches!(outcome, Discarded::Settled(mark) if mark.by == "ann")), "{again:?}");
    for letter in world.letters().await {
        let mark = letter.resolution.clone().expect("a mark");
        assert_eq!((mark.how, mark.by.as_str(), mark.reason.as_str()), (How::Discarded, "ann", "test data"), "{}", identity(&letter));
    }
}
