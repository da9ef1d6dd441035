use millrace_model::{Header, Stage};
use millrace_runtime::dead_letters::How;
use millrace_runtime::kafka::compacted;
use millrace_surgery::patch::Patch;
use millrace_surgery::replay::{Orders, Rehearsed, Way, rehearse};
use serde_json::{Value, json};

use crate::world::{CLEAN, RAW, World, later_schema, order, orders, patched, schema_without_customers};

fn validate() -> Stage {
    Stage::Step("0:validate".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_transform_goes_through_its_steps_once_and_nowhere_else() {
    let world = World::start().await;
    for (offset, customer) in [(1, "ann"), (2, "test")] {
        let value = world.avro(&order(offset, customer, -2.5)).await;
        world.reject("shop.clean", validate(), offset, Some(customer.as_bytes()), Some(&value));
    }
    let mended = patched("amount = abs(amount), note = 'mended'");
    assert_eq!(world.replay(&mended).await, [(1, "replayed to orders.clean".into()), (2, "replayed to orders.clean".into())]);
    let written = json!({ "id": 1, "customer": "ann", "amount": 2.5, "note": "mended" });
    assert_eq!(world.orders_in(CLEAN).await, [(Some("ann".into()), written)], "the filter dropped the other");
    assert_eq!(world.orders_in(RAW).await, [], "the input's readers see nothing");
    assert_eq!(world.replay(&mended).await, [(1, "settled by ann".into()), (2, "settled by ann".into())]);
    assert_eq!(world.orders_in(CLEAN).await.len(), 1);
    let mark = world.letters().await[0].resolution.clone().expect("a mark");
    assert_eq!((mark.how, mark.to.as_str()), (How::Replayed, CLEAN));
    assert!(mark.reason.contains("amount = abs(amount)"), "{}", mark.reason);
    let again = Orders { again: true, ..mended };
    assert_eq!(world.replay(&again).await.len(), 2);
    assert_eq!(world.orders_in(CLEAN).await.len(), 2, "--again insists");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_again_holds_back_the_later_ones_of_its_key_and_no_other() {
    let world = World::start().await;
    for (offset, customer, amount) in [(4, "bob", 4.0), (1, "ann", 1.0), (3, "ann", 3.0), (2, "ann", -2.0)] {
        let value = world.avro(&order(offset, customer, amount)).await;
        world.reject("shop.clean", validate(), offset, Some(customer.as_bytes()), Some(&value));
    }
    let mut told = world.replay(&orders()).await;
    told.sort();
    let replayed = || "replayed to orders.clean".to_owned();
    assert_eq!(told, [(1, replayed()), (2, "rejected at step 0:validate: MR0504".into()), (3, "behind 3".into()), (4, replayed())]);
    let ids = |orders: &[(Option<String>, Value)]| orders.iter().map(|(_, order)| order["id"].as_i64()).collect::<Vec<_>>();
    assert_eq!(ids(&world.orders_in(CLEAN).await), [Some(1), Some(4)]);
    world.replay(&patched(r#"{"amount": 7, "note": "merged"}"#)).await;
    let clean = world.orders_in(CLEAN).await;
    assert_eq!(ids(&clean), [Some(1), Some(4), Some(2), Some(3)], "in the order of their records");
    assert_eq!(clean[2].1, json!({ "id": 2, "customer": "ann", "amount": 7.0, "note": "merged" }), "Avro is merged too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_ingest_is_read_again_keyed_and_written_to_its_topic() {
    let world = World::start().await;
    world.reject("shop.web", Stage::Read, 1, None, Some(br#"{"id": 1, "customer": "ann", "amount": "2"}"#));
    world.reject("shop.web", Stage::Read, 2, None, Some(b"nonsense"));
    let told = world.replay(&patched(r#"{"amount": 2}"#)).await;
    assert_eq!(told, [(2, "impossible: MR0805".into()), (1, "replayed to orders.raw".into())]);
    assert_eq!(world.orders_in(RAW).await, [(Some("ann".into()), order(1, "ann", 2.0))]);
    let value = Some(Patch::Replace(br#"{"id": 2, "customer": "bob", "amount": 1}"#.to_vec()));
    world.replay(&Orders { patch: value, ..orders() }).await;
    assert_eq!(world.orders_in(RAW).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_load_is_in_the_table_once_even_when_its_mark_was_kept_back() {
    let world = World::start().await;
    let value = world.avro(&order(1, "ann", 1.0)).await;
    world.reject("shop.table", Stage::Write, 1, Some(b"ann"), Some(&value));
    assert_eq!(world.replay(&orders()).await, [(1, "impossible: MR0804".into())], "the load has it still before it");
    world.pass(2).await;
    assert_eq!(world.replay(&orders()).await, [(1, "replayed to orders".into())]);
    assert_eq!(world.ids_in_the_table().await, [1]);
    // A crash between the row and the mark: the mark is not there.
    forget_marks(&world).await;
    assert_eq!(world.replay(&orders()).await, [(1, "there already".into())]);
    assert_eq!(world.ids_in_the_table().await, [1]);
    assert_eq!(world.replay(&orders()).await, [(1, "settled by ann".into())]);
    assert_eq!(world.replay(&Orders { again: true, ..orders() }).await, [(1, "replayed to orders".into())]);
    assert_eq!(world.ids_in_the_table().await, [1, 1], "--again insists");
}

/// Tombstones for all marks.
async fn forget_marks(world: &World) {
    use millrace_runtime::kafka::{Outgoing, Producer};
    let (sender, receiver) = std::sync::mpsc::channel();
    let read = compacted::read_to_end(&world.theatre.cluster, "millrace.dead-letters.resolved", move |record| {
        sender.send(record.key.map(<[u8]>::to_vec)).unwrap_or_default();
    });
    read.await.expect("reads");
    let mut producer = Producer::idempotent(&world.theatre.cluster).expect("a producer");
    let topic = producer.topic("millrace.dead-letters.resolved").expect("a topic");
    for key in receiver.into_iter().flatten() {
        producer.send(topic, &Outgoing { key: Some(&key), ..Outgoing::default() }).expect("sends");
    }
    producer.drain().expect("delivers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_load_rejects_again_and_passes_while_a_replay_begins_is_in_the_table_once() {
    let world = World::start().await;
    let value = world.avro(&order(1, "ann", 1.0)).await;
    world.reject("shop.table", Stage::Write, 1, Some(b"ann"), Some(&value));
    let letters = world.letters().await;
    // The loader was killed before its commit; it comes again.
    world.reject("shop.table", Stage::Write, 1, Some(b"ann"), Some(&value));
    world.pass(2).await;
    assert_eq!(world.replay_these(letters, &orders()).await.expect("replays"), [(1, "replayed to orders".into())]);
    assert_eq!(world.replay(&orders()).await, [(1, "settled by ann".into())]);
    assert_eq!(world.ids_in_the_table().await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_table_refuses_again_leaves_the_others_and_no_trace() {
    let world = World::start().await;
    for (offset, value) in
        [(1, world.avro(&order(1, "ann", 1.0)).await), (2, b"\x00\x00".to_vec()), (3, world.avro(&order(3, "bob", 3.0)).await)]
    {
        world.reject("shop.table", Stage::Decode, offset, None, Some(&value));
    }
    world.pass(9).await;
    let mut told = world.replay(&orders()).await;
    told.sort();
    assert_eq!(told, [(1, "replayed to orders".into()), (2, "rejected at decode: MR0310".into()), (3, "replayed to orders".into())]);
    assert_eq!(world.ids_in_the_table().await, [1, 3]);
    let value = Some(Patch::Replace(order(2, "cid", 2.0).to_string().into_bytes()));
    world.replay(&Orders { patch: value, ..orders() }).await;
    assert_eq!(world.ids_in_the_table().await, [1, 2, 3], "JSON becomes Avro of the topic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_later_schema_brings_its_new_column_into_the_table() {
    let world = World::start().await;
    let value = world.avro(&order(1, "ann", 1.0)).await;
    let mut later = order(2, "bob", 2.0);
    later["city"] = "Oslo".into();
    let later = world.avro_of(&later_schema(), &later).await;
    // The first attempt has both a refusal and the new column: what it made of the table is undone, and made again.
    for (offset, value) in [(1, &value), (2, &later), (3, &b"\x00\x00".to_vec())] {
        world.reject("shop.table", Stage::Decode, offset, None, Some(value));
    }
    world.pass(9).await;
    let letters = world.letters().await.into_iter().map(|letter| letter.letter).collect();
    let played = rehearse(&world.theatre, letters, &orders()).await.expect("rehearses");
    assert_eq!(shown(&played[1].1)[0]["city"], "Oslo", "a rehearsal follows too");
    let mut told = world.replay(&orders()).await;
    told.sort();
    assert_eq!(told, [(1, "replayed to orders".into()), (2, "replayed to orders".into()), (3, "rejected at decode: MR0310".into())]);
    assert_eq!(world.column_of_the_table("city").await, [None, Some("Oslo".into())]);
    world.reject("shop.table", Stage::Decode, 4, None, Some(&later));
    world.replay(&orders()).await;
    assert_eq!(world.column_of_the_table("city").await, [None, Some("Oslo".into()), Some("Oslo".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_kafka_connect_goes_where_it_is_told() {
    let world = World::start().await;
    let header = |name: &str, value: &str| Header { key: format!("__connect.errors.{name}"), value: Some(value.into()) };
    let said = |offset: &str| {
        [
            header("connector.name", "jdbc"),
            header("topic", RAW),
            header("partition", "0"),
            header("offset", offset),
            header("stage", "TASK_PUT"),
        ]
    };
    let value = world.avro(&order(1, "ann", 1.0)).await;
    world.write("millrace.dead-letters", Some(&value), &said("1"));
    world.write("millrace.dead-letters", Some(b"plain"), &said("2"));
    assert_eq!(world.replay(&orders()).await, [(1, "impossible: MR0804".into()), (2, "impossible: MR0804".into())]);
    let through = Orders { way: Way::Through("shop.clean".into()), ..orders() };
    assert_eq!(world.replay(&through).await, [(2, "rejected at decode: MR0310".into()), (1, "replayed to orders.clean".into())]);
    let elsewhere = Orders { way: Way::Topic("elsewhere".into()), ..orders() };
    assert_eq!(world.replay(&elsewhere).await, [(1, "settled by ann".into()), (2, "replayed to elsewhere".into())]);
    assert_eq!(world.orders_in("elsewhere").await, [(None, Value::from("plain"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_to_be_kept_is_read_from_where_it_stands() {
    let world = World::start().await;
    let large = json!({ "id": 1, "customer": "ann", "amount": 1.0, "note": "x".repeat(990_000) });
    let value = world.avro(&large).await;
    world.write(RAW, Some(&value), &[]);
    let padding = vec![b'k'; 20_000];
    world.reject("shop.clean", validate(), 0, Some(&padding), Some(&value));
    world.reject("shop.clean", validate(), 7, Some(&padding), Some(&value));
    assert!(
        world.letters().await.iter().all(
            |letter| letter.letter.omitted_bytes().is_some() && letter.letter.value.as_ref().is_some_and(|kept| kept.len() == 16 << 10)
        )
    );
    let told = world.replay(&patched("note = 'short'")).await;
    assert_eq!(told, [(7, "impossible: MR0804".into()), (0, "replayed to orders.clean".into())]);
    assert_eq!(world.orders_in(CLEAN).await[0].1["note"], "short");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_shows_what_would_come_out_and_writes_nothing() {
    let world = World::start().await;
    for (offset, customer, amount) in [(1, "ann", 1.0), (2, "ann", -1.0), (3, "test", 1.0)] {
        let value = world.avro(&order(offset, customer, amount)).await;
        world.reject("shop.clean", validate(), offset, Some(customer.as_bytes()), Some(&value));
    }
    world.reject("shop.web", Stage::Read, 4, None, Some(br#"{"id": 4, "customer": "bob"}"#));
    world.reject("shop.table", Stage::Write, 5, None, Some(b"\x01"));
    let letters = world.letters().await.into_iter().map(|letter| letter.letter).collect();
    let played = rehearse(&world.theatre, letters, &orders()).await.expect("rehearses");
    let told: Vec<(i64, Value)> = played.iter().map(|(letter, rehearsed)| (letter.offset().unwrap_or(-1), shown(rehearsed))).collect();
    assert_eq!(
        told,
        [(1, json!([order(1, "ann", 1.0)])), (2, json!("MR0504")), (3, json!("dropped")), (5, json!("MR0310")), (4, json!("MR0402")),]
    );
    assert_eq!((world.orders_in(CLEAN).await.len(), world.orders_in(RAW).await.len()), (0, 0));
    assert!(!world.other_table().exists(), "not even the table is made");
    let topics = millrace_runtime::kafka::topics::list(&world.theatre.cluster).await.expect("lists");
    assert!(topics.iter().all(|topic| topic.name != "millrace.positions"), "nor a topic");
    assert_eq!(world.theatre.registry.subjects().await.expect("lists"), ["orders.raw-value"], "nor a subject");
    assert!(world.letters().await.iter().all(|letter| letter.resolution.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_a_pipeline_can_not_work_with_stops_its_own_letters_and_no_other_in_a_rehearsal_as_in_a_replay() {
    for (pipeline, code) in [("shop.tidy", "MR0308"), ("shop.loose", "MR0306")] {
        let world = World::start().await;
        let plain = order(1, "ann", 1.0);
        let short = json!({ "id": 2, "amount": 2.0, "note": null });
        let values =
            [world.avro(&plain).await, world.avro_of(&schema_without_customers(), &short).await, world.avro(&order(3, "bob", 3.0)).await];
        for (offset, value) in (1..).zip(&values) {
            world.reject(pipeline, Stage::Decode, offset, None, Some(value));
        }
        let letters = world.letters().await.into_iter().map(|letter| letter.letter).collect();
        let played = rehearse(&world.theatre, letters, &orders()).await.expect("rehearses");
        let told: Vec<Value> = played.iter().map(|(_, rehearsed)| shown(rehearsed)).collect();
        assert_eq!(told, [json!([plain]), json!(code), json!([order(3, "bob", 3.0)])], "{pipeline}");
        let mut told = world.replay(&orders()).await;
        told.sort();
        let stopped = if code == "MR0308" { format!("impossible: {code}") } else { format!("rejected at decode: {code}") };
        assert_eq!(told, [(1, "replayed to orders.clean".into()), (2, stopped), (3, "replayed to orders.clean".into())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_follows_a_schema_as_far_as_the_declared_output_lets_it_and_registers_nothing() {
    let world = World::start().await;
    let mut later = order(1, "ann", 1.0);
    later["city"] = "Oslo".into();
    let later = world.avro_of(&later_schema(), &later).await;
    for (offset, pipeline) in [(1, "shop.tidy"), (2, "shop.clean")] {
        world.reject(pipeline, Stage::Decode, offset, None, Some(&later));
    }
    let before = world.theatre.registry.subjects().await.expect("lists");
    let letters = world.letters().await.into_iter().map(|letter| letter.letter).collect();
    let played = rehearse(&world.theatre, letters, &orders()).await.expect("rehearses");
    let cities: Vec<Value> = played.iter().map(|(_, rehearsed)| shown(rehearsed)[0].get("city").cloned().unwrap_or_default()).collect();
    assert_eq!(cities, [json!("Oslo"), Value::Null], "a pipeline whose output is declared goes on by the schema that it has");
    assert_eq!(world.theatre.registry.subjects().await.expect("lists"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_rejects_what_would_be_rejected_on_its_way_out() {
    let world = World::start().await;
    let mut large = order(1, "ann", 1.0);
    large["note"] = "x".repeat(1_100_000).into();
    world.reject("shop.web", Stage::Read, 1, None, Some(br#"{"id": 1}"#));
    let orders = Orders { patch: Some(Patch::Replace(large.to_string().into_bytes())), ..orders() };
    let letters = world.letters().await.into_iter().map(|letter| letter.letter).collect();
    let played = rehearse(&world.theatre, letters, &orders).await.expect("rehearses");
    let Rehearsed::Rejected(stage, rejection) = &played[0].1 else { panic!("{:?}", played[0].1) };
    let told = format!("rejected at {stage}: {}", rejection.code);
    assert_eq!(world.replay(&orders).await, [(1, told)]);
    let topics = millrace_runtime::kafka::topics::list(&world.theatre.cluster).await.expect("lists");
    assert!(topics.iter().any(|topic| topic.name == "millrace.positions"), "a replay makes what its pipeline needs");
}

fn shown(rehearsed: &Rehearsed) -> Value {
    match rehearsed {
        Rehearsed::Written { records, .. } => json!(records),
        Rehearsed::Deleted { .. } => json!(null),
        Rehearsed::Dropped => json!("dropped"),
        Rehearsed::Rejected(_, rejection) => json!(rejection.code.as_str()),
        Rehearsed::Impossible(fault) => json!(fault.code().as_str()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_rejected_at_two_stages_goes_on_once_and_one_rejected_anew_goes_again() {
    let world = World::start().await;
    let value = world.avro(&order(1, "ann", 1.0)).await;
    world.reject("shop.table", Stage::Decode, 1, None, Some(&value));
    world.reject("shop.table", Stage::Write, 1, None, Some(&value));
    world.pass(9).await;
    assert_eq!(world.replay(&orders()).await, [(1, "replayed to orders".into()), (1, "settled by ann".into())]);
    assert!(world.letters().await.iter().all(|letter| letter.resolution.is_some()));
    forget_marks(&world).await;
    assert_eq!(world.replay(&orders()).await, [(1, "there already".into()), (1, "settled by ann".into())]);
    assert_eq!(world.ids_in_the_table().await, [1]);
    world.reject("shop.table", Stage::Write, 1, None, Some(&value));
    assert_eq!(world.replay(&orders()).await, [(1, "replayed to orders".into()), (1, "settled by ann".into())]);
    assert_eq!(world.ids_in_the_table().await, [1, 1], "it was rejected once more since");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replays_at_once_each_letter_goes_on_once() {
    let world = std::sync::Arc::new(World::start().await);
    for offset in 0..20 {
        let value = world.avro(&order(offset, "ann", 1.0)).await;
        world.reject("shop.clean", validate(), offset, None, Some(&value));
    }
    let slow = Orders { rate: "40/s".parse().ok(), ..orders() };
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let (world, orders) = (std::sync::Arc::clone(&world), slow.clone());
            let handle = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || handle.block_on(world.try_replay(&orders)).is_ok())
        })
        .collect();
    let mut ended_well = 0;
    for run in runs {
        ended_well += usize::from(run.await.expect("does not panic"));
    }
    assert!(ended_well >= 1, "the later one wins");
    let ids: Vec<_> = world.orders_in(CLEAN).await.iter().map(|(_, order)| order["id"].as_i64()).collect();
    assert_eq!(ids, (0..20).map(Some).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_a_file_whose_columns_are_not_known_is_mended_into_an_object() {
    let world = World::start().await;
    world.reject("shop.files", Stage::Read, 10, None, Some(b"1,ann,much,"));
    assert_eq!(world.replay(&orders()).await, [(10, "impossible: MR0407".into())], "and the replay goes on");
    let value = Some(Patch::Replace(order(1, "ann", 2.0).to_string().into_bytes()));
    assert_eq!(world.replay(&Orders { patch: value, ..orders() }).await, [(10, "replayed to orders.raw".into())]);
    assert_eq!(world.orders_in(RAW).await, [(Some("ann".into()), order(1, "ann", 2.0))]);
}
