//! Who writes files and sends requests, until told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Client;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::pipelines::PATH;
use super::produced::{Origin, Produced};
use super::record::Record;

/// Customers of one file, and the records of each.
const FILE: (usize, i64) = (3, 9);
const FILE_PAUSE: Duration = Duration::from_millis(1_500);
const SENDERS: usize = 3;
const CUSTOMERS: i64 = 4;
/// Records of one request of each customer.
const REQUEST: i64 = 4;
const REQUEST_PAUSE: std::ops::Range<u64> = 300..1_000;
/// An answer that has not come after so long is given up; the request is sent again, to any gateway.
const ANSWER: Duration = Duration::from_secs(15);
/// A request that no gateway takes for so long, while faults come and go, is a finding.
const REFUSED_FOR: Duration = Duration::from_mins(6);

/// The gateways that requests go to, dead ones too, as behind a balancer that looks at nobody's health.
pub(crate) type Gateways = Arc<Mutex<Vec<SocketAddr>>>;

/// The tasks that send.
#[derive(Debug)]
pub(crate) struct Senders {
    tasks: Vec<JoinHandle<()>>,
    means: Means,
}

/// What sending takes.
#[derive(Debug, Clone)]
struct Means {
    seed: u64,
    produced: Produced,
    gateways: Gateways,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Senders {
    /// Starts them. Files are written into `folder`.
    pub(crate) fn start(seed: u64, produced: &Produced, gateways: &Gateways, folder: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let means = Means { seed, produced: produced.clone(), gateways: Arc::clone(gateways), folder, stop };
        let posting = (0..SENDERS).map(|number| tokio::spawn(Sender::new(&means, format!("p{number}")).run()));
        let writing = tokio::spawn(write_files(means.clone()));
        Self { tasks: posting.chain([writing]).collect(), means }
    }

    /// Sends one request more, of `each` records of each customer. Those of customers whose names begin with `b` are bad.
    pub(crate) fn send_once(&mut self, name: String, each: i64) {
        let mut sender = Sender::new(&self.means, name);
        self.tasks.push(tokio::spawn(async move { sender.request(0, each).await }));
    }

    /// Writes one file more.
    pub(crate) async fn write_once(&self, name: &str, records: &[Record]) {
        self.means.write_file(name, records).await;
    }

    /// What records are drawn by.
    pub(crate) fn seed(&self) -> u64 {
        self.means.seed
    }

    /// Lets them finish what they have in hand; everything that they sent is then answered.
    pub(crate) async fn stop(&mut self) {
        self.means.stop.store(true, Ordering::SeqCst);
        for task in self.tasks.drain(..) {
            task.await.expect("a sender ends well");
        }
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Means {
    /// A file is noted before it is in its place.
    async fn write_file(&self, name: &str, records: &[Record]) {
        let (began, draft) = (Instant::now(), self.folder.join(format!(".{name}")));
        tokio::fs::write(&draft, ndjson(records)).await.expect("the file is written");
        self.produced.note(Origin::Files, began, records);
        tokio::fs::rename(&draft, self.folder.join(format!("{name}.ndjson"))).await.expect("the file is put in its place");
    }
}

/// Records of a file have customers of their own: order holds within a file, not between two.
async fn write_files(means: Means) {
    let seed = means.seed;
    tokio::fs::create_dir_all(&means.folder).await.expect("a folder for files");
    for number in 0.. {
        if means.stop.load(Ordering::SeqCst) {
            return;
        }
        let (customers, each) = FILE;
        let customer = |place: usize| format!("f{number}-{place}");
        let record = |seq| (0..customers).map(move |place| Record::of(seed, &customer(place), seq));
        let records: Vec<Record> = (0..each).flat_map(record).collect();
        means.write_file(&format!("{number:06}"), &records).await;
        sleep(FILE_PAUSE).await;
    }
}

fn ndjson(records: &[Record]) -> String {
    records.iter().map(|record| record.json().to_string() + "\n").collect()
}

/// One that sends a request when the one before is answered, so that the order of its customers' records is known.
struct Sender {
    name: String,
    seed: u64,
    random: SmallRng,
    produced: Produced,
    gateways: Gateways,
    client: Client,
    stop: Arc<AtomicBool>,
}

impl Sender {
    fn new(means: &Means, name: String) -> Self {
        let drawn = name.bytes().fold(means.seed, |drawn, byte| drawn.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self {
            name,
            seed: means.seed,
            random: SmallRng::seed_from_u64(drawn),
            produced: means.produced.clone(),
            gateways: Arc::clone(&means.gateways),
            client: Client::builder().timeout(ANSWER).build().expect("a client"),
            stop: Arc::clone(&means.stop),
        }
    }

    async fn run(mut self) {
        let mut seq = 0;
        while !self.stop.load(Ordering::SeqCst) {
            self.request(seq, REQUEST).await;
            seq += REQUEST;
            sleep(Duration::from_millis(self.random.random_range(REQUEST_PAUSE))).await;
        }
    }

    /// Sends `each` records of each customer, from number `seq` on.
    async fn request(&mut self, seq: i64, each: i64) {
        let customers = |seq: i64| (0..CUSTOMERS).map(move |place| (place, seq));
        let record = |(place, seq)| Record::of(self.seed, &format!("{}-{place}", self.name), seq);
        let records: Vec<Record> = (seq..seq + each).flat_map(customers).map(record).collect();
        let began = Instant::now();
        self.send(&format!("{}-{seq}", self.name), ndjson(&records), began).await;
        self.produced.note(Origin::Requests, began, &records);
    }

    /// Sends until it is answered. The key makes repetitions harmless.
    async fn send(&mut self, key: &str, body: String, began: Instant) {
        let mut last = String::from("no gateway");
        while began.elapsed() < REFUSED_FOR {
            match self.attempt(key, body.clone()).await {
                Ok(()) => return,
                Err(why) => last = why,
            }
            sleep(Duration::from_millis(self.random.random_range(50..300))).await;
        }
        panic!("the request {key} was not taken for {REFUSED_FOR:?}; at last: {last}");
    }

    async fn attempt(&mut self, key: &str, body: String) -> Result<(), String> {
        let gateway = {
            let gateways = self.gateways.lock().expect("nobody panics with it");
            gateways.get(self.random.random_range(0..gateways.len().max(1))).copied().ok_or("no gateway")?
        };
        let request = self.client.post(format!("http://{gateway}{PATH}")).header("idempotency-key", key);
        let answer = request.header("content-type", "application/x-ndjson").body(body).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        match status.as_u16() {
            200 | 207 => Ok(()),
            429 | 500..600 => Err(status.to_string()),
            _ => panic!("the request {key} was refused: {status} {}", answer.text().await.unwrap_or_default()),
        }
    }
}
