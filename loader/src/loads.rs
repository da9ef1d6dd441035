//! Where whole loads begin and end: what the headers of records say.

use std::sync::Arc;

use millrace_model::{Code, Edge, Header, LoadBound, Origin, Records, Rejection};

/// The headers that name a load, at its first and at its last record of a partition.
const BEGIN: &str = "millrace.load.begin";
const END: &str = "millrace.load.end";

/// The bounds that records have, in their order, and the records of which a header names no load: those bound none.
pub(crate) fn bounds(records: &Arc<Records>) -> (Vec<LoadBound>, Vec<Rejection>) {
    let (mut bounds, mut rejected) = (Vec::new(), Vec::new());
    if !records.has_headers() {
        return (bounds, rejected);
    }
    for record in 0..records.len() as u32 {
        let named = edges(records.headers(record as usize)).map(|(edge, header)| name(header).map(|load| (edge, load)).ok_or(header));
        match named.collect::<Result<Vec<_>, _>>() {
            // How many partitions the topic has is asked for when a load ends.
            Ok(named) => bounds.extend(named.into_iter().map(|(edge, load)| {
                let origin = Origin::of(Arc::clone(records), vec![record]);
                LoadBound { edge, load: load.into(), origin, partitions: i32::MAX }
            })),
            Err(header) => rejected.push(Rejection::new(record, Code::ChangeInvalid, format!("the header {} names no load", header.key))),
        }
    }
    (bounds, rejected)
}

/// Whether a record without a value says only where a load begins or ends.
pub(crate) fn is_bound(records: &Records, record: u32) -> bool {
    edges(records.headers(record as usize)).next().is_some()
}

/// A load that begins with a record begins before it; one that ends with it ends after it.
fn edges(headers: &[Header]) -> impl Iterator<Item = (Edge, &Header)> {
    let of = |edge, name| headers.iter().rfind(|header| header.key == name).map(|header| (edge, header));
    of(Edge::Begin, BEGIN).into_iter().chain(of(Edge::End, END))
}

fn name(header: &Header) -> Option<&str> {
    let name = std::str::from_utf8(header.value.as_deref()?).ok()?;
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_model::{Record, RecordsBuilder};

    fn records(headers: &[&[(&str, &str)]]) -> Arc<Records> {
        let mut records = RecordsBuilder::new("t".into(), headers.len());
        for (offset, headers) in headers.iter().enumerate() {
            let headers: Vec<Header> =
                headers.iter().map(|(key, value)| Header { key: (*key).into(), value: Some(value.as_bytes().to_vec()) }).collect();
            records.push(&Record {
                topic: "t",
                partition: 0,
                offset: offset as i64,
                timestamp: 0,
                key: None,
                value: None,
                headers: &headers,
            });
        }
        Arc::new(records.finish())
    }

    #[test]
    fn headers_say_where_loads_begin_and_end() {
        let records = records(&[&[(END, "a"), (BEGIN, "a")], &[], &[("other", "b"), (END, "b")]]);
        let (bounds, rejected) = bounds(&records);
        let told: Vec<_> = bounds.iter().map(|bound| (bound.edge, &*bound.load, bound.origin.rows()[0])).collect();
        assert_eq!(told, [(Edge::Begin, "a", 0), (Edge::End, "a", 0), (Edge::End, "b", 2)]);
        assert!(rejected.is_empty() && is_bound(&records, 2) && !is_bound(&records, 1));
    }

    #[test]
    fn a_bound_that_names_no_load_is_rejected() {
        let (bounds, rejected) = bounds(&records(&[&[(END, ""), (BEGIN, "")], &[(BEGIN, "a")], &[(BEGIN, "b"), (END, "")]]));
        let rejected: Vec<u32> = rejected.iter().map(|rejection| rejection.record).collect();
        assert_eq!((bounds.len(), rejected), (1, vec![0, 2]));
    }
}
