//! Bodies of requests to the push gateway.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue, Request, request};
use millrace_ingest::Bodies;
use millrace_runtime::project::RegistryConfig;
use millrace_runtime::registry::Registry;
use tokio::runtime::{Builder, Runtime};

use crate::samples::{nested, schema};

/// The largest body, as it comes and inflated.
const LIMIT: usize = 1 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
static BODIES: LazyLock<Bodies> = LazyLock::new(|| {
    // Nobody listens there: what needs a registry is refused.
    let registry = Registry::new(&RegistryConfig { url: "http://127.0.0.1:1".to_owned(), ..RegistryConfig::default() }).expect("a client");
    Bodies::new(&schema(&nested()), LIMIT, &registry).expect("reads bodies")
});

/// Lines of `name: value` are headers, an empty line ends them, what follows is the body.
pub fn bodies(data: &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
    let body = data.get(end + 2..).unwrap_or_default();
    let head = head(&data[..end]);
    // What asks the registry waits for it in vain, and longer than a fuzzer has.
    if head.headers.contains_key("schema-subject") {
        return;
    }
    if let Ok(read) = RUNTIME.block_on(BODIES.read(&head, bytes::Bytes::copy_from_slice(body))) {
        assert_eq!(read.accepted + read.refused, read.records, "each record is a row or a refusal");
    }
}

fn head(lines: &[u8]) -> request::Parts {
    let mut request = Request::post("/fuzz").body(()).expect("a request");
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(end) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..end]), HeaderValue::from_bytes(line[end + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    request.into_parts().0
}
