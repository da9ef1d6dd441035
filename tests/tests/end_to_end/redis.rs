//! Rows of Redis and the position that they reach are of one instant, however often their loader dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_devkit::proxy::{Network, Proxy};
use millrace_tests::orders::{SCHEMA, order, register};
use millrace_tests::{Project, Servers, Service, kafka, until};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, cmd};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const CONNECTION: &str = r#"connections:
  cache: { type: redis, host: "${CACHE_HOST}", port: "${CACHE_PORT}", password: "${CACHE_PASSWORD}" }
"#;

const PIPELINES: &str = r#"
topics:
  "{name}.orders": { partitions: 1, schema: order.avsc }
load:
  cached:
    from: "{name}.orders"
    to: { connection: cache, table: orders, redis: { as: hash, key: "{name}:order:{id}", ttl: 2h } }
    mode: upsert
    keys: [id]
    dead_letters: "{name}.dead"
    commit_interval: 20ms
"#;

/// What there is at one instant: the position, and each row as its key, its id, its amount and the milliseconds that it has left.
const LOOK: &str = r"
    local rows = { redis.call('GET', KEYS[1]) or '0' }
    for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
        local fields = redis.call('HMGET', key, 'id', 'amount')
        rows[#rows + 1] = key .. ' ' .. fields[1] .. ' ' .. fields[2] .. ' ' .. redis.call('PTTL', key)
    end
    return rows";

const PATIENCE: Duration = Duration::from_mins(2);
const KILLS: usize = 4;
/// A loader that has begun is killed at an instant of so many milliseconds.
const INSTANTS: u64 = 300;
/// More records than come until the last kill.
const MOST: usize = 100_000;
const BATCH: usize = 100;
/// So few orders are changed again and again that a round that is done twice, or not at all, shows.
const ORDERS: u32 = 2000;
const TTL: i64 = 2 * 60 * 60 * 1000;

/// Amounts by the ids of their orders.
type Rows = BTreeMap<String, i32>;

/// An order that is written, or one that is deleted.
type Change = (String, Option<i32>);

/// What the records of the topic make of no rows, up to a position.
fn rows_up_to(position: usize, changes: &[Change]) -> Rows {
    let mut rows = Rows::new();
    for (id, amount) in &changes[..position] {
        match amount {
            Some(amount) => rows.insert(id.clone(), *amount),
            None => rows.remove(id),
        };
    }
    rows
}

/// The project's keys in the server's first database.
struct Cache {
    connection: MultiplexedConnection,
    project: String,
}

impl Cache {
    async fn of(servers: &Servers, project: &Project) -> Self {
        let client = Client::open(servers.redis.as_str()).expect("a URL");
        let connection = client.get_multiplexed_async_connection().await.expect("Redis answers");
        Self { connection, project: project.name().to_owned() }
    }

    fn position_key(&self) -> String {
        format!("millrace:position:{0}.cached:{0}.orders:0", self.project)
    }

    async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query_async(&mut self.connection.clone()).await.expect("the command runs")
    }

    async fn position(&self) -> usize {
        self.ask::<Option<usize>>(&["GET", &self.position_key()]).await.unwrap_or(0)
    }

    /// The position, and the rows of that very instant: each at its key, and with its time.
    async fn position_and_rows(&self) -> (usize, Rows) {
        let (prefix, pattern) = (format!("{}:order:", self.project), format!("{}:*", self.project));
        let mut found: Vec<String> = self.ask(&["EVAL", LOOK, "1", &self.position_key(), &pattern]).await;
        let position = found.remove(0).parse().expect("an offset");
        let rows = found.iter().map(|row| {
            let [key, id, amount, left] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
            assert_eq!(key.strip_prefix(&prefix), Some(id), "each row is at the key of its template");
            assert!((TTL - 600_000..=TTL).contains(&left.parse().expect("a number")), "each row has its time: {row}");
            (id.to_owned(), amount.parse().expect("a number"))
        });
        (position, rows.collect())
    }

    async fn is_as_its_position_says(&self, changes: &[Change]) -> usize {
        let (position, rows) = self.position_and_rows().await;
        let expected = rows_up_to(position, changes);
        let is_wrong = |id: &&String| rows.get(*id) != expected.get(*id);
        let wrong: Vec<_> = rows.keys().chain(expected.keys()).filter(is_wrong).collect();
        assert!(wrong.is_empty(), "at {position} of {} these orders are not what the records make of them: {wrong:?}", changes.len());
        position
    }

    async fn clean(&self) {
        let delete = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', key) end";
        self.ask::<()>(&["EVAL", delete, "0", &format!("{}:*", self.project)]).await;
        self.ask::<i64>(&["UNLINK", &self.position_key()]).await;
    }
}

