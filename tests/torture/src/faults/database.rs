//! PostgreSQL: crashes, sessions that are ended, rivals for locks, limits, a full disk.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use sqlx::PgConnection;

use super::{Bites, Fault, Part, Proof, TROUBLE, Wound};
use crate::outside::database::execute;
use crate::watch::Sign;
use crate::workload::pipelines::TABLES;
use crate::world::World;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(Away::Crashed),
        Box::new(Away::Restarted),
        Box::new(Terminated),
        Box::new(Locked),
        Box::new(Deadlocked),
        Box::new(Setting::Connections),
        Box::new(Setting::StatementTimeout),
        Box::new(DiskFull),
    ]
}

/// The server ends and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    /// Without a shutdown.
    Crashed,
    /// As an administrator restarts it: sessions are ended, and what they had open is rolled back.
    Restarted,
}

#[async_trait]
impl Fault for Away {
    fn name(&self) -> String {
        format!("postgres_{}", if *self == Self::Crashed { "crashed" } else { "restarted" })
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Postgres]
    }

    fn shows(&self) -> &'static [Sign] {
        TROUBLE
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        match self {
            Self::Crashed => world.outside.database.crash().await,
            Self::Restarted => world.outside.database.stop().await,
        }
        let long = world.random.random_bool(0.3);
        Some(Box::new(Down { lasts: Duration::from_secs_f64(world.random.random_range(0.0..if long { 9.0 } else { 2.0 })) }))
    }
}

struct Down {
    lasts: Duration,
}

#[async_trait]
impl Wound for Down {
    fn what(&self) -> String {
        format!("for {:?}", self.lasts)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let away = !world.outside.database.attempt("SELECT 1").await;
        world.outside.database.start().await;
        Proof::of(away, "the server was away".to_owned())
    }
}

/// An administrator ends the load's sessions, several times.
struct Terminated;

#[async_trait]
impl Fault for Terminated {
    fn name(&self) -> String {
        "postgres_sessions_ended".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Postgres]
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        Some(Box::new(Ending { user: world.project.name().to_owned(), ended: 0, lasts: Duration::from_secs(3) }))
    }
}

struct Ending {
    user: String,
    ended: i64,
    lasts: Duration,
}

#[async_trait]
impl Wound for Ending {
    fn what(&self) -> String {
        format!("again and again for {:?}", self.lasts)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn look(&mut self, world: &World) {
        let Self { user, ended, .. } = self;
        let sql = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{user}'");
        *ended += world.outside.database.number(&sql).await.unwrap_or(0);
    }

    async fn heal(mut self: Box<Self>, world: &mut World) -> Proof {
        self.look(world).await;
        Proof::of(self.ended > 0, format!("{} sessions were ended", self.ended))
    }
}

/// How many sessions of a user wait for a lock.
async fn waiting(world: &World) -> i64 {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND wait_event_type = 'Lock'", world.project.name());
    world.outside.database.number(&sql).await.unwrap_or(0)
}

/// A rival keeps a table for longer than a load waits for a lock.
struct Locked;

#[async_trait]
impl Fault for Locked {
    fn name(&self) -> String {
        "postgres_table_locked".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Postgres]
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(16)
    }

    fn share(&self) -> usize {
        1
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let table = *TABLES.choose(&mut world.random)?;
        let rival = lock(world, table).await?;
        let lasts = Duration::from_secs_f64(world.random.random_range(11.0..16.0));
        Some(Box::new(Kept { table, rival, waited: 0, lasts }))
    }
}

/// A rival that has the table; `None` where it did not get it.
async fn lock(world: &World, table: &str) -> Option<PgConnection> {
    let mut rival = world.outside.database.session().await;
    let schema = world.project.name();
    let sql = format!("SET lock_timeout = '20s'; BEGIN; LOCK TABLE {schema}.{table} IN ACCESS EXCLUSIVE MODE");
    execute(&mut rival, &sql).await.ok()?;
    Some(rival)
}

struct Kept {
    table: &'static str,
    rival: PgConnection,
    waited: i64,
    lasts: Duration,
}

#[async_trait]
impl Wound for Kept {
    fn what(&self) -> String {
        format!("{} for {:?}", self.table, self.lasts)
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn look(&mut self, world: &World) {
        self.waited = self.waited.max(waiting(world).await);
    }

    async fn heal(mut self: Box<Self>, _world: &mut World) -> Proof {
        // The server may have ended it: then the table is free already.
        execute(&mut self.rival, "ROLLBACK").await.ok();
        Proof::of(self.waited > 0, format!("{} sessions waited for {}", self.waited, self.table))
    }
}

/// A rival takes the same locks in the other order, again and again: the position's row, which a load takes last, and then the table.
struct Deadlocked;

#[async_trait]
impl Fault for Deadlocked {
    fn name(&self) -> String {
        "postgres_deadlock".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Postgres]
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let before = deadlocks(world).await;
        let (database, schema) = (world.outside.database.clone(), world.project.name().to_owned());
        let rival = tokio::spawn(async move {
            let mut session = database.session().await;
            // A long time until it looks for deadlocks itself, so that it is the load that is chosen.
            execute(&mut session, "SET deadlock_timeout = '60s'").await.ok();
            for _ in 0..6 {
                let sql = format!(
                    "BEGIN; SELECT * FROM {schema}.millrace_positions FOR UPDATE; SELECT pg_sleep(1.5);
                     SET LOCAL lock_timeout = '5s'; LOCK TABLE {schema}.appended IN SHARE ROW EXCLUSIVE MODE"
                );
                execute(&mut session, &sql).await.ok();
                execute(&mut session, "ROLLBACK").await.ok();
            }
        });
        Some(Box::new(Rival { before, met: 0, rival, lasts: Duration::from_secs(12) }))
    }
}

