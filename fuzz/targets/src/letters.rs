//! Millrace's own records, as they are read back: dead letters, parked records, places.

use millrace_model::{Header, Record};
use millrace_runtime::dead_letters::DeadLetter;
use millrace_runtime::parking::entry::{Entry, Parked};

/// Lines of `name=value` are headers; what follows an empty line is the value.
pub fn letters(data: &[u8]) {
    let (head, value) = split(data);
    let headers: Vec<Header> = head.split(|&byte| byte == b'\n').map(header).collect();
    let record = Record { topic: "dead", partition: 1, offset: 7, timestamp: 0, key: Some(value), value: Some(value), headers: &headers };
    let letter = DeadLetter::of(&record);
    assert_eq!(letter.headers.len(), headers.len());
    assert!(letter.original_headers().count() <= headers.len());
    std::hint::black_box((letter.identity(), letter.partition(), letter.offset(), letter.at(), letter.omitted_bytes()));
    std::hint::black_box(Entry::of(&record));
    if let Some(parked) = Parked::of_key(value) {
        assert_eq!(Parked::of_key(&parked.to_key()), Some(parked), "a place is read back as it was written");
    }
}

fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    end.map_or((data, &[]), |end| (&data[..end], &data[end + 2..]))
}

fn header(line: &[u8]) -> Header {
    let end = line.iter().position(|&byte| byte == b'=');
    let (name, value) = end.map_or((line, None), |end| (&line[..end], Some(line[end + 1..].to_vec())));
    Header { key: String::from_utf8_lossy(name).into_owned(), value }
}
