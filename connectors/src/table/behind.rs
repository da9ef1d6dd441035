//! The sink of a table that lacks columns of the schema it is loaded by: the project was deployed with a new one, and nobody has added it yet.

use async_trait::async_trait;
use millrace_model::{
    Batch, Code, Commit, LoadBound, Offsets, Origin, ParkedChanges, ParkedHeads, Rejected, Rejection, Result, Schema, Sink, TopicIdentity,
    TopicPartition,
};

/// Makes the table grow in the transaction of the first round that has rows, as it does when the topic's schema changes. Until then it is loaded
/// by no row.
struct Behind<S> {
    /// Opened for the columns that the table has.
    sink: S,
    /// That of the rows that come.
    schema: Schema,
    growth: Growth,
}

/// How far the table has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// It lacks columns.
    Due,
    /// It gets them with the round at hand.
    InRound,
    /// It has them.
    Done,
}

/// A sink for rows of `schema`, of one that was opened for `present`, the part of it that the table has.
pub(crate) fn behind<S: Sink + 'static>(sink: S, present: &Schema, schema: &Schema) -> Box<dyn Sink> {
    if present.arrow() == schema.arrow() {
        return Box::new(sink);
    }
    Box::new(Behind { sink, schema: schema.clone(), growth: Growth::Due })
}

impl<S: Sink> Behind<S> {
    async fn grow(&mut self) -> Result<()> {
        if self.growth == Growth::Due {
            self.sink.reshape(&self.schema).await?;
            self.growth = Growth::InRound;
        }
        Ok(())
    }
}

#[async_trait]
impl<S: Sink> Sink for Behind<S> {
    fn identify(&mut self, topic: TopicIdentity) {
        self.sink.identify(topic);
    }

    async fn claim(&mut self, partitions: &[TopicPartition]) -> Result<Offsets> {
        if self.growth == Growth::InRound {
            self.growth = Growth::Due;
        }
        self.sink.claim(partitions).await
    }

    async fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.sink.release(partitions).await
    }

    async fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>> {
        self.grow().await?;
        self.sink.write(batch).await
    }

    async fn delete(&mut self, keys: &Batch) -> Result<Vec<Rejection>> {
        self.grow().await?;
        self.sink.delete(keys).await
    }

    async fn clear(&mut self, origin: Origin) -> Result<()> {
        self.grow().await?;
        self.sink.clear(origin).await
    }

    async fn bound(&mut self, bound: LoadBound) -> Result<()> {
        self.grow().await?;
        self.sink.bound(bound).await
    }

    /// Another change, which comes with all that the table lacked before.
    async fn reshape(&mut self, schema: &Schema) -> Result<()> {
        let reshaped = self.sink.reshape(schema).await;
        match &reshaped {
            Ok(()) => {
                self.schema = schema.clone();
                if self.growth == Growth::Due {
                    self.growth = Growth::InRound;
                }
            }
            Err(fault) if fault.code() == Code::TargetSchema && self.growth == Growth::InRound => self.growth = Growth::Due,
            Err(_) => {}
        }
        reshaped
    }

    async fn parked(&mut self, partitions: &[TopicPartition]) -> Result<ParkedHeads> {
        self.sink.parked(partitions).await
    }

    async fn park(&mut self, changes: &ParkedChanges) -> Result<()> {
        self.sink.park(changes).await
    }

    async fn settle(&mut self) -> Result<Vec<Rejected>> {
        self.sink.settle().await
    }

    async fn commit(&mut self, from: &Offsets, to: &Offsets) -> Result<Commit> {
        let commit = self.sink.commit(from, to).await?;
        if commit == Commit::Done && self.growth == Growth::InRound {
            self.growth = Growth::Done;
        }
        Ok(commit)
    }
}