async fn deadlocks(world: &World) -> i64 {
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    world.outside.database.number(sql).await.unwrap_or(0)
}

struct Rival {
    before: i64,
    met: i64,
    rival: tokio::task::JoinHandle<()>,
    lasts: Duration,
}

#[async_trait]
impl Wound for Rival {
    fn what(&self) -> String {
        "a rival takes the position's row and then the table".to_owned()
    }

    fn lasts(&self) -> Duration {
        self.lasts
    }

    async fn look(&mut self, world: &World) {
        self.met = deadlocks(world).await - self.before;
    }

    fn is_done(&self) -> bool {
        self.met > 0
    }

    async fn heal(mut self: Box<Self>, world: &mut World) -> Proof {
        self.rival.abort();
        self.look(world).await;
        Proof::of(self.met > 0, format!("the server resolved {} deadlocks", self.met))
    }
}

/// A limit of the user, which new sessions meet: those that there are end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    /// No more connections.
    Connections,
    /// Statements end after 5 ms, and a table is locked so that they take longer.
    StatementTimeout,
}

#[async_trait]
impl Fault for Setting {
    fn name(&self) -> String {
        match self {
            Self::Connections => "postgres_connection_limit".to_owned(),
            Self::StatementTimeout => "postgres_statement_timeout".to_owned(),
        }
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Postgres]
    }

    fn shows(&self) -> &'static [Sign] {
        TROUBLE
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let user = world.project.name().to_owned();
        let (set, reset) = match self {
            Self::Connections => (format!("ALTER ROLE {user} CONNECTION LIMIT 0"), format!("ALTER ROLE {user} CONNECTION LIMIT -1")),
            Self::StatementTimeout => {
                (format!("ALTER ROLE {user} SET statement_timeout = '5ms'"), format!("ALTER ROLE {user} RESET statement_timeout"))
            }
        };
        world.outside.database.execute(&set).await;
        let before = errors(world, *self).await;
        world.outside.database.end_sessions(&user).await;
        let rival = if *self == Self::StatementTimeout { lock(world, "appended").await } else { None };
        let lasts = Duration::from_secs_f64(world.random.random_range(2.0..10.0));
        Some(Box::new(Limited { setting: *self, reset, before, rival, bites: Bites::within(lasts) }))
    }
}

struct Limited {
    setting: Setting,
    reset: String,
    before: usize,
    rival: Option<PgConnection>,
    bites: Bites,
}

/// How often the server has said so in its log.
async fn errors(world: &World, setting: Setting) -> usize {
    let said = match setting {
        Setting::Connections => "too many connections for role",
        Setting::StatementTimeout => "canceling statement due to statement timeout",
    };
    world.outside.database.logged(said).await
}

#[async_trait]
impl Wound for Limited {
    fn what(&self) -> String {
        format!("for {:?}", self.bites.lasts)
    }

    fn lasts(&self) -> Duration {
        self.bites.longest()
    }

    async fn look(&mut self, world: &World) {
        if self.bites.is_time() {
            self.bites.bit = errors(world, self.setting).await > self.before;
        }
    }

    fn is_done(&self) -> bool {
        self.bites.is_done()
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let met = errors(world, self.setting).await - self.before;
        if let Some(mut rival) = self.rival {
            execute(&mut rival, "ROLLBACK").await.ok();
        }
        world.outside.database.execute(&self.reset).await;
        // Sessions keep the setting that they began with.
        world.outside.database.end_sessions(world.project.name()).await;
        Proof::of(met > 0, format!("the server refused {met} times"))
    }
}

/// The disk that the tables are on is full.
struct DiskFull;

#[async_trait]
impl Fault for DiskFull {
    fn name(&self) -> String {
        "postgres_disk_full".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Postgres]
    }

    fn possible(&self, world: &World) -> Result<(), String> {
        world.outside.space.is_there().then_some(()).ok_or_else(|| "this process may not mount a small disk".to_owned())
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        world.outside.space.fill();
        let before = full(world).await;
        let lasts = Duration::from_secs_f64(world.random.random_range(2.0..9.0));
        Some(Box::new(Full { before, bites: Bites::within(lasts) }))
    }
}

/// How often the server has met the full disk.
async fn full(world: &World) -> usize {
    world.outside.database.logged("No space left on device").await
}

struct Full {
    before: usize,
    bites: Bites,
}

#[async_trait]
impl Wound for Full {
    fn what(&self) -> String {
        format!("for {:?}", self.bites.lasts)
    }

    fn lasts(&self) -> Duration {
        self.bites.longest()
    }

    async fn look(&mut self, world: &World) {
        if self.bites.is_time() {
            self.bites.bit = full(world).await > self.before;
        }
    }

    fn is_done(&self) -> bool {
        self.bites.is_done()
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let met = full(world).await - self.before;
        world.outside.space.free();
        Proof::of(met > 0, format!("the server met the full disk {met} times"))
    }
}
