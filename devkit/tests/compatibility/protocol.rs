//! The protocol without a client between: for what a client would never send.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};

use crate::clients::{PATIENCE, address};

/// One connection.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Asks, and reads the answer.
    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let key = ApiKey::try_from(R::KEY).unwrap();
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("suite")));
        let mut body = BytesMut::new();
        header.encode(&mut body, key.request_header_version(version)).unwrap();
        request.encode(&mut body, version).unwrap();
        self.write(&[&(body.len() as u32).to_be_bytes(), &body[..]].concat());
        let mut answer = self.frame();
        ResponseHeader::decode(&mut answer, key.response_header_version(version)).unwrap();
        R::Response::decode(&mut answer, version).unwrap()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn frame(&mut self) -> Bytes {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).unwrap();
        frame.into()
    }

    /// Whether the broker closes the connection without an answer.
    pub(crate) fn is_closed(&mut self) -> bool {
        !matches!(self.0.read(&mut [0; 1]), Ok(1))
    }
}

fn still_answers() {
    let answer = Connection::open(address()).ask(0, &ApiVersionsRequest::default());
    assert!(answer.error_code == 0 && answer.api_keys.len() > 20);
}

#[test]
fn bytes_that_are_no_request_end_their_connection_and_nothing_else() {
    let produce = |rest: &[u8]| [&((8 + rest.len()) as u32).to_be_bytes()[..], &[0, 0, 0, 7, 0, 0, 0, 1], rest].concat();
    let garbage: [Vec<u8>; 6] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0, 0, 0, 2, 0, 0],
        vec![0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1],
        produce(&[]),
        produce(&[0xff; 40]),
    ];
    for bytes in garbage {
        let mut connection = Connection::open(address());
        connection.write(&bytes);
        assert!(connection.is_closed(), "{bytes:?}");
    }
    still_answers();
}

#[test]
fn a_request_cut_off_is_no_harm() {
    let mut connection = Connection::open(address());
    connection.write(&[0, 0, 1, 0, 0, 3]);
    connection.0.shutdown(Shutdown::Write).unwrap();
    assert!(connection.is_closed());
    still_answers();
}

#[test]
fn a_client_newer_than_the_broker_is_told_the_versions_in_the_oldest_format() {
    let mut connection = Connection::open(address());
    connection.write(&[0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 5, 0, 0, 0]);
    let mut answer = connection.frame();
    assert_eq!((answer.get_i32(), answer.get_i16()), (5, 35));
    let first = (answer.get_i32() > 0).then(|| answer.get_i16());
    assert!(first.is_some(), "at least the versions of this request");
}
