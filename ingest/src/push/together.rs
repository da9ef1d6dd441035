//! Requests of JSON read, encoded and sent at once. What a batch costs is that of its columns, however few rows it has: a row of its own for each
//! request would cost each of them a batch.

use std::iter;
use std::sync::Arc;

use millrace_model::{Records, RecordsBuilder, Rejection, Result, Stage};
use millrace_runtime::formats::Parsed;

use super::answer::Answer;
use super::originals::Originals;
use super::reading::Content;
use super::request::{Reply, Request};
use super::writing::{Draft, Writing};

impl Writing {
    /// Writes requests in their order; returns the reply to each.
    pub(super) fn write_all(&mut self, requests: &[Request], draft: &mut Draft) -> Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(requests.len());
        for run in requests.chunk_by(|one, next| is_json(one) && is_json(next)) {
            match self.read_together(run) {
                Some(parsed) => replies.extend(self.write_together(run, &parsed, draft)?),
                None => {
                    for request in run {
                        replies.push(self.write(request, draft)?);
                    }
                }
            }
        }
        Ok(replies)
    }

    /// All records of requests, if they are to be read at once and each of them is good. Otherwise what becomes of one request is a matter of its own.
    fn read_together(&self, requests: &[Request]) -> Option<Parsed> {
        if requests.len() == 1 {
            return None;
        }
        self.json.read(&joined(requests)).ok().filter(|parsed| parsed.refused.is_empty())
    }

    fn write_together(&mut self, requests: &[Request], parsed: &Parsed, draft: &mut Draft) -> Result<Vec<Reply>> {
        let records = parsed.batch.origin().records();
        draft.read(records);
        let mut trace = self.pipeline.hop.untraced();
        let written = self.send(parsed, &trace, draft)?;
        if written.rejected.is_empty() {
            return Ok(requests.iter().map(|request| Ok(Answer::new(request.records() as u64, &[], &[]))).collect());
        }
        let answers = answers(requests, &written.rejected);
        self.reject(&Originals::Same, records, &Stage::Encode, written.rejected, &mut trace)?;
        Ok(answers.into_iter().map(Ok).collect())
    }
}

fn is_json(request: &Request) -> bool {
    matches!(request.read.content, Content::Json(_))
}

/// The records of all requests in their order.
fn joined(requests: &[Request]) -> Arc<Records> {
    let all = || requests.iter().map(|request| request.read.content.records());
    let topic = all().next().map_or_else(|| "".into(), |records| Arc::clone(records.topic()));
    let mut joined = RecordsBuilder::new(topic, all().map(|records| records.len()).sum());
    for records in all() {
        (0..records.len()).for_each(|row| joined.push(&records.record(row)));
    }
    Arc::new(joined.finish())
}

/// What each request is told of the records among its own that were rejected, whose numbers are those of all requests together, ascending.
fn answers(requests: &[Request], rejected: &[Rejection]) -> Vec<Answer> {
    let (mut first, mut rejected) = (0, rejected.iter().peekable());
    let answer = |request: &Request| {
        let end = first + request.records() as u32;
        let own: Vec<Rejection> = iter::from_fn(|| rejected.next_if(|rejection| rejection.record < end))
            .map(|rejection| Rejection::new(rejection.record - first, rejection.code, rejection.reason.clone()))
            .collect();
        first = end;
        Answer::new((request.records() - own.len()) as u64, &[], &own)
    };
    requests.iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::reading::Read;
    use millrace_model::{Code, Record};

    /// A request of records with these offsets.
    fn request(offsets: &[i64]) -> Request {
        let mut records = RecordsBuilder::new("http:/a".into(), offsets.len());
        for &offset in offsets {
            records.push(&Record { topic: "", partition: 0, offset, timestamp: 1, key: None, value: Some(b"{}"), headers: &[] });
        }
        let content = Content::Json(Arc::new(records.finish()));
        Request::new(Read { content, originals: Originals::Same }, None).0
    }

    #[test]
    fn each_request_is_told_of_its_own_records_alone() {
        let requests = [request(&[5]), request(&[7, 8]), request(&[9])];
        let records = joined(&requests);
        assert_eq!((0..records.len()).map(|row| records.record(row).offset).collect::<Vec<_>>(), [5, 7, 8, 9]);
        let rejected = |record| Rejection::new(record, Code::KeyInvalid, format!("{record}"));
        let answers = answers(&requests, &[rejected(0), rejected(2)]);
        let expected = [
            Answer::new(0, &[], &[Rejection::new(0, Code::KeyInvalid, "0")]),
            Answer::new(1, &[], &[Rejection::new(1, Code::KeyInvalid, "2")]),
            Answer::new(1, &[], &[]),
        ];
        assert_eq!(answers, expected);
    }
}
