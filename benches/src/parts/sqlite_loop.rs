//! The reference of job L3: one prepared statement, run for each row, in a transaction for each hundred thousand.

use std::time::Instant;

use rusqlite::{Connection, params};

use super::Part;
use crate::orders::Order;
use crate::process::cpu_seconds;

pub(crate) const PART: Part = Part { name: "sqlite-loop", run };

/// The table, as the loader makes it of the orders' schema.
pub(crate) const TABLE: &str = "CREATE TABLE bench_orders (id INTEGER NOT NULL PRIMARY KEY, customer_id TEXT NOT NULL, email TEXT NOT NULL,
    amount REAL NOT NULL, currency TEXT NOT NULL, created_at TEXT NOT NULL, status TEXT NOT NULL, coupon TEXT, note TEXT,
    country TEXT NOT NULL, quantity INTEGER NOT NULL, items TEXT NOT NULL)";
/// Rows of a transaction, as of a round of the loader.
const BATCH: usize = 100_000;

/// Makes the rows, and writes them; says how many, and how many seconds and CPU-seconds the writing took.
fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [path, records] = arguments else { anyhow::bail!("expected a file and how many records") };
    let mut connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    connection.execute_batch(TABLE)?;
    let rows: Vec<Row> = (0..records.parse()?).map(|number| Row::of(&Order::number(number))).collect();
    let (started, before) = (Instant::now(), used()?);
    rows.chunks(BATCH).try_for_each(|batch| write(&mut connection, batch))?;
    println!("{} {} {}", rows.len(), started.elapsed().as_secs_f64(), used()? - before);
    Ok(())
}

fn used() -> anyhow::Result<f64> {
    cpu_seconds(&std::fs::read_to_string("/proc/self/stat")?)
}

fn write(connection: &mut Connection, batch: &[Row]) -> anyhow::Result<()> {
    let transaction = connection.transaction()?;
    let mut insert = transaction.prepare("INSERT INTO bench_orders VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?;
    for row in batch {
        let Row { id, amount, quantity, customer, email, currency, created_at, status, coupon, note, country, items } = row;
        insert.execute(params![id, customer, email, amount, currency, created_at, status, coupon, note, country, quantity, items])?;
    }
    drop(insert);
    Ok(transaction.commit()?)
}

/// A row as SQLite takes it.
struct Row {
    id: i64,
    amount: f64,
    quantity: i64,
    customer: String,
    email: String,
    currency: String,
    created_at: String,
    status: String,
    coupon: Option<String>,
    note: Option<String>,
    country: String,
    items: String,
}

impl Row {
    /// The columns of the line that PostgreSQL would be given: the same texts.
    fn of(order: &Order) -> Self {
        let mut line = String::new();
        order.copy_line(&mut line);
        let mut columns = line.trim_end().split('\t').map(str::to_owned);
        let mut next = || columns.next().unwrap_or_default();
        let some = |text: String| (text != "\\N").then_some(text);
        let (id, customer, email, amount) = (next().parse().unwrap_or(0), next(), next(), next().parse().unwrap_or(0.0));
        let (currency, created_at, status, coupon, note) = (next(), next(), next(), some(next()), some(next()));
        let (country, quantity, items) = (next(), next().parse().unwrap_or(0), next());
        Self { id, amount, quantity, customer, email, currency, created_at, status, coupon, note, country, items }
    }
}