/// Records that come one small batch after the other, until there have been enough.
struct Stream {
    changes: Arc<Vec<Change>>,
    is_enough: Arc<AtomicBool>,
    written: JoinHandle<usize>,
}

impl Stream {
    fn begin(servers: &Servers, topic: &str, schema: u32, random: &mut SmallRng) -> Self {
        let changes: Arc<Vec<_>> = Arc::new((0..MOST).map(|number| change(random, number)).collect());
        let is_enough = Arc::new(AtomicBool::new(false));
        let (brokers, topic, enough, all) = (servers.kafka.clone(), topic.to_owned(), Arc::clone(&is_enough), Arc::clone(&changes));
        let written = tokio::spawn(async move {
            for (number, batch) in all.chunks(BATCH).enumerate() {
                if enough.load(Ordering::Relaxed) {
                    return number * BATCH;
                }
                write(&brokers, &topic, schema, batch).await;
            }
            all.len()
        });
        Self { changes, is_enough, written }
    }

    /// All that were written.
    async fn end(self) -> Vec<Change> {
        self.is_enough.store(true, Ordering::Relaxed);
        let written = self.written.await.expect("writing does not panic");
        self.changes[..written].to_vec()
    }
}

fn change(random: &mut SmallRng, number: usize) -> Change {
    let id = format!("o{}", random.random_range(0..ORDERS));
    (id, random.random_ratio(3, 4).then_some(number as i32))
}

async fn write(brokers: &str, topic: &str, schema: u32, changes: &[Change]) {
    let values: Vec<_> = changes.iter().map(|(id, amount)| amount.map(|amount| order(schema, id, amount))).collect();
    let records: Vec<_> = changes.iter().zip(&values).map(|((id, _), value)| (Some(id.as_bytes()), value.as_deref())).collect();
    kafka::write(brokers, topic, &records).await;
}

/// A round takes its time over it, so that kills hit rounds on their way.
async fn slow_way(servers: &Servers) -> Proxy {
    let server = servers.redis.socket_addrs(|| Some(6379)).expect("has an address")[0].to_string();
    let way = Proxy::to(server).await.expect("listens");
    way.is(Network::Slow(Duration::from_millis(15)));
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_redis_are_those_of_their_position_however_often_their_loader_is_killed() {
    let seed = std::env::var("MILLRACE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| rand::rng().random());
    println!("MILLRACE_TEST_SEED={seed} makes the same orders and instants again");
    let mut random = SmallRng::seed_from_u64(seed);
    let servers = Servers::of_this_run();
    let way = slow_way(&servers).await;
    let project = Project::new(&servers, PIPELINES)
        .with("CACHE_HOST", way.address().ip().to_string())
        .with("CACHE_PORT", way.address().port().to_string())
        .with("CACHE_PASSWORD", servers.redis.password().unwrap_or_default());
    project.change("connections:\n", CONNECTION);
    project.write("order.avsc", SCHEMA);
    let (cache, topic) = (Cache::of(&servers, &project).await, project.topic("orders"));
    kafka::create_topic(&servers.kafka, &topic, 1).await;
    let schema = register(&servers.registry, &topic, SCHEMA).await;
    let mut loader = Service::start(&project, "loader");
    loader.ready().await;

    let stream = Stream::begin(&servers, &topic, schema, &mut random);
    let (mut before, mut hits) = (0, 0);
    for _ in 0..KILLS {
        until("the loader goes on", PATIENCE, async || (cache.position().await > before).then_some(())).await;
        let instant = Duration::from_millis(random.random_range(0..INSTANTS));
        // Not a wait for something: this is the random instant.
        sleep(instant).await;
        loader.kill();
        before = cache.is_as_its_position_says(&stream.changes).await;
        let behind = kafka::length(&servers.kafka, &topic).await - before as i64;
        hits += usize::from(behind > 0);
        println!("killed at {before} after {instant:?}, with {behind} records to come");
        loader.restart();
    }
    let changes = stream.end().await;
    until("all records are loaded", PATIENCE, async || (cache.position().await == changes.len()).then_some(())).await;
    assert!(hits > 0, "no kill hit a loader that was behind");
    assert!(loader.terminate().await.success(), "the loader ends well");
    assert_eq!(cache.is_as_its_position_says(&changes).await, changes.len());
    assert_eq!(cache.ask::<i64>(&["PTTL", &cache.position_key()]).await, -1, "a position stays for ever");
    assert_eq!(kafka::read(&servers.kafka, &project.topic("dead")).await, [], "dead letters");
    cache.clean().await;
}
