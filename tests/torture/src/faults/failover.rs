//! PostgreSQL fails over: the server dies, and one that followed it takes its place. What the follower had not got is gone there.

use std::time::Duration;

use async_trait::async_trait;

use super::{Fault, Part, Proof, TROUBLE, Wound};
use crate::watch::Sign;
use crate::world::World;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(FailedOver)]
}

struct FailedOver;

#[async_trait]
impl Fault for FailedOver {
    fn name(&self) -> String {
        "postgres_failed_over".to_owned()
    }

    fn hits(&self) -> Vec<Part> {
        vec![Part::Postgres, Part::PostgresLink]
    }

    fn shows(&self) -> &'static [Sign] {
        TROUBLE
    }

    async fn inflict(&self, world: &mut World) -> Option<Box<dyn Wound>> {
        let outside = &mut world.outside;
        let (old, before) = (outside.space.move_on(), outside.database.port());
        let moved = format!("{}={}", old.display(), outside.space.place().display());
        outside.database.follow(outside.space.is_there().then_some(moved)).await;
        outside.database.fail_over().await;
        if outside.space.is_there() {
            std::fs::remove_dir_all(&old).expect("the dead server's tables are removed");
        }
        let after = outside.database.port();
        outside.links("postgres")[0].leads_to(&format!("127.0.0.1:{after}")).await;
        Some(Box::new(Promoted { before, after }))
    }
}

struct Promoted {
    before: u16,
    after: u16,
}

#[async_trait]
impl Wound for Promoted {
    fn what(&self) -> String {
        format!("from port {} to {}", self.before, self.after)
    }

    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    async fn heal(self: Box<Self>, world: &mut World) -> Proof {
        let timeline = world.outside.database.number("SELECT timeline_id::bigint FROM pg_control_checkpoint()").await;
        let leads = world.outside.database.number("SELECT (NOT pg_is_in_recovery())::int::bigint").await;
        Proof::of(leads == Some(1), format!("the server at port {} takes rows, timeline {timeline:?}", self.after))
    }
}
